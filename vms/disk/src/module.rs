//! Modules and the formats they declare.

use crate::{Digest, Tag};
use bytes::Bytes;
use std::{borrow::Borrow, fmt, sync::Arc};

/// The text of a `Module-Format` tag. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatName(Arc<str>);

impl FormatName {
    /// The name as written in the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FormatName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for FormatName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for FormatName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One rule set, for ever. Receipts hash `rules`; a reader that gains a format changes no other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The `Module-Format` tag that asks for these rules, by exact match.
    pub name: FormatName,
    /// Digest of the rules: everything that may change a result.
    pub rules: Digest,
}

/// A reader's name and version, for an operator to see. Never hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderId {
    /// For example `drivebay-wasm`.
    pub name: &'static str,
    /// Its version, and its engine's.
    pub version: String,
}

/// The key of anything kept about a [`crate::Disk`]: module bytes, format, rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub Digest);

/// A module as published: bytes, the format it declares, and its tags.
#[derive(Clone, Debug)]
pub struct Module {
    /// BLAKE3 of `bytes`. Not a transaction id: a file on disk has none.
    pub id: Digest,
    /// The `Module-Format` it declares.
    pub format: FormatName,
    /// All tags, as the wire had them.
    pub tags: Vec<Tag>,
    /// The program.
    pub bytes: Bytes,
}

impl Module {
    /// A module from its bytes; `id` is computed.
    pub fn new(bytes: impl Into<Bytes>, format: impl Into<FormatName>, tags: Vec<Tag>) -> Self {
        let bytes = bytes.into();
        Self { id: Digest::of(&bytes), format: format.into(), tags, bytes }
    }

    /// The value of the last tag called `name`, as the reference reads tags.
    pub fn tag(&self, name: &str) -> Option<&str> {
        Tag::last(&self.tags, name)
    }
}
