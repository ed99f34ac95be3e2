//! Names of sections.

use std::{fmt, str::FromStr};

/// The name of a section: 1 to 16 visible ASCII characters, such as `memory`. Ordered as bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionName {
    /// Zeros follow the name, so that the order is the text's.
    bytes: [u8; Self::MAX],
}

impl SectionName {
    /// The most characters in a name.
    pub const MAX: usize = 16;

    /// A name known when compiling. A bad one does not compile in a `const`, and panics elsewhere: parse
    /// names that come from outside.
    pub const fn new(name: &'static str) -> Self {
        match Self::from_bytes(name.as_bytes()) {
            Some(name) => name,
            None => panic!("a section name has 1 to 16 visible ASCII characters"),
        }
    }

    /// The name that `name` spells, if it is one.
    pub const fn from_bytes(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > Self::MAX {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        let (mut to, mut from): (&mut [u8], &[u8]) = (&mut bytes, name);
        while let (Some((slot, slots)), Some((byte, rest))) =
            (to.split_first_mut(), from.split_first())
        {
            if !byte.is_ascii_graphic() {
                return None;
            }
            *slot = *byte;
            (to, from) = (slots, rest);
        }
        Some(Self { bytes })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The text is no section name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a section name has 1 to 16 visible ASCII characters")]
pub struct NotAName;

impl FromStr for SectionName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::from_bytes(text.as_bytes()).ok_or(NotAName)
    }
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_a_name() {
        const NAME: SectionName = SectionName::new("memory");
        assert_eq!(NAME.to_string(), "memory");
        assert_eq!(
            "sixteen-letters!".parse::<SectionName>().map(|name| name.to_string()).as_deref(),
            Ok("sixteen-letters!")
        );
        for bad in ["", "seventeen-letters", "two words", "zero\0", "é", "tab\t"] {
            assert_eq!(bad.parse::<SectionName>(), Err(NotAName), "{bad:?}");
        }
    }

    #[test]
    fn the_order_is_the_texts() {
        assert!(SectionName::new("a") < SectionName::new("aa"));
        assert!(SectionName::new("aa") < SectionName::new("b"));
        assert!(SectionName::new("Z") < SectionName::new("a"));
    }
}
