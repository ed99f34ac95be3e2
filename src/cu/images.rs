//! Images by hash: what two states share, of one process or of many, is stored once.
//!
//! ```text
//! manifest = module state count section*             its digest is what a checkpoint names
//! section  = name 1 length count (index digest)*     memory: groups of 256 pages
//!          | name 2 table
//! table    = (0 | 1 after) count digest*             groups of rows
//! group    = (offset:u8 hash)*                       pages that are not all zero
//! group    = (key bytes (0 | 1 digest))*             rows; the digest is of a nested table
//! ```
//!
//! A group of rows ends after a key that ends with six zero bits: so a changed row changes its own group
//! and no other. A group is written in one piece with its pages: where it is, they are.

use super::{
    codec::{Decoder, Encoder, damaged},
    store::{Change, Store, Table as Kind},
};
use crate::disk::{
    Digest, FormatName, Header, HostError, Image, Lent, Page, PageStore, Pages, Root, Section,
    SectionName, Table, bug,
};
use std::{collections::HashSet, sync::Arc};

const GROUP: u64 = 256;
const ROWS_MAX: usize = 256;
/// How deep tables may be nested.
const NESTS_MAX: u32 = 8;
/// How much is written in one piece, at least.
const PIECE_BYTES: usize = 2 << 20;

const MANIFEST: &str = "image";
const PAGES: u8 = 1;
const TABLE: u8 = 2;

/// The images of all processes.
pub(crate) struct Images {
    store: Arc<dyn Store>,
    lender: Arc<dyn PageStore>,
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

    /// Writes what of `image` is not there, and gives the digest of its manifest. `known` is an image that
    /// was written before: what it shares is not looked at.
    pub(crate) fn put(&self, image: &Image, known: Option<&Image>) -> Result<Digest, HostError> {
        let mut piece = Piece { images: self, changes: Vec::new(), bytes: 0 };
        let mut to = Encoder::default()
            .digest(&image.header().module)
            .text(image.header().state.as_str())
            .u32(u32::try_from(image.sections().len()).unwrap_or(u32::MAX));
        for (name, section) in image.sections() {
            to = to.text(name.as_str());
            to = match section {
                Section::Pages(pages) => {
                    let known = known.and_then(|known| known.pages(name));
                    piece.pages(to.u8(PAGES), pages, known)?
                }
                Section::Table(table) => piece.table(to.u8(TABLE), table, 0)?,
            };
        }
        let manifest = piece.blob(to.end())?;
        piece.flush()?;
        Ok(manifest)
    }

    /// The image of a manifest, its pages lent by the store. Refused if it has not that root.
    pub(crate) fn get(&self, manifest: &Digest, root: Root) -> Result<Image, HostError> {
        let bytes = self.blob(manifest)?;
        let mut from = Decoder::new(&bytes, MANIFEST);
        let header = Header { module: from.digest()?, state: FormatName::from(from.text()?) };
        let mut image = Image::new(header);
        for _ in 0..from.u32()? {
            let name = SectionName::from_bytes(from.text()?.as_bytes())
                .ok_or_else(|| from.damaged("a section has no name"))?;
            image = match from.u8()? {
                PAGES => image.with(name, self.pages(&mut from)?),
                TABLE => image.with(name, self.table(&mut from, 0)?),
                _ => return Err(from.damaged("a section is of no known kind")),
            };
        }
        from.end()?;
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
        let bytes = self.blob(manifest)?;
        let mut from = Decoder::new(&bytes, MANIFEST);
        from.digest()?;
        from.text()?;
        for _ in 0..from.u32()? {
            from.text()?;
            match from.u8()? {
                PAGES => self.mark_pages(&mut from, seen)?,
                TABLE => self.mark_table(&mut from, seen)?,
                _ => return Err(from.damaged("a section is of no known kind")),
            }
        }
        from.end()
    }

