//! A 64-bit memory whose maximum is below 4 GiB, as one with 32-bit addresses.
//!
//! A 32-bit memory lies in 4 GiB of reserved addresses with a guard behind, so its accesses need no check of
//! bounds. What is left to check is that an address is below 2^32. Beyond, it is out of bounds, since the memory
//! cannot be that large. Pointers in memory stay 8 bytes wide.
//!
//! Loads do not check at once: they collect the bits of their addresses in a local, and what is collected is
//! checked before anything that could be seen: a write, a call, a branch. Until then a load may have read another
//! place, and the run ends in the same trap. An address that is known to be low is not checked again.

use super::{
    access::Access,
    facts::ValType,
    trail::{Trail, Value},
};
use wasm_encoder::{BlockType, InstructionSink, MemArg, ValType as EncType};
use wasmparser::Operator;

/// Bytes of code between an address and its access over which a conversion is put in place. Beyond, the value
/// goes through a local.
const NEAR: usize = 256;
/// `i32.wrap_i64`.
const WRAP: u8 = 0xa7;
const LOW: i64 = u32::MAX as i64;
/// Most pages of a memory of 32-bit addresses in which the last byte below 2^32 is out of bounds.
pub(super) const PAGES: u64 = 65_535;

/// The locals that lowering adds to a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locals {
    /// Bits of the addresses of loads.
    pub(super) seen: u32,
    /// Address of a write.
    pub(super) target: u32,
    /// Two more `i64`.
    pub(super) spare: u32,
    pub(super) other: u32,
    pub(super) i32: u32,
    pub(super) f32: u32,
    pub(super) f64: u32,
    pub(super) v128: u32,
}

/// Lowers the accesses of one body.
pub(super) struct Lower {
    pub(super) locals: Locals,
    /// Something was collected that is not checked yet.
    pending: bool,
}

impl Lower {
    pub(super) fn new(locals: Locals) -> Self {
        Self { locals, pending: false }
    }

