//! Byte memory as a value.

use super::{
    DirtySet, Lent, PAGE, Page, PageError, PageMap, PageSource, PageStore, SliceSource,
    node::{self, Census, Keep, Kid},
    source::Dirty,
};
use crate::{Digest, HostError};
use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

/// How many pages of an unknown dirty set are looked at in one go.
const BATCH: u64 = 4096;

/// Byte memory in 4 KiB pages: a persistent tree, fan-out 16, hashes cached in the nodes.
///
/// A clone shares all pages; a changed page copies its path only. A leaf holds its bytes or is [`Lent`].
/// An all-zero page is absent, bytes past `len_bytes` are zero, an empty node is absent, and the height
/// follows from `len_bytes` alone: equal memory has an equal root, whatever its history.
#[derive(Clone, Default)]
pub struct Pages {
    len_bytes: u64,
    root: Kid,
}

impl Pages {
    /// `len_bytes` zero bytes.
    pub fn new(len_bytes: u64) -> Self {
        Self { len_bytes, root: Kid::None }
    }

    /// A copy of `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut pages = Self::new(bytes.len() as u64);
        let (whole, _) = bytes.as_chunks::<PAGE>();
        let source = SliceSource::new(bytes);
        (0u64..)
            .zip(whole.iter().chain(source.last()))
            .for_each(|(index, page)| pages.put(index, page));
        pages
    }

    /// Length in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Number of pages; the last one may be cut by `len_bytes`.
    pub fn page_count(&self) -> u64 {
        self.len_bytes.div_ceil(PAGE as u64)
    }

    /// All bytes, if there are at most `max`.
    pub fn to_vec(&self, max: u64) -> Result<Vec<u8>, PageError> {
        if self.len_bytes > max {
            return Err(self.out_of_range(0, max));
        }
        let size = usize::try_from(self.len_bytes).map_err(|_| self.out_of_range(0, max))?;
        let mut bytes = vec![0; size];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Page `index`; what lies past `len_bytes` in it is zero.
    pub fn page(&self, index: u64) -> Result<Cow<'_, Page>, PageError> {
        if index >= self.page_count() {
            return Err(self.out_of_range(index.saturating_mul(PAGE as u64), PAGE as u64));
        }
        match self.leaf(index) {
            Kid::Lent(lent) => {
                let mut page = [0; PAGE];
                lent.load(index, &mut page)?;
                Ok(Cow::Owned(page))
            }
            leaf => Ok(Cow::Borrowed(leaf.held())),
        }
    }

    /// Fills `into` with the bytes from `offset` on.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), PageError> {
        self.check(offset, into.len())?;
        let mut room = [0; PAGE];
        let mut rest = into;
        for (index, within) in parts(offset, rest.len()) {
            let page = self.leaf(index).bytes(index, &mut room)?;
            let Some(to) = rest.split_off_mut(..within.len()) else { break };
            if let Some(from) = page.get(within) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Writes `from` at `offset`. After an error nothing has changed.
    pub fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), PageError> {
        self.check(offset, from.len())?;
        // Only the first and the last page can be written in part; they are fetched before anything changes.
        let ends = [parts(offset, from.len()).next(), parts(offset, from.len()).last()];
        let mut edges: [Page; 2] = [[0; PAGE]; 2];
        for (end, room) in ends.iter().zip(&mut edges) {
            if let Some((index, _)) = end.as_ref().filter(|(_, within)| within.len() < PAGE) {
                *room = *self.page(*index)?;
            }
        }
        let mut rest = from;
        for (index, within) in parts(offset, from.len()) {
            let Some(bytes) = rest.split_off(..within.len()) else { break };
            if let Some(whole) = bytes.first_chunk::<PAGE>() {
                self.put(index, whole);
                continue;
            }
            let [first, last] = &mut edges;
            let is_first = ends.first().into_iter().flatten().any(|(first, _)| *first == index);
            let page = if is_first { first } else { last };
            if let Some(to) = page.get_mut(within) {
                to.copy_from_slice(bytes);
            }
            self.put(index, page);
        }
        Ok(())
    }

    /// Makes it `len_bytes` long: cut, or filled up with zeros. After an error nothing has changed.
    pub fn resize(&mut self, len_bytes: u64) -> Result<(), HostError> {
        let (old, new) = (self.height(), node::height_for(len_bytes.div_ceil(PAGE as u64)));
        let mut root = self.root.clone();
        if len_bytes < self.len_bytes {
            root = node::cut(&root, old, len_bytes.div_ceil(PAGE as u64));
            if let Some((index, kept)) = cut_page(len_bytes) {
                let mut page = [0; PAGE];
                page = *root.leaf(index, old).bytes(index, &mut page)?;
                page.iter_mut().skip(kept).for_each(|byte| *byte = 0);
                node::edit(&mut root, old, &[index], &mut |_, leaf| {
                    Ok(leaf.put(&page, Keep::Held))
                })?;
            }
        }
        root = (old..new).fold(root, |root, _| root.raised());
        root = (new..old).fold(root, |root, _| root.lowered());
        *self = Self { len_bytes, root };
        Ok(())
    }

    /// `self` with the pages of `dirty` taken from `live`; all others, and those that are equal, stay
    /// shared. The length of `live` wins: first resized, then read; dirty pages past the end are ignored.
    pub fn rebase(&self, live: &dyn PageSource, dirty: &DirtySet) -> Result<Self, HostError> {
        self.rebased(live, dirty, Keep::Held)
    }

    /// Like [`Pages::rebase`] in place: what nobody else shares is written over, and not allocated again. After an
    /// error some pages may have changed, and others not. Gives those of the pages in `dirty`, if it names them, that
    /// were equal all the same, in order.
    pub fn advance(
        &mut self,
        live: &dyn PageSource,
        dirty: &DirtySet,
    ) -> Result<Vec<u64>, HostError> {
        self.brought_up(live, dirty, Keep::Held)
    }

    /// Like [`Pages::rebase`], but changed pages are only hashed, and lent by `from`: it must have them
    /// for as long as anybody has these pages.
    pub fn rebase_lent(
        &self,
        live: &dyn PageSource,
        dirty: &DirtySet,
        from: &Arc<dyn PageStore>,
    ) -> Result<Self, HostError> {
        self.rebased(live, dirty, Keep::Lent(from))
    }

    /// The same memory, with every held page lent by `from` instead, which must have them all.
    pub fn lend(&self, from: &Arc<dyn PageStore>) -> Self {
        Self { len_bytes: self.len_bytes, root: node::lend(&self.root, from) }
    }

    /// The same memory, with every page that is not all zero as it lies in `from`, which must have just these
    /// bytes: what was held here can go.
    pub fn mapped(&self, from: &Arc<dyn PageMap>) -> Self {
        Self { len_bytes: self.len_bytes, root: node::map(&self.root, self.height(), 0, from) }
    }

    /// Takes from `new` what it shares with `old`, where both are the same memory kept in different ways, as
    /// [`Pages::mapped`] makes them. Costs no more than what differs from `old`.
    pub fn follow(&mut self, old: &Self, new: &Self) {
        if self.height() == old.height() && old.height() == new.height() {
            node::follow(&mut self.root, &old.root, &new.root);
        }
    }

    /// Makes page `index` a lent one. If it is cut by `len_bytes`, it is fetched and cut.
    pub fn set_lent(&mut self, index: u64, lent: Lent) -> Result<(), PageError> {
        if index >= self.page_count() {
            return Err(self.out_of_range(index.saturating_mul(PAGE as u64), PAGE as u64));
        }
        if lent.hash == node::page_hash(&node::ZERO) {
            self.put(index, &node::ZERO);
        } else if let Some((_, kept)) = cut_page(self.len_bytes).filter(|(cut, _)| *cut == index) {
            let mut page = [0; PAGE];
            lent.load(index, &mut page)?;
            page.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            self.put(index, &page);
        } else {
            let mut leaf = Some(Kid::Lent(Arc::new(lent)));
            let height = self.height();
            node::edit(&mut self.root, height, &[index], &mut |_, old| {
                *old = leaf.take().unwrap_or_default();
                Ok(true)
            })?;
        }
        Ok(())
    }

    /// Covers the length and every byte. Only what changed since it was last asked for is hashed.
    pub fn root(&self) -> Digest {
        let tree = self.root.hash().unwrap_or_default();
        Digest::of_parts("drivebay pages v1", &[&self.len_bytes.to_le_bytes(), &tree.0])
    }

    /// How many pages are not all zero, and whose bytes lie here. Only what changed since it was last asked for
    /// is counted.
    pub fn census(&self) -> Census {
        self.root.census()
    }

    /// Whether both are one tree in memory, so that one of them takes no room beside the other. Equal memory may
    /// well be two trees.
    pub fn is_same(&self, other: &Self) -> bool {
        self.root.is_same(&other.root)
    }

    /// Shows every page that is not all zero, in order. One walk of the tree, no descent per page.
    pub fn for_each_page(
        &self,
        mut each: impl FnMut(u64, &Page) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut room = [0; PAGE];
        node::walk(&self.root, self.height(), 0, &mut |index, leaf| {
            each(index, leaf.bytes(index, &mut room)?)
        })
    }

    /// Shows the pages of these indexes, which increase; those that are all zero too. What lies past the end is not
    /// shown.
    pub fn for_these(
        &self,
        pages: &[u64],
        mut each: impl FnMut(u64, &Page) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let count = self.page_count();
        let (pages, _) = pages.split_at(pages.partition_point(|page| *page < count));
        let mut room = [0; PAGE];
        node::pick(&self.root, self.height(), pages, &mut |index, leaf| {
            each(index, leaf.bytes(index, &mut room)?)
        })
    }

    /// The hash of every page that is not all zero, in order. No page is fetched.
    pub fn for_each_hash(
        &self,
        mut each: impl FnMut(u64, Digest) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        node::walk(&self.root, self.height(), 0, &mut |index, leaf| {
            each(index, leaf.hash().unwrap_or_default())
        })
    }

    /// The indexes of the pages that differ, increasing. What the shorter one lacks counts as zero.
    /// Shared subtrees are skipped, and no page is fetched.
    pub fn diff(&self, other: &Self) -> Vec<u64> {
        let height = self.height().max(other.height());
        let [a, b] = [self, other]
            .map(|pages| (pages.height()..height).fold(pages.root.clone(), |kid, _| kid.raised()));
        let mut found = Vec::new();
        node::diff(&a, &b, height, 0, &mut found);
        found
    }

    /// The runs of pages that are not all zero, increasing, with a gap between any two.
    pub(super) fn runs(&self) -> Result<Vec<Range<u64>>, HostError> {
        node::runs(&self.root, self.height())
    }

    /// Puts a page. The caller knows that `index` is in range and that nothing lies past the end.
    pub(super) fn put(&mut self, index: u64, page: &Page) {
        let height = self.height();
        let put = node::edit(&mut self.root, height, &[index], &mut |_, leaf| {
            Ok(leaf.put(page, Keep::Held))
        });
        debug_assert!(put.is_ok(), "the change has no error");
    }

    fn rebased(
        &self,
        live: &dyn PageSource,
        dirty: &DirtySet,
        keep: Keep<'_>,
    ) -> Result<Self, HostError> {
        let mut new = self.clone();
        let _ = new.brought_up(live, dirty, keep)?;
        Ok(new)
    }

    fn brought_up(
        &mut self,
        live: &dyn PageSource,
        dirty: &DirtySet,
        keep: Keep<'_>,
    ) -> Result<Vec<u64>, HostError> {
        if live.len_bytes() != self.len_bytes {
            self.resize(live.len_bytes())?;
        }
        let mut equal = Vec::new();
        match &dirty.0 {
            Dirty::These(pages) => self.take(live, pages, keep, &mut equal)?,
            Dirty::All => {
                for first in (0..self.page_count()).step_by(BATCH as usize) {
                    let pages: Vec<u64> = (first..self.page_count().min(first + BATCH)).collect();
                    equal.clear();
                    self.take(live, &pages, keep, &mut equal)?;
                }
                equal.clear();
            }
        }
        Ok(equal)
    }

    fn take(
        &mut self,
        live: &dyn PageSource,
        pages: &[u64],
        keep: Keep<'_>,
        equal: &mut Vec<u64>,
    ) -> Result<(), HostError> {
        let (height, count) = (self.height(), self.page_count());
        let cut = cut_page(self.len_bytes);
        let (pages, _) = pages.split_at(pages.partition_point(|page| *page < count));
        node::edit(&mut self.root, height, pages, &mut |index, leaf| {
            let page = live.page(index)?;
            let Some((_, kept)) = cut.filter(|(cut, _)| *cut == index) else {
                let changed = leaf.put(page, keep);
                equal.extend((!changed).then_some(index));
                return Ok(changed);
            };
            let mut page = *page;
            page.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            // A store knows the page with whatever lies past the end, so a cut page is held.
            Ok(leaf.put(&page, Keep::Held))
        })?;
        Ok(())
    }

    fn height(&self) -> u32 {
        node::height_for(self.page_count())
    }

    fn leaf(&self, index: u64) -> &Kid {
        self.root.leaf(index, self.height())
    }

    fn check(&self, offset: u64, size: usize) -> Result<(), PageError> {
        match offset.checked_add(size as u64) {
            Some(end) if end <= self.len_bytes => Ok(()),
            _ => Err(self.out_of_range(offset, size as u64)),
        }
    }

    fn out_of_range(&self, offset: u64, size: u64) -> PageError {
        PageError::OutOfRange { offset, size, len_bytes: self.len_bytes }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({} bytes)", self.len_bytes)
    }
}

/// The page that the end cuts, and how many of its bytes lie before the end.
fn cut_page(len_bytes: u64) -> Option<(u64, usize)> {
    let kept = len_bytes % PAGE as u64;
    (kept != 0).then_some((len_bytes / PAGE as u64, kept as usize))
}

/// A range of bytes as pages, and the range within each. The caller knows that the end is no overflow.
fn parts(offset: u64, size: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let end = offset.saturating_add(size as u64);
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (index, first) = (at / PAGE as u64, (at % PAGE as u64) as usize);
        let size = (end - at).min((PAGE - first) as u64);
        at += size;
        Some((index, first..first + size as usize))
    })
}
