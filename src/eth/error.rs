//! Errors as JSON-RPC says them.

use crate::{cu::CuError, http::Failure};
use serde_json::{Value, json};

/// A code, a text and perhaps data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RpcError {
    code: i32,
    text: String,
    data: Option<Value>,
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

    /// The call reverted, with these bytes as hexadecimal digits.
    pub(super) fn reverted(text: impl Into<String>, data: Value) -> Self {
        Self { data: Some(data), ..Self::new(3, text) }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = json!({ "code": self.code, "message": self.text });
        if let (Some(data), Some(object)) = (&self.data, json.as_object_mut()) {
            object.insert("data".to_owned(), data.clone());
        }
        json
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
