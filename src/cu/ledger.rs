//! Receipts and results by slot: append-only, durable before anybody is told.

use super::{
    CuError, Entry, StoredResult,
    codec::{Decoder, Encoder},
    lock,
    receipt::{read_slot, slot as encode_slot},
    store::{Change, Scan, Store, Table, process_key},
};
use crate::disk::{Digest, HostError, Slot, bug};
use std::{
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The ledger of all processes.
pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    /// How many appends were made, and how many of them are durable.
    written: AtomicU64,
    durable: Mutex<u64>,
}

/// Why a process is not evaluated any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quarantine {
    pub(crate) slot: Slot,
    pub(crate) why: String,
}

/// A page of results.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The results, in the order asked for.
    pub results: Vec<StoredResult>,
    /// There are more.
    pub has_more: bool,
}

/// Which results to list.
#[derive(Clone, Debug, Default)]
pub struct ResultsQuery {
    /// Only those after this mark.
    pub after: Option<Mark>,
    /// Only those up to this mark, itself included.
    pub through: Option<Mark>,
    /// The last ones first.
    pub newest_first: bool,
    /// The most to list.
    pub limit: usize,
    /// Only ticks.
    pub only_ticks: bool,
    /// Leave out those that have an `Error`.
    pub without_errors: bool,
}

/// A place in a list of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A slot.
    Slot(Slot),
    /// A time in Unix milliseconds.
    Time(u64),
}

impl Ledger {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, written: AtomicU64::new(0), durable: Mutex::new(0) }
    }

    /// Adds the result of the slot after the head. It is durable after [`Ledger::settle`].
    pub(crate) fn append(
        &self,
        process: &str,
        entry: &Entry,
        stored: &StoredResult,
    ) -> Result<(), HostError> {
        let key = slot_key(process, stored.receipt.slot);
        if self.store.get(Table::Receipts, &key)?.is_some() {
            return Err(bug!("slot {:?} of {process} is recorded already", stored.receipt.slot));
        }
        let at = encode_slot(Encoder::default(), stored.receipt.slot).end();
        let mut changes = vec![Change::Put(Table::Receipts, key, stored.encode())];
        let ids = [&entry.id, &entry.assignment].into_iter().filter(|id| !id.is_empty());
        let names = ids
            .map(|id| Digest::of(id.as_bytes()))
            .chain(entry.deep_hash.map(|hash| content_name(&hash)));
        for name in names {
            let key = name_key(process, &name);
            // The first of several equal ones keeps the name.
            if self.store.get(Table::Names, &key)?.is_none() {
                changes.push(Change::Put(Table::Names, key, at.clone()));
            }
        }
        if stored.receipt.slot == Slot::default() {
            changes.push(self.process_row(process, None));
        }
        self.store.write(changes)?;
        self.written.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Makes durable what was appended before the call. Many callers share one wait.
    pub(crate) fn settle(&self) -> Result<(), HostError> {
        let wanted = self.written.load(Ordering::SeqCst);
        let mut durable = lock(&self.durable);
        if *durable >= wanted {
            return Ok(());
        }
        let covered = self.written.load(Ordering::SeqCst);
        self.store.persist()?;
        *durable = covered;
        Ok(())
    }

    /// The result of a slot.
    pub(crate) fn get(&self, process: &str, slot: Slot) -> Result<Option<StoredResult>, HostError> {
        let found = self.store.get(Table::Receipts, &slot_key(process, slot))?;
        found.map(|bytes| StoredResult::decode(&bytes)).transpose()
    }

    /// The slot of a message or an assignment that was evaluated.
    pub(crate) fn find(&self, process: &str, id: &str) -> Result<Option<Slot>, HostError> {
        self.named(process, &Digest::of(id.as_bytes()))
    }

    /// The slot where this, by id or by content, was evaluated first.
    pub(crate) fn first(&self, process: &str, entry: &Entry) -> Result<Option<Slot>, HostError> {
        if !entry.id.is_empty()
            && let Some(slot) = self.find(process, &entry.id)?
        {
            return Ok(Some(slot));
        }
        match &entry.deep_hash {
            Some(hash) => self.named(process, &content_name(hash)),
            None => Ok(None),
        }
    }

    /// A schedule that goes from `last` to `next` passes over nothing that is recorded. Messages are numbered; a tick
    /// that is gone would only show as a message that comes too early.
    pub(crate) fn none_skipped(
        &self,
        process: &str,
        last: Option<Slot>,
        next: Slot,
    ) -> Result<(), CuError> {
        let tick = last.map(|last| Slot { tick: last.tick.saturating_add(1), ..last });
        let Some(slot) = tick.filter(|tick| *tick < next) else { return Ok(()) };
        if self.store.get(Table::Receipts, &slot_key(process, slot))?.is_none() {
            return Ok(());
        }
        let why = format!("tick {} was recorded, and is not scheduled now", slot.tick);
        Err(CuError::Diverged { process: process.to_owned(), slot, why })
    }

    fn named(&self, process: &str, name: &Digest) -> Result<Option<Slot>, HostError> {
        let found = self.store.get(Table::Names, &name_key(process, name))?;
        found.map(|bytes| read_slot(&mut Decoder::new(&bytes, "name"))).transpose()
    }

    /// The last result of a process.
    pub(crate) fn head(&self, process: &str) -> Result<Option<StoredResult>, HostError> {
        let last = self.scan(process, (None, None), true, 1)?;
        Ok(last.into_iter().next())
    }

    /// A page of results.
    pub(crate) fn list(&self, process: &str, query: &ResultsQuery) -> Result<Results, CuError> {
        let after = query.after.map(|mark| self.slot_at(process, mark)).transpose()?.flatten();
        let through = match query.through {
            None => None,
            Some(mark) => match self.slot_at(process, mark)? {
                Some(slot) => Some(slot),
                None => return Ok(Results::default()),
            },
        };
        let mut bounds = (after, through);
        let mut found = Results::default();
        loop {
            let page = self.scan(process, bounds, query.newest_first, PAGE)?;
            let is_last = page.len() < PAGE;
            let last = page.last().map(|stored| stored.receipt.slot);
            for stored in page {
                let is_tick = stored.receipt.slot.tick > 0;
                if (query.only_ticks && !is_tick) || (query.without_errors && stored.is_error) {
                    continue;
                }
                if found.results.len() >= query.limit {
                    found.has_more = true;
                    return Ok(found);
                }
                found.results.push(stored);
            }
            match last.filter(|_| !is_last) {
                None => return Ok(found),
                Some(last) if query.newest_first => match before(last) {
                    Some(slot) => bounds.1 = Some(slot),
                    None => return Ok(found),
                },
                Some(last) => bounds.0 = Some(last),
            }
        }
    }

    /// The last recorded slot up to a mark; `None` if it lies before the first.
    fn slot_at(&self, process: &str, mark: Mark) -> Result<Option<Slot>, HostError> {
        let time = match mark {
            Mark::Slot(slot) => return Ok(Some(slot)),
            Mark::Time(time) => time,
        };
        // Time runs forward within a process, so the place is found by halving.
        let Some(head) = self.head(process)? else { return Ok(None) };
        let (mut low, mut high) = (0, head.receipt.slot.nonce);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let slot = Slot { nonce: middle, ..Slot::default() };
            let is_before =
                self.get(process, slot)?.is_some_and(|stored| stored.at.timestamp_ms <= time);
            if is_before { low = middle } else { high = middle - 1 }
        }
        let end = Slot { epoch: 0, nonce: low, tick: u32::MAX };
        let start = Slot { epoch: 0, nonce: low, tick: 0 };
        let mut best = None;
        for stored in self.scan(process, (before(start), Some(end)), false, usize::MAX)? {
            if stored.at.timestamp_ms <= time {
                best = Some(stored.receipt.slot);
            }
        }
        Ok(best)
    }

    /// Results after the first slot and up to the second.
    fn scan(
        &self,
        process: &str,
        (after, through): (Option<Slot>, Option<Slot>),
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<StoredResult>, HostError> {
        let mut scan = Scan::prefix(Table::Receipts, &process_key(process));
        if let Some(after) = after {
            scan.from = Bound::Excluded(slot_key(process, after));
        }
        if let Some(through) = through {
            scan.to = Bound::Included(slot_key(process, through));
        }
        if after.zip(through).is_some_and(|(after, through)| after >= through) {
            return Ok(Vec::new());
        }
        (scan.backwards, scan.limit) = (backwards, limit);
        let pairs = self.store.scan(&scan)?;
        pairs.iter().map(|(_, bytes)| StoredResult::decode(bytes)).collect()
    }

    /// Why a process is not evaluated any more, if it is not.
    pub(crate) fn quarantine(&self, process: &str) -> Result<Option<Quarantine>, HostError> {
        let found = self.store.get(Table::Processes, &process_key(process))?;
        Ok(found.map(|bytes| read_process(&bytes)).transpose()?.and_then(|(_, why)| why))
    }

    /// Puts a process into quarantine, or takes it out.
    pub(crate) fn set_quarantine(
        &self,
        process: &str,
        why: Option<&Quarantine>,
    ) -> Result<(), HostError> {
        self.store.write(vec![self.process_row(process, why)])?;
        self.store.persist()
    }

    fn process_row(&self, process: &str, why: Option<&Quarantine>) -> Change {
        let row = Encoder::default()
            .text(process)
            .option(why, |to, why| encode_slot(to, why.slot).text(&why.why))
            .end();
        Change::Put(Table::Processes, process_key(process).to_vec(), row)
    }
}

