//! Open files. Descriptors made one from the other share flags and position.

use super::errno::{Fail, Sys, code};
use super::limits::{MAX_FD, OPEN_FDS, POSITION_DIGITS};
use super::tree::Ino;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bits of `flags` that say how a file may be used.
pub(crate) const ACCESS: i32 = 0x20_0003;
pub(crate) const O_WRONLY: i32 = 1;
pub(crate) const O_RDWR: i32 = 2;
pub(crate) const O_CREAT: i32 = 0o100;
pub(crate) const O_EXCL: i32 = 0o200;
pub(crate) const O_TRUNC: i32 = 0o1000;
pub(crate) const O_APPEND: i32 = 0o2000;
pub(crate) const O_DIRECTORY: i32 = 0o200000;
pub(crate) const O_NOFOLLOW: i32 = 0o400000;

/// Where the next byte is read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    At(i64),
    /// The reference knows a data item's size as text, and adding text to a number makes longer
    /// text: after a seek to its end the position is such digits.
    Digits(String),
}

impl Position {
    /// Digits, kept to a length at which their value mod 2^64 and their being huge are right.
    pub(crate) fn digits(text: String) -> Self {
        let Some(cut) = text.len().checked_sub(POSITION_DIGITS).filter(|cut| *cut > 0) else {
            return Self::Digits(text);
        };
        let (front, rest) = text.split_at(cut + 1);
        let lead = if front.bytes().all(|digit| digit == b'0') { '0' } else { '1' };
        Self::Digits(format!("{lead}{rest}"))
    }

    /// What the guest is told of it.
    pub(crate) fn value(&self) -> u64 {
        match self {
            Self::At(at) => u64::try_from(*at).unwrap_or(0),
            Self::Digits(digits) => digits.bytes().fold(0, |value: u64, digit| {
                value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
            }),
        }
    }
}

/// What descriptors made from one another share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) flags: i32,
    pub(crate) position: Position,
}

/// One descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fd {
    pub(crate) shared: u32,
    pub(crate) node: Ino,
    /// The node's path when it was opened: the reference stats by it.
    pub(crate) path: Arc<str>,
    /// Where the last WeaveDrive read ended, if nothing since made it unusable.
    pub(crate) read_end: Option<Position>,
}

/// All open files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fds {
    pub(crate) open: BTreeMap<i32, Fd>,
    pub(crate) shared: BTreeMap<u32, Shared>,
}

impl Fds {
    /// An open descriptor, or `EBADF`.
    pub(crate) fn get(&self, fd: i32) -> Sys<&Fd> {
        self.open.get(&fd).ok_or(Fail::Errno(code::EBADF))
    }

    /// Its flags and position.
    pub(crate) fn shared(&self, fd: i32) -> Sys<&Shared> {
        self.shared.get(&self.get(fd)?.shared).ok_or(Fail::Errno(code::EBADF))
    }

    pub(crate) fn shared_mut(&mut self, fd: i32) -> Sys<&mut Shared> {
        let key = self.get(fd)?.shared;
        self.shared.get_mut(&key).ok_or(Fail::Errno(code::EBADF))
    }

    /// The lowest free descriptor from `from` on, or `EMFILE`.
    pub(crate) fn free_from(&self, from: i32) -> Sys<i32> {
        self.lowest(from).filter(|fd| *fd <= MAX_FD).ok_or(Fail::Errno(code::EMFILE))
    }

    /// The lowest free descriptor from `from` on, however high.
    pub(crate) fn lowest(&self, from: i32) -> Option<i32> {
        let mut free = from;
        for fd in self.open.range(from..).map(|(fd, _)| *fd) {
            if fd != free {
                break;
            }
            free = fd.checked_add(1)?;
        }
        Some(free)
    }

    /// `EMFILE` unless one more may be open.
    pub(crate) fn room(&self) -> Sys<()> {
        if self.open.len() >= OPEN_FDS { Fail::errno(code::EMFILE) } else { Ok(()) }
    }

    /// A descriptor with flags and position of its own.
    pub(crate) fn insert(&mut self, fd: i32, node: Ino, path: String, flags: i32) {
        let key = self.shared.last_key_value().map_or(0, |(key, _)| key.wrapping_add(1));
        let key = if self.shared.contains_key(&key) { self.free_key() } else { key };
        self.shared.insert(key, Shared { flags, position: Position::At(0) });
        self.open.insert(fd, Fd { shared: key, node, path: path.into(), read_end: None });
    }

    /// The lowest key not in use: only after four thousand million opens.
    fn free_key(&self) -> u32 {
        (0..).zip(self.shared.keys()).find(|(free, key)| free != *key).map_or(0, |(free, _)| free)
    }

    /// Forgets a descriptor, and what it shared if it was the last to.
    pub(crate) fn remove(&mut self, fd: i32) -> Option<Fd> {
        let gone = self.open.remove(&fd)?;
        if self.open.values().all(|other| other.shared != gone.shared) {
            self.shared.remove(&gone.shared);
        }
        Some(gone)
    }
}
