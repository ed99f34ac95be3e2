//! WeaveDrive: files under `/tx`, `/block` and `/data` that come from Arweave.

use super::errno::{Abort, Fail};
use super::fds::Position;
use super::limits::WEAVE_CACHE;
use super::lookup::Last;
use super::tree::{Body, Ino, Remote};
use super::{Posix, path};
use std::ops::Range;

/// Permissions of a file that was made here.
const READ_ONLY: u32 = 0o555;

/// Where the files come from.
pub(crate) trait WeaveSource {
    /// What stops the evaluation without the guest's doing.
    type Error;
    /// `/tx/<id>`: the transaction as JSON text, with `ownerAddress` added; `None` if there is none.
    fn tx(&mut self, id: &str) -> Result<Option<Vec<u8>>, Self::Error>;
    /// `/block/<height>`: the block as JSON text; `None` if there is none.
    fn block(&mut self, height: &str) -> Result<Option<Vec<u8>>, Self::Error>;
    /// Bytes of a data item; `None` if it may not be read or is nowhere.
    fn data_size(&mut self, id: &str) -> Result<Option<u64>, Self::Error>;
    /// A part of a data item, within its size.
    fn data(&mut self, id: &str, part: Range<u64>) -> Result<Vec<u8>, Self::Error>;
}

/// Why a WeaveDrive call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WeaveFail<E> {
    /// The source's error.
    Source(E),
    /// The reference's evaluation never ends.
    Halt(Abort),
}

impl<E> WeaveFail<E> {
    fn halt(why: &'static str) -> Self {
        Self::Halt(Abort(why))
    }
}

impl<E> From<Fail> for WeaveFail<E> {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Abort(abort) => Self::Halt(abort),
            Fail::Errno(_) => Self::halt("WeaveDrive file cannot be made or opened"),
        }
    }
}

/// What a read gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WeaveRead {
    /// To be copied to the guest's buffer.
    pub(crate) bytes: Vec<u8>,
    /// What the import answers; more than `bytes` holds at the end of a header.
    pub(crate) count: u64,
}

/// What one request brought: for the guest, and to keep.
#[derive(Default)]
struct Fetched {
    bytes: Vec<u8>,
    cache: Vec<u8>,
}

impl Posix {
    /// `weavedrive_open`: a descriptor, or 0 for a path that is none of WeaveDrive's. After an
    /// error the files may be changed half: the caller goes back to the state before the call.
    pub(crate) fn weave_open<S: WeaveSource>(
        &mut self,
        path: &[u8],
        source: &mut S,
    ) -> Result<i32, WeaveFail<S::Error>> {
        let name = super::lookup::text(path)?;
        let mut parts = name.split('/').skip(1);
        let (category, id) = (parts.next(), parts.next().unwrap_or("undefined"));
        let file = match category {
            Some(kind @ ("tx" | "block")) => {
                if self.exists(&name) {
                    return Ok(self.open(&name, 0, 0)?);
                }
                let header = if kind == "tx" { source.tx(id) } else { source.block(id) };
                let Some(header) = header.map_err(WeaveFail::Source)? else { return Ok(0) };
                let dir = format!("/{kind}");
                // The directory may be there already.
                let _ = self.make_dir(&dir, 0o777);
                let file = format!("{dir}/{id}");
                self.make_header(&path::normalize(&file), &header)?;
                file
            }
            Some("data") if self.exists(&name) => return Ok(self.open(&name, 0, 0)?),
            Some("data") => {
                let size = source.data_size(id).map_err(WeaveFail::Source)?;
                let Some(size) = size else { return Ok(0) };
                if !self.exists("/data/") {
                    self.make_dir("/data/", 0o777)?;
                }
                let body = Body::Remote(Remote { size, cache: Vec::new() });
                self.make(&path::join("/", &format!("data/{id}")), READ_ONLY, body)?;
                format!("/data/{id}")
            }
            _ => return Ok(0),
        };
        Ok(self.open(&file, 0, 0)?)
    }

    fn exists(&self, path: &str) -> bool {
        matches!(self.lookup(path, Last::Follow), Ok(Some(_)))
    }

    /// The reference makes it, opens it for writing, writes and closes it, and sets its mode before
    /// and after: each with a look at the clock, and with a free descriptor.
    fn make_header(&mut self, path: &str, bytes: &[u8]) -> Result<Ino, Fail> {
        let ino = self.make_file(path, READ_ONLY)?;
        self.tick();
        self.fds.free_from(0)?;
        self.fds.room()?;
        self.tick();
        if !bytes.is_empty() {
            self.tree.write(ino, 0, bytes)?;
            self.tick();
        }
        let now = self.tick();
        self.tree.node_mut(ino)?.time = now;
        Ok(ino)
    }

