//! The tag section: an Avro array of (name, value) records, in one or several blocks.

use super::{ItemError, Tag, layout::TAGS_MAX};

/// The tag section that says `tags`: empty for none, else one block and its end.
pub(super) fn encode(tags: &[Tag]) -> Vec<u8> {
    let mut out = Vec::new();
    if tags.is_empty() {
        return out;
    }
    put_long(&mut out, tags.len());
    for tag in tags {
        for text in [&tag.name, &tag.value] {
            put_long(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(0);
    out
}

/// A length as Avro writes a long: zig-zag, seven bits a byte, the lowest first.
fn put_long(out: &mut Vec<u8>, length: usize) {
    let mut rest = (length as u64) << 1;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The tags that a section says. `count` is what the item's header promises.
pub(super) fn decode(section: &[u8], count: u64) -> Result<Vec<Tag>, ItemError> {
    if section.is_empty() {
        return if count == 0 { Ok(Vec::new()) } else { Err(miscounted(count, 0)) };
    }
    let mut reader = Reader { rest: section };
    let mut tags = Vec::new();
    loop {
        let block = reader.block()?;
        if block == 0 {
            break;
        }
        if block.saturating_add(tags.len() as u64) > TAGS_MAX {
            return Err(bad(format!("there are more than {TAGS_MAX}")));
        }
        for _ in 0..block {
            let name = reader.text("name", tags.len())?;
            let value = reader.text("value", tags.len())?;
            tags.push(Tag { name, value });
        }
    }
    if !reader.rest.is_empty() {
        return Err(bad(format!("{} bytes follow the end of the list", reader.rest.len())));
    }
    if tags.len() as u64 != count {
        return Err(miscounted(count, tags.len()));
    }
    Ok(tags)
}

fn bad(why: impl Into<String>) -> ItemError {
    ItemError::BadTags(why.into())
}

fn miscounted(promised: u64, found: usize) -> ItemError {
    bad(format!("the header promises {promised}, and there are {found}"))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Entries of the next block; 0 ends the list. A negative count is followed by the block's size.
    fn block(&mut self) -> Result<u64, ItemError> {
        let count = self.long()?;
        if count >= 0 {
            return Ok(count.unsigned_abs());
        }
        let size = self.long()?;
        if u64::try_from(size).is_ok_and(|size| size <= self.rest.len() as u64) {
            return Ok(count.unsigned_abs());
        }
        Err(bad(format!("a block says it has {size} bytes, and {} are left", self.rest.len())))
    }

    fn text(&mut self, part: &str, index: usize) -> Result<String, ItemError> {
        let length = self.long()?;
        let taken = usize::try_from(length).ok().and_then(|at| self.rest.split_at_checked(at));
        let Some((bytes, rest)) = taken else {
            let left = self.rest.len();
            return Err(bad(format!(
                "the {part} of tag {index} says it has {length} bytes, and {left} are left"
            )));
        };
        self.rest = rest;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|_| bad(format!("the {part} of tag {index} is not UTF-8")))
    }

    fn long(&mut self) -> Result<i64, ItemError> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err(bad("the list has no end"));
            };
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(bad("a length has more than 64 bits"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn two() -> Vec<Tag> {
        vec![Tag::new("a", "1"), Tag::new("b", "")]
    }

    #[test]
    fn no_tags_are_no_bytes() {
        assert_eq!(encode(&[]), b"");
        assert_eq!(decode(b"", 0), Ok(Vec::new()));
        assert_eq!(decode(&[0], 0), Ok(Vec::new()));
    }

    #[test]
    fn several_blocks_and_negative_counts_are_read() {
        let one_block = encode(&two());
        assert_eq!(one_block, b"\x04\x02a\x021\x02b\x00\x00");
        assert_eq!(decode(&one_block, 2), Ok(two()));
        assert_eq!(decode(b"\x02\x02a\x021\x02\x02b\x00\x00", 2), Ok(two()));
        assert_eq!(decode(b"\x03\x0e\x02a\x021\x02b\x00\x00", 2), Ok(two()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (section, count, said) in [
            (&b"\x04\x02a\x021\x02b\x00\x00"[..], 3, "promises 3"),
            (b"\x04\x02a\x021\x02b\x00\x00x", 2, "follow the end"),
            (b"\x02\x02a\x021", 1, "no end"),
            (b"\x02\x02a\x7f1\x00", 1, "value of tag 0 says it has -64 bytes"),
            (b"\x02\x02\xff\x021\x00", 1, "name of tag 0 is not UTF-8"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, "more than 64 bits"),
            (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, "more than 1024"),
            (b"\x01\x7e\x00", 1, "a block says"),
            (b"", 1, "promises 1"),
        ] {
            let error = decode(section, count).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