/// How many results are read in one go.
const PAGE: usize = 256;

fn read_process(bytes: &[u8]) -> Result<(String, Option<Quarantine>), HostError> {
    let mut from = Decoder::new(bytes, "process");
    let id = from.text()?.to_owned();
    let why = from
        .option(|from| Ok(Quarantine { slot: read_slot(from)?, why: from.text()?.to_owned() }))?;
    from.end()?;
    Ok((id, why))
}

/// The slot before which no other fits.
pub(crate) fn before(slot: Slot) -> Option<Slot> {
    if slot.tick > 0 {
        return Some(Slot { tick: slot.tick - 1, ..slot });
    }
    let last = |epoch, nonce| Slot { epoch, nonce, tick: u32::MAX };
    match (slot.epoch, slot.nonce) {
        (0, 0) => None,
        (epoch, 0) => Some(last(epoch - 1, u64::MAX)),
        (epoch, nonce) => Some(last(epoch, nonce - 1)),
    }
}

/// Keys of slots are in the order of the slots.
pub(crate) fn slot_key(process: &str, slot: Slot) -> Vec<u8> {
    key_of(&process_key(process), slot)
}

/// The same, with the process's part of the key.
pub(crate) fn key_of(process: &[u8], slot: Slot) -> Vec<u8> {
    let mut key = process.to_vec();
    key.extend_from_slice(&slot.epoch.to_be_bytes());
    key.extend_from_slice(&slot.nonce.to_be_bytes());
    key.extend_from_slice(&slot.tick.to_be_bytes());
    key
}

fn name_key(process: &str, name: &Digest) -> Vec<u8> {
    [process_key(process), name.0].concat()
}

fn content_name(hash: &Digest) -> Digest {
    Digest::of_parts("drivebay content name", &[&hash.0])
}
