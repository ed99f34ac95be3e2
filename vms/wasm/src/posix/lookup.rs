//! From a path to a node.

use super::errno::{Fail, Sys, code};
use super::limits::{LINK_CHAIN, LINK_DEPTH, PATH_BYTES};
use super::tree::{Body, FD_MOUNT, FD_ROOT, Ino, ROOT};
use super::{Flavor, Posix, path};

/// Bits of a mode that let a file be read, written, and a directory searched.
pub(crate) const READ: u32 = 0o444;
pub(crate) const WRITE: u32 = 0o222;
pub(crate) const SEARCH: u32 = 0o111;

/// The directory descriptor that means the working directory.
const AT_FDCWD: i32 = -100;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Node(Ino),
    /// `/proc/self/fd/<n>`, which can be read as a link and little else.
    Fd(i32),
}

/// How a lookup treats the last part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Leave it out.
    Parent,
    /// Take it as it is.
    Plain,
    /// Follow it if it is a link.
    Follow,
}

/// The text of a path that the guest gave, without its NUL.
pub(crate) fn text(bytes: &[u8]) -> Sys<String> {
    bounded(String::from_utf8_lossy(bytes).into_owned())
}

fn bounded(path: String) -> Sys<String> {
    if path.len() > PATH_BYTES { Fail::errno(code::ENAMETOOLONG) } else { Ok(path) }
}

impl Posix {
    /// What is said of a name looked up in something that is no directory.
    pub(crate) fn not_a_dir(&self) -> i32 {
        if self.flavor == Flavor::Fmt2 { code::EACCES } else { code::ENOTDIR }
    }

    /// `EACCES` unless the mode has one bit of each of `asked`, whoever's bit it is.
    pub(crate) fn permit(&self, found: Found, asked: &[u32]) -> Sys<()> {
        let mode = match found {
            Found::Node(ino) => self.tree.node(ino)?.mode,
            Found::Fd(_) => 0,
        };
        if asked.iter().all(|bits| mode & bits != 0) { Ok(()) } else { Fail::errno(code::EACCES) }
    }

    /// One step down.
    pub(crate) fn child(&self, dir: Found, name: &str) -> Sys<Found> {
        let Found::Node(ino) = dir else { return Fail::errno(self.not_a_dir()) };
        let body = &self.tree.node(ino)?.body;
        if !matches!(body, Body::Dir(_) | Body::FdRoot) {
            return Fail::errno(self.not_a_dir());
        }
        self.permit(dir, &[SEARCH])?;
        match body {
            Body::Dir(_) => {
                let found = self.tree.find(ino, name).ok_or(Fail::Errno(code::ENOENT))?;
                Ok(Found::Node(found))
            }
            Body::FdRoot => {
                let fd = name.parse().map_err(|_| Fail::Errno(code::EBADF))?;
                self.fds.get(fd)?;
                Ok(Found::Fd(fd))
            }
            _ => Fail::errno(self.not_a_dir()),
        }
    }

    /// The node of a path, or `None` for the empty path.
    pub(crate) fn lookup(&self, path: &str, last: Last) -> Sys<Option<Found>> {
        self.lookup_at(path, last, 0)
    }

    fn lookup_at(&self, path: &str, last: Last, depth: u32) -> Sys<Option<Found>> {
        if path.is_empty() {
            return Ok(None);
        }
        if depth > LINK_DEPTH {
            return Fail::errno(code::ELOOP);
        }
        let parts = path::parts(path, false);
        let mut at = Found::Node(ROOT);
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            if is_last && last == Last::Parent {
                break;
            }
            at = self.child(at, part)?;
            if at == Found::Node(FD_MOUNT) {
                at = Found::Node(FD_ROOT);
            }
            if !is_last || last == Last::Follow {
                at = self.follow(at, depth)?;
            }
        }
        Ok(Some(at))
    }

    /// Follows links until something else.
    fn follow(&self, mut at: Found, depth: u32) -> Sys<Found> {
        let mut count = 0;
        while let Found::Node(ino) = at
            && let Body::Link(link) = self.tree.node(ino)?.body
        {
            if let Some(next) = self.lookup_at(link.target(), Last::Plain, depth + 1)? {
                at = next;
            }
            if count > LINK_CHAIN {
                return Fail::errno(code::ELOOP);
            }
            count += 1;
        }
        Ok(at)
    }

    /// A path given with a directory descriptor.
    pub(crate) fn at(&self, dirfd: i32, path: &[u8], allow_empty: bool) -> Sys<String> {
        let path = text(path)?;
        if path::is_absolute(&path) {
            return Ok(path);
        }
        let dir = if dirfd == AT_FDCWD { "/" } else { &self.fds.get(dirfd)?.path };
        match path.is_empty() {
            true if allow_empty => Ok(dir.to_owned()),
            true => Fail::errno(code::ENOENT),
            false => bounded(path::join(dir, &path)),
        }
    }
}
