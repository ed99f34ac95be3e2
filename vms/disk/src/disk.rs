//! The seam: four traits, and what passes between them.

use crate::{
    Call, Digest, DiskId, Fault, Format, Fuel, HostError, Image, ImageLimits, Limits, Module,
    MountError, ReadError, ReaderId, Refusal, RefusalCode, Reply,
};
use bytes::Bytes;
use std::{fmt, io::Read, ops::Range, sync::Arc};

/// Reads modules of some formats. One per virtual machine, made at start-up, shared by all threads.
pub trait DiskReader: Send + Sync {
    /// Name and version, for the operator; never hashed.
    fn id(&self) -> ReaderId;

    /// The `Module-Format` tags accepted, by exact match, each one rule set for ever.
    fn formats(&self) -> &[Format];

    /// Validates, instruments and compiles. Runs no guest code. The same module (bytes, format, tags) is
    /// always accepted or always refused: only [`ReadError::Host`] may depend on the machine.
    ///
    /// `artifacts` keeps compiled code between runs of the program. A reader may ignore it.
    fn read(
        &self,
        module: &Module,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Arc<dyn Disk>, ReadError>;

    /// The limits that the format makes of a process's tags, else the module's, else its default. What
    /// the tags say is a rule; a host that cannot honour it refuses the process.
    fn limits(&self, module: &Module, process: &crate::Process) -> Limits;
}

/// Bytes by key, on this machine only. Not to be trusted: a reader seals what it puts.
pub trait ArtifactStore: Send + Sync {
    /// What was put under `key`, if it is still there.
    fn get(&self, key: &Digest) -> Option<Bytes>;
    /// Keeps `sealed` under `key`, if it can.
    fn put(&self, key: &Digest, sealed: &[u8]);
    /// A secret of this store, under which a reader seals what it puts.
    fn seal_key(&self) -> [u8; 32];
}

/// An artifact store that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoArtifacts;

impl ArtifactStore for NoArtifacts {
    fn get(&self, _key: &Digest) -> Option<Bytes> {
        None
    }
    fn put(&self, _key: &Digest, _sealed: &[u8]) {}
    fn seal_key(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// A compiled module. Immutable: compile once, mount many.
pub trait Disk: Send + Sync {
    /// Digest of module, format and rules: the key for any cache of this disk.
    fn id(&self) -> DiskId;

    /// The rules it runs under.
    fn format(&self) -> &Format;

    /// The state before the first call. Computed without running guest code.
    fn blank(&self) -> &Image;

    /// A drive standing in exactly the state of `image`.
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError>;

    /// A state from a foreign checkpoint (the reference's memory bytes), for formats that have one.
    fn adopt(&self, _checkpoint: &mut dyn Read, _max: &ImageLimits) -> Result<Image, MountError> {
        Err(MountError::Refused(Refusal::new(
            RefusalCode::Unsupported,
            "this format has no foreign checkpoints; mount an image instead",
        )))
    }

    /// The bytes of a foreign checkpoint of `image`, for formats that have one.
    fn disown(&self, _image: &Image) -> Result<Vec<u8>, MountError> {
        Err(MountError::Refused(Refusal::new(
            RefusalCode::Unsupported,
            "this format has no foreign checkpoints; save an image instead",
        )))
    }
}

/// A disk in use: one process, live. Moves between threads, is never shared.
pub trait Drive: Send {
    /// Evaluates one call. Takes the drive by value: one in an unknown state cannot be used again.
    /// The drive must not keep `host` past the return.
    fn run(
        self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure>;

    /// The state as it stands, shielded from whatever this drive does next. Taken after every call,
    /// so it should be cheap. An error leaves the drive as it was.
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError>;

    /// Bytes of memory held, for the host's budget. Never affects a result.
    fn resident_bytes(&self) -> u64;
}

/// A state at rest. Any thread may make drives or the image from it, while its drive runs on.
pub trait Frozen: Send + Sync {
    /// A new drive in this state. It and the old one never see each other.
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError>;

    /// The whole state, portable and canonical.
    fn image(&self) -> Result<Image, HostError>;

    /// Bytes it keeps alive beyond its drive, for the host's budget.
    fn held_bytes(&self) -> u64;
}

/// What a drive may ask of its host while it runs. Reads only.
pub trait Host: Send + Sync {
    /// Part of a permanent thing on the network: bytes `range` of it, cut at its end.
    ///
    /// `None` says that it is not admitted for this process at this block height. What cannot be had
    /// now is [`HostError::Unavailable`], which no guest ever sees.
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError>;

    /// A line for the operator. Not part of any result.
    fn log(&self, line: &str);
}

/// A permanent thing on the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The data of a transaction or data item.
    Data(String),
    /// A transaction's header, as JSON.
    Transaction(String),
    /// A block by height, as JSON.
    Block(u64),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(id) => write!(f, "data {id}"),
            Self::Transaction(id) => write!(f, "transaction {id}"),
            Self::Block(height) => write!(f, "block {height}"),
        }
    }
}

/// An answer to [`Host::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The bytes of the range.
    pub bytes: Bytes,
    /// Size of the whole thing in bytes.
    pub total: u64,
}

