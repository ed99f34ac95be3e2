//! What can be done to the tree, by path.

use super::errno::{Fail, Sys, code};
use super::fds::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_TRUNC};
use super::lookup::{Found, Last, READ, SEARCH, WRITE};
use super::tree::{Body, FD_MOUNT, FD_ROOT, Ino, Node, ROOT, S_IFMT};
use super::{Posix, path};
use std::sync::Arc;

/// Bits of a mode that can be set.
const PERMISSIONS: u32 = 0o7777;
/// Bits of a mode that a new directory takes.
const DIR_PERMISSIONS: u32 = 0o1777;

impl Posix {
    /// Makes a node of a body, with one look at the clock.
    pub(crate) fn make(&mut self, path: &str, permissions: u32, body: Body) -> Sys<Ino> {
        let parent = self.lookup(path, Last::Parent)?;
        let name = path::basename(path);
        if matches!(name.as_str(), "" | "." | "..") {
            return Fail::errno(code::EINVAL);
        }
        let Some(dir) = parent else { return Err(Fail::abort("mknod of no path")) };
        if self.child(dir, &name).is_ok() {
            return Fail::errno(code::EEXIST);
        }
        self.permit(dir, &[WRITE, SEARCH])?;
        let dir = self.directory(dir)?;
        self.tree.room_for_node(&name)?;
        let mode = permissions | body.kind();
        let node =
            Node { parent: dir, name: name.clone(), mode, time: self.tick(), body, opens: 0 };
        Ok(self.tree.insert(dir, &name, node))
    }

    /// A directory that takes and gives names, or `EPERM`.
    fn directory(&self, dir: Found) -> Sys<Ino> {
        match dir {
            Found::Node(ino) if matches!(self.tree.node(ino)?.body, Body::Dir(_)) => Ok(ino),
            _ => Fail::errno(code::EPERM),
        }
    }

    pub(crate) fn make_dir(&mut self, path: &str, mode: u32) -> Sys<Ino> {
        self.make(path, mode & DIR_PERMISSIONS, Body::Dir(Default::default()))
    }

    pub(crate) fn make_file(&mut self, path: &str, mode: u32) -> Sys<Ino> {
        self.make(path, mode & PERMISSIONS, Body::File(Arc::default()))
    }

    /// Whether a found thing is a directory.
    pub(crate) fn is_dir(&self, found: Found) -> bool {
        let Found::Node(ino) = found else { return false };
        self.tree.node(ino).is_ok_and(|node| matches!(node.body, Body::Dir(_) | Body::FdRoot))
    }

    /// What is at a name of a directory, if it may be taken away there.
    fn deletable(&self, dir: Found, name: &str, as_dir: bool) -> Sys<Found> {
        let found = self.child(dir, name)?;
        self.permit(dir, &[WRITE, SEARCH])?;
        match (as_dir, self.is_dir(found)) {
            (true, false) => Fail::errno(code::ENOTDIR),
            (true, true) if found == Found::Node(ROOT) => Fail::errno(code::EBUSY),
            (false, true) => Fail::errno(code::EISDIR),
            _ => Ok(found),
        }
    }

