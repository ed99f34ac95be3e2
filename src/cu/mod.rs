//! Evaluates messages. [`Readers`] turns a module into a disk, [`Bay`] runs one process on it, and
//! [`Vault`] keeps the process between two runs of the program.

mod artifacts;
mod bay;
mod error;
mod host;
mod readers;
mod vault;

pub use artifacts::FolderArtifacts;
pub use bay::{Bay, Evaluated};
pub use error::CuError;
pub use host::OfflineHost;
pub use readers::{Engine, Inspection, Readers, ReadersError};
pub use vault::{Head, Stored, StoredImage, Vault, VaultError, is_process_name};
