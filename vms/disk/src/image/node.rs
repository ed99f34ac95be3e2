//! The tree under [`Pages`](super::Pages): sixteen children a node, pages for leaves, hashes kept.
//!
//! A subtree of height h spans 16^h pages; at height 0 it is a page. No node is empty, no page is all
//! zero. A node's hash is made when asked for, and forgotten only along the path of a change.

use super::{Lent, PAGE, Page, PageMap, PageStore};
use crate::{Digest, HostError};
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

const FAN: usize = 16;
const BITS: u32 = FAN.trailing_zeros();
/// Bytes that are compared and written at a time: a line of a cache.
const LINE: usize = 64;
const PAGE_KEY: &[u8; 32] = b"drivebay page of 4096 bytes, v1.";
const NODE_KEY: &[u8; 32] = b"drivebay node of sixteen kids v1";

pub(super) static ZERO: Page = [0; PAGE];

/// Writes the lines in which a page differs: it is mostly as it was, and what is not written need not leave the
/// cache. False if all of it was so.
pub fn bring_up(page: &mut Page, to_be: &Page) -> bool {
    let (lines, _) = page.as_chunks_mut::<LINE>();
    let mut changed = false;
    for (to, from) in lines.iter_mut().zip(to_be.as_chunks::<LINE>().0) {
        // Written out, since a call for each line costs as much as looking at it.
        let words = to.as_chunks::<8>().0.iter().zip(from.as_chunks::<8>().0);
        let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
        if words.fold(0, |differs, (to, from)| differs | (word(to) ^ word(from))) != 0 {
            *to = *from;
            changed = true;
        }
    }
    changed
}

/// BLAKE3 of a page, keyed so that no other use of BLAKE3 here can give the same hash.
pub fn page_hash(page: &Page) -> Digest {
    Digest(*blake3::keyed_hash(PAGE_KEY, page).as_bytes())
}

#[derive(Clone, Default)]
pub(super) enum Kid {
    #[default]
    None,
    Node(Arc<Node>),
    Held(Arc<Held>),
    Mapped(Arc<Mapped>),
    Lent(Arc<Lent>),
}

#[derive(Default)]
pub(super) struct Node {
    kids: [Kid; FAN],
    hash: OnceLock<Digest>,
    census: OnceLock<Census>,
}

/// Pages of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Those that are not all zero.
    pub pages: u64,
    /// Of these, whose bytes the tree itself holds in memory.
    pub held: u64,
}

pub(super) struct Held {
    bytes: Page,
    hash: OnceLock<Digest>,
}

impl Held {
    fn new(page: &Page) -> Arc<Self> {
        Arc::new(Self { bytes: *page, hash: OnceLock::new() })
    }

    /// False if all of it was so.
    fn bring_up(&mut self, page: &Page) -> bool {
        let changed = bring_up(&mut self.bytes, page);
        if changed {
            self.hash = OnceLock::new();
        }
        changed
    }
}

/// A page that lies elsewhere in memory.
pub(super) struct Mapped {
    from: Arc<dyn PageMap>,
    index: u64,
    hash: OnceLock<Digest>,
}

impl Mapped {
    fn page(&self) -> &Page {
        self.from.page(self.index)
    }
}

/// How a new page is kept.
#[derive(Clone, Copy)]
pub(super) enum Keep<'a> {
    Held,
    Lent(&'a Arc<dyn PageStore>),
}

/// The height of the smallest tree that spans so many pages.
pub(super) fn height_for(pages: u64) -> u32 {
    pages.saturating_sub(1).checked_ilog2().map_or(0, |top| top / BITS + 1)
}

fn span(height: u32) -> u64 {
    1 << (BITS * height)
}

/// Which child of a node of that height holds page `index`.
fn slot(index: u64, height: u32) -> usize {
    (index >> (BITS * (height - 1))) as usize % FAN
}

