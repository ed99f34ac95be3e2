//! Errors as JSON-RPC says them.

use crate::{
    cu::{CuError, lab::No},
    http::Failure,
};
use alloy_primitives::hex;
use jsonrpsee::types::ErrorObjectOwned;

/// A code, a text and perhaps data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RpcError {
    code: i32,
    text: String,
    data: Option<String>,
}

impl RpcError {
    pub(super) fn new(code: i32, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), data: None }
    }

    /// Parameters that are not as they should be.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::new(-32602, text)
    }

    /// What was asked cannot be done.
    pub(super) fn server(text: impl Into<String>) -> Self {
        Self::new(-32000, text)
    }

    pub(super) fn no_block() -> Self {
        Self::server("there is no such block")
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The call reverted, with these bytes.
    pub(super) fn reverted(text: impl Into<String>, data: &[u8]) -> Self {
        Self { data: Some(hex::encode_prefixed(data)), ..Self::new(3, text) }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.code, error.text, error.data)
    }
}

impl From<No> for RpcError {
    fn from(no: No) -> Self {
        match no {
            No::Reverted(why, data) => Self::reverted(why, &data),
            No::Invalid(why) => Self::server(why),
            No::Host(error) => CuError::from(error).into(),
        }
    }
}

impl From<CuError> for RpcError {
    fn from(error: CuError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Failure> for RpcError {
    fn from(failure: Failure) -> Self {
        Self::server(failure.text())
    }
}
