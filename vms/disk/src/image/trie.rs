//! The tree under [`Table`]: hexary branches, and buckets of up to [`BUCKET`] sorted rows at the ends.
//!
//! A subtree is a bucket exactly when it has at most `BUCKET` rows, so the content alone decides the
//! shape. A branch with a single child is the Merkle-Patricia trie's extension, one nibble at a time.

use super::{
    Table,
    rlp::{Ref, common, nibble},
};
use crate::Digest;
use std::{
    cmp::Ordering,
    hint::black_box,
    mem::take,
    sync::{Arc, LazyLock, OnceLock},
};

/// Measured: more rows a bucket save memory, but each change hashes all rows of its bucket again.
const BUCKET: usize = 8;

static NO_TABLE: LazyLock<Table> = LazyLock::new(Table::new);

#[derive(Clone, Default)]
pub(super) struct Entry {
    pub(super) key: Digest,
    pub(super) value: Value,
}

/// A row's bytes, and its table if rows of this table have one.
#[derive(Clone)]
pub(super) enum Value {
    Short(u8, [u8; 30]),
    Long(Arc<[u8]>),
    /// Of a nesting table, with an empty table: as most accounts are, which need no more than this.
    Alone(Arc<[u8]>),
    Nested(Arc<Nested>),
}

#[derive(Clone)]
pub(super) struct Nested {
    pub(super) bytes: Box<[u8]>,
    pub(super) table: Table,
}

impl Default for Value {
    fn default() -> Self {
        Self::Short(0, [0; 30])
    }
}

impl Value {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut short = [0; 30];
        match short.get_mut(..bytes.len()) {
            Some(to) => {
                to.copy_from_slice(bytes);
                Self::Short(bytes.len() as u8, short)
            }
            None => Self::Long(bytes.into()),
        }
    }

    pub(super) fn nested(bytes: &[u8], table: Table) -> Self {
        if table.is_empty() && table.nests().is_none() {
            return Self::Alone(bytes.into());
        }
        Self::Nested(Arc::new(Nested { bytes: bytes.into(), table }))
    }

    /// A row that had no table yet.
    pub(super) fn fresh(bytes: &[u8], nests: bool) -> Self {
        if nests { Self::nested(bytes, Table::new()) } else { Self::new(bytes) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) | Self::Alone(bytes) => bytes,
            Self::Nested(nested) => &nested.bytes,
        }
    }

    /// Sets the bytes of a row that has a table, which stays: in place, where that can be.
    pub(super) fn set_nested(&mut self, bytes: &[u8]) {
        match self {
            Self::Nested(nested) => match Arc::get_mut(nested) {
                Some(own) if own.bytes.len() == bytes.len() => own.bytes.copy_from_slice(bytes),
                Some(own) => own.bytes = bytes.into(),
                None => *self = Self::nested(bytes, nested.table.clone()),
            },
            Self::Alone(own) => match Arc::get_mut(own) {
                Some(own) if own.len() == bytes.len() => own.copy_from_slice(bytes),
                _ => *own = bytes.into(),
            },
            Self::Short(..) | Self::Long(_) => {}
        }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match self {
            Self::Nested(nested) => Some(&nested.table),
            Self::Alone(_) => Some(&NO_TABLE),
            Self::Short(..) | Self::Long(_) => None,
        }
    }

    /// Its table, to be changed.
    pub(super) fn table_mut(&mut self) -> Option<&mut Table> {
        if let Self::Alone(bytes) = self {
            let bytes = bytes.as_ref().into();
            *self = Self::Nested(Arc::new(Nested { bytes, table: Table::new() }));
        }
        match self {
            Self::Nested(nested) => Some(&mut Arc::make_mut(nested).table),
            Self::Short(..) | Self::Long(_) | Self::Alone(_) => None,
        }
    }

    /// A byte of what it has elsewhere in memory.
    pub(super) fn touch(&self) -> u8 {
        self.bytes().first().copied().unwrap_or_default()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        let tables = match (self.table(), other.table()) {
            (Some(a), Some(b)) => a.is(b),
            (None, None) => true,
            _ => false,
        };
        tables && self.bytes() == other.bytes()
    }
}

#[derive(Clone, Default)]
pub(super) struct Kid {
    pub(super) node: Node,
    /// Forgotten along the path of a change.
    pub(super) made: OnceLock<Ref>,
}

#[derive(Clone)]
pub(super) enum Node {
    /// A row alone. It lies where its parent does: so it is found there, and copied with it.
    One(Entry),
    /// Sorted, two rows at least.
    Bucket(Arc<[Entry]>),
    Branch(Branch),
}

