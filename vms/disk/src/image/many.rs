//! Many keys of a tree at once.

use super::{
    rlp::nibble,
    trie::{Branch, Entry, Kid, Node, Value, find, head},
};
use crate::Digest;
use std::{hint::black_box, sync::OnceLock};

/// Keys that are looked for together: some more than places that a processor waits for at a time.
const TOGETHER: usize = 16;

impl Node {
    /// The values of many keys. All are looked for level by level, and of each level memory is asked for all of them
    /// before any is looked at: so it is waited for once a level, and not once for every key.
    pub(super) fn get_all<'a>(
        &'a self,
        keys: &[Digest],
        mut seen: impl FnMut(usize, Option<&'a Value>),
    ) {
        for (at, keys) in keys.chunks(TOGETHER).enumerate() {
            let mut nodes = [None; TOGETHER];
            nodes.iter_mut().zip(keys).for_each(|(node, _)| *node = Some(self));
            for depth in 0.. {
                // How many share its children is what is asked first by whoever sets the row.
                let ask =
                    |node: &Node| if let Self::Branch(branch) = node { branch.shares() } else { 0 };
                if black_box(nodes.iter().flatten().map(|node| ask(node)).sum::<usize>()) == 0 {
                    break;
                }
                for (node, key) in nodes.iter_mut().zip(keys) {
                    if let Some(Self::Branch(branch)) = node {
                        *node = branch.kid(nibble(key, depth)).map(|kid| &kid.node);
                    }
                }
            }
            let ask = |node: &Node| node.rows().first().map_or(0, |row| head(&row.key));
            black_box(nodes.iter().flatten().map(|node| ask(node)).fold(0, u64::wrapping_add));
            let mut values = [None; TOGETHER];
            for ((value, node), key) in values.iter_mut().zip(nodes).zip(keys) {
                let rows = node.map_or(&[][..], Self::rows);
                *value = find(rows, key).ok().and_then(|at| rows.get(at)).map(|row| &row.value);
            }
            black_box(values.iter().flatten().map(|value| value.touch()).fold(0, u8::wrapping_add));
            let first = at * TOGETHER;
            (first..).zip(values).take(keys.len()).for_each(|(at, value)| seen(at, value));
        }
    }
}

impl Kid {
    /// Sets the bytes of rows, fastest in the order of their keys; says how many keys are new. A path that several have
    /// in common is gone once.
    pub(super) fn set_all<B: AsRef<[u8]>>(
        &mut self,
        depth: usize,
        rows: &[(Digest, B)],
        nests: bool,
    ) -> u64 {
        self.made = OnceLock::new();
        if let Node::Branch(branch) = &mut self.node {
            return branch.set_all(depth, rows, nests);
        }
        let set = |(key, bytes): &(Digest, B)| self.set_bytes(depth, *key, bytes.as_ref(), nests);
        rows.iter().map(set).map(u64::from).sum()
    }

    /// Sets the bytes of a row, whose table stays if it has one; says whether its key is new.
    fn set_bytes(&mut self, depth: usize, key: Digest, bytes: &[u8], nests: bool) -> bool {
        match self.get_mut(depth, &key) {
            Some(value) if nests => value.set_nested(bytes),
            Some(value) => *value = Value::new(bytes),
            None => return self.set(depth, Entry { key, value: Value::fresh(bytes, nests) }),
        }
        false
    }
}

impl Branch {
    fn set_all<B: AsRef<[u8]>>(&mut self, depth: usize, rows: &[(Digest, B)], nests: bool) -> u64 {
        let at = |row: &(Digest, B)| nibble(&row.0, depth);
        let mut new = 0;
        for some in rows.chunk_by(|a, b| at(a) == at(b)) {
            let Some((first, rest)) = some.split_first() else { continue };
            if let Some(kid) = self.kid_mut(at(first)) {
                let more = kid.set_all(depth + 1, some, nests);
                self.count += more;
                new += more;
                continue;
            }
            let (key, value) = (first.0, Value::fresh(first.1.as_ref(), nests));
            new += u64::from(self.set(depth, Entry { key, value }));
            new += self.set_all(depth, rest, nests);
        }
        new
    }
}
