//! The functions that work out a NaN's bits, for [`super::Nan::X86Legacy`]. They compute on bits, so no
//! engine's own choice of NaN shows.

use super::{
    nan::{self, Lanes, splat32, splat64},
    plan::Helper,
};
use wasm_encoder::{BlockType, Function, InstructionSink};

/// The bit that makes a NaN quiet.
const F32_QUIET: u32 = 0x0040_0000;
const F64_QUIET: u64 = 0x0008_0000_0000_0000;
const F32_SIGN: u32 = 0x8000_0000;
const F64_SIGN: u64 = 0x8000_0000_0000_0000;
/// A quiet NaN without sign and payload.
const F32_NAN: u32 = 0x7fc0_0000;
const F64_NAN: u64 = 0x7ff8_0000_0000_0000;
/// The 23 bits after the exponent, which `promote` keeps.
const F32_PAYLOAD: u32 = 0x007f_ffff;
/// The 22 bits after the quiet bit, which `demote` keeps.
const F32_REST: u32 = 0x003f_ffff;
/// How much longer a double's payload is.
const SHIFT: u32 = 29;

/// The body of a helper. `None` for those that aren't about NaNs.
pub(super) fn function(helper: Helper) -> Option<Function> {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    match helper {
        Helper::Operands(lanes) if lanes.vector() => vector_operands(&mut code, lanes),
        Helper::Operands(lanes) => scalar_operands(&mut code, lanes),
        Helper::Max(lanes) => vector_max(&mut code, lanes),
        Helper::Promote(Lanes::F64x2) => vector_promote(&mut code),
        Helper::Promote(_) => scalar_promote(&mut code),
        Helper::Demote(Lanes::F32x4) => vector_demote(&mut code),
        Helper::Demote(_) => scalar_demote(&mut code),
        Helper::UseGas(_) | Helper::Copy(_) => return None,
    }
    code.end();
    Some(function)
}

/// `(a, b)`: the first NaN of the two made quiet, else the default.
fn scalar_operands(code: &mut InstructionSink<'_>, lanes: Lanes) {
    let result = BlockType::Result(lanes.ty().encoded());
    for operand in [0, 1] {
        is_nan(code, lanes, operand);
        code.if_(result);
        quiet(code, lanes, operand);
        code.else_();
    }
    nan::default(code, lanes, true);
    code.end().end();
}

/// `(a, b, r)`: the same in every lane where `r` is a NaN.
fn vector_operands(code: &mut InstructionSink<'_>, lanes: Lanes) {
    quiet(code, lanes, 0);
    quiet(code, lanes, 1);
    nan::default(code, lanes, true);
    is_nan(code, lanes, 1);
    code.v128_bitselect();
    is_nan(code, lanes, 0);
    code.v128_bitselect();
    where_nan(code, lanes, 2);
}

/// `(a, b, r)`: in every lane where `r` is a NaN, one without payload; negative if either operand is. The
/// reference's code for vectors (compare, mask, subtract) comes to that.
fn vector_max(code: &mut InstructionSink<'_>, lanes: Lanes) {
    let sign = if lanes == Lanes::F32x4 { splat32(F32_SIGN) } else { splat64(F64_SIGN) };
    code.local_get(0).local_get(1).v128_or().v128_const(sign).v128_and();
    nan::default(code, lanes, false);
    code.v128_or();
    where_nan(code, lanes, 2);
}

/// `(a)`: sign and payload kept, made quiet.
fn scalar_promote(code: &mut InstructionSink<'_>) {
    code.local_get(0)
        .i32_reinterpret_f32()
        .i32_const(F32_SIGN.cast_signed())
        .i32_and()
        .i64_extend_i32_u()
        .i64_const(32)
        .i64_shl()
        .local_get(0)
        .i32_reinterpret_f32()
        .i32_const(F32_PAYLOAD.cast_signed())
        .i32_and()
        .i64_extend_i32_u()
        .i64_const(i64::from(SHIFT))
        .i64_shl()
        .i64_or()
        .i64_const(F64_NAN.cast_signed())
        .i64_or()
        .f64_reinterpret_i64();
}

