//! NaN: which operators make one, and the code around them that gives it its bits.
//!
//! A result that is not a NaN costs a comparison and a branch (or a select); operands are kept in locals
//! for the rare other case, which a helper function works out from bits alone.

use super::{
    Nan,
    access::Accesses,
    facts::ValType,
    lower,
    plan::{Helper, Plan},
};
use wasm_encoder::{BlockType, Ieee32, Ieee64, InstructionSink};
use wasmparser::Operator;

/// The shape of a float result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Lanes {
    /// The type that holds it.
    pub(super) fn ty(self) -> ValType {
        match self {
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
            Self::F32x4 | Self::F64x2 => ValType::V128,
        }
    }

    /// It is a vector.
    pub(super) fn vector(self) -> bool {
        self.ty() == ValType::V128
    }

    /// The shape that `promote` and `demote` make it from.
    pub(super) fn converted(self) -> Self {
        match self {
            Self::F32 => Self::F64,
            Self::F64 => Self::F32,
            Self::F32x4 => Self::F64x2,
            Self::F64x2 => Self::F32x4,
        }
    }
}

/// What an operator does with NaNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unary,
    Binary,
    Min,
    Max,
    Promote,
    Demote,
}

/// The operators that can make a NaN.
pub(super) fn classify(op: &Operator<'_>) -> Option<(Kind, Lanes)> {
    use Operator as O;
    Some(match op {
        O::F32Add | O::F32Sub | O::F32Mul | O::F32Div => (Kind::Binary, Lanes::F32),
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div => (Kind::Binary, Lanes::F64),
        O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div => (Kind::Binary, Lanes::F32x4),
        O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div => (Kind::Binary, Lanes::F64x2),
        O::F32Sqrt | O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest => {
            (Kind::Unary, Lanes::F32)
        }
        O::F64Sqrt | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest => {
            (Kind::Unary, Lanes::F64)
        }
        O::F32x4Sqrt | O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest => {
            (Kind::Unary, Lanes::F32x4)
        }
        O::F64x2Sqrt | O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest => {
            (Kind::Unary, Lanes::F64x2)
        }
        O::F32Min => (Kind::Min, Lanes::F32),
        O::F64Min => (Kind::Min, Lanes::F64),
        O::F32x4Min => (Kind::Min, Lanes::F32x4),
        O::F64x2Min => (Kind::Min, Lanes::F64x2),
        O::F32Max => (Kind::Max, Lanes::F32),
        O::F64Max => (Kind::Max, Lanes::F64),
        O::F32x4Max => (Kind::Max, Lanes::F32x4),
        O::F64x2Max => (Kind::Max, Lanes::F64x2),
        O::F64PromoteF32 => (Kind::Promote, Lanes::F64),
        O::F64x2PromoteLowF32x4 => (Kind::Promote, Lanes::F64x2),
        O::F32DemoteF64 => (Kind::Demote, Lanes::F32),
        O::F32x4DemoteF64x2Zero => (Kind::Demote, Lanes::F32x4),
        _ => return None,
    })
}

/// Float types whose NaNs a body must look after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Floats {
    f32: bool,
    f64: bool,
    v128: bool,
}

impl Floats {
    /// Takes note of an operator.
    pub(super) fn see(&mut self, op: &Operator<'_>) {
        let Some((kind, lanes)) = classify(op) else { return };
        self.add(lanes);
        if matches!(kind, Kind::Promote | Kind::Demote) {
            self.add(lanes.converted());
        }
    }

    fn add(&mut self, lanes: Lanes) {
        match lanes {
            Lanes::F32 => self.f32 = true,
            Lanes::F64 => self.f64 = true,
            Lanes::F32x4 | Lanes::F64x2 => self.v128 = true,
        }
    }
}

/// The locals that rewriting adds to a body.
pub(super) struct Scratch {
    groups: Vec<(u32, ValType)>,
    /// The depth inside this function; `i32`.
    pub(super) mark: u32,
    f32: u32,
    f64: u32,
    v128: u32,
    /// Locals for accesses to memory, where these are lowered.
    pub(super) memory: Option<lower::Locals>,
}

/// Three locals of one type: first operand, second operand, result.
const TRIPLE: u32 = 3;

impl Scratch {
    /// Locals from index `first` on.
    pub(super) fn new(first: u32, floats: Floats, accesses: Option<Accesses>) -> Self {
        let mut groups = vec![(1, ValType::I32)];
        let mut next = first + 1;
        let mut take = |used: bool, count: u32, ty: ValType| {
            let at = next;
            if used {
                groups.push((count, ty));
                next += count;
            }
            at
        };
        let f32 = take(floats.f32, TRIPLE, ValType::F32);
        let f64 = take(floats.f64, TRIPLE, ValType::F64);
        let v128 = take(floats.v128, TRIPLE, ValType::V128);
        let memory = accesses.map(|accesses| {
            let seen = take(true, 4, ValType::I64);
            lower::Locals {
                seen,
                target: seen + 1,
                spare: seen + 2,
                other: seen + 3,
                i32: take(true, 1, ValType::I32),
                f32: take(accesses.f32, 1, ValType::F32),
                f64: take(accesses.f64, 1, ValType::F64),
                v128: take(accesses.v128, 1, ValType::V128),
            }
        });
        Self { groups, mark: first, f32, f64, v128, memory }
    }

    /// The groups of locals to declare.
    pub(super) fn groups(&self) -> std::slice::Iter<'_, (u32, ValType)> {
        self.groups.iter()
    }

    fn triple(&self, lanes: Lanes) -> (u32, u32, u32) {
        let at = match lanes {
            Lanes::F32 => self.f32,
            Lanes::F64 => self.f64,
            Lanes::F32x4 | Lanes::F64x2 => self.v128,
        };
        (at, at + 1, at + 2)
    }
}