/// How a run ended, short of a host error.
#[must_use]
pub enum Ran {
    /// Evaluated; the drive stands in the state after it. `reply.error` may be set all the same.
    Done {
        /// The drive, in its new state.
        drive: Box<dyn Drive>,
        /// What it answered.
        reply: Reply,
        /// What it cost.
        meter: Meter,
    },
    /// The state did not advance. `drive` stands exactly where it stood before, or is `None` if the
    /// machine cannot go back by itself: the host then mounts the last image and replays.
    Faulted {
        /// The drive, in its old state.
        drive: Option<Box<dyn Drive>>,
        /// Why.
        fault: Fault,
        /// What the guest said all the same.
        reply: Reply,
        /// What it cost.
        meter: Meter,
    },
    /// After [`crate::Mode::DryRun`], always: the state stands where it stood.
    Dry {
        /// The drive, in its old state.
        drive: Option<Box<dyn Drive>>,
        /// Set if the call would have faulted.
        fault: Option<Fault>,
        /// What it answered.
        reply: Reply,
        /// What it cost.
        meter: Meter,
    },
}

impl Ran {
    /// The same end, its drive put into another: for a drive that wraps one.
    pub fn map_drive(self, wrap: impl FnOnce(Box<dyn Drive>) -> Box<dyn Drive>) -> Self {
        match self {
            Self::Done { drive, reply, meter } => Self::Done { drive: wrap(drive), reply, meter },
            Self::Faulted { drive, fault, reply, meter } => {
                Self::Faulted { drive: drive.map(wrap), fault, reply, meter }
            }
            Self::Dry { drive, fault, reply, meter } => {
                Self::Dry { drive: drive.map(wrap), fault, reply, meter }
            }
        }
    }
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// The host's measure, equal on every engine.
    pub fuel: Fuel,
    /// What `GasUsed` reports, where the format defines it.
    pub gas: Option<u64>,
}

/// A host error, and the drive if the machine went back: a retry then costs nothing.
pub struct HostFailure {
    /// What happened.
    pub error: HostError,
    /// The drive, in its old state.
    pub drive: Option<Box<dyn Drive>>,
}

impl From<HostError> for HostFailure {
    fn from(error: HostError) -> Self {
        Self { error, drive: None }
    }
}

impl fmt::Debug for HostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drive = if self.drive.is_some() { "kept" } else { "lost" };
        f.debug_struct("HostFailure").field("error", &self.error).field("drive", &drive).finish()
    }
}

impl fmt::Debug for dyn Disk + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({:?})", self.id())
    }
}

impl fmt::Debug for dyn Drive + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Drive")
    }
}

impl fmt::Debug for dyn Frozen + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frozen")
    }
}
