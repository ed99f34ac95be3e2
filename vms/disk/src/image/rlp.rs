//! How Ethereum writes the nodes of a trie: RLP, hex-prefix paths, and references to nodes.
//!
//! Yellow Paper, appendices B (RLP), C (hex-prefix) and D (trie).

use crate::Digest;
use tiny_keccak::{Hasher, Keccak};

/// Nibbles in a key.
pub(super) const NIBBLES: usize = 64;

/// Keccak-256 of `bytes`.
pub(super) fn keccak(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    let mut hasher = Keccak::v256();
    hasher.update(bytes);
    hasher.finalize(&mut hash);
    Digest(hash)
}

/// Nibble `depth` of a key.
pub(super) fn nibble(key: &Digest, depth: usize) -> u8 {
    let byte = key.0.get(depth / 2).copied().unwrap_or_default();
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
}

/// How many leading nibbles two keys share.
pub(super) fn common(a: &Digest, b: &Digest) -> usize {
    (0..NIBBLES).take_while(|depth| nibble(a, *depth) == nibble(b, *depth)).count()
}

/// What a node's parent holds of it: its RLP if that is shorter than 32 bytes, else the RLP's hash.
#[derive(Clone, Copy)]
pub(super) struct Ref {
    len: u8,
    bytes: [u8; 32],
}

impl Ref {
    pub(super) fn of(node: &[u8]) -> Self {
        if node.len() >= 32 {
            return Self { len: 32, bytes: keccak(node).0 };
        }
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(node).for_each(|(to, from)| *to = *from);
        Self { len: node.len() as u8, bytes }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// The root of a tree whose top node this refers to.
    pub(super) fn root(&self) -> Digest {
        if self.len == 32 { Digest(self.bytes) } else { keccak(self.bytes()) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.len {
            32 => string(self.bytes(), out),
            _ => out.extend_from_slice(self.bytes()),
        }
    }
}

/// Writes a string.
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes {
        [byte @ 0..0x80] => out.push(*byte),
        _ => {
            head(0x80, bytes.len(), out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Writes a list of what `body` writes.
pub(super) fn list(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    body(out);
    let mut start = Vec::with_capacity(9);
    head(0xc0, out.len() - at, &mut start);
    out.splice(at..at, start);
}

fn head(kind: u8, len: usize, out: &mut Vec<u8>) {
    if len < 56 {
        out.push(kind + len as u8);
        return;
    }
    let len = (len as u64).to_be_bytes();
    let digits = len.iter().skip_while(|byte| **byte == 0);
    out.push(kind + 55 + digits.clone().count() as u8);
    out.extend(digits);
}

/// Writes nibbles `from..to` of a key, hex-prefixed, as a string.
pub(super) fn path(key: &Digest, from: usize, to: usize, leaf: bool, out: &mut Vec<u8>) {
    let mut bytes = [0; NIBBLES / 2 + 1];
    let odd = (to - from) % 2;
    let kind = if leaf { 0x20 } else { 0 };
    let first = if odd == 1 { 0x10 | nibble(key, from) } else { 0 };
    let pairs = (from + odd..to).step_by(2).map(|at| nibble(key, at) << 4 | nibble(key, at + 1));
    let all = std::iter::once(kind | first).chain(pairs);
    let len = bytes.iter_mut().zip(all).map(|(to, from)| *to = from).count();
    string(bytes.get(..len).unwrap_or_default(), out);
}
