//! Operators that access memory: what they take from the stack besides the address.

use super::facts::ValType;
use wasmparser::{MemArg, Operator};

/// An access of memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// The address is on top of the stack.
    Load(MemArg),
    /// A value of that type is on top of it.
    Store(MemArg, ValType),
    /// How many pages there are.
    Size,
    /// More pages.
    Grow,
    /// `memory.fill`.
    Fill,
    /// `memory.copy`.
    Copy,
}

/// The access that an operator makes.
pub(super) fn classify(op: &Operator<'_>) -> Option<Access> {
    use Operator as O;
    Some(match op {
        O::MemorySize { .. } => Access::Size,
        O::MemoryGrow { .. } => Access::Grow,
        O::MemoryFill { .. } => Access::Fill,
        O::MemoryCopy { .. } => Access::Copy,
        O::I32Store { memarg } | O::I32Store8 { memarg } | O::I32Store16 { memarg } => {
            Access::Store(*memarg, ValType::I32)
        }
        O::I64Store { memarg }
        | O::I64Store8 { memarg }
        | O::I64Store16 { memarg }
        | O::I64Store32 { memarg } => Access::Store(*memarg, ValType::I64),
        O::F32Store { memarg } => Access::Store(*memarg, ValType::F32),
        O::F64Store { memarg } => Access::Store(*memarg, ValType::F64),
        _ => {
            return scalar_load(op)
                .or_else(|| vector_load(op))
                .map(Access::Load)
                .or_else(|| vector_store(op).map(|memarg| Access::Store(memarg, ValType::V128)));
        }
    })
}

fn scalar_load(op: &Operator<'_>) -> Option<MemArg> {
    use Operator as O;
    match op {
        O::I32Load { memarg }
        | O::I64Load { memarg }
        | O::F32Load { memarg }
        | O::F64Load { memarg }
        | O::I32Load8S { memarg }
        | O::I32Load8U { memarg }
        | O::I32Load16S { memarg }
        | O::I32Load16U { memarg }
        | O::I64Load8S { memarg }
        | O::I64Load8U { memarg }
        | O::I64Load16S { memarg }
        | O::I64Load16U { memarg }
        | O::I64Load32S { memarg }
        | O::I64Load32U { memarg } => Some(*memarg),
        _ => None,
    }
}

fn vector_load(op: &Operator<'_>) -> Option<MemArg> {
    use Operator as O;
    match op {
        O::V128Load { memarg }
        | O::V128Load8x8S { memarg }
        | O::V128Load8x8U { memarg }
        | O::V128Load16x4S { memarg }
        | O::V128Load16x4U { memarg }
        | O::V128Load32x2S { memarg }
        | O::V128Load32x2U { memarg }
        | O::V128Load8Splat { memarg }
        | O::V128Load16Splat { memarg }
        | O::V128Load32Splat { memarg }
        | O::V128Load64Splat { memarg }
        | O::V128Load32Zero { memarg }
        | O::V128Load64Zero { memarg } => Some(*memarg),
        _ => None,
    }
}

/// Those that have a vector above the address: stores, and loads into a lane.
fn vector_store(op: &Operator<'_>) -> Option<MemArg> {
    use Operator as O;
    match op {
        O::V128Store { memarg }
        | O::V128Load8Lane { memarg, .. }
        | O::V128Load16Lane { memarg, .. }
        | O::V128Load32Lane { memarg, .. }
        | O::V128Load64Lane { memarg, .. }
        | O::V128Store8Lane { memarg, .. }
        | O::V128Store16Lane { memarg, .. }
        | O::V128Store32Lane { memarg, .. }
        | O::V128Store64Lane { memarg, .. } => Some(*memarg),
        _ => None,
    }
}

/// What a body needs of locals for its accesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accesses {
    /// It accesses memory.
    pub(super) any: bool,
    /// Types of values that it stores.
    pub(super) f32: bool,
    pub(super) f64: bool,
    pub(super) v128: bool,
}

impl Accesses {
    /// Takes note of an operator.
    pub(super) fn see(&mut self, op: &Operator<'_>) {
        let Some(access) = classify(op) else { return };
        self.any = true;
        match access {
            Access::Store(_, ValType::F32) => self.f32 = true,
            Access::Store(_, ValType::F64) => self.f64 = true,
            Access::Store(_, ValType::V128) => self.v128 = true,
            _ => {}
        }
    }
}
