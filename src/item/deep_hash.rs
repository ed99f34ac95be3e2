//! The deep hash of ANS-104: SHA-384 over a list of byte strings, so that none can be shifted into another.

use sha2::{Digest, Sha384};

/// Bytes of a deep hash.
pub(super) const LEN: usize = 48;

/// The deep hash of a list of byte strings.
pub(super) fn of_list(chunks: &[&[u8]]) -> [u8; LEN] {
    let mut hash = sha384(&[b"list", chunks.len().to_string().as_bytes()]);
    for chunk in chunks {
        hash = sha384(&[&hash, &of_bytes(chunk)]);
    }
    hash
}

fn of_bytes(bytes: &[u8]) -> [u8; LEN] {
    let tag = sha384(&[b"blob", bytes.len().to_string().as_bytes()]);
    sha384(&[&tag, &sha384(&[bytes])])
}

fn sha384(parts: &[&[u8]]) -> [u8; LEN] {
    let mut hasher = Sha384::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// What the deep hash of an item covers: everything but its signature.
pub(super) struct Fields<'a> {
    /// The signature type in decimal.
    pub(super) scheme: &'a str,
    pub(super) owner: &'a [u8],
    /// 32 bytes, or none.
    pub(super) target: &'a [u8],
    /// 32 bytes, or none.
    pub(super) anchor: &'a [u8],
    /// The tag section as it stands.
    pub(super) tags: &'a [u8],
    pub(super) data: &'a [u8],
}

impl Fields<'_> {
    pub(super) fn deep_hash(&self) -> [u8; LEN] {
        of_list(&[
            b"dataitem",
            b"1",
            self.scheme.as_bytes(),
            self.owner,
            self.target,
            self.anchor,
            self.tags,
            self.data,
        ])
    }
}