/// The code of one NaN's bits.
const F32_POSITIVE: u32 = 0x7fc0_0000;
const F32_NEGATIVE: u32 = 0xffc0_0000;
const F64_POSITIVE: u64 = 0x7ff8_0000_0000_0000;
const F64_NEGATIVE: u64 = 0xfff8_0000_0000_0000;

/// Writes an operator, whose bytes are `raw`, and the code that gives its NaNs their bits.
pub(super) fn write(out: &mut Vec<u8>, plan: &mut Plan, of: (Kind, Lanes), at: Site<'_>) {
    let (kind, lanes) = of;
    match (at.nan, kind) {
        (Nan::Canonical, _) => replace(out, lanes, at, false),
        (Nan::X86Legacy, Kind::Min) => replace(out, lanes, at, true),
        (Nan::X86Legacy, Kind::Max) if !lanes.vector() => replace(out, lanes, at, true),
        (Nan::X86Legacy, Kind::Unary) => {
            one_operand(out, plan, at, (Helper::Operands(lanes), lanes))
        }
        (Nan::X86Legacy, Kind::Binary) => {
            two_operands(out, plan, at, (Helper::Operands(lanes), lanes));
        }
        (Nan::X86Legacy, Kind::Max) => two_operands(out, plan, at, (Helper::Max(lanes), lanes)),
        (Nan::X86Legacy, Kind::Promote) => {
            one_operand(out, plan, at, (Helper::Promote(lanes), lanes));
        }
        (Nan::X86Legacy, Kind::Demote) => {
            one_operand(out, plan, at, (Helper::Demote(lanes), lanes))
        }
    }
}

/// An operator in its body.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    /// Bytes of the operator.
    pub(super) raw: &'a [u8],
    /// Locals to use.
    pub(super) scratch: &'a Scratch,
    /// The rule.
    pub(super) nan: Nan,
}

/// Any NaN becomes a constant one.
fn replace(out: &mut Vec<u8>, lanes: Lanes, at: Site<'_>, negative: bool) {
    let (_, _, result) = at.scratch.triple(lanes);
    out.extend_from_slice(at.raw);
    let mut code = InstructionSink::new(out);
    code.local_tee(result);
    default(&mut code, lanes, negative);
    code.local_get(result).local_get(result);
    match lanes {
        Lanes::F32 => code.f32_eq().select(),
        Lanes::F64 => code.f64_eq().select(),
        Lanes::F32x4 => code.f32x4_eq().v128_bitselect(),
        Lanes::F64x2 => code.f64x2_eq().v128_bitselect(),
    };
}

/// A NaN without payload, in every lane.
pub(super) fn default(code: &mut InstructionSink<'_>, lanes: Lanes, negative: bool) {
    let f32 = if negative { F32_NEGATIVE } else { F32_POSITIVE };
    let f64 = if negative { F64_NEGATIVE } else { F64_POSITIVE };
    match lanes {
        Lanes::F32 => code.f32_const(Ieee32::new(f32)),
        Lanes::F64 => code.f64_const(Ieee64::new(f64)),
        Lanes::F32x4 => code.v128_const(splat32(f32)),
        Lanes::F64x2 => code.v128_const(splat64(f64)),
    };
}

/// Four equal lanes.
pub(super) fn splat32(lane: u32) -> i128 {
    splat64(u64::from(lane) << 32 | u64::from(lane))
}

/// Two equal lanes.
pub(super) fn splat64(lane: u64) -> i128 {
    (u128::from(lane) << 64 | u128::from(lane)).cast_signed()
}

fn one_operand(out: &mut Vec<u8>, plan: &mut Plan, at: Site<'_>, of: (Helper, Lanes)) {
    let (helper, lanes) = of;
    let converts = matches!(helper, Helper::Promote(_) | Helper::Demote(_));
    let from = if converts { lanes.converted() } else { lanes };
    let (operand, _, _) = at.scratch.triple(from);
    InstructionSink::new(out).local_tee(operand);
    out.extend_from_slice(at.raw);
    let operands: &[u32] = if converts { &[operand] } else { &[operand, operand] };
    slow_path(out, plan.helper(helper), lanes, operands, at.scratch);
}

fn two_operands(out: &mut Vec<u8>, plan: &mut Plan, at: Site<'_>, of: (Helper, Lanes)) {
    let (helper, lanes) = of;
    let (first, second, _) = at.scratch.triple(lanes);
    InstructionSink::new(out).local_set(second).local_tee(first).local_get(second);
    out.extend_from_slice(at.raw);
    slow_path(out, plan.helper(helper), lanes, &[first, second], at.scratch);
}

/// If the result on the stack has a NaN, calls the helper with the operands; a vector's helper gets the
/// result too, for the lanes that stay.
fn slow_path(out: &mut Vec<u8>, helper: u32, lanes: Lanes, operands: &[u32], scratch: &Scratch) {
    let (_, _, result) = scratch.triple(lanes);
    let mut code = InstructionSink::new(out);
    code.local_tee(result).local_get(result);
    match lanes {
        Lanes::F32 => code.f32_ne(),
        Lanes::F64 => code.f64_ne(),
        Lanes::F32x4 => code.f32x4_ne().v128_any_true(),
        Lanes::F64x2 => code.f64x2_ne().v128_any_true(),
    };
    code.if_(BlockType::Result(lanes.ty().encoded()));
    for operand in operands {
        code.local_get(*operand);
    }
    if lanes.vector() {
        code.local_get(result);
    }
    code.call(helper).else_().local_get(result).end();
}
