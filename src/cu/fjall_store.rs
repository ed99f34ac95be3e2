//! The store on disk: an embedded log-structured tree, one keyspace for each table.

use super::store::{Change, Pair, Scan, Store, Table};
use crate::disk::HostError;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use std::{fmt, io, path::Path};

/// How long a journal may grow before what it holds is written to tables.
const JOURNAL_BYTES_MAX: u64 = 512 << 20;
/// Memory for blocks that were read.
const CACHE_BYTES: u64 = 64 << 20;

/// A store in a folder. One program at a time has it open.
pub struct FjallStore {
    database: Database,
    keyspaces: Vec<Keyspace>,
}

/// Why a folder is not opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it open.
    #[error(
        "the store {0} is in use by another drivebay; wait for it to end, or name another folder"
    )]
    Locked(String),
    /// It is damaged, or cannot be read.
    #[error("cannot open the store {path}: {why}")]
    Broken {
        /// The folder.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl FjallStore {
    /// The store in `dir`, made if need be.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = || dir.display().to_string();
        let broken = |error: fjall::Error| match error {
            fjall::Error::Locked => OpenError::Locked(path()),
            other => OpenError::Broken { path: path(), why: plain(&other) },
        };
        let database = Database::builder(dir)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .cache_size(CACHE_BYTES)
            .open()
            .map_err(broken)?;
        let open = |table: &Table| {
            let options = || match table {
                // Values of a page each would be copied at every compaction.
                Table::Blobs => KeyspaceCreateOptions::default()
                    .with_kv_separation(Some(KvSeparationOptions::default())),
                _ => KeyspaceCreateOptions::default(),
            };
            database.keyspace(table.name(), options).map_err(broken)
        };
        let keyspaces = Table::ALL.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { database, keyspaces })
    }

    fn keyspace(&self, table: Table) -> Result<&Keyspace, HostError> {
        let at = Table::ALL.iter().position(|known| *known == table);
        at.and_then(|at| self.keyspaces.get(at)).ok_or_else(|| crate::disk::bug!("no {table:?}"))
    }
}

impl Store for FjallStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        let found = self.keyspace(table)?.get(key).map_err(|error| failed("reading", error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn has(&self, table: Table, key: &[u8]) -> Result<bool, HostError> {
        self.keyspace(table)?.contains_key(key).map_err(|error| failed("reading", error))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Pair>, HostError> {
        let range = (scan.from.clone(), scan.to.clone());
        let found = self.keyspace(scan.table)?.range::<Vec<u8>, _>(range);
        let pair = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|error| failed("reading", error))?;
            Ok((key.to_vec(), value.to_vec()))
        };
        if scan.backwards {
            found.rev().take(scan.limit).map(pair).collect()
        } else {
            found.take(scan.limit).map(pair).collect()
        }
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), HostError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for change in changes {
            match change {
                Change::Put(table, key, value) => batch.insert(self.keyspace(table)?, key, value),
                Change::Remove(table, key) => batch.remove(self.keyspace(table)?, key),
            }
        }
        batch.commit().map_err(|error| failed("writing", error))
    }

    fn persist(&self) -> Result<(), HostError> {
        self.database.persist(PersistMode::SyncData).map_err(|error| failed("syncing", error))
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FjallStore")
    }
}

fn failed(doing: &'static str, error: fjall::Error) -> HostError {
    let doing = match doing {
        "reading" => "reading the store",
        "writing" => "writing to the store",
        _ => "making the store durable",
    };
    match error {
        fjall::Error::Io(source) if source.kind() == io::ErrorKind::StorageFull => {
            HostError::Exhausted { what: "disk" }
        }
        fjall::Error::Io(source) => HostError::io(doing, source),
        fjall::Error::Poisoned => {
            let text = "an earlier write failed, so nothing more is written; make room or mend the disk, then start the unit anew";
            HostError::io(doing, io::Error::other(text))
        }
        other => HostError::io(doing, io::Error::other(plain(&other))),
    }
}

fn plain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::cu::MemoryStore;
    use std::ops::Bound;

    #[test]
    fn it_answers_as_the_store_in_memory_does() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, memory) = (FjallStore::open(dir.path()).unwrap(), MemoryStore::default());
        let stores: [&dyn Store; 2] = [&disk, &memory];
        for number in 0..50_u8 {
            let table = if number % 3 == 0 { Table::Names } else { Table::Blobs };
            for store in stores {
                store
                    .write(vec![Change::Put(table, vec![number % 7, number], vec![number; 9])])
                    .unwrap();
                store.write(vec![Change::Remove(table, vec![number % 5, number / 2])]).unwrap();
            }
        }
        let mut scan = Scan::prefix(Table::Blobs, &[3]);
        assert_eq!(disk.scan(&scan).unwrap(), memory.scan(&scan).unwrap());
        assert!(!disk.scan(&scan).unwrap().is_empty());
        scan = Scan { from: Bound::Excluded(vec![2]), to: Bound::Unbounded, ..scan };
        (scan.backwards, scan.limit) = (true, 5);
        assert_eq!(disk.scan(&scan).unwrap(), memory.scan(&scan).unwrap());
        assert_eq!(disk.scan(&scan).unwrap().len(), 5);
        assert_eq!(
            disk.get(Table::Names, &[6, 48]).unwrap(),
            memory.get(Table::Names, &[6, 48]).unwrap()
        );
    }

    #[test]
    fn what_was_written_is_there_after_a_restart_and_one_program_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = FjallStore::open(dir.path()).unwrap();
        store.write(vec![Change::Put(Table::Names, b"k".to_vec(), b"v".to_vec())]).unwrap();
        let second = FjallStore::open(dir.path());
        assert!(matches!(second, Err(OpenError::Locked(_))), "{second:?}");
        drop(store);
        let store = FjallStore::open(dir.path()).unwrap();
        assert_eq!(store.get(Table::Names, b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert!(store.has(Table::Names, b"k").unwrap());
    }
}
