//! What is read of an image, and why one is not.

use super::PageError;
use crate::{HostError, MountError, Refusal, RefusalCode};

/// How much an image that comes from outside may say. What is allocated follows what was read, never
/// what was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Bytes of memory that all its page sections span together, zeros included.
    pub memory_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of one value of a table.
    pub value_bytes: u32,
    /// Number of sections.
    pub sections: u16,
}

const GIB: u64 = 1 << 30;

impl Default for ImageLimits {
    /// 20 GiB of memory, 24 GiB of file, 64 MiB a value, 256 sections.
    fn default() -> Self {
        Self { memory_bytes: 20 * GIB, file_bytes: 24 * GIB, value_bytes: 64 << 20, sections: 256 }
    }
}

/// Why an image was not read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are not an image, or not the one way to write it, or too many.
    #[error("image refused: {0}")]
    Refused(Refusal),
    /// Here and now.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl From<Refusal> for ImageError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ImageError> for MountError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Refused(refusal) => Self::Refused(refusal),
            ImageError::Host(error) => Self::Host(error),
        }
    }
}

impl From<PageError> for MountError {
    /// A mounted section of an unexpected length is an image of another layout.
    fn from(error: PageError) -> Self {
        match error {
            PageError::OutOfRange { .. } => {
                Self::Refused(Refusal::new(RefusalCode::WrongImage, error.to_string()))
            }
            PageError::Host(error) => Self::Host(error),
        }
    }
}