impl Kid {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether both are known to be the same without looking at any page.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Node(a), Self::Node(b)) => {
                Arc::ptr_eq(a, b) || a.hash.get().is_some_and(|hash| b.hash.get() == Some(hash))
            }
            (Self::None, _) | (_, Self::None) | (Self::Node(_), _) | (_, Self::Node(_)) => false,
            (Self::Lent(_), _) | (_, Self::Lent(_)) => self.hash() == other.hash(),
            _ => std::ptr::eq(self.held(), other.held()) || self.held() == other.held(),
        }
    }

    /// `None` for what is all zero.
    pub(super) fn hash(&self) -> Option<Digest> {
        match self {
            Self::None => None,
            Self::Node(node) => Some(*node.hash.get_or_init(|| hash_kids(&node.kids))),
            Self::Held(held) => Some(*held.hash.get_or_init(|| page_hash(&held.bytes))),
            Self::Mapped(it) => Some(*it.hash.get_or_init(|| page_hash(it.page()))),
            Self::Lent(lent) => Some(lent.hash),
        }
    }

    /// What it counts. Only what changed since it was last asked for is counted.
    pub(super) fn census(&self) -> Census {
        match self {
            Self::None => Census::default(),
            Self::Held(_) => Census { pages: 1, held: 1 },
            Self::Mapped(_) | Self::Lent(_) => Census { pages: 1, held: 0 },
            Self::Node(node) => *node.census.get_or_init(|| {
                node.kids.iter().map(Self::census).fold(Census::default(), |all, kid| Census {
                    pages: all.pages + kid.pages,
                    held: all.held + kid.held,
                })
            }),
        }
    }

    /// Whether both are the very same tree.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Node(a), Self::Node(b)) => Arc::ptr_eq(a, b),
            (Self::Held(a), Self::Held(b)) => Arc::ptr_eq(a, b),
            (Self::Mapped(a), Self::Mapped(b)) => Arc::ptr_eq(a, b),
            (Self::Lent(a), Self::Lent(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn kid(&self, slot: usize) -> &Self {
        static NONE: Kid = Kid::None;
        match self {
            Self::Node(node) => node.kids.get(slot).unwrap_or(&NONE),
            _ => &NONE,
        }
    }

    /// The leaf of page `index` in a tree of that height.
    pub(super) fn leaf(&self, index: u64, height: u32) -> &Self {
        (1..=height).rev().fold(self, |kid, height| kid.kid(slot(index, height)))
    }

    /// Makes a leaf of `page`. False if it already was.
    pub(super) fn put(&mut self, page: &Page, keep: Keep<'_>) -> bool {
        if *page == ZERO {
            let was_zero = self.is_none();
            *self = Self::None;
            return !was_zero;
        }
        // What nobody else has is brought up in place.
        if let (Self::Held(held), Keep::Held) = (&mut *self, keep)
            && let Some(held) = Arc::get_mut(held)
        {
            return held.bring_up(page);
        }
        match (&mut *self, keep) {
            (Self::Held(held), _) if held.bytes == *page => return false,
            (Self::Mapped(mapped), Keep::Held) if mapped.page() == page => return false,
            (Self::Lent(lent), Keep::Held) if lent.hash == page_hash(page) => return false,
            (_, Keep::Held) => *self = Self::Held(Held::new(page)),
            (_, Keep::Lent(from)) => {
                let hash = page_hash(page);
                if matches!(self, Self::Lent(lent) if lent.hash == hash) {
                    return false;
                }
                *self = Self::Lent(Arc::new(Lent { hash, from: Arc::clone(from) }));
            }
        }
        true
    }

    /// The bytes of a leaf that is not lent.
    pub(super) fn held(&self) -> &Page {
        match self {
            Self::Held(held) => &held.bytes,
            Self::Mapped(mapped) => mapped.page(),
            _ => &ZERO,
        }
    }

    /// The bytes of a leaf; a lent page is copied to `room`.
    pub(super) fn bytes<'a>(
        &'a self,
        index: u64,
        room: &'a mut Page,
    ) -> Result<&'a Page, HostError> {
        match self {
            Self::Lent(lent) => {
                lent.load(index, room)?;
                Ok(room)
            }
            _ => Ok(self.held()),
        }
    }

    /// The same tree under one more node, as its first child.
    pub(super) fn raised(self) -> Self {
        if self.is_none() {
            return self;
        }
        let mut node = Node::default();
        if let Some(first) = node.kids.first_mut() {
            *first = self;
        }
        Self::Node(Arc::new(node))
    }

    /// The first child.
    pub(super) fn lowered(&self) -> Self {
        self.kid(0).clone()
    }
}

fn hash_kids(kids: &[Kid; FAN]) -> Digest {
    let mut there = 0u16;
    let mut hasher = blake3::Hasher::new_keyed(NODE_KEY);
    for (at, kid) in kids.iter().enumerate() {
        if let Some(hash) = kid.hash() {
            there |= 1 << at;
            hasher.update(&hash.0);
        }
    }
    hasher.update(&there.to_le_bytes());
    Digest(*hasher.finalize().as_bytes())
}

/// Changes leaves. Gets the page's index and leaf; says whether it changed it.
pub(super) type Change<'a> = dyn FnMut(u64, &mut Kid) -> Result<bool, HostError> + 'a;

