//! Paths as the reference decodes them. Its loader takes short strings apart by hand, without looking
//! for invalid UTF-8; only longer ones go through a decoder that replaces it.

use super::cx::Cx;
use crate::trap::Stop;

/// Longest string, in bytes, that the reference decodes by hand.
const SHORT: usize = 16;
/// Bytes that follow a string's first byte in its longest character.
const TRAIL: usize = 3;
/// Where lone surrogates are kept: a string here holds none.
const PRIVATE: u32 = 0xF_0000;

/// The path at `at`, without its NUL, at most `max` bytes. If it is short and invalid, what comes back
/// is the UTF-8 of what the reference reads out of it.
pub(super) fn path(cx: &mut Cx<'_>, at: u64, max: usize) -> Result<Vec<u8>, Stop> {
    let path = cx.c_string(at, max)?;
    if path.len() > SHORT || std::str::from_utf8(&path).is_ok() {
        return Ok(path);
    }
    let start = usize::try_from(at).unwrap_or(usize::MAX);
    let tail = cx.bytes()?.get(start..).unwrap_or_default();
    let seen = tail.get(..tail.len().min(path.len() + TRAIL)).unwrap_or_default();
    Ok(by_hand(seen, path.len()).into_bytes())
}

/// The text of the first `len` bytes. A character that they begin and do not end takes its other bytes
/// from what follows; past the end of memory there are zeros.
fn by_hand(bytes: &[u8], len: usize) -> String {
    let mut units = Vec::new();
    let mut at = 0;
    let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
    while at < len {
        let first = byte(at);
        let (more, bits) = match first {
            0..0x80 => (0, first),
            _ if first & 0xE0 == 0xC0 => (1, first & 0x1F),
            _ if first & 0xF0 == 0xE0 => (2, first & 0x0F),
            _ => (3, first & 0x07),
        };
        let code = (at + 1..=at + more).fold(bits, |code, at| (code << 6) | (byte(at) & 0x3F));
        at += more + 1;
        push(&mut units, code);
    }
    let kept = |unit: Result<char, std::char::DecodeUtf16Error>| {
        unit.unwrap_or_else(|lone| {
            let code = PRIVATE + u32::from(lone.unpaired_surrogate()) - 0xD800;
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        })
    };
    char::decode_utf16(units).map(kept).collect()
}

/// Appends the UTF-16 of a code of up to 21 bits, as the reference puts it together.
fn push(units: &mut Vec<u16>, code: u32) {
    let Some(high) = code.checked_sub(0x1_0000) else {
        // Below 2^16.
        units.push(code as u16);
        return;
    };
    // Both below 2^16: the upper part has 11 bits, of which one may already be set.
    units.push((0xD800 | (high >> 10)) as u16);
    units.push((0xDC00 | (high & 0x3FF)) as u16);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_text_is_itself() {
        for text in ["/tmp/a", "ü/€", "/😀"] {
            assert_eq!(by_hand(text.as_bytes(), text.len()), text);
        }
    }

    #[test]
    fn invalid_bytes_make_names_of_their_own() {
        let name = |last: u8| by_hand(&[b'/', last, 0, 0, 0], 2);
        assert_ne!(name(0xFF), name(0xFE));
        assert_eq!(by_hand(b"\xC3/a", 3), "\u{EF}a");
        // A character that runs over the end reads what stands there.
        assert_ne!(by_hand(b"\xC3\0", 1), by_hand(b"\xC3\x01", 1));
        assert_eq!(by_hand(b"\xED\xA0\x80", 3), "\u{F0000}");
    }
}
