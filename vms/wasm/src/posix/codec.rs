//! The state as bytes, and back.
//!
//! Little-endian, lengths and counts as u32. There is one text for one state: what decodes to a
//! state that encodes differently is refused, so a section that is accepted is accepted byte for
//! byte.

use super::entropy::Entropy;
use super::errno::Fail;
use super::fds::{Fd, Fds, Position, Shared};
use super::limits::{self, DATE_MS, OPEN_FDS, POSITION_DIGITS, SAFE_INTEGER, TTY_LINE};
use super::tree::{Body, Device, Ino, Link, NO_TIME, Node, Remote, Tree};
use super::tty::{Lines, Printed};
use super::{Flavor, Posix};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const VERSION: u8 = 1;

/// Why bytes are no state.
type Bad = &'static str;

impl Flavor {
    fn code(self) -> u8 {
        match self {
            Self::Fmt1 => 1,
            Self::Fmt2 => 2,
            Self::Fmt3 => 3,
            Self::Fmt4 => 4,
            Self::Wasm64 => 64,
        }
    }
}

impl Posix {
    /// All that stays between calls, as bytes. Lines printed and the seed do not.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(VERSION);
        out.u8(self.flavor.code());
        out.u64(self.clock);
        out.u8(u8::from(self.tz_done));
        out.u32(self.temp_ret as u32);
        out.u32(self.async_ret as u32);
        out.bytes(&self.lines.out);
        out.bytes(&self.lines.err);
        put_tree(&mut out, &self.tree);
        put_fds(&mut out, &self.fds);
        out.0
    }

    /// The state of bytes that `encode` gave for the same flavor. Anything else is refused.
    pub(crate) fn decode(bytes: &[u8], flavor: Flavor) -> Result<Self, String> {
        let posix = Self::parse(bytes, flavor).map_err(str::to_owned)?;
        if posix.encode() != bytes {
            return Err("the state is not in its one form".to_owned());
        }
        Ok(posix)
    }

    fn parse(bytes: &[u8], flavor: Flavor) -> Result<Self, Bad> {
        let mut from = Reader(bytes);
        if (from.u8()?, from.u8()?) != (VERSION, flavor.code()) {
            return Err("another version or flavor");
        }
        let clock = from.u64()?;
        let tz_done = from.u8()? != 0;
        let (temp_ret, async_ret) = (from.u32()? as i32, from.u32()? as i32);
        let lines = Lines { out: from.bytes()?.to_vec(), err: from.bytes()?.to_vec() };
        let mut tree = take_tree(&mut from)?;
        let fds = take_fds(&mut from)?;
        if !from.0.is_empty() {
            return Err("bytes after the end");
        }
        if clock > SAFE_INTEGER as u64 {
            return Err("the clock is past all numbers");
        }
        check_lines(&lines)?;
        count_opens(&mut tree, &fds)?;
        check_fds(&tree, &fds)?;
        super::check::check_tree(&tree, flavor)?;
        let (printed, entropy) = (Printed::default(), Entropy::default());
        let posix = Self {
            flavor,
            clock,
            tree,
            fds,
            lines,
            printed,
            entropy,
            tz_done,
            temp_ret,
            async_ret,
        };
        Ok(posix)
    }
}

fn put_tree(out: &mut Writer, tree: &Tree) {
    out.u32(tree.last);
    out.count(tree.nodes.len());
    for (ino, node) in &tree.nodes {
        let key = (node.parent, node.name.clone());
        let stack = tree.names.get(&key).map(Vec::as_slice).unwrap_or_default();
        let rank = stack.iter().position(|other| other == ino).unwrap_or(0);
        out.u32(*ino);
        out.u32(node.parent);
        out.text(&node.name);
        out.count(rank);
        out.u32(node.mode);
        out.u64(node.time as u64);
        put_body(out, &node.body);
    }
}

