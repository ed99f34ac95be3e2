//! Folding of what follows from constants: where Asyncify's state is 0, whole branches can never run.
//!
//! Only operators on `i32` constants, `select`, `if` and `br_if` are folded. It changes nothing that a run could
//! tell but its fuel.

use super::trail::{Operand, Trail, Value};
use wasm_encoder::InstructionSink;
use wasmparser::Operator;

/// Bytes of code that are moved at most to take out what lies before them.
const NEAR: usize = 256;

/// Code that can never run, until the end of its block.
#[derive(Debug)]
pub(super) struct Dead {
    /// Blocks open inside it.
    nested: u32,
    /// If an `else` comes first, it is the arm that runs, and this is the block for it.
    block: Option<Vec<u8>>,
}

/// What comes of an operator in dead code.
pub(super) enum Step {
    /// It is dead.
    Dead,
    /// An arm begins that runs, in this block.
    Arm(Vec<u8>),
    /// The end of the block whose arm ran before: it is written.
    End,
    /// The end of a block of which nothing is left.
    Gone,
}

impl Dead {
    /// The first arm of an `if` that has the bytes `raw` and is never taken.
    pub(super) fn first_arm(raw: &[u8]) -> Self {
        Self { nested: 0, block: Some(block(raw)) }
    }

    /// The second arm of an `if` whose first is always taken.
    pub(super) fn second_arm() -> Self {
        Self { nested: 0, block: None }
    }

    pub(super) fn step(&mut self, op: &Operator<'_>) -> Step {
        match op {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                self.nested += 1
            }
            Operator::End if self.nested > 0 => self.nested -= 1,
            Operator::End if self.block.is_some() => return Step::Gone,
            Operator::End => return Step::End,
            Operator::Else if self.nested == 0 => {
                if let Some(block) = self.block.take() {
                    return Step::Arm(block);
                }
            }
            _ => {}
        }
        Step::Dead
    }
}

/// The `if` with the bytes `raw`, as a block of the same type.
pub(super) fn block(raw: &[u8]) -> Vec<u8> {
    const BLOCK: u8 = 0x02;
    let mut block = vec![BLOCK];
    block.extend_from_slice(raw.get(1..).unwrap_or_default());
    block
}

/// The constant on top of the stack, taken out of the code.
pub(super) fn take_constant(out: &mut Vec<u8>, trail: &mut Trail) -> Option<i32> {
    let top = trail.peek(0).filter(|top| top.pure)?;
    let Value::Const(value) = top.value else { return None };
    out.truncate(top.start);
    trail.pop(1);
    Some(value)
}

/// Pushes a constant.
pub(super) fn put_constant(out: &mut Vec<u8>, trail: &mut Trail, value: i32) {
    let start = out.len();
    InstructionSink::new(out).i32_const(value);
    trail.push(Operand { start, pure: true, value: Value::Const(value) });
}

/// Folds an operator that computes; `false` if it has to be written.
pub(super) fn computes(out: &mut Vec<u8>, trail: &mut Trail, op: &Operator<'_>) -> bool {
    match op {
        Operator::I32Eqz => match take_constant(out, trail) {
            Some(value) => put_constant(out, trail, i32::from(value == 0)),
            None => return false,
        },
        Operator::I32Or => return either(out, trail),
        Operator::Select => return select(out, trail),
        _ => return both(out, trail, op),
    }
    true
}

/// Operators on two constants.
fn both(out: &mut Vec<u8>, trail: &mut Trail, op: &Operator<'_>) -> bool {
    let constant = |above| match trail.peek(above).filter(|it| it.pure).map(|it| it.value) {
        Some(Value::Const(value)) => Some(value),
        _ => None,
    };
    let (Some(second), Some(first)) = (constant(0), constant(1)) else { return false };
    let value = match op {
        Operator::I32Eq => i32::from(first == second),
        Operator::I32Ne => i32::from(first != second),
        Operator::I32And => first & second,
        _ => return false,
    };
    take_constant(out, trail);
    take_constant(out, trail);
    put_constant(out, trail, value);
    true
}

/// `x | 0` and `0 | x` are `x`.
fn either(out: &mut Vec<u8>, trail: &mut Trail) -> bool {
    let zero = |above: usize| {
        trail.peek(above).filter(|it| it.pure && it.value == Value::Const(0)).map(|it| it.start)
    };
    if zero(0).is_some() {
        take_constant(out, trail);
        return true;
    }
    let (Some(start), Some(top)) = (zero(1), trail.peek(0)) else { return false };
    if out.len() - start > NEAR {
        return false;
    }
    out.drain(start..top.start);
    trail.pop(2);
    trail.push(Operand { start, ..top });
    true
}

/// `select` by a constant, where what is not selected can be taken out.
fn select(out: &mut Vec<u8>, trail: &mut Trail) -> bool {
    let (Some(condition), Some(second), Some(first)) =
        (trail.peek(0), trail.peek(1), trail.peek(2))
    else {
        return false;
    };
    let Value::Const(taken) = condition.value else { return false };
    let removed = if taken == 0 { first } else { second };
    if !condition.pure || !removed.pure || out.len() - first.start > NEAR {
        return false;
    }
    out.truncate(condition.start);
    trail.pop(3);
    if taken == 0 {
        out.drain(first.start..second.start);
        trail.push(Operand { start: first.start, ..second });
    } else {
        out.truncate(second.start);
        trail.push(first);
    }
    true
}