    /// `ENOTEMPTY` if something is in it.
    fn empty(&self, ino: Ino) -> Sys<()> {
        match &self.tree.node(ino)?.body {
            Body::Dir(names) if !names.is_empty() => Fail::errno(code::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    pub(crate) fn remove_dir(&mut self, path: &str) -> Sys<()> {
        let Some(dir) = self.lookup(path, Last::Parent)? else {
            return Err(Fail::abort("rmdir of no path"));
        };
        self.remove(dir, &path::basename(path), true)
    }

    pub(crate) fn remove_file(&mut self, path: &str) -> Sys<()> {
        let dir = self.lookup(path, Last::Parent)?.ok_or(Fail::Errno(code::ENOENT))?;
        self.remove(dir, &path::basename(path), false)
    }

    fn remove(&mut self, dir: Found, name: &str, as_dir: bool) -> Sys<()> {
        let found = self.deletable(dir, name, as_dir)?;
        let dir = self.directory(dir)?;
        let Found::Node(ino) = found else { return Fail::errno(code::EPERM) };
        if ino == FD_MOUNT {
            return Fail::errno(code::EBUSY);
        }
        if as_dir {
            self.empty(ino)?;
        }
        let now = self.tick();
        self.tree.leave(dir, name, now);
        self.tree.unname(ino);
        Ok(())
    }

    /// Moves a node. Two moves that the reference carries out to the node's loss are refused: into
    /// a file (`ENOTDIR`), and of a directory into itself where its check fails at a name with a
    /// dot (`EINVAL`).
    pub(crate) fn rename(&mut self, old: &str, new: &str) -> Sys<()> {
        let (old_name, new_name) = (path::basename(old), path::basename(new));
        let (old_dir, new_dir) = (self.lookup(old, Last::Parent)?, self.lookup(new, Last::Parent)?);
        let (Some(old_dir), Some(new_dir)) = (old_dir, new_dir) else {
            return Fail::errno(code::ENOENT);
        };
        if mount(old_dir) != mount(new_dir) || matches!(old_dir, Found::Fd(_)) {
            return Fail::errno(code::EXDEV);
        }
        let node = self.child(old_dir, &old_name)?;
        check_ways(old, new)?;
        let covered = self.child(new_dir, &new_name).ok();
        if covered == Some(node) && matches!(node, Found::Node(_)) {
            return Ok(());
        }
        let as_dir = self.is_dir(node);
        self.deletable(old_dir, &old_name, as_dir)?;
        match covered {
            Some(_) => self.deletable(new_dir, &new_name, as_dir).map(|_| ())?,
            None => self.permit(new_dir, &[WRITE, SEARCH])?,
        }
        self.directory(old_dir)?;
        if node == Found::Node(FD_MOUNT) || covered == Some(Found::Node(FD_MOUNT)) {
            return Fail::errno(code::EBUSY);
        }
        if new_dir != old_dir {
            self.permit(old_dir, &[WRITE])?;
        }
        self.move_node(node, covered.filter(|_| as_dir), new_dir, &new_name)
    }

    fn move_node(&mut self, node: Found, over: Option<Found>, dir: Found, name: &str) -> Sys<()> {
        let Found::Node(ino) = node else { return Fail::errno(code::EPERM) };
        if let Some(Found::Node(over)) = over {
            self.empty(over)?;
        }
        let dir = self.directory(dir).map_err(|_| Fail::Errno(code::ENOTDIR))?;
        if name.is_empty() || self.tree.is_under(dir, ino) {
            return Fail::errno(code::EINVAL);
        }
        self.tree.room(name.len() as u64)?;
        let now = self.tick();
        self.tree.rename(ino, dir, name, now);
        Ok(())
    }

    /// Where a link leads. `/proc/self/fd/<n>` leads to the path that was opened.
    pub(crate) fn read_link(&self, path: &str) -> Sys<String> {
        let found = self.lookup(path, Last::Plain)?.ok_or(Fail::Errno(code::ENOENT))?;
        match found {
            Found::Fd(fd) => Ok(self.fds.get(fd)?.path.to_string()),
            Found::Node(ino) => match self.tree.node(ino)?.body {
                Body::Link(link) => Ok(link.target().to_owned()),
                _ => Fail::errno(code::EINVAL),
            },
        }
    }

    /// The node whose attributes a found thing has, or `EPERM`.
    pub(crate) fn attributed(&self, found: Found) -> Sys<Ino> {
        match found {
            Found::Node(FD_ROOT) | Found::Fd(_) => Fail::errno(code::EPERM),
            Found::Node(ino) => Ok(ino),
        }
    }

    pub(crate) fn set_mode(&mut self, found: Found, mode: u32) -> Sys<()> {
        let ino = self.attributed(found)?;
        let now = self.tick();
        let node = self.tree.node_mut(ino)?;
        node.mode = (mode & PERMISSIONS) | (node.mode & !PERMISSIONS & (S_IFMT | PERMISSIONS));
        node.time = now;
        Ok(())
    }

    /// Owners are not kept: only the time changes.
    pub(crate) fn set_owner(&mut self, found: Found) -> Sys<()> {
        let ino = self.attributed(found)?;
        let now = self.tick();
        self.tree.node_mut(ino)?.time = now;
        Ok(())
    }

    pub(crate) fn set_time(&mut self, path: &str, time: i64) -> Sys<()> {
        match self.lookup(path, Last::Follow)? {
            Some(Found::Node(ino)) if ino != FD_ROOT => {
                self.tree.node_mut(ino)?.time = time;
                Ok(())
            }
            _ => Err(Fail::abort("utime of what has no attributes")),
        }
    }

    pub(crate) fn truncate(&mut self, found: Found, len: i64) -> Sys<()> {
        let len = u64::try_from(len).map_err(|_| Fail::Errno(code::EINVAL))?;
        let ino = self.attributed(found)?;
        match self.tree.node(ino)?.body {
            Body::Dir(_) | Body::FdRoot => return Fail::errno(code::EISDIR),
            Body::Link(_) | Body::Device(_) => return Fail::errno(code::EINVAL),
            Body::File(_) | Body::Remote(_) => self.permit(found, &[WRITE])?,
        }
        self.resize(ino, len)?;
        let now = self.tick();
        self.tree.node_mut(ino)?.time = now;
        Ok(())
    }

    /// The size of a data item cannot be set: to none at all without effect, else not at all.
    fn resize(&mut self, ino: Ino, len: u64) -> Sys<()> {
        match &self.tree.node(ino)?.body {
            Body::File(bytes) => {
                self.tree.room(len.saturating_sub(bytes.len() as u64))?;
                self.tree.set_len(ino, len)
            }
            Body::Remote(remote) if len != 0 && remote.size != len => {
                Err(Fail::abort("truncation of a data item"))
            }
            _ => Ok(()),
        }
    }

    /// Opens a path, making a file if asked to. The descriptor is the lowest free one.
    pub(crate) fn open(&mut self, path: &str, flags: i32, mode: u32) -> Sys<i32> {
        if path.is_empty() {
            return Fail::errno(code::ENOENT);
        }
        let path = path::normalize(path);
        let last = if flags & O_NOFOLLOW == 0 { Last::Follow } else { Last::Plain };
        let found = self.lookup(&path, last).ok().flatten();
        match found {
            Some(_) if flags & O_CREAT != 0 && flags & O_EXCL != 0 => Fail::errno(code::EEXIST),
            Some(found) => self.open_found(found, flags),
            None if flags & O_CREAT != 0 => {
                let ino = self.make_file(&path, mode)?;
                if flags & O_DIRECTORY != 0 {
                    return Fail::errno(code::ENOTDIR);
                }
                self.open_node(ino, flags)
            }
            None => Fail::errno(code::ENOENT),
        }
    }

    fn open_found(&mut self, found: Found, mut flags: i32) -> Sys<i32> {
        let body = match found {
            Found::Node(ino) => Some(&self.tree.node(ino)?.body),
            Found::Fd(_) => None,
        };
        if matches!(body, Some(Body::Device(_))) {
            flags &= !O_TRUNC;
        }
        let is_link = matches!(body, Some(Body::Link(_)));
        let is_dir = self.is_dir(found);
        if flags & O_DIRECTORY != 0 && !is_dir {
            return Fail::errno(code::ENOTDIR);
        }
        if is_link {
            return Fail::errno(code::ELOOP);
        }
        if is_dir && flags & (3 | O_TRUNC) != 0 {
            return Fail::errno(code::EISDIR);
        }
        self.may_use(found, flags)?;
        if flags & O_TRUNC != 0 {
            self.truncate(found, 0)?;
        }
        match found {
            Found::Node(ino) => self.open_node(ino, flags),
            Found::Fd(_) => Err(Fail::abort("open of a descriptor's name")),
        }
    }

    /// Whether a mode lets a file be used as the flags say.
    fn may_use(&self, found: Found, flags: i32) -> Sys<()> {
        match (flags & 3, flags & O_TRUNC != 0) {
            (0, false) => self.permit(found, &[READ]),
            (0 | 2, _) => self.permit(found, &[READ, WRITE]),
            (1, _) | (_, true) => self.permit(found, &[WRITE]),
            (_, false) => Err(Fail::abort("open in no way")),
        }
    }

    fn open_node(&mut self, ino: Ino, flags: i32) -> Sys<i32> {
        let fd = self.fds.free_from(0)?;
        self.fds.room()?;
        let path = self.tree.path(ino);
        self.tree.node_mut(ino)?.opens += 1;
        self.fds.insert(fd, ino, path, flags & !(O_EXCL | O_TRUNC | O_NOFOLLOW));
        Ok(fd)
    }
}

/// Where a directory is mounted: a name of `/proc/self/fd` is a mount of its own.
fn mount(dir: Found) -> u32 {
    match dir {
        Found::Node(FD_ROOT) => 1,
        Found::Node(_) => 0,
        Found::Fd(_) => 2,
    }
}

/// The reference's check that neither path contains the other, by their spelling.
fn check_ways(old: &str, new: &str) -> Sys<()> {
    if !path::relative(old, path::dirname(new)).starts_with('.') {
        return Fail::errno(code::EINVAL);
    }
    if !path::relative(new, path::dirname(old)).starts_with('.') {
        return Fail::errno(code::ENOTEMPTY);
    }
    Ok(())
}
