//! JSON as JavaScript has it: what goes in comes out as `JSON.stringify(JSON.parse(text))` would be.
//!
//! Legacy modules and all clients of the network see JSON that went through JavaScript, and the length of
//! a text may change a result. So the order of keys, the form of numbers and lone surrogates count.
//! Sources: RFC 8259 for what is read, ECMA-262 (2024) §25.5 and §10.1.11.1 for what is written.

mod order;
mod parse;
mod text;
mod value;
mod walk;
mod write;
mod writer;

pub use text::Text;
pub use value::Value;
pub use writer::{Key, Writer};

use std::sync::Arc;

/// The most arrays and objects one inside another. JavaScript has no such number, only a stack.
pub const MAX_DEPTH: usize = 4096;

/// JSON text in the one form that `JSON.stringify` gives it. Cheap to clone; equality is that of values.
///
/// Lone surrogates stay escaped, in lower case (`\ud800`), so the text is always UTF-8.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Reads one JSON value, with white space around it at most, and brings it to its one form.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Ok(Self::written(&parse::parse(text, MAX_DEPTH)?))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn text(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The value.
    pub fn value(&self) -> Value {
        // It was written here, so it can be read, however deep it was built.
        parse::parse(&self.0, usize::MAX).unwrap_or_default()
    }

    fn written(value: &Value) -> Self {
        let mut out = String::new();
        write::value(value, &mut out);
        Self(out.into())
    }
}

impl From<Value> for Json {
    fn from(mut value: Value) -> Self {
        order::settle_all(&mut value);
        Self::written(&value)
    }
}

impl Default for Json {
    fn default() -> Self {
        Self("null".into())
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value {
    /// Reads one JSON value, with white space around it at most.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        parse::parse(text, MAX_DEPTH)
    }
}

/// Why a text is not JSON. `at` counts bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Something else stands where `expected` should.
    #[error("expected {expected} at byte {at}")]
    Syntax {
        /// Where.
        at: usize,
        /// What may stand there.
        expected: &'static str,
    },
    /// The text ends too early.
    #[error("unexpected end at byte {at}, expected {expected}")]
    End {
        /// Length of the text.
        at: usize,
        /// What should follow.
        expected: &'static str,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} at byte {at}")]
    TooDeep {
        /// The bracket that is one too many.
        at: usize,
    },
}

#[cfg(test)]
mod tests;
