//! Evaluates messages.
//!
//! [`Cu`] is a compute unit: it evaluates the schedules of many processes, which it gets from a [`Source`],
//! and keeps what they came to in a [`Store`]. [`Readers`] turns a module into a disk, and a [`Bay`] runs
//! one process on it. A [`Vault`] keeps a single process of the command line.

mod adopt;
mod artifacts;
mod asked;
mod bay;
mod cache;
mod call;
mod checkpoints;
mod codec;
mod core;
pub mod cron;
mod error;
mod evict;
mod fjall_store;
mod floor;
mod host;
mod http;
mod images;
mod journal;
mod lane;
mod ledger;
mod load;
mod lock;
mod network;
mod readers;
mod receipt;
mod scene;
pub mod schedule;
mod shelf;
mod source;
mod store;
pub mod testing;
mod unit;
pub mod upkeep;
mod vault;
mod window;
mod witness;

pub use adopt::Foreign;
pub use artifacts::FolderArtifacts;
pub use asked::AskedMax;
pub use bay::{Bay, Evaluated};
pub use call::call_seed;
pub use error::CuError;
pub use fjall_store::{FjallStore, OpenError};
pub use host::OfflineHost;
pub use http::{Access, Admission, Face, Parties, Publisher, Sidecar, router, sidecar};
pub use journal::Noted;
pub use ledger::{Mark, Results, ResultsQuery};
pub(crate) use lock::lock;
pub use network::{Archive, ArchiveError, Hyperbeam, Network};
pub use readers::{
    Abi, EVM_FORMAT, Engine, Inspection, NamedFunction, Readers, ReadersError, abi_lines, bare,
    evm, lab, statetest,
};
pub use receipt::{Receipt, StoredResult, Verdict};
pub use scene::Scene;
pub use source::{
    At, Batch, DryMessage, Entry, Position, ProcessDefinition, PublishedModule, Source, Until,
};
pub use store::{Change, MemoryStore, Pair, Scan, Store, Table};
pub use unit::{Case, Cu, CuOptions, CuStatus, Progress};
pub use vault::{Head, Stored, StoredImage, Vault, VaultError, is_process_name};
pub(crate) use window::Window;
pub use window::{Checkpoint, DryRun};
