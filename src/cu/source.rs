//! What the core needs from outside: processes, modules and schedules.

use super::{CuError, Foreign};
use crate::{
    disk::{Digest, Host, Message, Mode, Module, Process, Slot},
    wire::{Fields, ModuleInfo},
};
use std::sync::Arc;

/// Where processes, modules and schedules come from.
///
/// Every function may block, for as long as a network takes: the core calls them on threads of their own,
/// never on one that evaluates. None is called twice at a time for the same process and purpose.
pub trait Source: Send + Sync {
    /// The process of that id.
    fn process(&self, id: &str) -> Result<ProcessDefinition, CuError>;

    /// The module of that id, whole.
    fn module(&self, id: &str) -> Result<PublishedModule, CuError>;

    /// Up to which slot a process has to be evaluated to answer for `at`. [`At::Slot`] and [`At::Head`] are
    /// never asked for.
    fn resolve(&self, process: &ProcessDefinition, at: &At) -> Result<Until, CuError>;

    /// What comes after a position (`None`: from the start), in order and without gaps, ticks between the
    /// messages, up to and including `until`, and at most `limit` entries.
    ///
    /// What was given once is given again: a replay that is given anything else is caught.
    fn entries(
        &self,
        process: &ProcessDefinition,
        after: Option<&Position>,
        until: Until,
        limit: usize,
    ) -> Result<Batch, CuError>;

    /// A state of a process that nobody has evaluated here yet, if somebody who is trusted published one.
    fn checkpoint(&self, _process: &ProcessDefinition) -> Result<Option<Foreign>, CuError> {
        Ok(None)
    }

    /// What a drive may ask while it evaluates `entry`.
    fn host(&self, process: &Arc<ProcessDefinition>, entry: &Entry) -> Arc<dyn Host>;

    /// What a drive may ask while it evaluates a dry-run on the state after `at`.
    fn dry_host(
        &self,
        process: &Arc<ProcessDefinition>,
        at: &Position,
        message: &DryMessage,
    ) -> Arc<dyn Host>;
}

/// A process, as its spawn message and its own assignment say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessDefinition {
    /// Id, owner, module and tags.
    pub process: Arc<Process>,
    /// When it was spawned, in Unix milliseconds.
    pub timestamp_ms: u64,
    /// Block height when it was spawned.
    pub block_height: u64,
}

/// A module as it was published.
#[derive(Clone, Debug)]
pub struct PublishedModule {
    /// Id, owner and tags: what the environment of a process says of it.
    pub info: ModuleInfo,
    /// Format, tags and bytes.
    pub module: Module,
}

/// A moment in a process's life, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// After this slot.
    Slot(Slot),
    /// After the message, or the assignment, of this id.
    Message(String),
    /// After everything that is scheduled by now.
    Latest,
    /// After what has been evaluated here. Never waits for an evaluation that is under way.
    Head,
}

/// How far to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// To this slot, and the ticks before it.
    Slot(Slot),
    /// To whatever is scheduled by now, ticks included.
    Now,
}

/// Entries of a schedule, in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The entries.
    pub entries: Vec<Entry>,
    /// There are no more up to where was asked.
    pub is_last: bool,
}

/// Where a process stands: its last evaluation's place in its schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The slot.
    pub slot: Slot,
    /// Unix time in milliseconds.
    pub timestamp_ms: u64,
    /// Arweave block height.
    pub block_height: u64,
    /// Hash chain of the last scheduled message.
    pub hash_chain: Arc<str>,
}

/// One evaluation that a schedule asks for: a message, or a tick between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub at: Position,
    /// Id of its message; empty for a tick.
    pub id: String,
    /// Id of its assignment, under which its result can be asked for too; empty if it has none.
    pub assignment: String,
    /// Digest of its content, where a second message of the same content is not evaluated again.
    pub deep_hash: Option<Digest>,
    /// Which cron it is a tick of, as `<index>-<interval>`.
    pub cron: Option<Arc<str>>,
    /// The scheduler says that it is passed over: it has a place and no effect.
    pub is_skipped: bool,
    /// The message, typed.
    pub message: Arc<Message>,
    /// The message as a module sees it.
    pub json: Arc<str>,
}

impl Entry {
    /// The entry at `slot` that `fields` make; time, height, hash chain and id are read from them.
    pub fn new(slot: Slot, fields: &Fields) -> Self {
        let message = fields.message();
        Self {
            at: Position {
                slot,
                timestamp_ms: fields.number("Timestamp").unwrap_or_default(),
                block_height: fields.number("Block-Height").unwrap_or_default(),
                hash_chain: fields.text("Hash-Chain").unwrap_or_default().into(),
            },
            id: message.id.clone(),
            assignment: String::new(),
            deep_hash: None,
            cron: None,
            is_skipped: false,
            message: Arc::new(message),
            json: fields.json().text(),
        }
    }

    /// Bytes that it keeps, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let data = self.message.data.as_ref().map_or(0, |data| data.len());
        512 + self.json.len() + data
    }

    pub(crate) fn mode(&self) -> Mode {
        if self.at.slot.tick == 0 { Mode::Scheduled } else { Mode::Cron }
    }
}

/// A message to be evaluated on a state that it leaves as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryMessage {
    /// Unix time in milliseconds.
    pub timestamp_ms: u64,
    /// Arweave block height.
    pub block_height: u64,
    /// The message, typed.
    pub message: Arc<Message>,
    /// The message as a module sees it.
    pub json: Arc<str>,
}

impl DryMessage {
    /// The message that `fields` make.
    pub fn new(fields: &Fields) -> Self {
        Self {
            timestamp_ms: fields.number("Timestamp").unwrap_or_default(),
            block_height: fields.number("Block-Height").unwrap_or_default(),
            message: Arc::new(fields.message()),
            json: fields.json().text(),
        }
    }
}
