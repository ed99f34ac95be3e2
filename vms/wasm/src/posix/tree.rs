//! The nodes of the file system and the table that finds them by name.
//!
//! The reference looks names up in a table that is not the directories' own contents. Renaming over
//! a file leaves the covered file in that table, so it shows again once the upper one is gone.
//! Hence a *stack* of nodes for each name here, and a set of names in each directory, which only
//! decides whether it is empty.

use super::errno::{Fail, Sys, code};
use super::limits;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A node's inode number.
pub(crate) type Ino = u32;

/// The root directory.
pub(crate) const ROOT: Ino = 1;
/// The directory that `/proc/self/fd` is mounted on, and what is mounted there.
pub(crate) const FD_MOUNT: Ino = 15;
pub(crate) const FD_ROOT: Ino = 16;

/// Kinds of nodes in a mode, and the mask that takes them out.
pub(crate) const S_IFMT: u32 = 0o170000;
pub(crate) const S_IFREG: u32 = 0o100000;
pub(crate) const S_IFDIR: u32 = 0o040000;
pub(crate) const S_IFLNK: u32 = 0o120000;
pub(crate) const S_IFCHR: u32 = 0o020000;

/// Time of a node that was given none that a `Date` can hold.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Null,
    Tty,
    Tty1,
    Random,
    Urandom,
}

impl Device {
    /// All of them.
    pub(crate) const ALL: [Device; 5] =
        [Self::Null, Self::Tty, Self::Tty1, Self::Random, Self::Urandom];

    /// Its device number: major in the high byte.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Null => 0x103,
            Self::Tty => 0x500,
            Self::Tty1 => 0x600,
            Self::Random => 0x4000,
            Self::Urandom => 0x4100,
        }
    }
}

/// Where a symbolic link leads. Guests cannot make links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Tty,
    Tty1,
}

impl Link {
    /// The path it leads to.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Tty => "/dev/tty",
            Self::Tty1 => "/dev/tty1",
        }
    }
}

/// A data item that is fetched as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Bytes of the data item.
    pub(crate) size: u64,
    /// What came after the last read.
    pub(crate) cache: Vec<u8>,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The names in it, for emptiness only.
    Dir(BTreeSet<String>),
    File(Arc<Vec<u8>>),
    Remote(Remote),
    Link(Link),
    Device(Device),
    /// What is mounted on `/proc/self/fd`.
    FdRoot,
}

impl Body {
    /// The kind, as a mode has it.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Self::Dir(_) | Self::FdRoot => S_IFDIR,
            Self::File(_) | Self::Remote(_) => S_IFREG,
            Self::Link(_) => S_IFLNK,
            Self::Device(_) => S_IFCHR,
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::File(bytes) => bytes.len() as u64,
            Self::Remote(remote) => remote.cache.len() as u64,
            _ => 0,
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) parent: Ino,
    /// Empty once the node has no name.
    pub(crate) name: String,
    pub(crate) mode: u32,
    /// Milliseconds from 1970, or `NO_TIME`.
    pub(crate) time: i64,
    pub(crate) body: Body,
    /// Descriptors on it.
    pub(crate) opens: u32,
}

/// All nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) nodes: BTreeMap<Ino, Node>,
    /// By directory and name, the nodes that have them; the last one shows.
    pub(crate) names: BTreeMap<(Ino, String), Vec<Ino>>,
    /// The number of the node made last.
    pub(crate) last: Ino,
    /// Bytes of contents, caches and names.
    pub(crate) bytes: u64,
}

impl Tree {
    /// Makes the root of an empty tree: its own parent, and in the table under its own name.
    pub(crate) fn plant_root(&mut self) {
        let (mode, name) = (S_IFDIR | 0o777, "/".to_owned());
        let body = Body::Dir(BTreeSet::new());
        self.bytes = name.len() as u64;
        self.names.insert((ROOT, name.clone()), vec![ROOT]);
        self.nodes.insert(ROOT, Node { parent: ROOT, name, mode, time: 0, body, opens: 0 });
        self.last = ROOT;
    }

    pub(crate) fn node(&self, ino: Ino) -> Sys<&Node> {
        self.nodes.get(&ino).ok_or(Fail::Errno(code::ENOENT))
    }

    pub(crate) fn node_mut(&mut self, ino: Ino) -> Sys<&mut Node> {
        self.nodes.get_mut(&ino).ok_or(Fail::Errno(code::ENOENT))
    }

    /// The node that shows at a name.
    pub(crate) fn find(&self, dir: Ino, name: &str) -> Option<Ino> {
        self.names.get(&(dir, name.to_owned())).and_then(|stack| stack.last()).copied()
    }

    /// `ENOSPC` unless `more` bytes can be held.
    pub(crate) fn room(&self, more: u64) -> Sys<()> {
        if self.bytes.saturating_add(more) > limits::TREE_BYTES {
            return Fail::errno(code::ENOSPC);
        }
        Ok(())
    }

    /// `ENOSPC` unless a node of this name can be made.
    pub(crate) fn room_for_node(&self, name: &str) -> Sys<()> {
        if self.nodes.len() >= limits::NODES || self.last >= limits::LAST_INODE {
            return Fail::errno(code::ENOSPC);
        }
        self.room(name.len() as u64)
    }

    /// A new node at the top of its name's stack. The directory's time becomes the node's.
    pub(crate) fn insert(&mut self, parent: Ino, name: &str, node: Node) -> Ino {
        self.last = self.last.saturating_add(1);
        let (ino, time) = (self.last, node.time);
        self.bytes += name.len() as u64 + node.body.bytes();
        self.nodes.insert(ino, node);
        self.names.entry((parent, name.to_owned())).or_default().push(ino);
        self.enter(parent, name, time);
        ino
    }

