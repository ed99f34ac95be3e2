//! Keys and values that outlive the program: the one narrow door to the disk.

use super::lock;
use crate::disk::{Digest, HostError};
use std::{collections::BTreeMap, ops::Bound, sync::Mutex};

/// What is stored, each kind by keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Receipts and results, by process and slot.
    Receipts,
    /// Slots, by process and message id, assignment id or deep hash.
    Names,
    /// Images by process and slot: each the digest of its manifest.
    Checkpoints,
    /// Pages, and lists of them, by digest.
    Blobs,
    /// Processes that are known, and those in quarantine.
    Processes,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Receipts, Self::Names, Self::Checkpoints, Self::Blobs, Self::Processes];

    /// A name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receipts => "receipts",
            Self::Names => "names",
            Self::Checkpoints => "checkpoints",
            Self::Blobs => "blobs",
            Self::Processes => "processes",
        }
    }
}

/// A change to a store.
#[derive(Clone, Debug)]
pub enum Change {
    /// Puts a value.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Removes a key.
    Remove(Table, Vec<u8>),
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A range of keys of one table.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The table.
    pub table: Table,
    /// The least key.
    pub from: Bound<Vec<u8>>,
    /// The greatest key.
    pub to: Bound<Vec<u8>>,
    /// From the greatest key down.
    pub backwards: bool,
    /// The most pairs to give.
    pub limit: usize,
}

impl Scan {
    /// All keys of a table that begin with `prefix`.
    pub fn prefix(table: Table, prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let to = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        let from = Bound::Included(prefix.to_vec());
        Self { table, from, to, backwards: false, limit: usize::MAX }
    }
}

/// A store. Its functions may block for as long as a disk takes.
pub trait Store: Send + Sync {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, HostError>;

    /// Whether there is a key.
    fn has(&self, table: Table, key: &[u8]) -> Result<bool, HostError> {
        Ok(self.get(table, key)?.is_some())
    }

    /// The pairs of a range.
    fn scan(&self, scan: &Scan) -> Result<Vec<Pair>, HostError>;

    /// Makes all changes or none. They are seen at once, and survive the end of the program, but not that
    /// of the machine. After an error none is seen.
    fn write(&self, changes: Vec<Change>) -> Result<(), HostError>;

    /// Makes what was written survive the end of the machine.
    fn persist(&self) -> Result<(), HostError>;
}

/// A store that ends with the program: for tools and tests.
#[derive(Default)]
pub struct MemoryStore(Mutex<BTreeMap<MemoryKey, Vec<u8>>>);

type MemoryKey = (Table, Vec<u8>);

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        Ok(lock(&self.0).get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Pair>, HostError> {
        let pairs = lock(&self.0);
        let (from, to) = (scan.from.as_ref(), scan.to.as_ref());
        let within = |key: &Vec<u8>| {
            (match from {
                Bound::Included(from) => key >= from,
                Bound::Excluded(from) => key > from,
                Bound::Unbounded => true,
            }) && (match to {
                Bound::Included(to) => key <= to,
                Bound::Excluded(to) => key < to,
                Bound::Unbounded => true,
            })
        };
        let start = match from {
            Bound::Included(from) | Bound::Excluded(from) => from.clone(),
            Bound::Unbounded => Vec::new(),
        };
        let of_table = pairs
            .range((scan.table, start)..)
            .take_while(|((table, _), _)| *table == scan.table)
            .filter(|((_, key), _)| within(key))
            .map(|((_, key), value)| (key.clone(), value.clone()));
        let mut found: Vec<Pair> = of_table.collect();
        if scan.backwards {
            found.reverse();
        }
        found.truncate(scan.limit);
        Ok(found)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), HostError> {
        let mut pairs = lock(&self.0);
        for change in changes {
            match change {
                Change::Put(table, key, value) => pairs.insert((table, key), value),
                Change::Remove(table, key) => pairs.remove(&(table, key)),
            };
        }
        Ok(())
    }

    fn persist(&self) -> Result<(), HostError> {
        Ok(())
    }
}

/// The first part of all keys of a process: ids are of any length, keys are not.
pub(crate) fn process_key(process: &str) -> [u8; 32] {
    Digest::of(process.as_bytes()).0
}
