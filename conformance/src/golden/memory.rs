//! A memory against the hashes of the reference's.

use super::{Memory, index::sha256_of};

const MIB: usize = 1 << 20;

/// Nothing, if the bytes are the recorded ones; else where they first differ, for people.
pub(super) fn differs(want: &Memory, got: &[u8]) -> Option<String> {
    if sha256_of(got) == want.sha256 {
        return None;
    }
    let len = got.len();
    let mut text = String::new();
    if len as u64 != want.len_bytes {
        text = format!("expected {} bytes, got {len}; ", want.len_bytes);
    }
    let hash = |chunk: &[u8]| sha256_of(chunk).to_string().get(..8).unwrap_or_default().to_owned();
    let at = got.chunks(MIB).zip(&want.chunks).position(|(chunk, want)| hash(chunk) != *want);
    Some(match at {
        Some(mib) => format!("{text}first difference in MiB {mib}"),
        None if want.chunks.is_empty() => format!("{text}no hashes of parts were recorded"),
        None => format!("{text}what both have is equal"),
    })
}
