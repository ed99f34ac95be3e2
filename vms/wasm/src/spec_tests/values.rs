//! Arguments and expected results of the scripts.

use crate::rewrite::Nan;
use wasmtime::{AsContextMut, ExternRef, Val};
use wast::core::{
    AbstractHeapType, HeapType, NanPattern, V128Const, V128Pattern, WastArgCore, WastRetCore,
};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// Bits of the positive NaNs without payload.
const NAN32: u32 = 0x7fc0_0000;
const NAN64: u64 = 0x7ff8_0000_0000_0000;

/// The arguments of a call.
pub(super) fn arguments(
    store: &mut impl AsContextMut,
    list: &[WastArg<'_>],
) -> wasmtime::Result<Vec<Val>> {
    list.iter()
        .map(|arg| {
            let WastArg::Core(arg) = arg else { wasmtime::bail!("an argument of a component") };
            Ok(match arg {
                WastArgCore::I32(value) => Val::I32(*value),
                WastArgCore::I64(value) => Val::I64(*value),
                WastArgCore::F32(value) => Val::F32(value.bits),
                WastArgCore::F64(value) => Val::F64(value.bits),
                WastArgCore::V128(value) => Val::V128(vector(value).into()),
                WastArgCore::RefNull(ty) => null(ty)?,
                WastArgCore::RefExtern(id) => {
                    Val::ExternRef(Some(ExternRef::new(&mut *store, *id)?))
                }
                WastArgCore::RefHost(_) => {
                    wasmtime::bail!("host references need a proposal that is off")
                }
            })
        })
        .collect()
}

fn vector(value: &V128Const) -> u128 {
    u128::from_le_bytes(value.to_le_bytes())
}

fn null(ty: &HeapType<'_>) -> wasmtime::Result<Val> {
    match ty {
        HeapType::Abstract { ty: AbstractHeapType::Func, .. } => Ok(Val::FuncRef(None)),
        HeapType::Abstract { ty: AbstractHeapType::Extern, .. } => Ok(Val::ExternRef(None)),
        HeapType::Abstract { ty: AbstractHeapType::Exn, .. } => Ok(Val::ExnRef(None)),
        other => wasmtime::bail!("a null of {other:?} needs a proposal that is off"),
    }
}

/// What the results are compared by.
#[derive(Clone, Copy)]
pub(super) struct Compare {
    /// The bits that rewriting promises of a NaN, where the specification leaves a choice.
    pub(super) nan: Option<Nan>,
}

impl Compare {
    /// Whether `found` is what the script expects.
    pub(super) fn all(
        self,
        store: &mut impl AsContextMut,
        found: &[Val],
        expected: &[WastRet<'_>],
    ) -> bool {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(found, expected)| match expected {
                WastRet::Core(expected) => self.one(store, found, expected),
                _ => false,
            })
    }

    fn one(self, store: &mut impl AsContextMut, found: &Val, expected: &WastRetCore<'_>) -> bool {
        match (found, expected) {
            (_, WastRetCore::Either(choices)) => {
                choices.iter().any(|choice| self.one(store, found, choice))
            }
            (Val::I32(found), WastRetCore::I32(expected)) => found == expected,
            (Val::I64(found), WastRetCore::I64(expected)) => found == expected,
            (Val::F32(found), WastRetCore::F32(expected)) => self.f32(*found, expected),
            (Val::F64(found), WastRetCore::F64(expected)) => self.f64(*found, expected),
            (Val::V128(found), WastRetCore::V128(expected)) => self.v128(found.as_u128(), expected),
            (found, WastRetCore::RefNull(ty)) => is_null(found, ty.as_ref()),
            (Val::FuncRef(Some(_)), WastRetCore::RefFunc(_)) => true,
            (Val::ExternRef(Some(_)), WastRetCore::RefExtern(None)) => true,
            (Val::ExternRef(Some(found)), WastRetCore::RefExtern(Some(expected))) => {
                let data = found.data(store.as_context_mut()).ok().flatten();
                data.and_then(|data| data.downcast_ref::<u32>()) == Some(expected)
            }
            _ => false,
        }
    }

    fn f32(self, found: u32, expected: &NanPattern<F32>) -> bool {
        match (expected, self.nan) {
            (NanPattern::Value(value), _) => found == value.bits,
            (_, Some(Nan::Canonical)) => found == NAN32,
            (NanPattern::CanonicalNan, _) => found & 0x7fff_ffff == NAN32,
            (NanPattern::ArithmeticNan, _) => found & NAN32 == NAN32,
        }
    }

    fn f64(self, found: u64, expected: &NanPattern<F64>) -> bool {
        match (expected, self.nan) {
            (NanPattern::Value(value), _) => found == value.bits,
            (_, Some(Nan::Canonical)) => found == NAN64,
            (NanPattern::CanonicalNan, _) => found & 0x7fff_ffff_ffff_ffff == NAN64,
            (NanPattern::ArithmeticNan, _) => found & NAN64 == NAN64,
        }
    }

    fn v128(self, found: u128, expected: &V128Pattern) -> bool {
        let whole = |expected: V128Const| found == vector(&expected);
        match expected {
            V128Pattern::I8x16(lanes) => whole(V128Const::I8x16(*lanes)),
            V128Pattern::I16x8(lanes) => whole(V128Const::I16x8(*lanes)),
            V128Pattern::I32x4(lanes) => whole(V128Const::I32x4(*lanes)),
            V128Pattern::I64x2(lanes) => whole(V128Const::I64x2(*lanes)),
            V128Pattern::F32x4(lanes) => lanes
                .iter()
                .enumerate()
                .all(|(lane, expected)| self.f32((found >> (32 * lane)) as u32, expected)),
            V128Pattern::F64x2(lanes) => lanes
                .iter()
                .enumerate()
                .all(|(lane, expected)| self.f64((found >> (64 * lane)) as u64, expected)),
        }
    }
}

fn is_null(found: &Val, ty: Option<&HeapType<'_>>) -> bool {
    let kind = match ty {
        None => None,
        Some(HeapType::Abstract { ty, .. }) => Some(ty),
        Some(_) => return false,
    };
    match found {
        Val::FuncRef(None) => matches!(kind, None | Some(AbstractHeapType::Func)),
        Val::ExternRef(None) => matches!(kind, None | Some(AbstractHeapType::Extern)),
        Val::ExnRef(None) => matches!(kind, None | Some(AbstractHeapType::Exn)),
        _ => false,
    }
}

/// The bits of a number.
pub(super) fn bits(value: &Val) -> Option<u128> {
    match value {
        Val::I32(value) => Some(value.cast_unsigned().into()),
        Val::I64(value) => Some(value.cast_unsigned().into()),
        Val::F32(bits) => Some((*bits).into()),
        Val::F64(bits) => Some((*bits).into()),
        Val::V128(value) => Some(value.as_u128()),
        _ => None,
    }
}
