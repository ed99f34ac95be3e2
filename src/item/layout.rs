//! Where the fields of an item are in its bytes. All integers are little endian.

use super::{ItemError, Scheme};
use std::ops::Range;

/// Tags that an item may have.
pub const TAGS_MAX: u64 = 1024;
/// Bytes of a tag section that is read.
pub const TAG_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of a tag section that is signed here: what every reader takes.
pub const TAG_BYTES_SIGNED_MAX: usize = 4096;

/// Where each field is. An absent one is an empty range.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) scheme: Scheme,
    pub(super) signature: Range<usize>,
    pub(super) owner: Range<usize>,
    pub(super) target: Range<usize>,
    pub(super) anchor: Range<usize>,
    pub(super) tag_count: u64,
    pub(super) tags: Range<usize>,
    pub(super) data: Range<usize>,
}

impl Layout {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ItemError> {
        let mut cursor = Cursor { bytes, at: 0 };
        let number = cursor.array("signature type").map(u16::from_le_bytes)?;
        let scheme = Scheme::from_number(number)?;
        let signature = cursor.take("signature", scheme.signature_len() as u64)?;
        let owner = cursor.take("owner", scheme.owner_len() as u64)?;
        let target = cursor.optional("target")?;
        let anchor = cursor.optional("anchor")?;
        let tag_count = cursor.array("number of tags").map(u64::from_le_bytes)?;
        let tag_bytes = cursor.array("number of tag bytes").map(u64::from_le_bytes)?;
        if tag_count > TAGS_MAX {
            let why = format!("the header promises {tag_count}, and at most {TAGS_MAX} are read");
            return Err(ItemError::BadTags(why));
        }
        if tag_bytes > TAG_BYTES_MAX {
            let why = format!("they take {tag_bytes} bytes, and at most {TAG_BYTES_MAX} are read");
            return Err(ItemError::BadTags(why));
        }
        let tags = cursor.take("tags", tag_bytes)?;
        let data = cursor.at..bytes.len();
        Ok(Self { scheme, signature, owner, target, anchor, tag_count, tags, data })
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, field: &'static str, needed: u64) -> Result<Range<usize>, ItemError> {
        let left = (self.bytes.len() - self.at) as u64;
        if needed > left {
            return Err(ItemError::Truncated { field, needed, left });
        }
        let start = self.at;
        self.at += needed as usize;
        Ok(start..self.at)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ItemError> {
        let range = self.take(field, N as u64)?;
        let found = self.bytes.get(range).and_then(|bytes| bytes.first_chunk());
        found.copied().ok_or(ItemError::Truncated { field, needed: N as u64, left: 0 })
    }

    fn optional(&mut self, field: &'static str) -> Result<Range<usize>, ItemError> {
        let [flag] = self.array(field)?;
        match flag {
            0 => self.take(field, 0),
            1 => self.take(field, 32),
            value => Err(ItemError::BadFlag { field, value }),
        }
    }
}
