//! A store looked after: everything in it checked by hash, what nobody needs removed, and a copy made while
//! it is in use.

use super::{
    CuError, StoredResult,
    checkpoints::{Checkpoints, Record},
    codec::{Decoder, damaged},
    receipt::read_slot,
    store::{Change, Pair, Scan, Store, Table},
};
use crate::disk::{Digest, HostError, Page, page_hash};
use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Processes that are known.
    pub processes: u64,
    /// Receipts.
    pub receipts: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Pages, and lists of them.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// What is damaged, in words; empty if nothing is. At most [`DAMAGES_MAX`].
    pub damages: Vec<String>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Checkpoints that were removed.
    pub checkpoints: u64,
    /// Checkpoints that are left.
    pub checkpoints_left: u64,
    /// Pages, and lists of them, that were removed.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
}

/// The most damages that a check lists.
pub const DAMAGES_MAX: usize = 100;
/// How many pairs are read in one go.
const PIECE: usize = 1024;
/// How often a copy is begun anew when the store changed under it.
const COPY_TRIES: u32 = 50;

/// Verifies a store by hash: every receipt, name, checkpoint and page. `seen` is told of every pair.
pub fn check(store: &Arc<dyn Store>, seen: &mut dyn FnMut()) -> Result<CheckReport, HostError> {
    let mut report = CheckReport::default();
    let mut damages = Vec::new();
    for_each(&**store, Table::Processes, &mut |(key, value)| {
        seen();
        report.processes += 1;
        let id = Decoder::new(&value, "process").text().map(str::to_owned);
        let fits = id.is_ok_and(|id| Digest::of(id.as_bytes()).0[..] == key[..]);
        note(&mut damages, fits, || "a process does not stand under its id".to_owned());
        Ok(())
    })?;
    for_each(&**store, Table::Receipts, &mut |(key, value)| {
        seen();
        report.receipts += 1;
        let why = match StoredResult::decode(&value) {
            Err(error) => Some(error.to_string()),
            Ok(stored) => stored.damage(&key),
        };
        note(&mut damages, why.is_none(), || why.clone().unwrap_or_default());
        Ok(())
    })?;
    for_each(&**store, Table::Names, &mut |(key, value)| {
        seen();
        let slot = read_slot(&mut Decoder::new(&value, "name"));
        let found = match (slot, key.get(..32)) {
            (Ok(slot), Some(process)) => {
                let key = super::ledger::key_of(process, slot);
                store.has(Table::Receipts, &key)?
            }
            _ => false,
        };
        note(&mut damages, found, || "a name leads to no receipt".to_owned());
        Ok(())
    })?;
    for_each(&**store, Table::Blobs, &mut |(key, value)| {
        seen();
        report.blobs += 1;
        report.blob_bytes += value.len() as u64;
        note(&mut damages, is_whole(&key, &value), || {
            "a page or a list of pages is damaged".into()
        });
        Ok(())
    })?;
    let checkpoints = Checkpoints::new(Arc::clone(store));
    for_each(&**store, Table::Checkpoints, &mut |(_, value)| {
        seen();
        report.checkpoints += 1;
        let image = Record::decode(&value).and_then(|record| {
            let image = checkpoints.image(&record)?;
            // The image's root covers the hashes of its pages; that each is there is seen by marking.
            let mut needs = HashSet::new();
            checkpoints.images.mark(&record.manifest, &mut needs)?;
            for key in needs {
                if !store.has(Table::Blobs, &key)? {
                    return Err(damaged(format!("a page of image {} is missing", image.root())));
                }
            }
            Ok(())
        });
        let why = image.err().map(|error| error.to_string());
        note(&mut damages, why.is_none(), || why.clone().unwrap_or_default());
        Ok(())
    })?;
    report.damages = damages;
    Ok(report)
}

