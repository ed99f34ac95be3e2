//! What can be wrong with the files around a case.

use drivebay_disk::json::JsonError;
use std::{io, path::PathBuf};

/// A case, a list of differences or a folder of modules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Where it stops being JSON.
        #[source]
        source: JsonError,
    },
    /// The file is JSON, but not a case.
    #[error("{}: {what}", path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// What is missing or not understood.
        what: String,
    },
    /// A line in a list of named differences says nothing.
    #[error("line {line} of the named differences: {what}")]
    Named {
        /// Line number, from 1.
        line: usize,
        /// What was expected.
        what: String,
    },
}
