//! One evaluation's whole input. There is no clock and no dice besides these.

use bytes::Bytes;
use std::sync::Arc;

/// What a drive is given to evaluate.
#[derive(Clone, Debug)]
pub struct Call {
    /// The process: id, owner, tags, as the wire had them.
    pub process: Arc<Process>,
    /// The message.
    pub message: Arc<Message>,
    /// Both as JSON text, made once by the host: for legacy modules its very length is an input.
    pub json: WireJson,
    /// Where in the process's schedule this call stands.
    pub slot: Slot,
    /// Unix time in milliseconds, set by the sequencer, strictly increasing within a process.
    pub timestamp_ms: u64,
    /// Arweave block height when the message was sequenced.
    pub block_height: u64,
    /// The only source of randomness: sha256 of domain, process, slot, tick and hash chain.
    pub seed: [u8; 32],
    /// Scheduled, cron or dry-run.
    pub mode: Mode,
}

/// The place of a call in its process's schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Epoch of the scheduler; 0 so far everywhere.
    pub epoch: u64,
    /// The message's nonce, from 0.
    pub nonce: u64,
    /// 0 for the message itself, n for the n-th cron tick after it.
    pub tick: u32,
}

/// Why a call is evaluated. A dry-run leaves no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A message that a scheduler ordered.
    Scheduled,
    /// A tick between two messages.
    Cron,
    /// A read: evaluated, answered, forgotten.
    DryRun,
}

/// A name and a value, as in ANS-104.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// Tag name.
    pub name: String,
    /// Tag value.
    pub value: String,
}

impl Tag {
    /// A tag from its two texts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// The value of the last tag of that name.
    pub fn last<'a>(tags: &'a [Tag], name: &str) -> Option<&'a str> {
        tags.iter().rev().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }
}

/// A process, as its spawn message says. Ids are text as the wire had them; not all are 32 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub id: String,
    /// Address of its owner.
    pub owner: String,
    /// Transaction id of its module.
    pub module: String,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A message, typed. Absent is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Message id.
    pub id: String,
    /// Who it speaks for: `From-Process` if there is one, else the owner.
    pub from: String,
    /// Address of the signer.
    pub owner: String,
    /// Process it is sent to.
    pub target: String,
    /// ANS-104 anchor.
    pub anchor: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its data, as sent.
    pub data: Option<Bytes>,
}

/// The message and the environment as JSON text, exactly as a legacy module sees them.
///
/// Lone surrogates stay escaped (`\ud800`), so the text is always UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireJson {
    /// First argument of `handle`.
    pub message: Arc<str>,
    /// Second argument of `handle`: `{"Process":…,"Module":…}`.
    pub env: Arc<str>,
}
