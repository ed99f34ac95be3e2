//! What can be done with a descriptor.

use super::errno::{Fail, Sys, code};
use super::fds::{ACCESS, Fd, O_APPEND, O_RDWR, O_WRONLY, Position};
use super::limits::{SAFE_INTEGER, TREE_BYTES};
use super::tree::{Body, Device, Ino};
use super::tty::Tty;
use super::{Flavor, Posix};

/// Bits of `prot` and `flags` of `mmap`.
const PROT_WRITE: i32 = 2;
const MAP_PRIVATE: i32 = 2;

/// What a descriptor moves bytes to and from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Dir,
    File,
    Remote,
    Null,
    Tty(Tty),
    Random,
}

impl Posix {
    fn target(&self, fd: i32) -> Sys<(Ino, Target)> {
        let ino = self.fds.get(fd)?.node;
        let target = match self.tree.node(ino)?.body {
            Body::Dir(_) | Body::FdRoot | Body::Link(_) => Target::Dir,
            Body::File(_) => Target::File,
            Body::Remote(_) => Target::Remote,
            Body::Device(Device::Null) => Target::Null,
            Body::Device(Device::Tty) => Target::Tty(Tty::Out),
            Body::Device(Device::Tty1) => Target::Tty(Tty::Err),
            Body::Device(Device::Random | Device::Urandom) => Target::Random,
        };
        Ok((ino, target))
    }

    /// The terminal a descriptor is on.
    pub(crate) fn tty(&self, fd: i32) -> Sys<Option<Tty>> {
        Ok(match self.target(fd)?.1 {
            Target::Tty(tty) => Some(tty),
            _ => None,
        })
    }

    /// Whether a descriptor is open: `fd_read` and `fd_write` ask even for no bytes.
    pub(crate) fn fd_check(&self, fd: i32) -> Sys<()> {
        match self.flavor {
            Flavor::Fmt1 => Ok(()),
            _ => self.fds.get(fd).map(|_| ()),
        }
    }

    /// Writes one piece of an `fd_write`, whole.
    pub(crate) fn fd_write(&mut self, fd: i32, bytes: &[u8]) -> Sys<()> {
        if self.flavor == Flavor::Fmt1 {
            return self.print(fd, bytes);
        }
        let (ino, target) = self.target(fd)?;
        let flags = self.fds.shared(fd)?.flags;
        if flags & ACCESS == 0 {
            return Fail::errno(code::EBADF);
        }
        if flags & O_APPEND != 0 && matches!(target, Target::Null | Target::File | Target::Remote) {
            self.fd_seek(fd, 0, 2)?;
        }
        match target {
            Target::Dir => return Fail::errno(code::EISDIR),
            _ if bytes.is_empty() => return Ok(()),
            Target::Null => return Ok(()),
            Target::Remote => return Err(Fail::abort("write to a data item")),
            Target::Random => return Fail::errno(code::EIO),
            Target::Tty(tty) => self.lines.write(tty, bytes, false, &mut self.printed),
            Target::File => self.write_file(fd, ino, bytes)?,
        }
        let now = self.tick();
        self.tree.node_mut(ino)?.time = now;
        Ok(())
    }

    /// Bytes of a file that lie from `offset` on, or that are missing before it: what is copied, and what
    /// a write there fills with zeros. A gap that cannot be filled is none.
    pub(crate) fn around(&self, fd: i32, offset: u64) -> (u64, u64) {
        let body = self.target(fd).and_then(|(ino, _)| self.tree.node(ino)).map(|node| &node.body);
        let Ok(Body::File(bytes)) = body else { return (0, 0) };
        let len = bytes.len() as u64;
        let gap = Some(offset.saturating_sub(len)).filter(|gap| *gap <= TREE_BYTES);
        (len.saturating_sub(offset), gap.unwrap_or(0))
    }

    /// Bytes of zeros that a write where a descriptor stands makes.
    pub(crate) fn gap(&self, fd: i32) -> u64 {
        match self.fds.shared(fd) {
            Ok(shared) if shared.flags & O_APPEND == 0 => {
                self.around(fd, shared.position.value()).1
            }
            _ => 0,
        }
    }

    /// Bytes of the path that a descriptor was opened by.
    pub(crate) fn path_len(&self, fd: i32) -> u64 {
        self.fds.get(fd).map_or(0, |fd| fd.path.len() as u64)
    }

    /// Descriptors that are open.
    pub(crate) fn open_files(&self) -> u64 {
        self.fds.open.len() as u64
    }

    fn write_file(&mut self, fd: i32, ino: Ino, bytes: &[u8]) -> Sys<()> {
        let at = self.fds.shared(fd)?.position.value();
        self.tree.write(ino, at, bytes)?;
        self.move_on(fd, bytes.len())
    }

