//! What `wasm-metering` 0.2.2 charges for an operator. Its table goes by names without types, so `add` of
//! floats costs what `add` of integers does, while `lt` of floats, called otherwise than `lt_s`, is free.

use wasmparser::Operator;

/// Any constant.
pub(super) const CONST: u64 = 1;
/// A direct call.
pub(super) const CALL: u64 = 90;

/// The cost of an operator, or `None` if the tool does not know it.
pub(super) fn cost(op: &Operator<'_>) -> Option<u64> {
    control(op).or_else(|| memory(op)).or_else(|| integer(op)).or_else(|| float(op))
}

/// The operators that end a segment.
pub(super) fn ends_segment(op: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        op,
        O::MemoryGrow { .. }
            | O::End
            | O::Br { .. }
            | O::BrTable { .. }
            | O::BrIf { .. }
            | O::If { .. }
            | O::Else
            | O::Return
            | O::Loop { .. }
    )
}

fn control(op: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match op {
        O::End => 0,
        O::Unreachable | O::Nop | O::Block { .. } | O::Loop { .. } | O::If { .. } => 1,
        O::Else | O::Br { .. } | O::BrIf { .. } | O::Return => 90,
        O::BrTable { .. } | O::Drop | O::Select => 120,
        O::Call { .. } => CALL,
        O::CallIndirect { .. } => 10_000,
        O::LocalGet { .. } | O::LocalSet { .. } | O::LocalTee { .. } => 120,
        O::GlobalGet { .. } | O::GlobalSet { .. } => 120,
        O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => CONST,
        _ => return None,
    })
}

fn memory(op: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match op {
        O::MemoryGrow { .. } => 10_000,
        O::MemorySize { .. } => 100,
        O::I32Load { .. } | O::I64Load { .. } | O::F32Load { .. } | O::F64Load { .. } => 120,
        O::I32Load8S { .. } | O::I32Load8U { .. } | O::I32Load16S { .. } => 120,
        O::I32Load16U { .. } | O::I64Load8S { .. } | O::I64Load8U { .. } => 120,
        O::I64Load16S { .. } | O::I64Load16U { .. } | O::I64Load32S { .. } => 120,
        O::I64Load32U { .. } => 120,
        O::I32Store { .. } | O::I64Store { .. } | O::F32Store { .. } | O::F64Store { .. } => 120,
        O::I32Store8 { .. } | O::I32Store16 { .. } | O::I64Store8 { .. } => 120,
        O::I64Store16 { .. } | O::I64Store32 { .. } => 120,
        _ => return None,
    })
}

fn integer(op: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match op {
        O::I32Eqz | O::I32Eq | O::I32Ne | O::I64Eqz | O::I64Eq | O::I64Ne => 45,
        O::I32LtS | O::I32LtU | O::I32GtS | O::I32GtU => 45,
        O::I32LeS | O::I32LeU | O::I32GeS | O::I32GeU => 45,
        O::I64LtS | O::I64LtU | O::I64GtS | O::I64GtU => 45,
        O::I64LeS | O::I64LeU | O::I64GeS | O::I64GeU => 45,
        O::I32Clz | O::I32Ctz | O::I32Popcnt | O::I64Clz | O::I64Ctz | O::I64Popcnt => 45,
        O::I32Add | O::I32Sub | O::I32Mul | O::I32And | O::I32Or | O::I32Xor => 45,
        O::I64Add | O::I64Sub | O::I64Mul | O::I64And | O::I64Or | O::I64Xor => 45,
        O::I32Shl | O::I32ShrS | O::I32ShrU | O::I64Shl | O::I64ShrS | O::I64ShrU => 67,
        O::I32Rotl | O::I32Rotr | O::I64Rotl | O::I64Rotr => 90,
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => 36_000,
        O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 36_000,
        O::I32WrapI64 | O::I64ExtendI32S | O::I64ExtendI32U => 0,
        O::I32Extend8S | O::I32Extend16S => 0,
        O::I64Extend8S | O::I64Extend16S | O::I64Extend32S => 0,
        _ => return None,
    })
}

fn float(op: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match op {
        O::F32Eq | O::F32Ne | O::F64Eq | O::F64Ne => 45,
        O::F32Add | O::F32Sub | O::F32Mul | O::F64Add | O::F64Sub | O::F64Mul => 45,
        O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => 0,
        O::F32Abs | O::F32Neg | O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest => 0,
        O::F32Sqrt | O::F32Div | O::F32Min | O::F32Max | O::F32Copysign => 0,
        O::F64Abs | O::F64Neg | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest => 0,
        O::F64Sqrt | O::F64Div | O::F64Min | O::F64Max | O::F64Copysign => 0,
        O::I32TruncF32S | O::I32TruncF32U | O::I32TruncF64S | O::I32TruncF64U => 0,
        O::I64TruncF32S | O::I64TruncF32U | O::I64TruncF64S | O::I64TruncF64U => 0,
        O::F32ConvertI32S | O::F32ConvertI32U | O::F32ConvertI64S | O::F32ConvertI64U => 0,
        O::F64ConvertI32S | O::F64ConvertI32U | O::F64ConvertI64S | O::F64ConvertI64U => 0,
        O::F32DemoteF64 | O::F64PromoteF32 => 0,
        O::I32ReinterpretF32 | O::I64ReinterpretF64 => 0,
        O::F32ReinterpretI32 | O::F64ReinterpretI64 => 0,
        _ => return None,
    })
}
