//! Images by hash: what two states share, of one process or of many, is stored once.
//!
//! ```text
//! manifest = module state count section*             its digest is what a checkpoint names
//! section  = name 1 length count (index digest)*     memory: groups of 256 pages
//!          | name 3 list bytes count layer*          a table as it was, and what changed since
//! list     = (0 | 1 after) count digest*             groups of rows
//! layer    = bytes count digest*                     the text of a `delta`, cut into pieces
//! group    = (offset:u8 hash)*                       pages that are not all zero
//! group    = (key bytes (0 | 1 digest))*             rows; the digest is of a nested table's list
//! ```
//!
//! A group of rows ends after a key that ends with six zero bits: so a changed row changes its own group
//! and no other. A group is written in one piece with its pages: where it is, they are. But few rows that
//! change all over a large table would change as many groups, and the list of all: so they are written as
//! a layer over the table as it was, until layers are a quarter of it.

mod delta;
mod manifest;
mod piece;

use super::{
    codec::{Decoder, damaged},
    store::{Store, Table as Kind},
};
use crate::disk::{
    Digest, HostError, Image, Lent, Page, PageStore, Pages, Root, Section, Table, bug,
};
use delta::Delta;
use manifest::{Layer, Manifest, Stored, StoredPages, StoredTable};
use piece::Piece;
use std::{collections::HashSet, sync::Arc};

const LIST: &str = "list of rows";
const GROUP: u64 = 256;
/// How deep tables may be nested.
const NESTS_MAX: u32 = 8;

/// The images of all processes.
pub(crate) struct Images {
    store: Arc<dyn Store>,
    lender: Arc<dyn PageStore>,
}

/// An image that was put before: what another one shares with it is not looked at again.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) image: &'a Image,
    pub(crate) manifest: Digest,
}

/// Lends pages out of the store.
struct Lender(Arc<dyn Store>);

impl PageStore for Lender {
    fn page(&self, _index: u64, hash: &Digest, into: &mut Page) -> Result<(), HostError> {
        let found = self.0.get(Kind::Blobs, &page_key(hash))?;
        let found = found.ok_or_else(|| damaged(format!("page {hash} is missing")))?;
        let page = <&Page>::try_from(found.as_slice());
        *into = *page.map_err(|_| damaged(format!("page {hash} has {} bytes", found.len())))?;
        Ok(())
    }
}

/// The key of a page.
pub(crate) fn page_key(hash: &Digest) -> Vec<u8> {
    [&b"p"[..], &hash.0].concat()
}

/// The key of anything else.
pub(crate) fn blob_key(hash: &Digest) -> Vec<u8> {
    [&b"b"[..], &hash.0].concat()
}