/// Offers the leaves of `pages` (increasing) to `change`, and copies the nodes above those it changed,
/// unless nobody else has them. After an error the tree is whole, but some pages may have changed.
pub(super) fn edit(
    kid: &mut Kid,
    height: u32,
    pages: &[u64],
    change: &mut Change<'_>,
) -> Result<bool, HostError> {
    let Some(first) = pages.first() else { return Ok(false) };
    if height == 0 {
        return change(*first, kid);
    }
    if let Kid::Node(node) = kid
        && let Some(node) = Arc::get_mut(node)
    {
        let changed = edit_kids(&mut node.kids, height, pages, change);
        if !matches!(changed, Ok(false)) {
            (node.hash, node.census) = Default::default();
        }
        if node.kids.iter().all(Kid::is_none) {
            *kid = Kid::None;
        }
        return changed;
    }
    let mut kids = match kid {
        Kid::Node(node) => node.kids.clone(),
        _ => Default::default(),
    };
    let changed = edit_kids(&mut kids, height, pages, change)?;
    if changed {
        *kid = sealed(kids);
    }
    Ok(changed)
}

fn edit_kids(
    kids: &mut [Kid; FAN],
    height: u32,
    mut pages: &[u64],
    change: &mut Change<'_>,
) -> Result<bool, HostError> {
    let mut changed = false;
    for (at, kid) in kids.iter_mut().enumerate() {
        let (here, rest) = pages.split_at(pages.partition_point(|page| slot(*page, height) <= at));
        changed |= edit(kid, height - 1, here, change)?;
        pages = rest;
    }
    Ok(changed)
}

fn sealed(kids: [Kid; FAN]) -> Kid {
    if kids.iter().all(Kid::is_none) {
        return Kid::None;
    }
    Kid::Node(Arc::new(Node { kids, ..Node::default() }))
}

/// The tree without the pages from `pages` on.
pub(super) fn cut(kid: &Kid, height: u32, pages: u64) -> Kid {
    match kid {
        _ if pages == 0 => Kid::None,
        Kid::Node(node) if pages < span(height) => {
            let below = span(height - 1);
            let mut left = pages;
            sealed(node.kids.each_ref().map(|kid| {
                let kept = left.min(below);
                left -= kept;
                cut(kid, height - 1, kept)
            }))
        }
        _ => kid.clone(),
    }
}

/// The same tree with every held page lent by `from` instead.
pub(super) fn lend(kid: &Kid, from: &Arc<dyn PageStore>) -> Kid {
    match (kid, kid.hash()) {
        (Kid::Node(node), Some(hash)) => {
            let kids = node.kids.each_ref().map(|kid| lend(kid, from));
            Kid::Node(Arc::new(Node { kids, hash: hash.into(), census: OnceLock::new() }))
        }
        (Kid::Held(_) | Kid::Mapped(_), Some(hash)) => {
            Kid::Lent(Arc::new(Lent { hash, from: Arc::clone(from) }))
        }
        _ => kid.clone(),
    }
}

/// The same tree with every page as it lies in `from`. What is known of hashes stays known.
pub(super) fn map(kid: &Kid, height: u32, first: u64, from: &Arc<dyn PageMap>) -> Kid {
    let leaf = |hash| Kid::Mapped(Arc::new(Mapped { from: Arc::clone(from), index: first, hash }));
    match kid {
        Kid::None => Kid::None,
        Kid::Node(node) => {
            let mut first = first;
            let kids = node.kids.each_ref().map(|kid| {
                let mapped = map(kid, height - 1, first, from);
                first += span(height - 1);
                mapped
            });
            Kid::Node(Arc::new(Node { kids, hash: node.hash.clone(), census: OnceLock::new() }))
        }
        Kid::Held(held) => leaf(held.hash.clone()),
        Kid::Mapped(mapped) => leaf(mapped.hash.clone()),
        Kid::Lent(lent) => leaf(lent.hash.into()),
    }
}

/// Puts what stands in `new` where `kid` has the very nodes and leaves that `old` has in its place.
pub(super) fn follow(kid: &mut Kid, old: &Kid, new: &Kid) {
    match (&mut *kid, old, new) {
        (Kid::Node(node), Kid::Node(was), Kid::Node(is)) if !Arc::ptr_eq(node, was) => {
            let mut kids = node.kids.clone();
            for ((kid, old), new) in kids.iter_mut().zip(&was.kids).zip(&is.kids) {
                follow(kid, old, new);
            }
            *kid = Kid::Node(Arc::new(Node {
                kids,
                hash: node.hash.clone(),
                census: OnceLock::new(),
            }));
        }
        (Kid::Node(_), Kid::Node(_), Kid::Node(_)) => *kid = new.clone(),
        (Kid::Held(leaf), Kid::Held(was), _) if Arc::ptr_eq(leaf, was) => *kid = new.clone(),
        (Kid::Mapped(leaf), Kid::Mapped(was), _) if Arc::ptr_eq(leaf, was) => *kid = new.clone(),
        (Kid::Lent(leaf), Kid::Lent(was), _) if Arc::ptr_eq(leaf, was) => *kid = new.clone(),
        _ => {}
    }
}