impl Default for Node {
    fn default() -> Self {
        Self::One(Entry::default())
    }
}

/// A node as those see it who only look.
pub(super) enum Seen<'a> {
    /// Sorted, never empty.
    Rows(&'a [Entry]),
    Branch(&'a Branch),
}

/// What a branch is lies where its parent does, and only its children elsewhere: a path is one place in memory for
/// each nibble, not two.
#[derive(Clone)]
pub(super) struct Branch {
    /// Rows below.
    pub(super) count: u64,
    /// Bit n is set if there is a child for nibble n; `kids` has them in order.
    there: u16,
    kids: Arc<[Kid]>,
}

impl Branch {
    pub(super) fn kids(&self) -> &[Kid] {
        &self.kids
    }

    /// Where the child for a nibble is, or would be.
    fn slot(&self, nibble: u8) -> Result<usize, usize> {
        let below = (self.there & ((1 << nibble) - 1)).count_ones() as usize;
        if self.there >> nibble & 1 == 1 { Ok(below) } else { Err(below) }
    }

    pub(super) fn kid(&self, nibble: u8) -> Option<&Kid> {
        self.kids.get(self.slot(nibble).ok()?)
    }

    pub(super) fn kid_mut(&mut self, nibble: u8) -> Option<&mut Kid> {
        let slot = self.slot(nibble).ok()?;
        self.own().get_mut(slot)
    }

    /// How many trees have its children.
    pub(super) fn shares(&self) -> usize {
        Arc::strong_count(&self.kids)
    }

    /// The children, to be changed: copied, if others share them.
    fn own(&mut self) -> &mut [Kid] {
        if self.shares() > 1 {
            self.fetch();
        }
        Arc::make_mut(&mut self.kids)
    }

    /// Reads how many share each of its children. To copy or drop a branch counts all of them up or down, which waits
    /// for each place in memory before it asks for the next one; reading asks for all of them together.
    fn fetch(&self) {
        black_box(self.kids.iter().map(Kid::shares).fold(0, usize::wrapping_add));
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        if self.shares() == 1 {
            self.fetch();
        }
    }
}

impl From<Node> for Kid {
    fn from(node: Node) -> Self {
        Self { node, made: OnceLock::new() }
    }
}

/// The first bytes of a key, which nearly always tell two apart; they have the order of the keys.
pub(super) fn head(key: &Digest) -> u64 {
    key.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

pub(super) fn find(bucket: &[Entry], key: &Digest) -> Result<usize, usize> {
    let wanted = head(key);
    for (at, entry) in bucket.iter().enumerate() {
        let order = head(&entry.key).cmp(&wanted).then_with(|| entry.key.cmp(key));
        match order {
            Ordering::Less => {}
            Ordering::Equal => return Ok(at),
            Ordering::Greater => return Err(at),
        }
    }
    Err(bucket.len())
}

fn with<T, C: FromIterator<T>>(
    left: impl Iterator<Item = T>,
    new: T,
    right: impl Iterator<Item = T>,
) -> C {
    left.chain([new]).chain(right).collect()
}

/// Splits sorted rows by nibble `depth` of their keys.
pub(super) fn by_nibble(
    entries: &[Entry],
    depth: usize,
) -> impl Iterator<Item = (u8, &[Entry])> + Clone {
    let at = move |entry: &Entry| nibble(&entry.key, depth);
    entries
        .chunk_by(move |a, b| at(a) == at(b))
        .filter_map(move |group| Some((at(group.first()?), group)))
}

/// The tree of sorted rows without duplicates, which share their first `depth` nibbles.
pub(super) fn build(entries: &[Entry], depth: usize) -> Node {
    match entries {
        [row] => return Node::One(row.clone()),
        _ if entries.len() <= BUCKET => return Node::Bucket(entries.into()),
        _ => {}
    }
    let groups = by_nibble(entries, depth);
    let there = groups.clone().fold(0, |there, (nibble, _)| there | 1 << nibble);
    let mut kids = Vec::with_capacity(groups.clone().count());
    kids.extend(groups.map(|(_, group)| Kid::from(build(group, depth + 1))));
    Node::Branch(Branch { count: entries.len() as u64, there, kids: kids.into() })
}

impl Node {
    pub(super) fn seen(&self) -> Seen<'_> {
        match self {
            Self::One(row) => Seen::Rows(std::slice::from_ref(row)),
            Self::Bucket(bucket) => Seen::Rows(bucket),
            Self::Branch(branch) => Seen::Branch(branch),
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self.seen() {
            Seen::Rows(rows) => rows.len() as u64,
            Seen::Branch(branch) => branch.count,
        }
    }

    /// Whether both are known to be the same without looking at any row.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bucket(a), Self::Bucket(b)) => Arc::ptr_eq(a, b),
            (Self::Branch(a), Self::Branch(b)) => Arc::ptr_eq(&a.kids, &b.kids),
            _ => false,
        }
    }

    pub(super) fn get(&self, key: &Digest) -> Option<&Value> {
        let mut node = self;
        for depth in 0.. {
            match node.seen() {
                Seen::Rows(rows) => {
                    return rows.get(find(rows, key).ok()?).map(|entry| &entry.value);
                }
                Seen::Branch(branch) => node = &branch.kid(nibble(key, depth))?.node,
            }
        }
        None
    }

    /// The rows that are here and not in a branch below.
    pub(super) fn rows(&self) -> &[Entry] {
        match self.seen() {
            Seen::Rows(rows) => rows,
            Seen::Branch(_) => &[],
        }
    }

    /// Any key below.
    pub(super) fn some_key(&self) -> Digest {
        match self.seen() {
            Seen::Rows(rows) => rows.first().map(|entry| entry.key).unwrap_or_default(),
            Seen::Branch(branch) => {
                branch.kids.first().map(|kid| kid.node.some_key()).unwrap_or_default()
            }
        }
    }

    fn collect(&self, into: &mut Vec<Entry>) {
        match self.seen() {
            Seen::Rows(rows) => into.extend_from_slice(rows),
            Seen::Branch(branch) => branch.kids.iter().for_each(|kid| kid.node.collect(into)),
        }
    }

    /// A row that is here and not in a branch below, to be changed.
    fn row_mut(&mut self, key: &Digest) -> Option<&mut Entry> {
        match self {
            Self::One(row) => (row.key == *key).then_some(row),
            Self::Bucket(bucket) => {
                let at = find(bucket, key).ok()?;
                Arc::make_mut(bucket).get_mut(at)
            }
            Self::Branch(_) => None,
        }
    }

    /// The rows that are here and one more; these are moved, if nobody else has them.
    fn rows_with<T: FromIterator<Entry>>(&mut self, at: usize, entry: Entry) -> T {
        let own = match self {
            Self::One(row) => Some(std::slice::from_mut(row)),
            Self::Bucket(bucket) => Arc::get_mut(bucket),
            Self::Branch(_) => None,
        };
        if let Some((left, right)) = own.and_then(|rows| rows.split_at_mut_checked(at)) {
            return with(left.iter_mut().map(take), entry, right.iter_mut().map(take));
        }
        let (left, right) = self.rows().split_at(at);
        with(left.iter().cloned(), entry, right.iter().cloned())
    }

    /// Sets a row where there is no branch; says whether its key is new.
    fn set_row(&mut self, depth: usize, entry: Entry) -> bool {
        if let Some(row) = self.row_mut(&entry.key) {
            *row = entry;
            return false;
        }
        let rows = self.rows();
        let (Ok(at) | Err(at)) = find(rows, &entry.key);
        *self = if rows.len() < BUCKET {
            Self::Bucket(self.rows_with(at, entry))
        } else {
            build(&self.rows_with::<Vec<_>>(at, entry), depth)
        };
        true
    }
}