    fn move_on(&mut self, fd: i32, bytes: usize) -> Sys<()> {
        if let Position::At(at) = &mut self.fds.shared_mut(fd)?.position {
            *at = at.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// Format 1 has no files: two printers whose lines end at a newline or NUL.
    fn print(&mut self, fd: i32, bytes: &[u8]) -> Sys<()> {
        let tty = match fd {
            1 => Tty::Out,
            2 => Tty::Err,
            _ if bytes.is_empty() => return Ok(()),
            _ => return Err(Fail::abort("print to no stream")),
        };
        self.lines.write(tty, bytes, true, &mut self.printed);
        Ok(())
    }

    /// Reads one piece of an `fd_read`: the bytes read, fewer than asked only at an end. The caller
    /// stops at a piece that is not filled.
    pub(crate) fn fd_read(&mut self, fd: i32, into: &mut [u8]) -> Sys<usize> {
        if self.flavor == Flavor::Fmt1 {
            return Fail::errno(code::ENOSYS);
        }
        let (ino, target) = self.target(fd)?;
        if self.fds.shared(fd)?.flags & ACCESS == O_WRONLY {
            return Fail::errno(code::EBADF);
        }
        match target {
            Target::Dir => Fail::errno(code::EISDIR),
            // Format 2 never loaded what it reads stdin with; later formats find it at its end.
            Target::Tty(Tty::Out) if self.flavor == Flavor::Fmt2 && !into.is_empty() => {
                Fail::errno(code::EIO)
            }
            Target::Null | Target::Tty(Tty::Out) => Ok(0),
            Target::Tty(Tty::Err) => Fail::errno(code::ENXIO),
            Target::File => self.read_file(fd, ino, into),
            Target::Remote => self.read_remote(fd, ino, into),
            Target::Random => {
                self.entropy.fill(into);
                if !into.is_empty() {
                    let now = self.tick();
                    self.tree.node_mut(ino)?.time = now;
                }
                Ok(into.len())
            }
        }
    }

    fn read_file(&mut self, fd: i32, ino: Ino, into: &mut [u8]) -> Sys<usize> {
        let at = usize::try_from(self.fds.shared(fd)?.position.value()).unwrap_or(usize::MAX);
        let Body::File(bytes) = &self.tree.node(ino)?.body else { return Ok(0) };
        let rest = bytes.get(at..).unwrap_or_default();
        let size = rest.len().min(into.len());
        for (into, byte) in into.iter_mut().zip(rest) {
            *into = *byte;
        }
        self.move_on(fd, size)?;
        Ok(size)
    }

    /// A data item has no bytes here: reading it past WeaveDrive fails in the reference, but for no
    /// bytes.
    fn read_remote(&self, fd: i32, ino: Ino, into: &[u8]) -> Sys<usize> {
        let Body::Remote(remote) = &self.tree.node(ino)?.body else { return Ok(0) };
        match &self.fds.shared(fd)?.position {
            Position::At(at)
                if !into.is_empty() && u64::try_from(*at).unwrap_or(0) < remote.size =>
            {
                Err(Fail::abort("read of a data item past WeaveDrive"))
            }
            _ => Ok(0),
        }
    }

    /// Moves a descriptor. The new position, as the guest is told.
    pub(crate) fn fd_seek(&mut self, fd: i32, offset: i64, whence: i32) -> Sys<u64> {
        if self.flavor == Flavor::Fmt1 {
            return Fail::errno(code::ESPIPE);
        }
        if !(-SAFE_INTEGER..=SAFE_INTEGER).contains(&offset) {
            return Fail::errno(code::EOVERFLOW);
        }
        let (ino, target) = self.target(fd)?;
        let seekable = matches!(target, Target::File | Target::Remote)
            || matches!(self.tree.node(ino)?.body, Body::Dir(_));
        if !seekable {
            return Fail::errno(code::ESPIPE);
        }
        let position = match whence {
            0 => Position::At(offset),
            1 => from_here(offset, &self.fds.shared(fd)?.position),
            2 => self.past_end(offset, ino)?,
            _ => return Fail::errno(code::EINVAL),
        };
        if matches!(position, Position::At(at) if at < 0)
            || matches!(position, Position::Digits(_)) && offset < 0
        {
            return Fail::errno(code::EINVAL);
        }
        let value = position.value();
        if matches!(position, Position::Digits(_))
            && let Some(fd) = self.fds.open.get_mut(&fd)
        {
            fd.read_end = None;
        }
        self.fds.shared_mut(fd)?.position = position;
        Ok(value)
    }

    fn past_end(&self, offset: i64, ino: Ino) -> Sys<Position> {
        Ok(match &self.tree.node(ino)?.body {
            Body::File(bytes) => {
                Position::At(offset.saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX)))
            }
            Body::Remote(remote) => Position::digits(format!("{}{}", offset.max(0), remote.size)),
            _ => Position::At(offset),
        })
    }

