//! JavaScript strings: Unicode text that may hold lone surrogates.

use std::{borrow::Cow, fmt};

/// A string as JavaScript has them. Equality is that of code units.
///
/// Nearly every text is UTF-8. One that holds a lone surrogate is kept as UTF-16 code units instead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Utf8(String),
    // Only for text that UTF-8 cannot hold, so that one text has one form.
    Utf16(Vec<u16>),
}

impl Text {
    /// The text of some UTF-16 code units. Pairs become characters, lone surrogates stay.
    pub fn from_utf16(units: &[u16]) -> Self {
        match String::from_utf16(units) {
            Ok(text) => Self(Repr::Utf8(text)),
            Err(_) => Self(Repr::Utf16(units.to_vec())),
        }
    }

    /// The text, unless it holds a lone surrogate.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::Utf8(text) => Some(text),
            Repr::Utf16(_) => None,
        }
    }

    /// The text, with U+FFFD for each lone surrogate, as JavaScript's `TextEncoder` sends it.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::Utf8(text) => Cow::Borrowed(text),
            Repr::Utf16(units) => Cow::Owned(String::from_utf16_lossy(units)),
        }
    }

    /// [`Text::to_string_lossy`], without a copy where none is needed.
    pub fn into_string_lossy(self) -> String {
        match self.0 {
            Repr::Utf8(text) => text,
            Repr::Utf16(units) => String::from_utf16_lossy(&units),
        }
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Utf8(text) if text.is_empty())
    }

    pub(super) fn units(&self) -> Option<&[u16]> {
        match &self.0 {
            Repr::Utf8(_) => None,
            Repr::Utf16(units) => Some(units),
        }
    }

    pub(super) fn push_str(&mut self, more: &str) {
        match &mut self.0 {
            Repr::Utf8(text) => text.push_str(more),
            Repr::Utf16(units) => units.extend(more.encode_utf16()),
        }
    }

    pub(super) fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }

    /// Appends a surrogate that has no partner. The caller has looked at what follows and goes before.
    pub(super) fn push_lone(&mut self, unit: u16) {
        let units = match &mut self.0 {
            Repr::Utf16(units) => units,
            Repr::Utf8(text) => {
                self.0 = Repr::Utf16(text.encode_utf16().collect());
                return self.push_lone(unit);
            }
        };
        units.push(unit);
    }

    /// The number that this text writes canonically, if as a key it is an array index of JavaScript.
    pub(super) fn array_index(&self) -> Option<u32> {
        let Repr::Utf8(text) = &self.0 else { return None };
        let canonical = match text.as_bytes() {
            [b'0'] => true,
            [b'1'..=b'9', rest @ ..] => rest.len() < 10 && rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        // 4294967295 is an array's greatest length, so not an index.
        text.parse().ok().filter(|index| canonical && *index != u32::MAX)
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Repr::Utf8(String::new()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Repr::Utf8(text.to_owned()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Repr::Utf8(text))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(*other)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        super::write::text(self, &mut out);
        f.write_str(&out)
    }
}