    fn mark_pages(
        &self,
        from: &mut Decoder<'_>,
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<(), HostError> {
        from.u64()?;
        for _ in 0..from.u32()? {
            from.u64()?;
            let digest = from.digest()?;
            if seen.insert(blob_key(&digest)) {
                let group = self.blob(&digest)?;
                let mut group = Decoder::new(&group, "group of pages");
                while !group.is_empty() {
                    group.u8()?;
                    seen.insert(page_key(&group.digest()?));
                }
            }
        }
        Ok(())
    }

    fn mark_table(
        &self,
        from: &mut Decoder<'_>,
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<(), HostError> {
        from.option(Decoder::u32)?;
        for _ in 0..from.u32()? {
            let digest = from.digest()?;
            if seen.insert(blob_key(&digest)) {
                let group = self.blob(&digest)?;
                let mut group = Decoder::new(&group, "group of rows");
                while !group.is_empty() {
                    group.digest()?;
                    group.bytes()?;
                    if let Some(nested) = group.option(Decoder::digest)?
                        && seen.insert(blob_key(&nested))
                    {
                        let bytes = self.blob(&nested)?;
                        self.mark_table(&mut Decoder::new(&bytes, "nested table"), seen)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, HostError> {
        let found = self.store.get(Kind::Blobs, &blob_key(digest))?;
        let found = found.ok_or_else(|| damaged(format!("blob {digest} is missing")))?;
        if Digest::of(&found) != *digest {
            return Err(damaged(format!("blob {digest} is damaged")));
        }
        Ok(found)
    }

    fn pages(&self, from: &mut Decoder<'_>) -> Result<Pages, HostError> {
        let mut pages = Pages::new(from.u64()?);
        for _ in 0..from.u32()? {
            let first = from.u64()?.saturating_mul(GROUP);
            let group = self.blob(&from.digest()?)?;
            let mut group = Decoder::new(&group, "group of pages");
            while !group.is_empty() {
                let index = first.saturating_add(group.u8()?.into());
                let lent = Lent { hash: group.digest()?, from: Arc::clone(&self.lender) };
                pages.set_lent(index, lent).map_err(|error| group.damaged(&error.to_string()))?;
            }
        }
        Ok(pages)
    }

    fn table(&self, from: &mut Decoder<'_>, depth: u32) -> Result<Table, HostError> {
        if depth > NESTS_MAX {
            return Err(from.damaged("tables are nested too deep"));
        }
        let after = from.option(Decoder::u32)?;
        let after = after.map(|after| u16::try_from(after).unwrap_or(u16::MAX));
        let mut table = after.map_or_else(Table::new, Table::nesting);
        for _ in 0..from.u32()? {
            let group = self.blob(&from.digest()?)?;
            let mut group = Decoder::new(&group, "group of rows");
            while !group.is_empty() {
                let key = group.digest()?;
                table.set(key, group.bytes()?);
                if let Some(nested) = group.option(Decoder::digest)? {
                    let bytes = self.blob(&nested)?;
                    let mut nested = Decoder::new(&bytes, "nested table");
                    let nested = self.table(&mut nested, depth + 1)?;
                    if !table.set_table(&key, nested) {
                        return Err(group.damaged("a row has a table where none may be"));
                    }
                }
            }
        }
        Ok(table)
    }
}

/// Changes that are collected to be written in one piece.
struct Piece<'a> {
    images: &'a Images,
    changes: Vec<Change>,
    bytes: usize,
}

impl Piece<'_> {
    fn pages(
        &mut self,
        to: Encoder,
        pages: &Pages,
        known: Option<&Pages>,
    ) -> Result<Encoder, HostError> {
        let mut groups: Vec<(u64, Vec<(u64, Digest)>)> = Vec::new();
        pages.for_each_hash(|index, hash| {
            match groups.last_mut().filter(|(group, _)| *group == index / GROUP) {
                Some((_, hashes)) => hashes.push((index, hash)),
                None => groups.push((index / GROUP, vec![(index, hash)])),
            }
            Ok(())
        })?;
        let changed: Option<HashSet<u64>> =
            known.map(|known| pages.diff(known).into_iter().collect());
        let count = u32::try_from(groups.len()).map_err(|_| bug!("memory beyond all limits"))?;
        let mut to = to.u64(pages.len_bytes()).u32(count);
        for (number, hashes) in groups {
            let group = hashes.iter().fold(Encoder::default(), |to, (index, hash)| {
                to.u8((index % GROUP) as u8).digest(hash)
            });
            let group = group.end();
            let digest = Digest::of(&group);
            to = to.u64(number).digest(&digest);
            if self.images.store.has(Kind::Blobs, &blob_key(&digest))? {
                continue;
            }
            let is_new = |index: &u64| changed.as_ref().is_none_or(|set| set.contains(index));
            for (index, hash) in hashes.iter().filter(|(index, _)| is_new(index)) {
                let key = page_key(hash);
                if !self.images.store.has(Kind::Blobs, &key)? {
                    let page = pages.page(*index).map_err(|error| bug!("{error}"))?;
                    self.put(key, page.to_vec());
                }
            }
            self.blob(group)?;
        }
        Ok(to)
    }

    fn table(&mut self, to: Encoder, table: &Table, depth: u32) -> Result<Encoder, HostError> {
        if depth > NESTS_MAX {
            return Err(bug!("tables are nested deeper than {NESTS_MAX}"));
        }
        let to = to.option(table.nests(), |to, after| to.u32(after.into()));
        let mut groups = Vec::new();
        let (mut group, mut rows) = (Encoder::default(), 0);
        for row in table.iter() {
            group = group.digest(&row.key).bytes(row.bytes);
            group = match row.table.filter(|table| !table.is_empty()) {
                None => group.u8(0),
                Some(nested) => {
                    let nested = self.table(Encoder::default(), nested, depth + 1)?.end();
                    let digest = self.blob(nested)?;
                    group.u8(1).digest(&digest)
                }
            };
            rows += 1;
            let is_cut = row.key.0.last().is_some_and(|last| last % 64 == 0);
            if is_cut || rows >= ROWS_MAX {
                groups.push(self.blob(std::mem::take(&mut group).end())?);
                rows = 0;
            }
        }
        if rows > 0 {
            groups.push(self.blob(group.end())?);
        }
        let count = u32::try_from(groups.len()).map_err(|_| bug!("a table beyond all limits"))?;
        Ok(groups.iter().fold(to.u32(count), Encoder::digest))
    }

    fn blob(&mut self, bytes: Vec<u8>) -> Result<Digest, HostError> {
        let digest = Digest::of(&bytes);
        let key = blob_key(&digest);
        if !self.images.store.has(Kind::Blobs, &key)? {
            self.put(key, bytes);
        }
        if self.bytes >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(digest)
    }

    fn put(&mut self, key: Vec<u8>, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.changes.push(Change::Put(Kind::Blobs, key, bytes));
    }

    fn flush(&mut self) -> Result<(), HostError> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() { Ok(()) } else { self.images.store.write(changes) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::cu::{MemoryStore, store::Scan};

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
        images.put(&first, None).unwrap();
        let before = blobs(&store);
        let mut memory = first.pages(&MEMORY).unwrap().clone();
        memory.write(4096 * 900, b"changed").unwrap();
        let mut rows = first.table(&ROWS).unwrap().clone();
        rows.set(Digest::of(&7_u64.to_le_bytes()), b"changed");
        let second = image(memory, rows);
        let manifest = images.put(&second, Some(&first)).unwrap();
        // A page, its group, a group of rows, and the manifest.
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
}
