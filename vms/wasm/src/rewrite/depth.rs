//! The depth meter: what a frame costs, and the code that counts it.
//!
//! Counting calls alone would let one fat frame reach the native stack's end before the limit, so a frame
//! is measured in units of eight bytes. On any engine a native frame is at most proportional to that.

use super::{facts::Signature, measure::Body, nan::Scratch, plan::Plan, types::Types};

use wasm_encoder::{BlockType, InstructionSink};

/// Units of every frame: return address, saved registers, what rewriting keeps on the operand stack.
pub(super) const BASE_UNITS: u32 = 8;

/// Units of a frame, with the locals that rewriting adds.
pub(super) fn cost(signature: &Signature, body: &Body<'_>, scratch: &Scratch) -> u32 {
    let params = signature.params.iter().fold(0, |sum: u32, ty| sum.saturating_add(ty.units()));
    let groups = body.locals.iter().chain(scratch.groups());
    let locals = groups
        .fold(0, |sum: u32, (count, ty)| sum.saturating_add(count.saturating_mul(ty.units())));
    let operands = body.operands.saturating_mul(if body.vectors { 2 } else { 1 });
    BASE_UNITS.saturating_add(params).saturating_add(locals).saturating_add(operands)
}

/// Entry of a function: counts its frame, then opens the block that all its exits leave. The local `mark`
/// keeps the depth inside this function.
pub(super) fn enter(out: &mut Vec<u8>, plan: &Plan, cost: u32, mark: u32) {
    InstructionSink::new(out)
        .global_get(plan.depth)
        .i32_const(cost.cast_signed())
        .i32_add()
        .local_tee(mark)
        .global_get(plan.depth_limit)
        .i32_gt_u()
        .if_(BlockType::Empty)
        .call(plan.too_deep)
        .unreachable()
        .end()
        .local_get(mark)
        .global_set(plan.depth);
}

/// The block that a function's `return`s and outermost branches leave.
pub(super) fn body_block(types: &mut Types, signature: &Signature) -> BlockType {
    types.block(Signature::of(&[], &signature.results))
}

/// Exit of a function: closes that block, takes the frame away, ends the function.
pub(super) fn leave(out: &mut Vec<u8>, plan: &Plan, cost: u32) {
    InstructionSink::new(out)
        .end()
        .global_get(plan.depth)
        .i32_const(cost.cast_signed())
        .i32_sub()
        .global_set(plan.depth)
        .end();
}

/// Start of an exception handler: the frames that were unwound are gone.
pub(super) fn caught(out: &mut Vec<u8>, plan: &Plan, mark: u32) {
    InstructionSink::new(out).local_get(mark).global_set(plan.depth);
}