    /// Puts a name into a directory's contents.
    fn enter(&mut self, dir: Ino, name: &str, time: i64) {
        if let Some(Node { body: Body::Dir(names), time: at, .. }) = self.nodes.get_mut(&dir) {
            names.insert(name.to_owned());
            *at = time;
        }
    }

    /// Takes a name out of a directory's contents.
    pub(crate) fn leave(&mut self, dir: Ino, name: &str, time: i64) {
        if let Some(Node { body: Body::Dir(names), time: at, .. }) = self.nodes.get_mut(&dir) {
            names.remove(name);
            *at = time;
        }
    }

    /// Takes a node out of its name's stack.
    fn unstack(&mut self, ino: Ino) {
        let Some(node) = self.nodes.get(&ino) else { return };
        let key = (node.parent, node.name.clone());
        if let Some(stack) = self.names.get_mut(&key) {
            stack.retain(|other| *other != ino);
            if stack.is_empty() {
                self.names.remove(&key);
            }
        }
    }

    /// Moves a node to another name, on top of what is there.
    pub(crate) fn rename(&mut self, ino: Ino, dir: Ino, name: &str, time: i64) {
        let Some((old_dir, old_name)) =
            self.nodes.get(&ino).map(|node| (node.parent, node.name.clone()))
        else {
            return;
        };
        self.unstack(ino);
        self.leave(old_dir, &old_name, time);
        self.bytes = self.bytes.saturating_sub(old_name.len() as u64) + name.len() as u64;
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.parent = dir;
            node.name = name.to_owned();
        }
        self.names.entry((dir, name.to_owned())).or_default().push(ino);
        self.enter(dir, name, time);
    }

    /// Takes a node's name away. It lives on while descriptors are on it; what only it led to goes.
    pub(crate) fn unname(&mut self, ino: Ino) {
        let mut gone = vec![ino];
        while let Some(ino) = gone.pop() {
            self.unstack(ino);
            let Some(node) = self.nodes.get_mut(&ino) else { continue };
            self.bytes = self.bytes.saturating_sub(node.name.len() as u64);
            node.name.clear();
            node.parent = ROOT;
            let below = (ino, String::new())..(ino.saturating_add(1), String::new());
            if matches!(node.body, Body::Dir(_)) {
                gone.extend(self.names.range(below).flat_map(|(_, stack)| stack.iter().copied()));
            }
            self.forget_if_free(ino);
        }
    }

    /// Forgets a node that neither a name nor a descriptor leads to.
    pub(crate) fn forget_if_free(&mut self, ino: Ino) {
        let mounted = ino == FD_ROOT && self.nodes.contains_key(&FD_MOUNT);
        let free = |node: &Node| node.name.is_empty() && node.opens == 0 && !mounted;
        if self.nodes.get(&ino).is_some_and(free)
            && let Some(node) = self.nodes.remove(&ino)
        {
            self.bytes = self.bytes.saturating_sub(node.body.bytes());
            if ino == FD_MOUNT {
                self.forget_if_free(FD_ROOT);
            }
        }
    }

    /// Whether `ino` is `above` or below it.
    pub(crate) fn is_under(&self, mut ino: Ino, above: Ino) -> bool {
        while ino != above {
            match self.nodes.get(&ino) {
                Some(node) if ino != ROOT => ino = node.parent,
                _ => return false,
            }
        }
        true
    }

    /// A named node's path from the root.
    pub(crate) fn path(&self, ino: Ino) -> String {
        let mut names = Vec::new();
        let nameless = self.nodes.get(&ino).is_some_and(|node| node.name.is_empty());
        // What is mounted can lose its own name, and is then found by that of the mount.
        let mut at = if ino == FD_ROOT && nameless { FD_MOUNT } else { ino };
        while at != ROOT
            && let Some(node) = self.nodes.get(&at)
        {
            names.push(node.name.as_str());
            at = node.parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// Gives a file other contents. The caller has asked for the room.
    pub(crate) fn set_len(&mut self, ino: Ino, len: u64) -> Sys<()> {
        let Node { body: Body::File(bytes), .. } = self.node_mut(ino)? else {
            return Fail::errno(code::EINVAL);
        };
        let (old, new) = (bytes.len() as u64, usize::try_from(len));
        let new = new.map_err(|_| Fail::Errno(code::ENOSPC))?;
        Arc::make_mut(bytes).resize(new, 0);
        self.bytes = (self.bytes + len).saturating_sub(old);
        Ok(())
    }

    /// Writes into a file, growing it. Between its old end and `at` come zeros.
    pub(crate) fn write(&mut self, ino: Ino, at: u64, from: &[u8]) -> Sys<()> {
        let Node { body: Body::File(bytes), .. } = self.node(ino)? else {
            return Fail::errno(code::EINVAL);
        };
        let end = at.saturating_add(from.len() as u64);
        let more = end.saturating_sub(bytes.len() as u64);
        self.room(more)?;
        if more > 0 {
            self.set_len(ino, end)?;
        }
        if let Node { body: Body::File(bytes), .. } = self.node_mut(ino)? {
            let window = usize::try_from(at).ok().zip(usize::try_from(end).ok());
            let window = window.and_then(|(at, end)| Arc::make_mut(bytes).get_mut(at..end));
            window.ok_or(Fail::Errno(code::ENOSPC))?.copy_from_slice(from);
        }
        Ok(())
    }
}