/// Removes all but the last `keep` checkpoints of each process, and what no checkpoint needs.
///
/// For a store that nobody else uses: what a unit is just writing is needed by no checkpoint yet.
pub fn sweep(store: &Arc<dyn Store>, keep: usize) -> Result<SweepReport, HostError> {
    let mut report = SweepReport::default();
    let mut by_process: BTreeMap<Vec<u8>, Vec<Pair>> = BTreeMap::new();
    for_each(&**store, Table::Checkpoints, &mut |(key, value)| {
        let process = key.get(..32).unwrap_or_default().to_vec();
        by_process.entry(process).or_default().push((key, value));
        Ok(())
    })?;
    let checkpoints = Checkpoints::new(Arc::clone(store));
    let mut needed = HashSet::new();
    for mut records in by_process.into_values() {
        let kept = records.split_off(records.len().saturating_sub(keep));
        for (_, value) in &kept {
            // A damaged checkpoint stops the sweep: what it needs is not known.
            checkpoints.images.mark(&Record::decode(value)?.manifest, &mut needed)?;
        }
        report.checkpoints_left += kept.len() as u64;
        report.checkpoints += records.len() as u64;
        let gone = records.into_iter().map(|(key, _)| Change::Remove(Table::Checkpoints, key));
        store.write(gone.collect())?;
    }
    // First those that name are gone for good, then what they named.
    store.persist()?;
    for_each(&**store, Table::Blobs, &mut |(key, value)| {
        if !needed.contains(&key) {
            report.blobs += 1;
            report.blob_bytes += value.len() as u64;
            store.write(vec![Change::Remove(Table::Blobs, key)])?;
        }
        Ok(())
    })?;
    store.persist()?;
    Ok(report)
}

/// Copies the folder of a store, also while a unit uses it: it copies until a whole copy has been made
/// between two changes of the set of tables, so that the journal in it tells the rest. Nothing in the store
/// is held up. The copy holds at least what was durable when it began.
pub fn backup(from: &Path, to: &Path) -> Result<(), CuError> {
    let io = |error| HostError::io("copying the store", error);
    if to.exists() {
        let text = format!("{} is there already; name a folder that is not", to.display());
        let refusal = crate::disk::Refusal::new(crate::disk::RefusalCode::NotAllowed, text);
        return Err(CuError::Refused(refusal));
    }
    let temp = to.with_extension("part");
    for _ in 0..COPY_TRIES {
        match fs::remove_dir_all(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error).into()),
            _ => {}
        }
        let before = listing(from).map_err(io)?;
        let copied = copy(from, &temp, &before);
        if copied.is_ok() && listing(from).map_err(io)? == before {
            fs::rename(&temp, to).map_err(io)?;
            return Ok(());
        }
        if let Err(error) = copied
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(io(error).into());
        }
    }
    let _ = fs::remove_dir_all(&temp);
    Err(CuError::Busy("the store changes faster than it is copied"))
}

/// Size of a file, and when it was written.
type Stamp = (u64, Option<SystemTime>);

/// All files under `dir`, relative, with size and time where they are not journals, which only grow.
fn listing(dir: &Path) -> io::Result<BTreeMap<PathBuf, Option<Stamp>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(path);
            } else {
                let is_journal = path.extension().is_some_and(|ext| ext == "jnl");
                let stamp = (meta.len(), meta.modified().ok());
                found.insert(path, (!is_journal).then_some(stamp));
            }
        }
    }
    Ok(found)
}

fn copy<T>(from: &Path, to: &Path, files: &BTreeMap<PathBuf, T>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for path in files.keys() {
        let target = to.join(path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(from.join(path), &target)?;
        fs::File::open(&target)?.sync_all()?;
    }
    Ok(())
}

fn is_whole(key: &[u8], value: &[u8]) -> bool {
    let hash = match key.first() {
        Some(b'p') => <&Page>::try_from(value).map(page_hash).ok(),
        Some(b'b') => Some(Digest::of(value)),
        _ => None,
    };
    hash.is_some_and(|hash| key.get(1..) == Some(&hash.0[..]))
}

fn note(damages: &mut Vec<String>, is_fine: bool, why: impl FnOnce() -> String) {
    if !is_fine && damages.len() < DAMAGES_MAX {
        damages.push(why());
    }
}

/// All pairs of a table, some at a time.
fn for_each(
    store: &dyn Store,
    table: Table,
    each: &mut dyn FnMut(Pair) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let mut scan = Scan { limit: PIECE, ..Scan::prefix(table, &[]) };
    loop {
        let pairs = store.scan(&scan)?;
        let Some((last, _)) = pairs.last() else { return Ok(()) };
        scan.from = Bound::Excluded(last.clone());
        for pair in pairs {
            each(pair)?;
        }
    }
}