impl Kid {
    /// How many trees share what it has elsewhere in memory.
    fn shares(&self) -> usize {
        match &self.node {
            Node::One(Entry { value: Value::Nested(nested), .. }) => Arc::strong_count(nested),
            Node::One(_) => 0,
            Node::Bucket(bucket) => Arc::strong_count(bucket),
            Node::Branch(branch) => branch.shares(),
        }
    }

    /// Sets a row; says whether its key is new.
    pub(super) fn set(&mut self, depth: usize, entry: Entry) -> bool {
        self.made = OnceLock::new();
        match &mut self.node {
            Node::Branch(branch) => branch.set(depth, entry),
            node => node.set_row(depth, entry),
        }
    }

    /// The value of a key that is there. Its path becomes this tree's own.
    pub(super) fn get_mut(&mut self, depth: usize, key: &Digest) -> Option<&mut Value> {
        self.made = OnceLock::new();
        match &mut self.node {
            Node::Branch(branch) => branch.kid_mut(nibble(key, depth))?.get_mut(depth + 1, key),
            node => node.row_mut(key).map(|entry| &mut entry.value),
        }
    }

    /// Removes a key that is there, unless it is the only one.
    pub(super) fn remove(&mut self, depth: usize, key: &Digest) {
        self.made = OnceLock::new();
        let mut rest = Vec::with_capacity(BUCKET);
        match &mut self.node {
            Node::Branch(branch) => {
                branch.remove(depth, key);
                if branch.count as usize > BUCKET {
                    return;
                }
                self.node.collect(&mut rest);
            }
            node => {
                node.collect(&mut rest);
                rest.retain(|entry| entry.key != *key);
            }
        }
        self.node = build(&rest, depth);
    }
}

