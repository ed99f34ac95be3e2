//! Why an evaluation has no verdict.

use crate::disk::{HostError, MountError, ReadError, Refusal, Slot};

/// Nothing was recorded: the message still waits for its verdict.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CuError {
    /// The sender's or the author's mistake.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no such thing: 404.
    #[error("{0}")]
    Unknown(String),
    /// Ours.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A unit or a gateway that this one needs does not answer: another try may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// There is too much to do: another try may succeed.
    #[error("too busy: {0}; try again in a second")]
    Busy(&'static str),
    /// A replay did not give what had been recorded. The process is in quarantine, and what was recorded
    /// before this slot is still answered.
    #[error(
        "process {process} is in quarantine: slot {} did not replay as it was recorded ({why})",
        .slot.nonce
    )]
    Diverged {
        /// The process.
        process: String,
        /// The first slot that differs.
        slot: Slot,
        /// What differs.
        why: String,
    },
    /// The unit is shutting down.
    #[error("this unit is shutting down")]
    Stopped,
}

impl From<ReadError> for CuError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused(refusal) => Self::Refused(refusal),
            ReadError::Host(error) => Self::Host(error),
        }
    }
}

impl From<MountError> for CuError {
    fn from(error: MountError) -> Self {
        match error {
            MountError::Refused(refusal) => Self::Refused(refusal),
            MountError::Host(error) => Self::Host(error),
        }
    }
}
