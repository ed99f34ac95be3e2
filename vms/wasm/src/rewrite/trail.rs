//! What is known of the operands on top of the stack and of locals, while a body is rewritten.
//!
//! A trail is a suffix of the operand stack: where the code of each operand starts in the output, whether it
//! could be taken out again, and what is known of its value. Any operator that is not understood clears it,
//! so that knowing less is always right.

use wasmparser::{ModuleArity, Operator};

/// Operands that are kept at most: enough for real code, and a bound for the rest.
const OPERANDS: usize = 32;

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Unknown,
    /// This `i32`.
    Const(i32),
    /// What that local holds.
    Local(u32),
    /// An `i64` below 2^32.
    Low,
}

/// An operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    /// Where its code begins in the output.
    pub(super) start: usize,
    /// Its code does nothing but make it, and nothing lies between it and the next operand's code.
    pub(super) pure: bool,
    /// Its value.
    pub(super) value: Value,
}

/// The known top of the operand stack, and the locals known to be below 2^32.
#[derive(Default)]
pub(super) struct Trail {
    operands: Vec<Operand>,
    /// By local: the epoch in which it was found to be low.
    low: Vec<u32>,
    /// Changes when all that is known of locals is forgotten.
    epoch: u32,
    /// Locals in the order in which they were found to be low.
    found: Vec<u32>,
}

impl Trail {
    pub(super) fn new() -> Self {
        Self { epoch: 1, ..Self::default() }
    }

    /// The operand that lies under `above` others.
    pub(super) fn peek(&self, above: usize) -> Option<Operand> {
        self.operands.iter().rev().nth(above).copied()
    }

    /// Forgets the stack.
    pub(super) fn clear(&mut self) {
        self.operands.clear();
    }

    pub(super) fn push(&mut self, operand: Operand) {
        if self.operands.len() >= OPERANDS {
            self.operands.remove(0);
        }
        self.operands.push(operand);
    }

    /// Pops; the lowest one's start and whether all were pure, if all are known.
    pub(super) fn pop(&mut self, count: usize) -> Option<(usize, bool)> {
        let Some(keep) = self.operands.len().checked_sub(count) else {
            self.operands.clear();
            return None;
        };
        let taken = self.operands.split_off(keep);
        let start = taken.first()?.start;
        Some((start, taken.iter().all(|operand| operand.pure)))
    }

    /// Takes note of an operator whose code was written from `at` on.
    pub(super) fn see(&mut self, op: &Operator<'_>, at: usize) {
        let Some((pops, pushes)) = op.operator_arity(&Nothing) else { return self.clear() };
        let (pops, before) = (pops as usize, self.peek(0));
        let value = self.value(op);
        let pure = pure(op);
        let (start, whole) =
            if pops == 0 { (at, true) } else { self.pop(pops).unwrap_or((at, false)) };
        if let Operator::LocalSet { local_index } | Operator::LocalTee { local_index } = op {
            let low = before.is_some_and(|operand| self.is_low(operand.value));
            self.assigned(*local_index, low);
        }
        match pushes {
            0 if matches!(op, Operator::Nop) => {}
            0 if pops == 0 => self.clear(),
            // Something was done between the operands below and those to come.
            0 => self.spoil(),
            1 => self.push(Operand { start, pure: pure && whole, value }),
            _ => self.clear(),
        }
    }

    /// What lies on the stack can no longer be taken out.
    fn spoil(&mut self) {
        for operand in &mut self.operands {
            operand.pure = false;
        }
    }

    fn value(&self, op: &Operator<'_>) -> Value {
        use Operator as O;
        match op {
            O::I32Const { value } => Value::Const(*value),
            O::I64Const { value } if u32::try_from(*value).is_ok() => Value::Low,
            O::LocalGet { local_index } | O::LocalTee { local_index } => Value::Local(*local_index),
            O::I64ExtendI32U
            | O::I64Load32U { .. }
            | O::I64Load16U { .. }
            | O::I64Load8U { .. } => Value::Low,
            O::I64And => {
                let low = |above| self.peek(above).is_some_and(|it| self.is_low(it.value));
                if low(0) || low(1) { Value::Low } else { Value::Unknown }
            }
            _ => Value::Unknown,
        }
    }

