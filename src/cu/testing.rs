//! Doubles for tests: a source that is a script, and a store that fails.

use super::{
    At, Batch, Change, CuError, DryMessage, Entry, Pair, Position, ProcessDefinition,
    PublishedModule, Scan, Source, Store, Table, Until, lock,
};
use crate::{
    disk::{Host, HostError, Message, Module, Process, Slot, Tag, testing::NoHost},
    wire::ModuleInfo,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Module, processes and schedules, all known beforehand. Clones are the same script.
#[derive(Clone, Default)]
pub struct Script(Arc<Inner>);

#[derive(Default)]
struct Inner {
    modules: Mutex<BTreeMap<String, Module>>,
    schedules: Mutex<BTreeMap<String, Schedule>>,
    host: Mutex<Option<Arc<dyn Host>>>,
    asked: AtomicU64,
}

type Schedule = (Arc<ProcessDefinition>, Vec<Entry>);

impl Script {
    /// A script without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes a module.
    pub fn module(&self, id: &str, module: Module) {
        lock(&self.0.modules).insert(id.to_owned(), module);
    }

    /// Spawns a process of a module. Nothing is scheduled for it yet.
    pub fn process(&self, id: &str, module: &str) {
        let tags = vec![Tag::new("Type", "Process"), Tag::new("Module", module)];
        let process = Process {
            id: id.to_owned(),
            owner: "owner".to_owned(),
            module: module.to_owned(),
            tags,
        };
        let definition = ProcessDefinition { process: Arc::new(process), ..Default::default() };
        lock(&self.0.schedules).insert(id.to_owned(), (Arc::new(definition), Vec::new()));
    }

    /// Schedules a message that says `data`, and gives its slot. Time, height and chain follow from it.
    pub fn message(&self, process: &str, id: &str, data: &str) -> Slot {
        self.push(process, id, data, false)
    }

    /// Schedules a tick after the last entry, and gives its slot.
    pub fn tick(&self, process: &str, data: &str) -> Slot {
        self.push(process, "", data, true)
    }

    /// Changes what is scheduled: a scheduler that does not stand by its word.
    pub fn change(&self, process: &str, change: impl FnOnce(&mut Vec<Entry>)) {
        if let Some((_, entries)) = lock(&self.0.schedules).get_mut(process) {
            change(entries);
        }
    }

    /// What guests may read; at first nothing is available.
    pub fn host(&self, host: Arc<dyn Host>) {
        *lock(&self.0.host) = Some(host);
    }

    /// How often entries were asked for.
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn push(&self, process: &str, id: &str, data: &str, is_tick: bool) -> Slot {
        let mut schedules = lock(&self.0.schedules);
        let Some((definition, entries)) = schedules.get_mut(process) else {
            return Slot::default();
        };
        let slot = match entries.last().map(|entry| entry.at.slot) {
            None => Slot::default(),
            Some(last) if is_tick => Slot { tick: last.tick + 1, ..last },
            Some(last) => Slot { nonce: last.nonce + 1, tick: 0, ..last },
        };
        let message = dry(data, &definition.process).message;
        let message = Arc::new(Message { id: id.to_owned(), ..(*message).clone() });
        entries.push(Entry {
            at: Position {
                slot,
                timestamp_ms: 1_000_000 + slot.nonce * 1000 + u64::from(slot.tick),
                block_height: 100,
                hash_chain: format!("chain {}", slot.nonce).into(),
            },
            id: id.to_owned(),
            assignment: String::new(),
            deep_hash: None,
            is_skipped: false,
            cron: is_tick.then(|| "0-1-second".into()),
            json: format!("{{\"Data\":{data:?}}}").into(),
            message,
        });
        slot
    }

    fn any_host(&self) -> Arc<dyn Host> {
        match &*lock(&self.0.host) {
            Some(host) => Arc::clone(host),
            None => Arc::new(NoHost),
        }
    }
}

/// A message that says `data`.
pub fn dry(data: &str, process: &Process) -> DryMessage {
    let message = Message {
        id: "dry".to_owned(),
        from: process.owner.clone(),
        owner: process.owner.clone(),
        target: process.id.clone(),
        data: Some(data.to_owned().into()),
        ..Message::default()
    };
    DryMessage {
        timestamp_ms: 0,
        block_height: 0,
        message: Arc::new(message),
        json: format!("{{\"Data\":{data:?}}}").into(),
    }
}

impl Source for Script {
    fn process(&self, id: &str) -> Result<ProcessDefinition, CuError> {
        let found = lock(&self.0.schedules).get(id).map(|(definition, _)| (**definition).clone());
        found.ok_or_else(|| CuError::Unknown(format!("there is no process {id}")))
    }

    fn module(&self, id: &str) -> Result<PublishedModule, CuError> {
        let module = lock(&self.0.modules).get(id).cloned();
        let module = module.ok_or_else(|| CuError::Unknown(format!("there is no module {id}")))?;
        let (id, owner) = (id.to_owned(), "publisher".to_owned());
        Ok(PublishedModule { info: ModuleInfo { id, owner, tags: module.tags.clone() }, module })
    }

    fn resolve(&self, process: &ProcessDefinition, at: &At) -> Result<Until, CuError> {
        let At::Message(id) = at else { return Ok(Until::Now) };
        let schedules = lock(&self.0.schedules);
        let entries = schedules.get(&process.process.id).map(|(_, entries)| entries);
        let found = entries.and_then(|entries| entries.iter().find(|entry| entry.id == *id));
        let found = found.map(|entry| Until::Slot(entry.at.slot));
        found.ok_or_else(|| CuError::Unknown(format!("there is no message {id}")))
    }

    fn entries(
        &self,
        process: &ProcessDefinition,
        after: Option<&Position>,
        until: Until,
        limit: usize,
    ) -> Result<Batch, CuError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let schedules = lock(&self.0.schedules);
        let entries =
            schedules.get(&process.process.id).map_or(&[][..], |(_, entries)| entries.as_slice());
        let mut rest = entries
            .iter()
            .filter(|entry| after.is_none_or(|after| entry.at.slot > after.slot))
            .filter(|entry| Until::Slot(entry.at.slot) <= until);
        let entries: Vec<Entry> = rest.by_ref().take(limit).cloned().collect();
        Ok(Batch { entries, is_last: rest.next().is_none() })
    }

    fn host(&self, _process: &Arc<ProcessDefinition>, _entry: &Entry) -> Arc<dyn Host> {
        self.any_host()
    }

    fn dry_host(
        &self,
        _process: &Arc<ProcessDefinition>,
        _at: &Position,
        _message: &DryMessage,
    ) -> Arc<dyn Host> {
        self.any_host()
    }
}

