//! Keys and values, as a value.

use super::{
    merkle::Merkle,
    trie::{self, Entries, Entry, Kid, Node, Value},
};
use crate::Digest;
use std::{fmt, sync::Arc};

/// 32-byte keys to bytes, or to bytes and a table of their own: a persistent Merkle-Patricia trie.
///
/// A clone shares everything; a change copies its path. The content alone decides shape and root. Keys
/// are used as given: hash what a guest may choose, or it can make the tree 64 levels deep.
///
/// In a table made by [`Table::nesting`], each row also has a table, empty at first, and the value that
/// the trie hashes is the row's bytes with that table's digest put in, at a fixed distance from the end.
/// So the root covers the nested tables, and an Ethereum account (`before ‖ storage root ‖ after`) needs
/// no update of its bytes when its storage changes.
#[derive(Clone, Default)]
pub struct Table {
    top: Option<Arc<Kid>>,
    /// For a nesting table, how many bytes of a row stand after the digest.
    after: Option<u16>,
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its key.
    pub key: Digest,
    /// Its bytes, as set.
    pub bytes: &'a [u8],
    /// Its table, in a nesting table.
    pub table: Option<&'a Table>,
}

impl<'a> Row<'a> {
    fn new(key: Digest, value: &'a Value) -> Self {
        Self { key, bytes: value.bytes(), table: value.table() }
    }
}

/// A row that two tables do not have in common. One of both may lack it.
#[derive(Clone, Copy, Debug)]
pub struct RowChange<'a> {
    /// Its key.
    pub key: Digest,
    /// The row as it was.
    pub old: Option<Row<'a>>,
    /// The row as it is.
    pub new: Option<Row<'a>>,
}

impl Table {
    /// An empty table whose rows are bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty table whose rows are bytes and a table. In the value that is hashed, the digest of a row's
    /// table stands before the last `after` bytes of the row, or first if there are fewer.
    pub fn nesting(after: u16) -> Self {
        Self { top: None, after: Some(after) }
    }

    /// What was given to [`Table::nesting`], if it was.
    pub fn nests(&self) -> Option<u16> {
        self.after
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.top.is_none()
    }

    /// Number of rows, without those of nested tables.
    pub fn len(&self) -> u64 {
        self.node().map_or(0, Node::count)
    }

    /// The bytes of a row, as set.
    pub fn get(&self, key: &Digest) -> Option<&[u8]> {
        self.node()?.get(key).map(Value::bytes)
    }

    /// Shows the bytes of many rows, in the order of their keys, each with its place there. What [`Table::get`] would
    /// wait for row by row is asked of memory together: for tables that are larger than a processor's cache.
    pub fn get_all<'a>(&'a self, keys: &[Digest], mut seen: impl FnMut(usize, Option<&'a [u8]>)) {
        match self.node() {
            Some(node) => node.get_all(keys, |at, value| seen(at, value.map(Value::bytes))),
            None => (0..keys.len()).for_each(|at| seen(at, None)),
        }
    }

    /// The table of a row, if the row is there and this table nests.
    pub fn table(&self, key: &Digest) -> Option<&Table> {
        self.node()?.get(key)?.table()
    }

    /// Sets the bytes of a row. A nested table that is there stays.
    pub fn set(&mut self, key: Digest, bytes: &[u8]) {
        if self.after.is_none() {
            return self.put(key, Value::new(bytes));
        }
        match self.value_mut(&key) {
            Some(value) => value.set_nested(bytes),
            None => self.put(key, Value::nested(bytes, Self::new())),
        }
    }

    /// The same for many rows, of which a later one goes over an earlier one with its key. Where they come in the order
    /// of their keys, what their paths have in common is gone once.
    pub fn set_all<B: AsRef<[u8]>>(&mut self, mut rows: &[(Digest, B)]) {
        if let (None, Some(((key, bytes), rest))) = (&self.top, rows.split_first()) {
            self.set(*key, bytes.as_ref());
            rows = rest;
        }
        if let Some(top) = self.top.as_mut().filter(|_| !rows.is_empty()) {
            Arc::make_mut(top).set_all(0, rows, self.after.is_some());
        }
    }

    /// Sets the table of a row. False, and nothing changes, if the row is not there or this table does
    /// not nest.
    pub fn set_table(&mut self, key: &Digest, table: Table) -> bool {
        self.table_mut(key).map(|old| *old = table).is_some()
    }