    /// A local has a new value.
    fn assigned(&mut self, local: u32, low: bool) {
        for operand in &mut self.operands {
            if operand.value == Value::Local(local) {
                operand.value = Value::Unknown;
            }
        }
        self.spoil();
        if let Some(slot) = usize::try_from(local).ok().and_then(|at| self.low.get_mut(at)) {
            *slot = 0;
        }
        if low {
            self.found_low(local);
        }
    }

    /// A local holds a number below 2^32.
    pub(super) fn found_low(&mut self, local: u32) {
        let Ok(at) = usize::try_from(local) else { return };
        if at >= self.low.len() {
            self.low.resize(at + 1, 0);
        }
        let Some(slot) = self.low.get_mut(at) else { return };
        if *slot != self.epoch {
            *slot = self.epoch;
            self.found.push(local);
        }
    }

    /// The value is an `i64` below 2^32.
    pub(super) fn is_low(&self, value: Value) -> bool {
        match value {
            Value::Low => true,
            Value::Local(local) => {
                let at = usize::try_from(local).ok();
                at.and_then(|at| self.low.get(at)).is_some_and(|epoch| *epoch == self.epoch)
            }
            Value::Unknown | Value::Const(_) => false,
        }
    }

    /// How much is known of locals; for [`Trail::back_to`].
    pub(super) fn mark(&self) -> usize {
        self.found.len()
    }

    /// Forgets what was found since `mark`: control may have come around it.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.clear();
        while self.found.len() > mark {
            let Some(local) = self.found.pop() else { return };
            if let Some(slot) = usize::try_from(local).ok().and_then(|at| self.low.get_mut(at)) {
                *slot = 0;
            }
        }
    }

    /// Forgets everything: control may come back here with other locals.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.epoch = self.epoch.saturating_add(1);
    }
}

/// Operators without effect that cannot trap.
fn pure(op: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        op,
        O::LocalGet { .. }
            | O::GlobalGet { .. }
            | O::I32Const { .. }
            | O::I64Const { .. }
            | O::I32Eqz
            | O::I32Eq
            | O::I32Ne
            | O::I32LtS
            | O::I32LtU
            | O::I32GtS
            | O::I32GtU
            | O::I32LeS
            | O::I32LeU
            | O::I32GeS
            | O::I32GeU
            | O::I64Eqz
            | O::I64Eq
            | O::I64Ne
            | O::I32And
            | O::I32Or
            | O::I32Xor
            | O::I32Add
            | O::I32Sub
            | O::I32WrapI64
            | O::I64Add
            | O::I64Sub
            | O::I64ExtendI32S
            | O::I64ExtendI32U
    )
}

/// Arities of operators that depend on a module are not asked for.
struct Nothing;

impl ModuleArity for Nothing {
    fn sub_type_at(&self, _: u32) -> Option<&wasmparser::SubType> {
        None
    }
    fn tag_type_arity(&self, _: u32) -> Option<(u32, u32)> {
        None
    }
    fn type_index_of_function(&self, _: u32) -> Option<u32> {
        None
    }
    fn func_type_of_cont_type(&self, _: &wasmparser::ContType) -> Option<&wasmparser::FuncType> {
        None
    }
    fn sub_type_of_ref_type(&self, _: &wasmparser::RefType) -> Option<&wasmparser::SubType> {
        None
    }
    fn control_stack_height(&self) -> u32 {
        0
    }
    fn label_block(&self, _: u32) -> Option<(wasmparser::BlockType, wasmparser::FrameKind)> {
        None
    }
}
