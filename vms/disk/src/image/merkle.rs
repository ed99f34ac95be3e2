//! Roots and proofs of a [`Table`](super::Table): the nodes of the Merkle-Patricia trie that its tree
//! stands for.

use super::{
    make::Maker,
    rlp::{self, NIBBLES, Ref, common, nibble},
    trie::{Branch, Entry, Kid, Node, Seen, Value, by_nibble, shared},
};
use crate::Digest;
use std::borrow::Cow;

/// Keccak-256 of the RLP of nothing: the root of no rows (Yellow Paper, appendix D).
const EMPTY: Digest = Digest([
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
    0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
]);

/// Makes the nodes of one table.
#[derive(Clone, Copy)]
pub(super) struct Merkle {
    /// Where a nested table's digest stands in a row's value; see [`Table::nesting`](super::Table::nesting).
    after: Option<u16>,
}

impl Merkle {
    pub(super) fn new(after: Option<u16>) -> Self {
        Self { after }
    }

    pub(super) fn root(&self, top: Option<&Kid>) -> Digest {
        top.map_or(EMPTY, |top| self.reference(top, 0).root())
    }

    /// A row's value as it is hashed.
    pub(super) fn value<'a>(&self, value: &'a Value) -> Cow<'a, [u8]> {
        let bytes = value.bytes();
        let (Some(after), Some(table)) = (self.after, value.table()) else {
            return Cow::Borrowed(bytes);
        };
        let (before, after) = bytes.split_at(bytes.len().saturating_sub(after.into()));
        Cow::Owned([before, &table.digest().0, after].concat())
    }

    /// What is held of a node. What is not made yet, of it or below it, is made.
    fn reference(&self, kid: &Kid, depth: usize) -> Ref {
        if kid.made.get().is_none() {
            Maker::make(*self, kid, depth);
        }
        kid.made.get().copied().unwrap_or_default()
    }

    /// The RLP of the node that stands for `kid`, whose rows share their first `depth` nibbles.
    fn node(&self, kid: &Kid, depth: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(544);
        self.write(kid, depth, &mut out);
        out
    }

    /// Writes it.
    pub(super) fn write(&self, kid: &Kid, depth: usize, out: &mut Vec<u8>) {
        match kid.node.seen() {
            Seen::Rows(rows) => self.bucket(rows, depth, out),
            Seen::Branch(branch) => match branch.kids() {
                [only] => {
                    let (end, to) = descend(only, depth + 1);
                    let below = self.reference(end, to);
                    extension(&end.node.some_key(), depth..to, below, out);
                }
                _ => self.branch(branch, depth, out),
            },
        }
    }

    fn branch(&self, branch: &Branch, depth: usize, out: &mut Vec<u8>) {
        write_branch(out, |nibble| branch.kid(nibble).map(|kid| self.reference(kid, depth + 1)));
    }

    /// The node of a bucket, or of a part of it.
    fn bucket(&self, rows: &[Entry], depth: usize, out: &mut Vec<u8>) {
        self.rows(rows, depth, out, |rows, depth| {
            let mut out = Vec::with_capacity(128);
            self.bucket(rows, depth, &mut out);
            Ref::of(&out)
        });
    }

    /// The same, with what is held of the nodes right below it, which are asked for in the order of their rows.
    pub(super) fn rows(
        &self,
        rows: &[Entry],
        depth: usize,
        out: &mut Vec<u8>,
        mut below: impl FnMut(&[Entry], usize) -> Ref,
    ) {
        if let [row] = rows {
            return self.leaf(row, depth, out);
        }
        let to = shared(rows, depth);
        if to > depth {
            let key = rows.first().map(|row| row.key).unwrap_or_default();
            return extension(&key, depth..to, below(rows, to), out);
        }
        let mut groups = by_nibble(rows, depth).peekable();
        write_branch(out, |nibble| {
            let (_, group) = groups.next_if(|(at, _)| *at == nibble)?;
            Some(below(group, depth + 1))
        });
    }

    /// The node of a row alone.
    fn leaf(&self, row: &Entry, depth: usize, out: &mut Vec<u8>) {
        rlp::list(out, |out| {
            rlp::path(&row.key, depth, NIBBLES, true, out);
            rlp::string(&self.value(&row.value), out);
        });
    }

    pub(super) fn proof(&self, top: Option<&Kid>, key: &Digest) -> Vec<Vec<u8>> {
        let mut nodes = Vec::new();
        let Some(mut kid) = top else { return nodes };
        self.reference(kid, 0);
        let mut depth = 0;
        loop {
            let branch = match kid.node.seen() {
                Seen::Rows(rows) => {
                    self.prove_rows(rows, depth, key, &mut nodes);
                    return nodes;
                }
                Seen::Branch(branch) => branch,
            };
            add(&mut nodes, self.node(kid, depth));
            let next = match branch.kids() {
                [only] => {
                    let (end, to) = descend(only, depth + 1);
                    (common(&end.node.some_key(), key) >= to).then_some((end, to))
                }
                _ => branch.kid(nibble(key, depth)).map(|kid| (kid, depth + 1)),
            };
            let Some(next) = next else { return nodes };
            (kid, depth) = next;
        }
    }

    fn prove_rows(&self, rows: &[Entry], depth: usize, key: &Digest, nodes: &mut Vec<Vec<u8>>) {
        let (mut rows, mut depth) = (rows, depth);
        loop {
            let mut node = Vec::new();
            self.bucket(rows, depth, &mut node);
            add(nodes, node);
            let [first, _, ..] = rows else { return };
            let to = shared(rows, depth);
            if to > depth {
                if common(&first.key, key) < to {
                    return;
                }
                depth = to;
                continue;
            }
            let found = by_nibble(rows, depth).find(|(at, _)| *at == nibble(key, depth));
            let Some((_, group)) = found else { return };
            (rows, depth) = (group, depth + 1);
        }
    }
}

/// A node shorter than 32 bytes stands inside its parent, and is no part of a proof.
fn add(nodes: &mut Vec<Vec<u8>>, node: Vec<u8>) {
    if nodes.is_empty() || node.len() >= 32 {
        nodes.push(node);
    }
}

/// Down a chain of only children, to the first with more.
pub(super) fn descend(kid: &Kid, depth: usize) -> (&Kid, usize) {
    let (mut kid, mut depth) = (kid, depth);
    while let Node::Branch(branch) = &kid.node
        && let [only] = branch.kids()
    {
        (kid, depth) = (only, depth + 1);
    }
    (kid, depth)
}

fn extension(key: &Digest, path: std::ops::Range<usize>, below: Ref, out: &mut Vec<u8>) {
    rlp::list(out, |out| {
        rlp::path(key, path.start, path.end, false, out);
        below.write(out);
    });
}

fn write_branch(out: &mut Vec<u8>, mut kid: impl FnMut(u8) -> Option<Ref>) {
    rlp::list(out, |out| {
        for nibble in 0..16 {
            match kid(nibble) {
                Some(kid) => kid.write(out),
                None => out.push(0x80),
            }
        }
        // Keys are of one length, so no branch has a value.
        out.push(0x80);
    });
}
