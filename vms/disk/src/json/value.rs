//! JSON values as a tree, of any depth: nothing here recurses.

use super::{
    text::Text,
    walk::{Builder, Event, Walk},
};
use std::{fmt, mem};

/// A JSON value as JavaScript has it.
///
/// Two objects are equal if their keys come in the same order; two numbers, as doubles are.
#[derive(Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A double. Those that are not finite are written as `null`.
    Number(f64),
    /// A string.
    String(Text),
    /// An array.
    Array(Vec<Value>),
    /// An object. What [`super::Json`] gives out has each key once: array indexes first, in ascending
    /// order, then the others as they were first met. What it takes in it brings to that form.
    Object(Vec<(Text, Value)>),
}

impl Value {
    /// An object of these keys and values.
    pub fn object<K: Into<Text>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Object(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// The value under `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        // The last of equal keys: in JavaScript the last one wins.
        self.as_object()?.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value under `key`, taken out of the object; `null` is left in its place.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let Self::Object(pairs) = self else { return None };
        pairs.iter_mut().rev().find(|(name, _)| name == key).map(|(_, value)| mem::take(value))
    }

    /// The text, if this is a string without lone surrogates.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text()?.as_str()
    }

    /// The text, if this is a string.
    pub fn as_text(&self) -> Option<&Text> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The number, if this is a whole one from 0 to 2⁵³.
    pub fn as_u64(&self) -> Option<u64> {
        const MAX: f64 = 9_007_199_254_740_992.0;
        // Cast after the check: the number is whole and in range, so nothing is lost.
        self.as_f64().filter(|n| (0.0..=MAX).contains(n) && n.trunc() == *n).map(|n| n as u64)
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(*bool) } else { None }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// The keys and values, if this is an object.
    pub fn as_object(&self) -> Option<&[(Text, Value)]> {
        if let Self::Object(pairs) = self { Some(pairs) } else { None }
    }

    /// Is this `null`?
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Does JavaScript take this as true? Not `null`, `false`, zero, NaN and the empty string.
    pub fn truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(bool) => *bool,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// The elements, moved out, if this is an array.
    pub fn into_array(mut self) -> Option<Vec<Value>> {
        if let Self::Array(values) = &mut self { Some(mem::take(values)) } else { None }
    }

    /// The keys and values, moved out, if this is an object.
    pub fn into_object(mut self) -> Option<Vec<(Text, Value)>> {
        if let Self::Object(pairs) = &mut self { Some(mem::take(pairs)) } else { None }
    }

    /// The text, moved out, if this is a string.
    pub fn into_text(mut self) -> Option<Text> {
        if let Self::String(text) = &mut self { Some(mem::take(text)) } else { None }
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        let mut builder = Builder::default();
        for event in Walk::new(self) {
            match event {
                Event::Leaf(leaf) => builder.leaf(leaf_clone(leaf)),
                Event::OpenArray(len) => builder.open_array(len),
                Event::OpenObject(len) => builder.open_object(len),
                Event::Key(key) => builder.key(key.clone()),
                Event::Close => builder.close(),
            }
        }
        builder.finish()
    }
}

fn leaf_clone(leaf: &Value) -> Value {
    match leaf {
        Value::Bool(bool) => Value::Bool(*bool),
        Value::Number(number) => Value::Number(*number),
        Value::String(text) => Value::String(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => Value::Null,
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        Walk::new(self).eq(Walk::new(other))
    }
}

/// Equality of leaves; `false` for anything else.
pub(super) fn leaf_eq(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        _ => false,
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // Containers inside containers are moved to a list first, so that none drops another.
        let mut nested = Vec::new();
        move_nested(self, &mut nested);
        while let Some(mut value) = nested.pop() {
            move_nested(&mut value, &mut nested);
        }
    }
}

fn move_nested(value: &mut Value, nested: &mut Vec<Value>) {
    let mut take = |value: &mut Value| match value {
        Value::Array(inner) if !inner.is_empty() => nested.push(mem::take(value)),
        Value::Object(inner) if !inner.is_empty() => nested.push(mem::take(value)),
        _ => {}
    };
    match value {
        Value::Array(values) => values.iter_mut().for_each(take),
        Value::Object(pairs) => pairs.iter_mut().for_each(|(_, value)| take(value)),
        _ => {}
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        super::write::value(self, &mut out);
        f.write_str(&out)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::Array(values)
    }
}