    /// Closes a descriptor; a terminal's unfinished line is printed.
    pub(crate) fn fd_close(&mut self, fd: i32) -> Sys<()> {
        if self.flavor == Flavor::Fmt1 {
            return Fail::errno(code::ENOSYS);
        }
        if let Some(tty) = self.tty(fd)? {
            self.lines.flush(tty, &mut self.printed);
        }
        if let Some(Fd { node: ino, .. }) = self.fds.remove(fd) {
            let node = self.tree.node_mut(ino)?;
            node.opens = node.opens.saturating_sub(1);
            self.tree.forget_if_free(ino);
        }
        Ok(())
    }

    /// `fd_sync`: files are always whole. Format 3 prints a terminal's unfinished line; formats 4
    /// and wasm64 pass through the asynchronous machinery, whose last answer becomes 0.
    pub(crate) fn fd_sync(&mut self, fd: i32) -> Sys<()> {
        let tty = self.tty(fd)?;
        match (self.flavor, tty) {
            (Flavor::Fmt3, Some(tty)) => self.lines.flush(tty, &mut self.printed),
            (Flavor::Fmt4 | Flavor::Wasm64, _) => self.async_ret = 0,
            _ => {}
        }
        Ok(())
    }

    /// The type byte of `fd_fdstat_get`: a terminal, or a file whatever it is. Format 2 writes this
    /// byte alone, later formats a structure of 24 bytes that is zero otherwise.
    pub(crate) fn fd_type(&self, fd: i32) -> Sys<u8> {
        Ok(if self.tty(fd)?.is_some() { 2 } else { 4 })
    }

    /// Another descriptor for an open file.
    pub(crate) fn duplicate(&mut self, fd: i32, onto: i32) -> Sys<i32> {
        self.fds.room()?;
        let copy = self.fds.get(fd)?.clone();
        self.tree.node_mut(copy.node)?.opens += 1;
        self.fds.open.insert(onto, copy);
        Ok(onto)
    }

    /// `_mmap_js`: what the caller copies into `len` zeroed bytes, which it takes from the guest's
    /// `memalign(65536, ..)` only after this has succeeded. Never longer than `len`.
    pub(crate) fn mmap(&self, fd: i32, range: (u64, u64), prot: i32, flags: i32) -> Sys<Vec<u8>> {
        let (offset, len) = range;
        let (ino, target) = self.target(fd)?;
        let access = self.fds.shared(fd)?.flags & ACCESS;
        let shared_write = prot & PROT_WRITE != 0 && flags & MAP_PRIVATE == 0;
        if (shared_write && access != O_RDWR) || access == O_WRONLY {
            return Fail::errno(code::EACCES);
        }
        let Body::File(bytes) = &self.tree.node(ino)?.body else {
            let remote = target == Target::Remote;
            return Err(if remote { Fail::abort("mmap of a data item") } else { ENODEV });
        };
        if bytes.is_empty() {
            return Err(Fail::abort("mmap of an empty file"));
        }
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(rest.get(..len).unwrap_or(rest).to_vec())
    }

    /// Whether `_munmap_js` writes the mapping back: then the caller gives its bytes to
    /// `write_back`.
    pub(crate) fn munmap(&self, fd: i32, prot: i32, flags: i32) -> Sys<bool> {
        if self.flavor == Flavor::Fmt2 && self.fds.get(fd).is_err() {
            return Ok(false);
        }
        let (_, target) = self.target(fd)?;
        if prot & PROT_WRITE == 0 {
            return Ok(false);
        }
        match target {
            Target::File | Target::Remote => Ok(flags & MAP_PRIVATE == 0),
            // In format 2 only files know how to be written back; anything else is passed over.
            _ if self.flavor == Flavor::Fmt2 => Ok(false),
            _ => Err(ENODEV),
        }
    }

    /// Writes a mapping back to its file, wherever the descriptor stands.
    pub(crate) fn write_back(&mut self, fd: i32, offset: u64, bytes: &[u8]) -> Sys<()> {
        let (ino, target) = self.target(fd)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if target != Target::File {
            return Err(Fail::abort("write to a data item"));
        }
        self.tree.write(ino, offset, bytes)?;
        let now = self.tick();
        self.tree.node_mut(ino)?.time = now;
        Ok(())
    }
}

const ENODEV: Fail = Fail::Errno(code::ENODEV);

/// An offset from the present position: added to a number, but put in front of digits.
fn from_here(offset: i64, position: &Position) -> Position {
    match position {
        Position::At(at) => Position::At(at.saturating_add(offset)),
        Position::Digits(digits) => Position::digits(format!("{}{digits}", offset.max(0))),
    }
}