    /// `weavedrive_read`: up to `len` bytes.
    pub(crate) fn weave_read<S: WeaveSource>(
        &mut self,
        fd: i32,
        len: u64,
        source: &mut S,
    ) -> Result<WeaveRead, WeaveFail<S::Error>> {
        let open = self.fds.get(fd)?;
        let (ino, is_header) =
            (open.node, open.path.contains("/block") || open.path.contains("/tx"));
        match &self.tree.node(ino)?.body {
            // A header is read from its start wherever the position is, and the answer is what was
            // asked for.
            Body::File(bytes) if is_header && !bytes.is_empty() => {
                let end = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
                let bytes = bytes.get(..end).unwrap_or_default().to_vec();
                Ok(WeaveRead { bytes, count: len })
            }
            Body::Remote(_) if !is_header => self.read_item(fd, ino, len, source),
            _ => Err(WeaveFail::halt("WeaveDrive read of another file")),
        }
    }

    /// First what was read ahead, then one request for the rest and more to keep.
    fn read_item<S: WeaveSource>(
        &mut self,
        fd: i32,
        ino: Ino,
        len: u64,
        source: &mut S,
    ) -> Result<WeaveRead, WeaveFail<S::Error>> {
        let mut bytes = self.take_read_ahead(fd, ino, len)?;
        let count = bytes.len() as u64;
        let position = advanced(&self.fds.shared(fd)?.position, count);
        self.stop_at(fd, position.clone())?;
        if count == len {
            return Ok(WeaveRead { bytes, count });
        }
        let Fetched { bytes: more, cache } = self.request(ino, &position, len - count, source)?;
        self.keep_ahead(ino, cache)?;
        if !more.is_empty() {
            self.stop_at(fd, advanced(&position, more.len() as u64))?;
            bytes.extend_from_slice(&more);
        }
        let count = bytes.len() as u64;
        Ok(WeaveRead { bytes, count })
    }

    /// What is kept from the last read, if this one goes on from there; else that is forgotten.
    fn take_read_ahead(&mut self, fd: i32, ino: Ino, len: u64) -> Result<Vec<u8>, Fail> {
        let goes_on = self.fds.get(fd)?.read_end.as_ref() == Some(&self.fds.shared(fd)?.position);
        let Body::Remote(remote) = &mut self.tree.node_mut(ino)?.body else {
            return Ok(Vec::new());
        };
        let mut taken = std::mem::take(&mut remote.cache);
        self.tree.bytes = self.tree.bytes.saturating_sub(taken.len() as u64);
        let cut = usize::try_from(len).unwrap_or(usize::MAX).min(taken.len());
        let rest = taken.split_off(cut);
        if goes_on {
            self.keep_ahead(ino, rest)?;
            return Ok(taken);
        }
        Ok(Vec::new())
    }

    /// Keeps bytes for the next read, where none are kept.
    fn keep_ahead(&mut self, ino: Ino, cache: Vec<u8>) -> Result<(), Fail> {
        self.tree.room(cache.len() as u64)?;
        self.tree.bytes += cache.len() as u64;
        if let Body::Remote(remote) = &mut self.tree.node_mut(ino)?.body {
            remote.cache = cache;
        }
        Ok(())
    }

    /// A read has ended at a position.
    fn stop_at(&mut self, fd: i32, position: Position) -> Result<(), Fail> {
        self.fds.shared_mut(fd)?.position = position.clone();
        if let Some(fd) = self.fds.open.get_mut(&fd) {
            fd.read_end = Some(position);
        }
        Ok(())
    }

    /// Asks for up to `len` bytes at a position and for as many to keep as fit. A position that
    /// makes no range (past the end, or the digits that a seek to the end leaves) gets the item
    /// from its start.
    fn request<S: WeaveSource>(
        &mut self,
        ino: Ino,
        position: &Position,
        len: u64,
        source: &mut S,
    ) -> Result<Fetched, WeaveFail<S::Error>> {
        let node = self.tree.node(ino)?;
        let Body::Remote(remote) = &node.body else { return Ok(Fetched::default()) };
        let size = remote.size;
        let part = match position {
            Position::At(at) if u64::try_from(*at).is_ok_and(|at| at <= size) => {
                let from = position.value();
                let to = from.saturating_add(len.max(WEAVE_CACHE)).saturating_add(1);
                from..to.min(size)
            }
            _ => 0..len.saturating_add(WEAVE_CACHE).min(size),
        };
        if part.is_empty() {
            return Ok(Fetched::default());
        }
        let (name, room) = (node.name.clone(), part.end - part.start);
        let mut bytes = source.data(&name, part).map_err(WeaveFail::Source)?;
        bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        let cut = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
        let mut cache = bytes.split_off(cut);
        cache.truncate(WEAVE_CACHE as usize);
        Ok(Fetched { bytes, cache })
    }

    /// `weavedrive_close`.
    pub(crate) fn weave_close(&mut self, fd: i32) -> Result<i32, Abort> {
        match self.fd_close(fd) {
            Ok(()) => Ok(0),
            Err(_) => Err(Abort("WeaveDrive close of no file")),
        }
    }
}

/// A position after reading: digits grow longer even where nothing was read.
fn advanced(position: &Position, bytes: u64) -> Position {
    match position {
        Position::At(at) => Position::At(at.saturating_add_unsigned(bytes)),
        Position::Digits(digits) => Position::digits(format!("{digits}{bytes}")),
    }
}
