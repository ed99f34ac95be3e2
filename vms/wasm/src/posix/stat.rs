//! What `stat` tells of a node, and the structures it is told in.

use super::errno::{Fail, Sys, code};
use super::lookup::Last;
use super::tree::{Body, NO_TIME};
use super::{Flavor, Posix};

/// Bytes of a block.
const BLOCK: u64 = 4096;

/// A node's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) dev: u32,
    pub(crate) ino: u32,
    pub(crate) mode: u32,
    pub(crate) rdev: u32,
    pub(crate) size: u64,
    /// Milliseconds from 1970 of all three times; `None` if the reference has `Invalid Date`.
    pub(crate) time: Option<i64>,
}

impl Posix {
    /// The attributes of what is at a path.
    pub(crate) fn stat(&self, path: &str, last: Last) -> Sys<Stat> {
        let found = self.lookup(path, last).map_err(|fail| match fail {
            // Format 2 corrects its lookup's error here, and only here.
            Fail::Errno(code::EACCES) if self.flavor == Flavor::Fmt2 => Fail::Errno(code::ENOTDIR),
            fail => fail,
        })?;
        let ino = self.attributed(found.ok_or(Fail::Errno(code::ENOENT))?)?;
        let node = self.tree.node(ino)?;
        let (dev, rdev, size) = match &node.body {
            Body::Dir(_) | Body::FdRoot => (1, 0, BLOCK),
            Body::File(bytes) => (1, 0, bytes.len() as u64),
            Body::Remote(remote) => (1, 0, remote.size),
            Body::Link(link) => (1, 0, link.target().len() as u64),
            Body::Device(device) => (ino, device.number(), 0),
        };
        let time = (node.time != NO_TIME).then_some(node.time);
        Ok(Stat { dev, ino, mode: node.mode, rdev, size, time })
    }
}

impl Stat {
    /// The structure as guests of a flavor have it, with zeros as padding.
    pub(crate) fn encode(&self, flavor: Flavor) -> Vec<u8> {
        match flavor {
            Flavor::Fmt1 | Flavor::Fmt2 => self.encode_old(),
            Flavor::Fmt3 | Flavor::Fmt4 => self.encode_narrow(),
            Flavor::Wasm64 => self.encode_wide(),
        }
    }

    fn blocks(&self) -> u32 {
        u32::try_from(self.size.div_ceil(BLOCK)).unwrap_or(u32::MAX)
    }

    fn encode_old(&self) -> Vec<u8> {
        let seconds = self.time.map_or(0, |ms| ms / 1000) as i32;
        let mut out = Out::default();
        out.words(&[self.dev, 0, self.ino, self.mode, 1, 0, 0, self.rdev, 0, 0]);
        out.long(self.size);
        out.words(&[BLOCK as u32, self.blocks()]);
        out.words(&[seconds as u32, 0].repeat(3));
        out.long(u64::from(self.ino));
        out.0
    }

    fn encode_narrow(&self) -> Vec<u8> {
        let (seconds, nanos) = self.parts();
        let mut out = Out::default();
        out.words(&[self.dev, self.mode, 1, 0, 0, self.rdev]);
        out.long(self.size);
        out.words(&[BLOCK as u32, self.blocks()]);
        for _ in 0..3 {
            out.long(seconds as u64);
            out.words(&[nanos as u32, 0]);
        }
        out.long(u64::from(self.ino));
        out.0
    }

    fn encode_wide(&self) -> Vec<u8> {
        let (seconds, nanos) = self.parts();
        let mut out = Out::default();
        out.words(&[self.dev, self.mode]);
        out.long(1);
        out.words(&[0, 0, self.rdev, 0]);
        out.long(self.size);
        out.words(&[BLOCK as u32, self.blocks()]);
        for _ in 0..3 {
            out.long(seconds as u64);
            out.long(nanos as u64);
        }
        out.long(u64::from(self.ino));
        out.0
    }

    /// Whole seconds, rounded down, and what the reference takes for nanoseconds: a thousandth of
    /// them, and negative before 1970.
    fn parts(&self) -> (i64, i64) {
        self.time.map_or((0, 0), |ms| (ms.div_euclid(1000), ms % 1000 * 1000))
    }

    /// Ranges of the encoded structure that the reference does not write.
    fn gaps(flavor: Flavor) -> &'static [(usize, usize)] {
        match flavor {
            Flavor::Fmt1 | Flavor::Fmt2 => &[(36, 40)],
            Flavor::Fmt3 | Flavor::Fmt4 => &[(52, 56), (68, 72), (84, 88)],
            Flavor::Wasm64 => &[(28, 32)],
        }
    }

    /// Writes the structure over the guest's, leaving alone the padding that the reference leaves.
    /// `into` has `size(flavor)` bytes.
    pub(crate) fn write_to(&self, flavor: Flavor, into: &mut [u8]) {
        let gaps = Self::gaps(flavor);
        for (at, (byte, old)) in self.encode(flavor).iter().zip(into).enumerate() {
            if !gaps.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                *old = *byte;
            }
        }
    }

    /// Bytes of the structure.
    pub(crate) fn size(flavor: Flavor) -> u64 {
        match flavor {
            Flavor::Fmt1 | Flavor::Fmt2 => 88,
            Flavor::Fmt3 | Flavor::Fmt4 => 96,
            Flavor::Wasm64 => 104,
        }
    }
}

/// Little-endian words one after the other.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn words(&mut self, words: &[u32]) {
        self.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn long(&mut self, word: u64) {
        self.0.extend(word.to_le_bytes());
    }
}