    /// The table of a row, to be changed in place: taking it out by clone, changing and setting it would
    /// copy its paths.
    pub fn table_mut(&mut self, key: &Digest) -> Option<&mut Table> {
        self.value_mut(key)?.table_mut()
    }

    /// Removes a row, and its table. Says whether it was there.
    pub fn remove(&mut self, key: &Digest) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        match &mut self.top {
            Some(top) if top.node.count() > 1 => Arc::make_mut(top).remove(0, key),
            top => *top = None,
        }
        true
    }

    /// All rows, by key.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        Entries::new(self.node()).map(|entry| Row::new(entry.key, &entry.value))
    }

    /// The root of the Merkle-Patricia trie: Ethereum's, for keys that are hashed. Only what changed since
    /// it was last asked for is hashed.
    pub fn root(&self) -> Digest {
        Merkle::new(self.after).root(self.top.as_deref())
    }

    /// Covers everything: the rows, their tables, and whether and how it nests. It is the root if it does
    /// not nest.
    pub fn digest(&self) -> Digest {
        let root = self.root();
        match self.after {
            None => root,
            Some(after) => {
                Digest::of_parts("drivebay nesting table v1", &[&after.to_le_bytes(), &root.0])
            }
        }
    }

    /// The RLP of the nodes from the root to the row, or to where it would be: an Ethereum proof.
    pub fn proof(&self, key: &Digest) -> Vec<Vec<u8>> {
        Merkle::new(self.after).proof(self.top.as_deref(), key)
    }

    /// The value of a row as the trie hashes it: with the digest of its table, if it has one.
    pub fn hashed_value(&self, key: &Digest) -> Option<Vec<u8>> {
        let value = self.node()?.get(key)?;
        Some(Merkle::new(self.after).value(value).into_owned())
    }

    /// Shows the rows that differ from those of `base`, by key. Shared subtrees are skipped.
    pub fn diff<'a>(&'a self, base: &'a Self, mut seen: impl FnMut(RowChange<'a>)) {
        trie::diff(base.node(), self.node(), &mut |key, old, new| {
            let row = |value| Row::new(key, value);
            seen(RowChange { key, old: old.map(row), new: new.map(row) });
        });
    }

    /// A table of sorted rows without duplicates.
    pub(super) fn from_sorted(entries: &[Entry], after: Option<u16>) -> Self {
        let top = (!entries.is_empty()).then(|| Arc::new(trie::build(entries, 0).into()));
        Self { top, after }
    }

    /// Whether both have the same content. Hashes only where they are not shared.
    pub(super) fn is(&self, other: &Self) -> bool {
        let shared = match (&self.top, &other.top) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.node.is(&b.node),
            _ => return false,
        };
        self.after == other.after && (shared || self.root() == other.root())
    }

    pub(super) fn top(&self) -> Option<&Kid> {
        self.top.as_deref()
    }

    fn node(&self) -> Option<&Node> {
        self.top.as_ref().map(|top| &top.node)
    }

    fn put(&mut self, key: Digest, value: Value) {
        let entry = Entry { key, value };
        match &mut self.top {
            Some(top) => drop(Arc::make_mut(top).set(0, entry)),
            None => self.top = Some(Arc::new(Node::One(entry).into())),
        }
    }

    fn value_mut(&mut self, key: &Digest) -> Option<&mut Value> {
        // A path is only made this table's own if there is something at its end.
        self.node()?.get(key)?;
        Arc::make_mut(self.top.as_mut()?).get_mut(0, key)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} rows)", self.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn unhashed(kid: &Kid) -> usize {
        let below = match &kid.node {
            Node::Branch(branch) => branch.kids().iter().map(unhashed).sum(),
            Node::One(_) | Node::Bucket(_) => 0,
        };
        usize::from(kid.made.get().is_none()) + below
    }

    #[test]
    fn a_change_forgets_the_hashes_of_its_path_alone() {
        let mut table = Table::new();
        for at in 0..5000u32 {
            table.set(Digest::of(&at.to_le_bytes()), b"value");
        }
        let first = table.root();
        let kept = table.clone();
        table.set(Digest::of(&7u32.to_le_bytes()), b"other");
        assert!((2..8).contains(&unhashed(table.top.as_ref().unwrap())));
        assert_ne!(table.root(), first);
        assert_eq!(unhashed(kept.top.as_ref().unwrap()), 0);
        assert_eq!(kept.root(), first);
    }
}