/// Shows every leaf, in order of pages.
pub(super) fn walk(
    kid: &Kid,
    height: u32,
    first: u64,
    each: &mut dyn FnMut(u64, &Kid) -> Result<(), HostError>,
) -> Result<(), HostError> {
    match kid {
        Kid::None => Ok(()),
        Kid::Node(node) => (first..)
            .step_by(span(height - 1) as usize)
            .zip(&node.kids)
            .try_for_each(|(first, kid)| walk(kid, height - 1, first, each)),
        Kid::Held(_) | Kid::Mapped(_) | Kid::Lent(_) => each(first, kid),
    }
}

/// Shows the leaves of `pages` (increasing), those that are all zero too. One walk, no descent for each.
pub(super) fn pick(
    kid: &Kid,
    height: u32,
    mut pages: &[u64],
    each: &mut dyn FnMut(u64, &Kid) -> Result<(), HostError>,
) -> Result<(), HostError> {
    match (kid, pages) {
        (_, []) => Ok(()),
        (Kid::Node(node), _) if height > 0 => {
            for (at, kid) in node.kids.iter().enumerate() {
                let below = pages.partition_point(|page| slot(*page, height) <= at);
                let (here, rest) = pages.split_at(below);
                pick(kid, height - 1, here, each)?;
                pages = rest;
            }
            Ok(())
        }
        _ => pages.iter().try_for_each(|page| each(*page, kid)),
    }
}

/// Lists the pages at which two trees of one height differ. Shared subtrees are skipped.
pub(super) fn diff(a: &Kid, b: &Kid, height: u32, first: u64, found: &mut Vec<u64>) {
    if a.is(b) {
        return;
    }
    if height == 0 {
        found.push(first);
        return;
    }
    let below = span(height - 1);
    for at in 0..FAN {
        diff(a.kid(at), b.kid(at), height - 1, first + at as u64 * below, found);
    }
}

/// The runs of pages that are not zero.
pub(super) fn runs(kid: &Kid, height: u32) -> Result<Vec<Range<u64>>, HostError> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    walk(kid, height, 0, &mut |index, _| {
        match runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => runs.push(index..index + 1),
        }
        Ok(())
    })?;
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhashed(kid: &Kid) -> usize {
        match kid {
            Kid::Node(node) => {
                usize::from(node.hash.get().is_none())
                    + node.kids.iter().map(unhashed).sum::<usize>()
            }
            Kid::Held(held) => usize::from(held.hash.get().is_none()),
            Kid::Mapped(mapped) => usize::from(mapped.hash.get().is_none()),
            Kid::None | Kid::Lent(_) => 0,
        }
    }

    #[test]
    fn a_change_forgets_the_hashes_of_its_path_alone() {
        let (mut kid, height) = (Kid::None, height_for(1000));
        let all: Vec<u64> = (0..1000).collect();
        let put = |byte: u8, pages: &[u64], kid: &mut Kid| {
            edit(kid, height, pages, &mut |_, leaf| Ok(leaf.put(&[byte; PAGE], Keep::Held)))
        };
        assert!(matches!(put(1, &all, &mut kid), Ok(true)));
        let first = kid.hash();
        let kept = kid.clone();
        assert!(matches!(put(1, &[5, 500], &mut kid), Ok(false)));
        assert_eq!(unhashed(&kid), 0, "an equal page is no change");
        assert!(matches!(put(2, &[500], &mut kid), Ok(true)));
        assert_eq!(unhashed(&kid), height as usize + 1);
        assert_ne!(kid.hash(), first);
        assert_eq!(unhashed(&kept), 0);
        assert_eq!(kept.hash(), first);
    }

    #[test]
    fn the_height_is_the_least_that_fits() {
        for pages in [0, 1, 2, 15, 16, 17, 255, 256, 257, 4096, 4097, (1 << 52) - 1, 1 << 52] {
            let height = height_for(pages);
            assert!(span(height) >= pages);
            assert!(height == 0 || span(height - 1) < pages);
        }
    }
}