    /// Checks what was collected.
    pub(super) fn settle(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.pending) {
            InstructionSink::new(out).local_get(self.locals.seen);
            check(out);
        }
    }

    /// Writes an access, whose bytes are `raw`.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        trail: &mut Trail,
        raw: &[u8],
        access: Access,
    ) {
        match access {
            Access::Load(memarg) => self.load(out, trail, raw, memarg.offset),
            Access::Store(memarg, ty) => self.store(out, trail, (raw, memarg.offset), ty),
            Access::Size => {
                InstructionSink::new(out).memory_size(0).i64_extend_i32_u();
            }
            Access::Grow => self.grow(out),
            Access::Fill => self.fill(out),
            Access::Copy => self.copy(out),
        }
    }

    fn load(&mut self, out: &mut Vec<u8>, trail: &mut Trail, raw: &[u8], offset: u64) {
        let value = trail.peek(0).map_or(Value::Unknown, |operand| operand.value);
        if !trail.is_low(value) {
            self.collect(out);
            if let Value::Local(local) = value {
                trail.found_low(local);
            }
        }
        out.push(WRAP);
        access(out, raw, offset);
    }

    /// Collects the address on the stack.
    fn collect(&mut self, out: &mut Vec<u8>) {
        let Locals { seen, spare, .. } = self.locals;
        let mut code = InstructionSink::new(out);
        if std::mem::replace(&mut self.pending, true) {
            code.local_tee(spare).local_get(seen).i64_or().local_set(seen).local_get(spare);
        } else {
            code.local_tee(seen);
        }
    }

    fn store(
        &mut self,
        out: &mut Vec<u8>,
        trail: &mut Trail,
        (raw, offset): (&[u8], u64),
        ty: ValType,
    ) {
        let address = trail.peek(1).map_or(Value::Unknown, |operand| operand.value);
        let low = trail.is_low(address);
        let place = trail.peek(0).map(|value| value.start);
        let near = place.filter(|at| trail.peek(1).is_some() && out.len() - at <= NEAR);
        let target = self.locals.target;
        match near {
            Some(at) => {
                let mut code = Vec::new();
                if !low {
                    InstructionSink::new(&mut code).local_tee(target);
                }
                code.push(WRAP);
                out.splice(at..at, code);
            }
            None => {
                let held = self.held(ty);
                let mut code = InstructionSink::new(out);
                code.local_set(held);
                if !low {
                    code.local_tee(target);
                }
                code.i32_wrap_i64().local_get(held);
            }
        }
        if low {
            self.settle(out);
        } else {
            self.settle_with(out, target);
            if let Value::Local(local) = address {
                trail.found_low(local);
            }
        }
        access(out, raw, offset);
    }

    /// Checks what was collected and one address more.
    fn settle_with(&mut self, out: &mut Vec<u8>, address: u32) {
        let mut code = InstructionSink::new(out);
        code.local_get(address);
        if std::mem::take(&mut self.pending) {
            code.local_get(self.locals.seen).i64_or();
        }
        check(out);
    }

    fn held(&self, ty: ValType) -> u32 {
        match ty {
            ValType::I32 => self.locals.i32,
            ValType::I64 => self.locals.other,
            ValType::F32 => self.locals.f32,
            ValType::F64 => self.locals.f64,
            ValType::V128 => self.locals.v128,
        }
    }

    /// More pages than a 32-bit number counts are never there.
    fn grow(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        let spare = self.locals.spare;
        InstructionSink::new(out)
            .local_tee(spare)
            .i64_const(LOW)
            .i64_gt_u()
            .if_(BlockType::Result(EncType::I32))
            .i32_const(-1)
            .else_()
            .local_get(spare)
            .i32_wrap_i64()
            .memory_grow(0)
            .end()
            .i64_extend_i32_s();
    }

    fn fill(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        let Locals { target, spare, i32, .. } = self.locals;
        InstructionSink::new(out)
            .local_set(spare)
            .local_set(i32)
            .local_tee(target)
            .local_get(spare)
            .i64_or();
        check(out);
        InstructionSink::new(out)
            .local_get(target)
            .i32_wrap_i64()
            .local_get(i32)
            .local_get(spare)
            .i32_wrap_i64()
            .memory_fill(0);
    }

    fn copy(&mut self, out: &mut Vec<u8>) {
        self.settle(out);
        let Locals { target, spare, other, .. } = self.locals;
        InstructionSink::new(out)
            .local_set(spare)
            .local_set(other)
            .local_tee(target)
            .local_get(other)
            .i64_or()
            .local_get(spare)
            .i64_or();
        check(out);
        let mut code = InstructionSink::new(out);
        for local in [target, other, spare] {
            code.local_get(local).i32_wrap_i64();
        }
        code.memory_copy(0, 0);
    }
}

/// The access itself. An offset beyond 32 bits is out of bounds, whatever the address.
fn access(out: &mut Vec<u8>, raw: &[u8], offset: u64) {
    if u32::try_from(offset).is_ok() {
        out.extend_from_slice(raw);
    } else {
        out_of_bounds(out);
    }
}

/// Traps unless the number on the stack is below 2^32.
fn check(out: &mut Vec<u8>) {
    InstructionSink::new(out).i64_const(LOW).i64_gt_u().if_(BlockType::Empty);
    out_of_bounds(out);
    InstructionSink::new(out).end();
}

/// The trap of an access outside the memory.
fn out_of_bounds(out: &mut Vec<u8>) {
    let beyond = MemArg { offset: LOW as u64, align: 0, memory_index: 0 };
    InstructionSink::new(out).i32_const(-1).i32_load8_u(beyond).drop().unreachable();
}

/// Operators before which everything collected is checked: those that leave the straight line.
pub(super) fn leaves(op: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        op,
        O::Loop { .. }
            | O::If { .. }
            | O::Else
            | O::End
            | O::Try { .. }
            | O::Catch { .. }
            | O::Throw { .. }
            | O::Br { .. }
            | O::BrIf { .. }
            | O::BrTable { .. }
            | O::Return
            | O::Call { .. }
            | O::CallIndirect { .. }
            | O::Unreachable
    )
}