/// A store that fails now and then, by a seed: a full disk, or one that says so too late.
pub struct FailingStore {
    store: Arc<dyn Store>,
    seed: AtomicU64,
    /// One in so many operations fails; none if it is 0.
    one_in: AtomicU64,
    failures: AtomicU64,
}

impl FailingStore {
    /// `store`, where one in `one_in` operations fails; none if it is 0.
    pub fn new(store: Arc<dyn Store>, seed: u64, one_in: u64) -> Self {
        let (seed, one_in) = (AtomicU64::new(seed), AtomicU64::new(one_in));
        Self { store, seed, one_in, failures: AtomicU64::new(0) }
    }

    /// From now on, one in `one_in` operations fails; none if it is 0.
    pub fn set_one_in(&self, one_in: u64) {
        self.one_in.store(one_in, Ordering::SeqCst);
    }

    /// How many operations have failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    fn chance(&self) -> Result<(), HostError> {
        let one_in = self.one_in.load(Ordering::SeqCst);
        let before = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let mixed = (before ^ (before >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        if one_in == 0 || !(mixed >> 33).is_multiple_of(one_in) {
            return Ok(());
        }
        self.failures.fetch_add(1, Ordering::SeqCst);
        Err(HostError::Exhausted { what: "disk" })
    }
}

impl Store for FailingStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        self.chance()?;
        self.store.get(table, key)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Pair>, HostError> {
        self.chance()?;
        self.store.scan(scan)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), HostError> {
        self.chance()?;
        self.store.write(changes)
    }

    fn persist(&self) -> Result<(), HostError> {
        self.chance()?;
        self.store.persist()
    }
}