fn put_body(out: &mut Writer, body: &Body) {
    match body {
        Body::Dir(names) => {
            out.u8(0);
            out.count(names.len());
            names.iter().for_each(|name| out.text(name));
        }
        Body::File(bytes) => {
            out.u8(1);
            out.bytes(bytes);
        }
        Body::Remote(remote) => {
            out.u8(2);
            out.u64(remote.size);
            out.bytes(&remote.cache);
        }
        Body::Link(link) => {
            out.u8(3);
            out.u8(u8::from(*link == Link::Tty1));
        }
        Body::Device(device) => {
            out.u8(4);
            out.u32(device.number());
        }
        Body::FdRoot => out.u8(5),
    }
}

fn take_tree(from: &mut Reader<'_>) -> Result<Tree, Bad> {
    let last = from.u32()?;
    let mut tree = Tree { last, ..Tree::default() };
    let mut ranked: BTreeMap<(Ino, String), BTreeMap<u32, Ino>> = BTreeMap::new();
    if last > limits::LAST_INODE {
        return Err("too many files ever made");
    }
    for _ in 0..from.bounded(limits::NODES)? {
        let (ino, parent) = (from.u32()?, from.u32()?);
        let (name, rank) = (from.text()?, from.u32()?);
        let (mode, time, body) = (from.u32()?, from.u64()? as i64, take_body(from)?);
        if tree.nodes.last_key_value().is_some_and(|(before, _)| *before >= ino) || ino > last {
            return Err("files out of order");
        }
        if !name.is_empty() {
            ranked.entry((parent, name.clone())).or_default().insert(rank, ino);
        }
        if time != NO_TIME && !(-DATE_MS..=DATE_MS).contains(&time) {
            return Err("a time that no date has");
        }
        tree.bytes += name.len() as u64 + body.bytes();
        tree.nodes.insert(ino, Node { parent, name, mode, time, body, opens: 0 });
    }
    if tree.bytes > limits::TREE_BYTES {
        return Err("too many bytes in files");
    }
    let stacks = ranked.into_iter().map(|(key, stack)| (key, stack.into_values().collect()));
    tree.names = stacks.collect();
    Ok(tree)
}

fn take_body(from: &mut Reader<'_>) -> Result<Body, Bad> {
    Ok(match from.u8()? {
        0 => {
            let count = from.u32()?;
            let names = (0..count).map(|_| from.text()).collect::<Result<BTreeSet<_>, Bad>>()?;
            Body::Dir(names)
        }
        1 => Body::File(Arc::new(from.bytes()?.to_vec())),
        2 => Body::Remote(Remote { size: from.u64()?, cache: from.bytes()?.to_vec() }),
        3 => Body::Link(if from.u8()? == 0 { Link::Tty } else { Link::Tty1 }),
        4 => {
            let number = from.u32()?;
            let known = Device::ALL.into_iter().find(|device| device.number() == number);
            Body::Device(known.ok_or("no such device")?)
        }
        5 => Body::FdRoot,
        _ => return Err("no such kind of file"),
    })
}

/// Shared parts are numbered by the first descriptor that has them.
fn put_fds(out: &mut Writer, fds: &Fds) {
    let mut order: Vec<u32> = Vec::new();
    for fd in fds.open.values() {
        if !order.contains(&fd.shared) {
            order.push(fd.shared);
        }
    }
    let numbers: BTreeMap<u32, usize> =
        order.iter().enumerate().map(|(at, key)| (*key, at)).collect();
    let shared: Vec<&Shared> = order.iter().filter_map(|key| fds.shared.get(key)).collect();
    out.count(shared.len());
    for shared in shared {
        out.u32(shared.flags as u32);
        put_position(out, &shared.position);
    }
    out.count(fds.open.len());
    for (number, fd) in &fds.open {
        out.u32(*number as u32);
        out.count(numbers.get(&fd.shared).copied().unwrap_or_default());
        out.u32(fd.node);
        out.text(&fd.path);
        out.u8(u8::from(fd.read_end.is_some()));
        fd.read_end.iter().for_each(|position| put_position(out, position));
    }
}

