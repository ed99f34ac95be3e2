//! Names of 32 bytes, and the text that ao writes bytes in.

use data_encoding::BASE64URL_NOPAD;
use std::{fmt, str::FromStr};

/// 32 bytes that name an item, a process, an address or a link of a hash chain. As text: 43 characters of
/// base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 32]);

/// Length of an id as text.
const TEXT_LEN: usize = 43;

impl Id {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// SHA-256 of `parts`, one after the other.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        Self(hasher.finalize().into())
    }

    /// The id that 32 bytes are, or `None` if there are more or fewer.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; TEXT_LEN];
        BASE64URL_NOPAD.encode_mut(&self.0, &mut text);
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is no id: an id is 43 characters of base64url (A-Z a-z 0-9 - _), {why}")]
pub struct IdError {
    shown: String,
    why: String,
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = |why: String| IdError { shown: text.chars().take(64).collect(), why };
        if text.len() != TEXT_LEN {
            return Err(error(format!("and this has {}", text.chars().count())));
        }
        let mut bytes = [0; 32];
        let decoded = BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut bytes);
        match decoded {
            Ok(_) => Ok(Self(bytes)),
            Err(partial) => Err(error(format!(
                "but character {} cannot stand there",
                partial.error.position + 1
            ))),
        }
    }
}

/// `bytes` as base64url without padding.
pub fn b64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The bytes that base64url without padding spells, or `None`.
pub fn from_b64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_goes_both_ways_and_nothing_else_is_read() {
        let id = Id::of(b"drivebay");
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (43, Ok(id)));
        // The last character holds two bits that no byte needs: only zeros are canonical.
        let bent = format!("{}B", "A".repeat(42));
        for bad in ["", "abc", &bent, &"=".repeat(43), &"é".repeat(21), &format!("{text}A")] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
        assert!(bent.parse::<Id>().unwrap_err().to_string().contains("character 43"));
    }
}
