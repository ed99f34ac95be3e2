//! Parameters read, and numbers and bytes written, as Ethereum's JSON-RPC has them.

use super::error::RpcError;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::Value;
use std::{fmt::LowerHex, str::FromStr};

/// Hexadecimal digits of the greatest number.
const DIGITS_MAX: usize = 64;

/// The parameters of a request, by place.
pub(super) struct Params(Vec<Value>);

/// A block, as a client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockName {
    /// `latest`, `safe` and `finalized`: a slot that stands is final.
    Latest,
    /// `pending`: the newest one, with what waits where something does.
    Pending,
    Number(u64),
    Hash(B256),
}

/// A number as `0x` and hexadecimal digits.
pub(super) fn quantity(number: impl LowerHex) -> Value {
    format!("{number:#x}").into()
}

/// Bytes as `0x` and hexadecimal digits.
pub(super) fn data(bytes: impl AsRef<[u8]>) -> Value {
    hex::encode_prefixed(bytes).into()
}

impl Params {
    pub(super) fn new(params: Vec<Value>) -> Self {
        Self(params)
    }

    /// The parameter at a place, unless it is left out or null.
    pub(super) fn get(&self, at: usize) -> Option<&Value> {
        self.0.get(at).filter(|value| !value.is_null())
    }

    pub(super) fn address(&self, at: usize) -> Result<Address, RpcError> {
        self.parsed(at, "an address: 0x and 40 hexadecimal digits")
    }

    pub(super) fn hash(&self, at: usize) -> Result<B256, RpcError> {
        self.parsed(at, "a hash: 0x and 64 hexadecimal digits")
    }

    pub(super) fn bytes(&self, at: usize) -> Result<Bytes, RpcError> {
        self.parsed(at, "bytes: 0x and hexadecimal digits")
    }

    pub(super) fn number(&self, at: usize) -> Result<U256, RpcError> {
        let found = self.get(at).and_then(number);
        found.ok_or_else(|| expected(at, "a number: 0x and hexadecimal digits"))
    }

    pub(super) fn block(&self, at: usize) -> Result<BlockName, RpcError> {
        self.get(at).map_or(Ok(BlockName::Latest), block)
    }

    /// Parses a text parameter; `what` says what it should be.
    fn parsed<T: FromStr>(&self, at: usize, what: &str) -> Result<T, RpcError> {
        let text = self.get(at).and_then(Value::as_str).filter(|text| text.starts_with("0x"));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| expected(at, what))
    }
}

fn expected(at: usize, what: &str) -> RpcError {
    RpcError::invalid(format!("parameter {at} should be {what}"))
}

/// A number in hexadecimal digits after `0x`, or a JSON number.
pub(super) fn number(value: &Value) -> Option<U256> {
    match value.as_str() {
        Some(text) => {
            let digits = text.strip_prefix("0x").filter(|digits| digits.len() <= DIGITS_MAX)?;
            U256::from_str_radix(digits, 16).ok()
        }
        None => value.as_u64().map(U256::from),
    }
}

/// A block: a tag, a number, or an object with one of them (EIP-1898).
pub(super) fn block(value: &Value) -> Result<BlockName, RpcError> {
    if let Some(object) = value.as_object() {
        return match (object.get("blockNumber"), object.get("blockHash")) {
            (Some(number), None) => block(number),
            (None, Some(hash)) => hash_of(hash).map(BlockName::Hash).ok_or_else(not_a_block),
            _ => Err(not_a_block()),
        };
    }
    match value.as_str() {
        Some("latest" | "safe" | "finalized") => Ok(BlockName::Latest),
        Some("pending") => Ok(BlockName::Pending),
        Some("earliest") => Ok(BlockName::Number(0)),
        Some(text) if text.len() == 66 => {
            hash_of(value).map(BlockName::Hash).ok_or_else(not_a_block)
        }
        _ => {
            let number = number(value).and_then(|number| u64::try_from(number).ok());
            number.map(BlockName::Number).ok_or_else(not_a_block)
        }
    }
}

fn hash_of(value: &Value) -> Option<B256> {
    value.as_str()?.parse().ok()
}

fn not_a_block() -> RpcError {
    RpcError::invalid(
        "a block is a number (0x and hexadecimal digits), latest, earliest, safe, finalized, pending, or an object with blockNumber or blockHash",
    )
}