impl Images {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let lender = Arc::new(Lender(Arc::clone(&store)));
        Self { store, lender }
    }

    /// Writes what of `image` is not there, and gives the digest of its manifest.
    pub(crate) fn put(&self, image: &Image, known: Option<Known<'_>>) -> Result<Digest, HostError> {
        Piece::new(self).image(image, known)
    }

    /// The image of a manifest, its pages lent by the store. Refused if it has not that root.
    pub(crate) fn get(&self, manifest: &Digest, root: Root) -> Result<Image, HostError> {
        let stored = self.manifest(manifest)?;
        let mut image = Image::new(stored.header);
        for (name, section) in &stored.sections {
            image = match section {
                Stored::Pages(pages) => image.with(*name, self.pages(pages)?),
                Stored::Table(table) => image.with(*name, self.layered(table)?),
            };
        }
        let found = image.root();
        if found != root {
            return Err(bug!(
                "image {manifest} has root {found} in the store, and should have {root}"
            ));
        }
        Ok(image)
    }

    /// The same image, with the pages that it holds lent by the store, where it was put.
    pub(crate) fn lend(&self, image: &Image) -> Image {
        let lent = image.sections().map(|(name, section)| match section {
            Section::Pages(pages) => (*name, Section::Pages(pages.lend(&self.lender))),
            Section::Table(table) => (*name, Section::Table(table.clone())),
        });
        lent.fold(Image::new(image.header().clone()), |image, (name, section)| {
            image.with(name, section)
        })
    }

    /// Marks the keys of everything that an image needs.
    pub(crate) fn mark(
        &self,
        manifest: &Digest,
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<(), HostError> {
        if !seen.insert(blob_key(manifest)) {
            return Ok(());
        }
        for (_, section) in &self.manifest(manifest)?.sections {
            match section {
                Stored::Pages(pages) => self.mark_pages(pages, seen)?,
                Stored::Table(table) => {
                    let pieces = table.layers.iter().flat_map(|layer| &layer.pieces);
                    seen.extend(pieces.map(blob_key));
                    self.mark_table(&table.base, seen)?;
                }
            }
        }
        Ok(())
    }

    fn mark_pages(
        &self,
        pages: &StoredPages,
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<(), HostError> {
        for (_, digest) in &pages.groups {
            if seen.insert(blob_key(digest)) {
                let group = self.blob(digest)?;
                let mut group = Decoder::new(&group, "group of pages");
                while !group.is_empty() {
                    group.u8()?;
                    seen.insert(page_key(&group.digest()?));
                }
            }
        }
        Ok(())
    }

    fn mark_table(&self, list: &Digest, seen: &mut HashSet<Vec<u8>>) -> Result<(), HostError> {
        if !seen.insert(blob_key(list)) {
            return Ok(());
        }
        let bytes = self.blob(list)?;
        let mut from = Decoder::new(&bytes, LIST);
        from.option(Decoder::u16)?;
        for _ in 0..from.u32()? {
            let digest = from.digest()?;
            if seen.insert(blob_key(&digest)) {
                let group = self.blob(&digest)?;
                let mut group = Decoder::new(&group, "group of rows");
                while !group.is_empty() {
                    group.digest()?;
                    group.bytes()?;
                    if let Some(nested) = group.option(Decoder::digest)? {
                        self.mark_table(&nested, seen)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn manifest(&self, digest: &Digest) -> Result<Manifest, HostError> {
        Manifest::decode(&self.blob(digest)?)
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, HostError> {
        let found = self.store.get(Kind::Blobs, &blob_key(digest))?;
        let found = found.ok_or_else(|| damaged(format!("blob {digest} is missing")))?;
        if Digest::of(&found) != *digest {
            return Err(damaged(format!("blob {digest} is damaged")));
        }
        Ok(found)
    }

    fn pages(&self, stored: &StoredPages) -> Result<Pages, HostError> {
        let mut pages = Pages::new(stored.bytes);
        for (number, digest) in &stored.groups {
            let first = number.saturating_mul(GROUP);
            let group = self.blob(digest)?;
            let mut group = Decoder::new(&group, "group of pages");
            while !group.is_empty() {
                let index = first.saturating_add(group.u8()?.into());
                let lent = Lent { hash: group.digest()?, from: Arc::clone(&self.lender) };
                pages.set_lent(index, lent).map_err(|error| group.damaged(&error.to_string()))?;
            }
        }
        Ok(pages)
    }

    fn layered(&self, stored: &StoredTable) -> Result<Table, HostError> {
        let mut table = self.table(&stored.base, 0)?;
        for layer in &stored.layers {
            self.layer(layer)?.apply(&mut table)?;
        }
        Ok(table)
    }

    fn layer(&self, layer: &Layer) -> Result<Delta, HostError> {
        let mut bytes = Vec::new();
        for piece in &layer.pieces {
            bytes.extend(self.blob(piece)?);
        }
        Delta::decode(&bytes)
    }

    fn table(&self, list: &Digest, depth: u32) -> Result<Table, HostError> {
        let bytes = self.blob(list)?;
        let mut from = Decoder::new(&bytes, LIST);
        if depth > NESTS_MAX {
            return Err(from.damaged("tables are nested too deep"));
        }
        let mut table = from.option(Decoder::u16)?.map_or_else(Table::new, Table::nesting);
        for _ in 0..from.u32()? {
            let group = self.blob(&from.digest()?)?;
            let mut group = Decoder::new(&group, "group of rows");
            while !group.is_empty() {
                let key = group.digest()?;
                table.set(key, group.bytes()?);
                if let Some(nested) = group.option(Decoder::digest)? {
                    let nested = self.table(&nested, depth + 1)?;
                    if !table.set_table(&key, nested) {
                        return Err(group.damaged("a row has a table where none may be"));
                    }
                }
            }
        }
        from.end()?;
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        cu::{
            MemoryStore,
            store::{Change, Scan},
        },
        disk::{FormatName, Header, SectionName},
    };

    const MEMORY: SectionName = SectionName::new("memory");
    const ROWS: SectionName = SectionName::new("rows");

    fn image(pages: Pages, table: Table) -> Image {
        let header = Header { module: Digest::of(b"m"), state: FormatName::from("test-1") };
        Image::new(header).with(MEMORY, pages).with(ROWS, table)
    }

    fn blobs(store: &Arc<dyn Store>) -> usize {
        store.scan(&Scan::prefix(Kind::Blobs, &[])).unwrap().len()
    }

    fn pages(seed: u64, count: u64) -> Pages {
        let mut pages = Pages::new(count * 4096 + 17);
        for index in (0..count).filter(|index| index % 3 != 1) {
            let bytes = Digest::of(&(seed * 1_000_003 + index).to_le_bytes()).0;
            pages.write(index * 4096 + 5, &bytes).unwrap();
        }
        pages.write(count * 4096, b"the cut page").unwrap();
        pages
    }

    fn table(rows: u64) -> Table {
        let mut table = Table::nesting(2);
        for row in 0..rows {
            let key = Digest::of(&row.to_le_bytes());
            table.set(key, format!("row {row}").as_bytes());
            let mut nested = Table::new();
            for inner in 0..row % 5 {
                nested.set(Digest::of(&inner.to_be_bytes()), b"inner");
            }
            table.set_table(&key, nested);
        }
        table
    }

    #[test]
    fn an_image_comes_back_whole() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let images = Images::new(Arc::clone(&store));
        for image in [
            image(Pages::new(0), Table::new()),
            image(pages(1, 700), table(0)),
            image(pages(2, 3), table(500)),
        ] {
            let manifest = images.put(&image, None).unwrap();
            let back = images.get(&manifest, image.root()).unwrap();
            assert_eq!(back.root(), image.root());
            let (mut one, mut two) = (Vec::new(), Vec::new());
            image.write_to(&mut one).unwrap();
            back.write_to(&mut two).unwrap();
            assert_eq!(one, two);
        }
    }

    #[test]
    fn what_two_images_share_is_stored_once() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let images = Images::new(Arc::clone(&store));
        let first = image(pages(1, 2000), table(1000));
        let known = Known { image: &first, manifest: images.put(&first, None).unwrap() };
        let before = blobs(&store);
        let mut memory = first.pages(&MEMORY).unwrap().clone();
        memory.write(4096 * 900, b"changed").unwrap();
        let mut rows = first.table(&ROWS).unwrap().clone();
        rows.set(Digest::of(&7_u64.to_le_bytes()), b"changed");
        let second = image(memory, rows);
        let manifest = images.put(&second, Some(known)).unwrap();
        // A page, its group, a row as a layer, and the manifest.
        assert_eq!(blobs(&store), before + 4);
        assert_eq!(images.get(&manifest, second.root()).unwrap().root(), second.root());
        assert!(images.get(&manifest, first.root()).is_err(), "another root is refused");
    }

    #[test]
    fn what_is_marked_is_all_that_is_needed() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let images = Images::new(Arc::clone(&store));
        let image = image(pages(3, 300), table(100));
        let manifest = images.put(&image, None).unwrap();
        let mut seen = HashSet::new();
        images.mark(&manifest, &mut seen).unwrap();
        assert_eq!(seen.len(), blobs(&store));
        for (key, value) in store.scan(&Scan::prefix(Kind::Blobs, &[])).unwrap() {
            assert!(seen.contains(&key));
            store.write(vec![Change::Remove(Kind::Blobs, key.clone())]).unwrap();
            let back = images.get(&manifest, image.root());
            let written = back.and_then(|back| back.write_to(&mut Vec::new()));
            assert!(written.is_err(), "a missing blob is found");
            store.write(vec![Change::Put(Kind::Blobs, key, value)]).unwrap();
        }
    }

    fn bytes(store: &Arc<dyn Store>) -> u64 {
        let blobs = store.scan(&Scan::prefix(Kind::Blobs, &[])).unwrap();
        blobs.iter().map(|(_, value)| value.len() as u64).sum()
    }

    /// A table as a contract's: one row with all the slots.
    fn contract(slots: u64) -> Table {
        let mut inner = Table::new();
        for slot in 0..slots {
            inner.set(Digest::of(&slot.to_le_bytes()), &slot.to_be_bytes());
        }
        let mut table = Table::nesting(32);
        table.set(Digest::of(b"contract"), b"account");
        table.set_table(&Digest::of(b"contract"), inner);
        table
    }

    fn transfers(table: &mut Table, seed: u64, slots: u64, count: u64) {
        let numbers: Vec<u64> = (0..2 * count)
            .map(|at| {
                let digest = Digest::of(&[seed.to_le_bytes(), at.to_le_bytes()].concat()).0;
                u64::from_le_bytes(*digest.first_chunk().unwrap())
            })
            .collect();
        for number in &numbers {
            let sender = Digest::of(&number.to_be_bytes());
            table.set(sender, b"account");
            table.set(Digest::of(b"contract"), &number.to_be_bytes());
            let inner = table.table_mut(&Digest::of(b"contract")).unwrap();
            inner.set(Digest::of(&(number % slots).to_le_bytes()), &number.to_be_bytes());
        }
    }

    /// On 200,000 slots; with `DRIVEBAY_LONG=1` on ten million.
    #[test]
    fn a_thousand_changes_all_over_a_large_table_take_little_room() {
        let long = std::env::var_os("DRIVEBAY_LONG").is_some_and(|value| value == "1");
        let slots = if long { 10_000_000 } else { 200_000 };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let images = Images::new(Arc::clone(&store));
        let mut table = contract(slots);
        let mut last = image(Pages::new(0), table.clone());
        let mut manifest = images.put(&last, None).unwrap();
        let whole = bytes(&store);
        let mut most = 0;
        for round in 0..5 {
            let before = bytes(&store);
            transfers(&mut table, round, slots, 1000);
            let next = image(Pages::new(0), table.clone());
            let known = Known { image: &last, manifest };
            manifest = images.put(&next, Some(known)).unwrap();
            most = most.max(bytes(&store) - before);
            last = next;
        }
        assert!(most < 2 << 20, "{most} bytes for a thousand, beside {whole}");
        assert_eq!(images.get(&manifest, last.root()).unwrap().root(), last.root());
    }

    #[test]
    fn layers_stay_few_and_small_and_every_image_comes_back() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let images = Images::new(Arc::clone(&store));
        let mut table = contract(3000);
        let mut last = image(Pages::new(0), table.clone());
        let mut manifest = images.put(&last, None).unwrap();
        let mut kept = vec![(manifest, last.root())];
        let (mut layers, mut wholes) = (0, HashSet::new());
        for round in 0..120 {
            transfers(&mut table, round, 3000, 1 + round % 17);
            table.remove(&Digest::of(&round.to_be_bytes()));
            let next = image(Pages::new(0), table.clone());
            manifest = images.put(&next, Some(Known { image: &last, manifest })).unwrap();
            let stored = images.manifest(&manifest).unwrap();
            let stored = stored.table(&ROWS).unwrap();
            let total: u64 = stored.layers.iter().map(|layer| layer.bytes).sum();
            assert!(total <= stored.bytes / 4, "{total} bytes over {}", stored.bytes);
            layers = layers.max(stored.layers.len());
            wholes.insert(stored.base);
            kept.push((manifest, next.root()));
            last = next;
        }
        assert!((2..10).contains(&layers), "{layers} layers");
        assert!((2..30).contains(&wholes.len()), "written whole {} times", wholes.len());
        let mut seen = HashSet::new();
        for (manifest, root) in kept {
            assert_eq!(images.get(&manifest, root).unwrap().root(), root);
            images.mark(&manifest, &mut seen).unwrap();
        }
        assert!(seen.len() <= blobs(&store));
        assert_eq!(images.put(&last, Some(Known { image: &last, manifest })).unwrap(), manifest);
    }
}
