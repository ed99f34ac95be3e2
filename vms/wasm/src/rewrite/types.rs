//! Types between the three vocabularies: ours, the parser's, the encoder's.

use super::{
    RewriteError,
    facts::{Signature, ValType},
    limits, not_allowed, too_big,
};
use std::collections::BTreeMap;

impl ValType {
    /// The parser's type as ours. References are refused: an image cannot hold them.
    pub(super) fn read(ty: wasmparser::ValType) -> Result<Self, RewriteError> {
        match ty {
            wasmparser::ValType::I32 => Ok(Self::I32),
            wasmparser::ValType::I64 => Ok(Self::I64),
            wasmparser::ValType::F32 => Ok(Self::F32),
            wasmparser::ValType::F64 => Ok(Self::F64),
            wasmparser::ValType::V128 => Ok(Self::V128),
            wasmparser::ValType::Ref(_) => {
                Err(not_allowed(format!("values of reference type ({ty}) are not allowed")))
            }
        }
    }

    /// Our type as the encoder's.
    pub(super) fn encoded(self) -> wasm_encoder::ValType {
        match self {
            Self::I32 => wasm_encoder::ValType::I32,
            Self::I64 => wasm_encoder::ValType::I64,
            Self::F32 => wasm_encoder::ValType::F32,
            Self::F64 => wasm_encoder::ValType::F64,
            Self::V128 => wasm_encoder::ValType::V128,
        }
    }

    /// Units of eight bytes that a value takes.
    pub(super) fn units(self) -> u32 {
        if self == Self::V128 { 2 } else { 1 }
    }
}

impl Signature {
    /// The parser's function type as ours.
    pub(super) fn read(ty: &wasmparser::FuncType) -> Result<Self, RewriteError> {
        let read = |list: &[wasmparser::ValType]| {
            list.iter().map(|ty| ValType::read(*ty)).collect::<Result<Vec<_>, _>>()
        };
        let (params, results) = (ty.params(), ty.results());
        if params.len() > limits::PARAMS {
            return Err(too_big(
                "parameters of a type",
                params.len() as u64,
                limits::PARAMS as u64,
            ));
        }
        if results.len() > limits::RESULTS {
            return Err(too_big("results of a type", results.len() as u64, limits::RESULTS as u64));
        }
        Ok(Self { params: read(params)?, results: read(results)? })
    }

    /// It returns several values and a `v128` among them.
    pub(super) fn hides_vectors(&self) -> bool {
        self.results.len() > 1 && self.results.contains(&ValType::V128)
    }

    /// A signature from its two lists.
    pub(super) fn of(params: &[ValType], results: &[ValType]) -> Self {
        Self { params: params.to_vec(), results: results.to_vec() }
    }
}

/// The type section: the module's own types, then those that rewriting needs.
#[derive(Default)]
pub(super) struct Types {
    list: Vec<Signature>,
    /// The first index of each signature.
    index: BTreeMap<Signature, u32>,
}

impl Types {
    /// Appends a type of the module, even if it is there already: indices must not move.
    pub(super) fn push(&mut self, signature: Signature) {
        let next = self.len();
        self.index.entry(signature.clone()).or_insert(next);
        self.list.push(signature);
    }

    /// The number of types.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// The type at an index, for indices that the validator has seen.
    pub(super) fn get(&self, index: u32) -> Option<&Signature> {
        self.list.get(usize::try_from(index).ok()?)
    }

    /// The index of a signature, which is appended if it is new.
    pub(super) fn index_of(&mut self, signature: Signature) -> u32 {
        if let Some(index) = self.index.get(&signature) {
            return *index;
        }
        let next = self.len();
        self.push(signature);
        next
    }

    /// The shortest block type for a signature.
    pub(super) fn block(&mut self, signature: Signature) -> wasm_encoder::BlockType {
        match (signature.params.as_slice(), signature.results.as_slice()) {
            ([], []) => wasm_encoder::BlockType::Empty,
            ([], [result]) => wasm_encoder::BlockType::Result(result.encoded()),
            _ => wasm_encoder::BlockType::FunctionType(self.index_of(signature)),
        }
    }

    /// The types in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.list.iter()
    }
}
