//! Schedules, processes and modules from the network: a scheduler for the order, a gateway for the rest.
//!
//! Functions here are called on threads that may block, and block on the runtime that does the asking.

mod archive;
mod blocks;
mod checkpoint;
mod entries;
mod gateway;
mod host;
mod hyperbeam;

pub use archive::{Archive, ArchiveError};
pub use hyperbeam::Hyperbeam;

use super::{
    At, Batch, CuError, DryMessage, Entry, Foreign, Position, ProcessDefinition, PublishedModule,
    Source, Until,
    cron::{Crons, Point},
    schedule::Link,
};
use crate::{
    disk::{FormatName, Host, Module, Process, Refusal, RefusalCode, Slot, Tag},
    net::{SuClient, SuError, Transport},
    wire::{
        ModuleInfo,
        schedule::{Spawned, first},
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::runtime::Handle;

/// The most processes whose scheduler and last link are kept at hand.
const KEPT_MAX: usize = 10_000;

/// A [`Source`] over HTTP.
pub struct Network {
    runtime: Handle,
    transport: Arc<dyn Transport>,
    archive: Arc<dyn Archive>,
    /// The scheduler of all processes, if an operator named one.
    su: Option<SuClient>,
    /// By process.
    schedulers: Mutex<HashMap<String, SuClient>>,
    /// The last message that was handed on, by process. What is not here is asked for again.
    links: Mutex<HashMap<String, Link>>,
    /// Tags by module, which say what its processes may read.
    modules: Mutex<HashMap<String, Vec<Tag>>>,
    /// Addresses whose checkpoints are believed.
    trusted: Vec<String>,
    /// After a scheduler's first failure, if not its own.
    pause: Option<Duration>,
}

impl Network {
    /// A source that asks `archive`, and `su` for all schedules if it is given.
    pub fn new(
        runtime: Handle,
        transport: Arc<dyn Transport>,
        archive: Arc<dyn Archive>,
        su: Option<&str>,
    ) -> Result<Self, SuError> {
        let su = su.map(|base| SuClient::new(base, Arc::clone(&transport))).transpose()?;
        let (schedulers, links, modules, trusted, pause) = Default::default();
        Ok(Self { runtime, transport, archive, su, schedulers, links, modules, trusted, pause })
    }

    /// The same, believing the checkpoints that these addresses signed.
    #[must_use]
    pub fn trusting(mut self, owners: Vec<String>) -> Self {
        self.trusted = owners;
        self
    }

    /// The same, with another pause after a scheduler's first failure.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.su = self.su.map(|su| su.with_pause(pause));
        self.pause = Some(pause);
        self
    }

    /// A published state, where there is no scheduler to ask for its place.
    fn checkpoint_without_schedule(
        &self,
        process: &ProcessDefinition,
    ) -> Result<Option<Foreign>, CuError> {
        self.runtime.block_on(self.trusted_state(process))
    }

    /// What a drive may ask at this block height.
    fn host_at(&self, process: &ProcessDefinition, block_height: u64) -> Arc<dyn Host> {
        let (runtime, archive) = (self.runtime.clone(), Arc::clone(&self.archive));
        let tags = lock(&self.modules).get(&process.process.module).cloned().unwrap_or_default();
        Arc::new(host::ArchiveHost::new(runtime, archive, (process, tags), block_height))
    }

    /// The scheduler of a process: the one that the operator named, else the one that the process names.
    async fn scheduler(&self, process: &str) -> Result<SuClient, CuError> {
        if let Some(su) = &self.su {
            return Ok(su.clone());
        }
        if let Some(known) = lock(&self.schedulers).get(process) {
            return Ok(known.clone());
        }
        let item = self.archive.item(process).await?;
        let item = item.ok_or_else(|| unknown_process(process))?;
        let owner = first(&item.tags, "Scheduler").ok_or_else(|| {
            refused(format!(
                "process {process} has no Scheduler tag, so nobody orders its messages"
            ))
        })?;
        let url = self.archive.scheduler_url(owner).await?.ok_or_else(|| {
            CuError::Unreachable(format!(
                "the scheduler {owner} of process {process} has published no Scheduler-Location"
            ))
        })?;
        let su = SuClient::new(&url, Arc::clone(&self.transport)).map_err(of_su)?;
        let su = match self.pause {
            Some(pause) => su.with_pause(pause),
            None => su,
        };
        keep(&self.schedulers, process, su.clone());
        Ok(su)
    }

    async fn definition(&self, id: &str) -> Result<ProcessDefinition, CuError> {
        let su = self.scheduler(id).await?;
        let spawned =
            su.process(id).await.map_err(|error| missing(error, || unknown_process(id)))?;
        defined(spawned)
    }

    async fn published(&self, id: &str) -> Result<PublishedModule, CuError> {
        let item = self.archive.item(id).await?;
        let item = item
            .ok_or_else(|| CuError::Unknown(format!("module {id} is not known to the gateway")))?;
        let format = first(&item.tags, "Module-Format").ok_or_else(|| {
            refused(format!("module {id} has no Module-Format tag, so nobody knows how to read it"))
        })?;
        let format = FormatName::from(format);
        let bytes = self.archive.data(id, None).await?;
        let bytes = bytes.ok_or_else(|| {
            CuError::Unreachable(format!(
                "the gateway knows module {id}, but has not its bytes yet"
            ))
        })?;
        keep(&self.modules, id, item.tags.clone());
        let info = ModuleInfo { id: id.to_owned(), owner: item.owner, tags: item.tags.clone() };
        Ok(PublishedModule { info, module: Module::new(bytes, format, item.tags) })
    }

    async fn place(&self, process: &ProcessDefinition, message: &str) -> Result<Slot, CuError> {
        let id = &process.process.id;
        if message == id {
            return Ok(Slot::default());
        }
        let su = self.scheduler(id).await?;
        let unknown = || {
            CuError::Unknown(format!(
                "message {message} is not known to the scheduler of process {id}"
            ))
        };
        let pair = su.pair(message, id).await.map_err(|error| missing(error, unknown))?;
        if pair.assignment.process != *id {
            return Err(unknown());
        }
        Ok(Slot { epoch: pair.assignment.epoch, nonce: pair.assignment.nonce, tick: 0 })
    }
}

impl Source for Network {
    fn process(&self, id: &str) -> Result<ProcessDefinition, CuError> {
        self.runtime.block_on(self.definition(id))
    }

    fn module(&self, id: &str) -> Result<PublishedModule, CuError> {
        self.runtime.block_on(self.published(id))
    }

    fn resolve(&self, process: &ProcessDefinition, at: &At) -> Result<Until, CuError> {
        match at {
            At::Message(id) => self.runtime.block_on(self.place(process, id)).map(Until::Slot),
            At::Slot(slot) => Ok(Until::Slot(*slot)),
            At::Latest | At::Head => Ok(Until::Now),
        }
    }

    fn entries(
        &self,
        process: &ProcessDefinition,
        after: Option<&Position>,
        until: Until,
        limit: usize,
    ) -> Result<Batch, CuError> {
        let crons = Crons::parse(&process.process.tags).map_err(CuError::Refused)?;
        self.runtime.block_on(entries::Reading::new(self, process, crons, limit).read(after, until))
    }

    fn checkpoint(&self, process: &ProcessDefinition) -> Result<Option<Foreign>, CuError> {
        self.runtime.block_on(self.published_state(process))
    }

    fn host(&self, process: &Arc<ProcessDefinition>, entry: &Entry) -> Arc<dyn Host> {
        self.host_at(process, entry.at.block_height)
    }

    fn dry_host(
        &self,
        process: &Arc<ProcessDefinition>,
        at: &Position,
        _message: &DryMessage,
    ) -> Arc<dyn Host> {
        self.host_at(process, at.block_height)
    }
}

/// A process, out of what its scheduler says of it.
fn defined(spawned: Spawned) -> Result<ProcessDefinition, CuError> {
    let Spawned { item, timestamp_ms, block_height } = spawned;
    let wants = |name: &str, value: Option<&str>| match first(&item.tags, name) {
        Some(found) if value.is_none_or(|value| found == value) => Ok(found.to_owned()),
        found => Err(refused(format!(
            "process {} is none of ao: its tag {name} is {found:?}, but should be {}",
            item.id,
            value.unwrap_or("the id of its module")
        ))),
    };
    wants("Data-Protocol", Some("ao"))?;
    wants("Type", Some("Process"))?;
    let module = wants("Module", None)?;
    let process =
        Process { id: item.id.clone(), owner: item.owner.clone(), module, tags: item.tags };
    Ok(ProcessDefinition { process: Arc::new(process), timestamp_ms, block_height })
}

/// The slot that a decimal number names.
fn number_of_slot(text: &str) -> Option<Slot> {
    text.parse().ok().map(|nonce| Slot { nonce, ..Slot::default() })
}

/// Where a process was made.
fn origin(process: &ProcessDefinition) -> Point {
    Point { timestamp_ms: process.timestamp_ms, block_height: process.block_height }
}

fn unknown_process(id: &str) -> CuError {
    CuError::Unknown(format!("process {id} is not known to its scheduler"))
}

fn refused(text: String) -> CuError {
    CuError::Refused(Refusal::new(RefusalCode::NotAllowed, text))
}

/// A scheduler that says no, says that it does not know.
fn missing(error: SuError, unknown: impl Fn() -> CuError) -> CuError {
    match error {
        SuError::Refused { status: 400 | 404, .. } => unknown(),
        error => of_su(error),
    }
}

fn of_su(error: SuError) -> CuError {
    CuError::Unreachable(error.to_string())
}

impl From<ArchiveError> for CuError {
    fn from(error: ArchiveError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a value by process; a full cache starts anew.
fn keep<T>(cache: &Mutex<HashMap<String, T>>, process: &str, value: T) {
    let mut cache = lock(cache);
    if cache.len() >= KEPT_MAX && !cache.contains_key(process) {
        cache.clear();
    }
    cache.insert(process.to_owned(), value);
}

#[cfg(test)]
mod tests;
