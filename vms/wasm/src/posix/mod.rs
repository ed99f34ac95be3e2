//! The world that legacy modules see beside their memory: emscripten's file system, terminals,
//! clock and calendar, as the reference's loader keeps them in the host.
//!
//! Nothing here touches guest memory: paths come as the bytes before their NUL, buffers as slices,
//! and what is to be written goes back as values. `__syscall_*` imports give their result through
//! [`negative`], `fd_*` imports through [`positive`]. A [`Posix`] is a part of the process's state:
//! [`Posix::encode`] has all of it but the lines printed and the seed, which belong to a call.
//!
//! Where the reference is at odds with itself we follow what a guest can observe of it. Deliberate
//! differences: the default directories are of time 0 (the reference has the wall clock), stdin is
//! empty, random devices are seeded, and `limits` has bounds where the reference has none.

mod check;
mod clock;
mod codec;
mod entropy;
mod env;
mod errno;
mod fds;
mod file;
mod fs;
mod limits;
mod lookup;
mod path;
mod stat;
mod strftime;
mod sys;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod tty;
mod weave;

pub(crate) use env::{TimeZone, environment, time_zone};
pub(crate) use errno::{Abort, Fail, Sys, negative, positive};
pub(crate) use stat::Stat;
pub(crate) use strftime::{Zone, strftime};
pub(crate) use sys::Answer;
pub(crate) use time::{Tm, gmtime, localtime, mktime};
pub(crate) use weave::{WeaveFail, WeaveSource};

use entropy::Entropy;
use fds::Fds;
use tree::{Body, Device, FD_ROOT, Link, Node, ROOT, S_IFDIR, Tree};
use tty::{Lines, Printed};

/// Whose emscripten: each came with its own layouts and quirks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// `wasm32-unknown-emscripten`: no files at all.
    Fmt1,
    /// `wasm32-unknown-emscripten2`.
    Fmt2,
    /// `wasm32-unknown-emscripten3`.
    Fmt3,
    /// `wasm32-unknown-emscripten4` and its metering kind.
    Fmt4,
    /// The `wasm64-unknown-emscripten-draft` formats.
    Wasm64,
}

/// Everything the reference keeps of one instance outside its memory.
#[derive(Clone, Debug)]
pub(crate) struct Posix {
    flavor: Flavor,
    clock: u64,
    tree: Tree,
    fds: Fds,
    lines: Lines,
    printed: Printed,
    entropy: Entropy,
    tz_done: bool,
    /// The cell of `setTempRet0` and `getTempRet0` (formats 1 and 2).
    pub(crate) temp_ret: i32,
    /// What the last asynchronous import answered (formats 4 and wasm64).
    pub(crate) async_ret: i32,
}

impl Posix {
    /// The state with the standard streams open, before the guest's constructors run.
    pub(crate) fn new(flavor: Flavor) -> Self {
        let mut posix = Self {
            flavor,
            clock: clock::START,
            tree: Tree::default(),
            fds: Fds::default(),
            lines: Lines::default(),
            printed: Printed::default(),
            entropy: Entropy::default(),
            tz_done: false,
            temp_ret: 0,
            async_ret: 0,
        };
        if flavor != Flavor::Fmt1 {
            posix.grow_default_tree();
            // An untouched tree has room for all of it.
            let opened = posix.open_streams();
            debug_assert_eq!(opened, Ok(()));
        }
        posix
    }

    pub(crate) fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// The directories and devices that are there from the start, in order of their inode numbers.
    /// Their times are not on the counter.
    fn grow_default_tree(&mut self) {
        let dir = || Body::Dir(Default::default());
        self.tree.plant_root();
        for (path, permissions, body) in [
            ("/tmp", 0o777, dir()),
            ("/home", 0o777, dir()),
            ("/home/web_user", 0o777, dir()),
            ("/dev", 0o777, dir()),
            ("/dev/null", 0o666, Body::Device(Device::Null)),
            ("/dev/tty", 0o666, Body::Device(Device::Tty)),
            ("/dev/tty1", 0o666, Body::Device(Device::Tty1)),
            ("/dev/random", 0o555, Body::Device(Device::Random)),
            ("/dev/urandom", 0o555, Body::Device(Device::Urandom)),
            ("/dev/shm", 0o777, dir()),
            ("/dev/shm/tmp", 0o777, dir()),
            ("/proc", 0o777, dir()),
            ("/proc/self", 0o777, dir()),
            ("/proc/self/fd", 0o777, dir()),
        ] {
            let made = self.make(path, permissions, body);
            debug_assert!(made.is_ok());
        }
        let parent = self.tree.node(tree::FD_MOUNT).map_or(ROOT, |mount| mount.parent);
        let mode = S_IFDIR | 0o777;
        let name = "fd".to_owned();
        let node = Node { parent, name, mode, time: 0, body: Body::FdRoot, opens: 0 };
        let mounted = self.tree.insert(parent, "fd", node);
        debug_assert_eq!(mounted, FD_ROOT);
        self.tree.nodes.values_mut().for_each(|node| node.time = 0);
        self.clock = clock::START;
    }

    fn open_streams(&mut self) -> Sys<()> {
        self.make("/dev/stdin", 0o777, Body::Link(Link::Tty))?;
        self.make("/dev/stdout", 0o777, Body::Link(Link::Tty))?;
        self.make("/dev/stderr", 0o777, Body::Link(Link::Tty1))?;
        self.open("/dev/stdin", 0, 0)?;
        self.open("/dev/stdout", fds::O_WRONLY, 0)?;
        self.open("/dev/stderr", fds::O_WRONLY, 0)?;
        Ok(())
    }

    /// `FS.mkdir('/data')`, which the loader does in formats 4 and wasm64 once the constructors
    /// have run.
    pub(crate) fn mkdir_data(&mut self) -> Sys<()> {
        self.make_dir("/data", 0o777).map(|_| ())
    }

    /// Seeds the random devices for a call. A seed of zeros makes them give zeros.
    pub(crate) fn set_seed(&mut self, seed: [u8; 32]) {
        self.entropy = Entropy::new(seed);
    }

    /// The lines printed since the last time, in order, stdout and stderr together.
    pub(crate) fn take_printed(&mut self) -> Vec<String> {
        self.printed.take()
    }

    /// Bytes held beside the guest's memory, for a budget.
    pub(crate) fn held_bytes(&self) -> u64 {
        let node = 200 * self.tree.nodes.len() as u64;
        self.tree.bytes
            + node
            + self.fds.open.values().map(|fd| 100 + fd.path.len() as u64).sum::<u64>()
    }
}