/// `(a)`: sign and the payload's top kept, made quiet.
fn scalar_demote(code: &mut InstructionSink<'_>) {
    code.local_get(0)
        .i64_reinterpret_f64()
        .i64_const(32)
        .i64_shr_u()
        .i32_wrap_i64()
        .i32_const(F32_SIGN.cast_signed())
        .i32_and()
        .local_get(0)
        .i64_reinterpret_f64()
        .i64_const(i64::from(SHIFT))
        .i64_shr_u()
        .i32_wrap_i64()
        .i32_const(F32_REST.cast_signed())
        .i32_and()
        .i32_or()
        .i32_const(F32_NAN.cast_signed())
        .i32_or()
        .f32_reinterpret_i32();
}

/// `(a, r)`: the same for the two low lanes.
fn vector_promote(code: &mut InstructionSink<'_>) {
    code.local_get(0)
        .i64x2_extend_low_i32x4_u()
        .v128_const(splat64(u64::from(F32_SIGN)))
        .v128_and()
        .i32_const(32)
        .i64x2_shl()
        .local_get(0)
        .i64x2_extend_low_i32x4_u()
        .v128_const(splat64(u64::from(F32_PAYLOAD)))
        .v128_and()
        .i32_const(SHIFT.cast_signed())
        .i64x2_shl()
        .v128_or()
        .v128_const(splat64(F64_NAN))
        .v128_or();
    where_nan(code, Lanes::F64x2, 1);
}

/// `(a, r)`: the same for both lanes, into the low half.
fn vector_demote(code: &mut InstructionSink<'_>) {
    code.local_get(0)
        .i32_const(32)
        .i64x2_shr_u()
        .v128_const(splat64(u64::from(F32_SIGN)))
        .v128_and()
        .local_get(0)
        .i32_const(SHIFT.cast_signed())
        .i64x2_shr_u()
        .v128_const(splat64(u64::from(F32_REST)))
        .v128_and()
        .v128_or()
        .v128_const(splat64(u64::from(F32_NAN)))
        .v128_or()
        .v128_const(0)
        .i8x16_shuffle([0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23]);
    where_nan(code, Lanes::F32x4, 1);
}

/// Whether a local is a NaN: 0 or 1, or a mask of lanes.
fn is_nan(code: &mut InstructionSink<'_>, lanes: Lanes, local: u32) {
    code.local_get(local).local_get(local);
    match lanes {
        Lanes::F32 => code.f32_ne(),
        Lanes::F64 => code.f64_ne(),
        Lanes::F32x4 => code.f32x4_ne(),
        Lanes::F64x2 => code.f64x2_ne(),
    };
}

/// A local with the quiet bit set.
fn quiet(code: &mut InstructionSink<'_>, lanes: Lanes, local: u32) {
    code.local_get(local);
    match lanes {
        Lanes::F32 => code
            .i32_reinterpret_f32()
            .i32_const(F32_QUIET.cast_signed())
            .i32_or()
            .f32_reinterpret_i32(),
        Lanes::F64 => code
            .i64_reinterpret_f64()
            .i64_const(F64_QUIET.cast_signed())
            .i64_or()
            .f64_reinterpret_i64(),
        Lanes::F32x4 => code.v128_const(splat32(F32_QUIET)).v128_or(),
        Lanes::F64x2 => code.v128_const(splat64(F64_QUIET)).v128_or(),
    };
}

/// The vector on the stack where the local is a NaN, and the local elsewhere.
fn where_nan(code: &mut InstructionSink<'_>, lanes: Lanes, local: u32) {
    code.local_get(local);
    is_nan(code, lanes, local);
    code.v128_bitselect();
}