fn put_position(out: &mut Writer, position: &Position) {
    match position {
        Position::At(at) => {
            out.u8(0);
            out.u64(*at as u64);
        }
        Position::Digits(digits) => {
            out.u8(1);
            out.text(digits);
        }
    }
}

fn take_fds(from: &mut Reader<'_>) -> Result<Fds, Bad> {
    let mut fds = Fds::default();
    for key in 0..from.bounded(OPEN_FDS)? {
        let (flags, position) = (from.u32()? as i32, take_position(from)?);
        fds.shared.insert(key, Shared { flags, position });
    }
    for _ in 0..from.bounded(OPEN_FDS)? {
        let (number, shared) = (from.u32()? as i32, from.u32()?);
        let (node, path) = (from.u32()?, from.text()?.into());
        let read_end = (from.u8()? != 0).then(|| take_position(from)).transpose()?;
        if !fds.shared.contains_key(&shared) {
            return Err("a descriptor without flags");
        }
        fds.open.insert(number, Fd { shared, node, path, read_end });
    }
    Ok(fds)
}

fn take_position(from: &mut Reader<'_>) -> Result<Position, Bad> {
    match from.u8()? {
        0 => match from.u64()? as i64 {
            at @ 0.. => Ok(Position::At(at)),
            _ => Err("a position before the start"),
        },
        1 => {
            let digits = from.text()?;
            let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
            if !plain || digits.is_empty() || digits.len() > POSITION_DIGITS {
                return Err("a position of no digits");
            }
            Ok(Position::Digits(digits))
        }
        _ => Err("no such kind of position"),
    }
}

fn check_lines(lines: &Lines) -> Result<(), Bad> {
    let ended =
        |line: &Vec<u8>| line.len() >= TTY_LINE || line.iter().any(|b| matches!(b, 0 | b'\n'));
    if ended(&lines.out) || ended(&lines.err) { Err("a line that has ended") } else { Ok(()) }
}

fn count_opens(tree: &mut Tree, fds: &Fds) -> Result<(), Bad> {
    for fd in fds.open.values() {
        let node = tree.node_mut(fd.node).map_err(|_: Fail| "a descriptor of no file")?;
        node.opens += 1;
    }
    Ok(())
}

/// Links are never open, and only data items have digits as a position.
fn check_fds(tree: &Tree, fds: &Fds) -> Result<(), Bad> {
    let mut owners: BTreeMap<u32, Ino> = BTreeMap::new();
    for fd in fds.open.values() {
        let body = tree.nodes.get(&fd.node).map(|node| &node.body);
        let remote = matches!(body, Some(Body::Remote(_)));
        let position = fds.shared.get(&fd.shared).map(|shared| &shared.position);
        let mut positions = position.into_iter().chain(&fd.read_end);
        if !remote && positions.any(|position| matches!(position, Position::Digits(_))) {
            return Err("digits as the position in a file");
        }
        if matches!(body, Some(Body::Link(_))) || !fd.path.starts_with('/') {
            return Err("a descriptor of a link or without a path");
        }
        if *owners.entry(fd.shared).or_insert(fd.node) != fd.node {
            return Err("a position shared between files");
        }
    }
    Ok(())
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// A number that the limits keep far below 2^32.
    fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        self.take(N)?.try_into().map_err(|_| "it ends early")
    }

    fn u8(&mut self) -> Result<u8, Bad> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Bad> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Bad> {
        self.array().map(u64::from_le_bytes)
    }

    fn bounded(&mut self, most: usize) -> Result<u32, Bad> {
        self.u32().and_then(|count| if count as usize > most { Err("too many") } else { Ok(count) })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Bad> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    fn text(&mut self) -> Result<String, Bad> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| "a name that is no text")?;
        Ok(text.to_owned())
    }
}