impl Branch {
    pub(super) fn set(&mut self, depth: usize, entry: Entry) -> bool {
        let nibble = nibble(&entry.key, depth);
        let new = match self.slot(nibble) {
            Ok(slot) => {
                let kid = self.own().get_mut(slot);
                kid.is_some_and(|kid| kid.set(depth + 1, entry))
            }
            Err(slot) => {
                self.there |= 1 << nibble;
                let new = Kid::from(Node::One(entry));
                let own = Arc::get_mut(&mut self.kids);
                self.kids = match own.and_then(|kids| kids.split_at_mut_checked(slot)) {
                    Some((left, right)) => {
                        with(left.iter_mut().map(take), new, right.iter_mut().map(take))
                    }
                    None => {
                        let (left, right) = self.kids.split_at(slot);
                        with(left.iter().cloned(), new, right.iter().cloned())
                    }
                };
                true
            }
        };
        self.count += u64::from(new);
        new
    }

    fn remove(&mut self, depth: usize, key: &Digest) {
        let nibble = nibble(key, depth);
        let Ok(slot) = self.slot(nibble) else { return };
        self.count -= 1;
        match self.own().get_mut(slot) {
            Some(kid) if kid.node.count() > 1 => kid.remove(depth + 1, key),
            _ => {
                let rest = self.kids.iter().enumerate().filter(|(at, _)| *at != slot);
                self.kids = rest.map(|(_, kid)| kid.clone()).collect();
                self.there &= !(1 << nibble);
            }
        }
    }
}

/// All rows, by key.
#[derive(Clone, Default)]
pub(super) struct Entries<'a> {
    stack: Vec<std::slice::Iter<'a, Kid>>,
    bucket: std::slice::Iter<'a, Entry>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(node: Option<&'a Node>) -> Self {
        let mut entries = Self::default();
        node.into_iter().for_each(|node| entries.enter(node));
        entries
    }

    fn enter(&mut self, node: &'a Node) {
        match node.seen() {
            Seen::Rows(rows) => self.bucket = rows.iter(),
            Seen::Branch(branch) => self.stack.push(branch.kids.iter()),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        loop {
            if let Some(entry) = self.bucket.next() {
                return Some(entry);
            }
            match self.stack.last_mut()?.next() {
                Some(kid) => self.enter(&kid.node),
                None => drop(self.stack.pop()),
            }
        }
    }
}

/// A difference: the key, the value in the first tree, the value in the second.
pub(super) type Differ<'s, 'a> = dyn FnMut(Digest, Option<&'a Value>, Option<&'a Value>) + 's;

/// Shows the rows that differ, by key. Shared subtrees are skipped.
pub(super) fn diff<'a>(a: Option<&'a Node>, b: Option<&'a Node>, seen: &mut Differ<'_, 'a>) {
    match (a, b) {
        (Some(a), Some(b)) if a.is(b) => {}
        (Some(Node::Branch(a)), Some(Node::Branch(b))) => {
            for nibble in 0..16 {
                let [a, b] = [a, b].map(|branch| branch.kid(nibble).map(|kid| &kid.node));
                diff(a, b, seen);
            }
        }
        _ => merge(Entries::new(a), Entries::new(b), seen),
    }
}

fn merge<'a>(a: Entries<'a>, b: Entries<'a>, seen: &mut Differ<'_, 'a>) {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        match (left, right) {
            (Some(a), Some(b)) if a.value.is(&b.value) => {}
            (Some(a), b) => seen(a.key, Some(&a.value), b.map(|b| &b.value)),
            (None, Some(b)) => seen(b.key, None, Some(&b.value)),
            (None, None) => return,
        }
    }
}

/// How many nibbles the rows of a node share, given that they share `depth`.
pub(super) fn shared(entries: &[Entry], depth: usize) -> usize {
    match (entries.first(), entries.last()) {
        (Some(first), Some(last)) => common(&first.key, &last.key),
        _ => depth,
    }
}
