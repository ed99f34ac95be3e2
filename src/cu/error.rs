//! Why an evaluation has no verdict.

use crate::disk::{HostError, MountError, ReadError, Refusal};

/// Nothing was recorded: the message still waits for its verdict.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CuError {
    /// The sender's or the author's mistake.
    #[error("{0}")]
    Refused(Refusal),
    /// Ours.
    #[error(transparent)]
    Host(#[from] HostError),
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
