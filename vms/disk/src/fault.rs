//! Three ways to fail, by who must act: the sender ([`Refusal`]), the module ([`Fault`]), the operator
//! ([`HostError`]). They never mix.

use crate::Resource;
use std::{fmt, io, sync::Arc};

/// The most bytes a [`Note`] keeps.
pub const NOTE_MAX: usize = 1024;

/// What we say about a failure, for people. At most [`NOTE_MAX`] bytes; never hashed.
#[derive(Clone, Debug, Default)]
pub struct Note(String);

impl Note {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Note {
    fn from(text: T) -> Self {
        let mut text = text.into();
        if text.len() > NOTE_MAX {
            let mut end = NOTE_MAX - 3;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
        }
        Self(text)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The module's failure. Every host agrees on it, and it is recorded. `==` compares code and payload.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What happened; hashed.
    pub code: FaultCode,
    /// What the guest itself said; hashed, at most `output_bytes`.
    pub payload: Vec<u8>,
    /// What we say about it; never hashed.
    pub note: Note,
}

impl Fault {
    /// A fault about which the guest said nothing.
    pub fn new(code: FaultCode, note: impl Into<Note>) -> Self {
        Self { code, payload: Vec::new(), note: note.into() }
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        (self.code, &self.payload) == (other.code, &other.payload)
    }
}

impl Eq for Fault {}

/// What kind of fault. Exhaustive on purpose: a new code is a change of protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FaultCode {
    /// Used all its fuel or gas.
    OutOfFuel = 1,
    /// Asked for more memory than its limit.
    OutOfMemory = 2,
    /// Called deeper than its limit.
    TooDeep = 3,
    /// Said more than its limit.
    TooLoud = 4,
    /// The machine stopped it: a trap, an abort, an exit.
    Trapped = 5,
    /// It raised an error of its own.
    Raised = 6,
    /// Its reply cannot be understood.
    BadReply = 7,
    /// It has no entry point to answer this call.
    NoEntry = 8,
    /// The scheduled message means nothing to this machine; it still has a verdict.
    BadCall = 9,
}

impl FaultCode {
    /// The fixed text for people and for the wire.
    pub fn text(self) -> &'static str {
        match self {
            Self::OutOfFuel => "out of fuel",
            Self::OutOfMemory => "out of memory",
            Self::TooDeep => "calls nested too deep",
            Self::TooLoud => "output over its limit",
            Self::Trapped => "trapped",
            Self::Raised => "raised an error",
            Self::BadReply => "reply cannot be understood",
            Self::NoEntry => "no entry point for this call",
            Self::BadCall => "message cannot be understood",
        }
    }
}

/// The sender's or the author's mistake. Nothing ran.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What was wrong.
    pub code: RefusalCode,
    /// What was wrong, what was expected, what to do.
    pub note: Note,
}

impl Refusal {
    /// A refusal with its explanation.
    pub fn new(code: RefusalCode, note: impl Into<Note>) -> Self {
        Self { code, note: note.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// No reader knows this format.
    UnknownFormat,
    /// The bytes are not what the format says.
    Malformed,
    /// Well-formed, but uses something the format does not allow.
    NotAllowed,
    /// Larger than the format allows.
    TooBig,
    /// An image of another module, format or layout.
    WrongImage,
    /// Not supported by this reader.
    Unsupported,
}

/// Ours. Nothing is recorded, and somebody may retry. Clone: one failed compile answers many waiters.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Data that this host cannot get at now.
    #[error("{what} is not available here")]
    Unavailable {
        /// What was asked for.
        what: Resource,
    },
    /// The machine has no more of something.
    #[error("host ran out of {what}")]
    Exhausted {
        /// Memory, disk, threads.
        what: &'static str,
    },
    /// Reading or writing failed.
    #[error("i/o while {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// Something that cannot happen, did.
    #[error("bug at {file}:{line}: {message}")]
    Bug {
        /// What happened.
        message: String,
        /// Source file.
        file: &'static str,
        /// Source line.
        line: u32,
    },
}

impl HostError {
    /// An i/o error and what was being done.
    pub fn io(doing: &'static str, source: io::Error) -> Self {
        Self::Io { doing, source: Arc::new(source) }
    }
}

/// A [`HostError::Bug`] that names the place: for what cannot happen on a path that a guest can reach.
#[macro_export]
macro_rules! bug {
    ($($arg:tt)*) => {
        $crate::HostError::Bug { message: format!($($arg)*), file: file!(), line: line!() }
    };
}

/// Why a module was not read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// For ever: the same module is refused everywhere.
    #[error("module refused: {0}")]
    Refused(Refusal),
    /// Here and now.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why an image was not mounted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MountError {
    /// Not an image of this disk, or a bent one.
    #[error("image refused: {0}")]
    Refused(Refusal),
    /// Here and now.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl From<Refusal> for MountError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_bounded_and_cut_between_characters() {
        let note = Note::from("é".repeat(2000));
        assert!(note.as_str().len() <= NOTE_MAX);
        assert!(note.as_str().ends_with('…'));
    }

    #[test]
    fn a_fault_is_its_code_and_payload() {
        let one = Fault::new(FaultCode::Trapped, "one engine's words");
        assert_eq!(one, Fault::new(FaultCode::Trapped, "another's"));
        assert_ne!(one, Fault::new(FaultCode::Raised, "one engine's words"));
    }
}
