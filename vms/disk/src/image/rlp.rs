//! How Ethereum writes the nodes of a trie: RLP, hex-prefix paths, and references to nodes.
//!
//! Yellow Paper, appendices B (RLP), C (hex-prefix) and D (trie).

use super::trie;
use crate::{Digest, keccak::keccak, keccak_all};

/// Nibbles in a key.
pub(super) const NIBBLES: usize = 64;

/// Nibble `depth` of a key.
pub(super) fn nibble(key: &Digest, depth: usize) -> u8 {
    let byte = key.0.get(depth / 2).copied().unwrap_or_default();
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
}

/// How many leading nibbles two keys share.
pub(super) fn common(a: &Digest, b: &Digest) -> usize {
    match trie::head(a) ^ trie::head(b) {
        0 => (0..NIBBLES).take_while(|depth| nibble(a, *depth) == nibble(b, *depth)).count(),
        differ => differ.leading_zeros() as usize / 4,
    }
}

/// What a node's parent holds of it: its RLP if that is shorter than 32 bytes, else the RLP's hash.
#[derive(Clone, Copy, Default)]
pub(super) struct Ref {
    len: u8,
    bytes: [u8; 32],
}

impl Ref {
    pub(super) fn of(node: &[u8]) -> Self {
        if node.len() >= 32 { Self::hashed(keccak(node)) } else { Self::whole(node) }
    }

    /// The same of many.
    pub(super) fn all(nodes: &[&[u8]]) -> Vec<Self> {
        let long: Vec<&[u8]> = nodes.iter().copied().filter(|node| node.len() >= 32).collect();
        let mut hashes = keccak_all(&long).into_iter();
        let mut hash = |node: &[u8]| if node.len() >= 32 { hashes.next() } else { None };
        nodes
            .iter()
            .map(|node| hash(node).map_or_else(|| Self::whole(node), Self::hashed))
            .collect()
    }

    fn hashed(hash: Digest) -> Self {
        Self { len: 32, bytes: hash.0 }
    }

    fn whole(node: &[u8]) -> Self {
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
            let (head, len) = head(0x80, bytes.len());
            out.extend_from_slice(head.get(..len).unwrap_or_default());
            out.extend_from_slice(bytes);
        }
    }
}

/// Writes a list of what `body` writes.
pub(super) fn list(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    // Most nodes are so long that this is their head; what is too much is taken out again.
    const ROOM: usize = 3;
    let at = out.len();
    out.extend([0; ROOM]);
    body(out);
    let len = out.len() - at - ROOM;
    let (head, head_len) = head(0xc0, len);
    let head = head.get(..head_len).unwrap_or_default();
    let room = head.len().min(ROOM);
    if let (Some(to), Some(from)) = (out.get_mut(at..at + room), head.get(..room)) {
        to.copy_from_slice(from);
    }
    match head.get(ROOM..) {
        Some(more) => drop(out.splice(at + ROOM..at + ROOM, more.iter().copied())),
        None => drop(out.drain(at + room..at + ROOM)),
    }
}

/// What stands before so many bytes, and how long that is.
fn head(kind: u8, len: usize) -> ([u8; 9], usize) {
    let mut head = [0; 9];
    if len < 56 {
        head[0] = kind + len as u8;
        return (head, 1);
    }
    let digits = (len as u64).to_be_bytes();
    let zeros = (len as u64).leading_zeros() as usize / 8;
    head[0] = kind + 55 + (8 - zeros) as u8;
    head.iter_mut().skip(1).zip(digits.iter().skip(zeros)).for_each(|(to, from)| *to = *from);
    (head, 9 - zeros)
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
