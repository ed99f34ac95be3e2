//! Writing an image: what is not in the store yet, in few large pieces.

use super::{
    super::{
        codec::Encoder,
        store::{Change, Table as Kind},
    },
    GROUP, Images, Known, NESTS_MAX, blob_key,
    delta::Delta,
    manifest::{Layer, Manifest, Stored, StoredPages, StoredTable},
    page_key,
};
use crate::disk::{Digest, HostError, Image, Pages, Section, SectionName, Table, bug};
use std::collections::HashSet;

const ROWS_MAX: usize = 256;
/// How much is written in one piece, at least.
const PIECE_BYTES: usize = 2 << 20;
/// How much of what changed in a table is one value of the store.
const LAYER_PIECE_BYTES: usize = 1 << 20;
/// What changed in a table takes at most this part of what it takes whole.
const LAYERS_PART: u64 = 4;
/// A layer takes in the one before it if that one is at most so many times its size: layers double, so that
/// there are few of them, and a row is written again only so often.
const LAYERS_TIMES: u64 = 2;

/// Changes that are collected to be written in one piece.
pub(super) struct Piece<'a> {
    images: &'a Images,
    changes: Vec<Change>,
    bytes: usize,
}

impl<'a> Piece<'a> {
    pub(super) fn new(images: &'a Images) -> Self {
        Self { images, changes: Vec::new(), bytes: 0 }
    }

    /// Writes all, and gives the digest of the manifest.
    pub(super) fn image(
        mut self,
        image: &Image,
        known: Option<Known<'_>>,
    ) -> Result<Digest, HostError> {
        // What cannot be read of the known image is written anew.
        let of_known = known.and_then(|known| self.images.manifest(&known.manifest).ok());
        let known = known.map(|known| known.image);
        let mut manifest = Manifest::new(image);
        for (name, section) in image.sections() {
            let stored = match section {
                Section::Pages(pages) => {
                    let known = known.and_then(|known| known.pages(name));
                    Stored::Pages(self.pages(pages, known)?)
                }
                Section::Table(table) => {
                    let base = known.zip(of_known.as_ref());
                    let layered = match base {
                        Some((known, stored)) => self.layered(name, table, known, stored)?,
                        None => None,
                    };
                    Stored::Table(match layered {
                        Some(layered) => layered,
                        None => self.whole(table)?,
                    })
                }
            };
            manifest.sections.push((*name, stored));
        }
        let manifest = self.blob(manifest.encode()?)?;
        self.flush()?;
        Ok(manifest)
    }

    fn pages(&mut self, pages: &Pages, known: Option<&Pages>) -> Result<StoredPages, HostError> {
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
        let mut stored = StoredPages { bytes: pages.len_bytes(), groups: Vec::new() };
        for (number, hashes) in groups {
            let group = hashes.iter().fold(Encoder::default(), |to, (index, hash)| {
                to.u8((index % GROUP) as u8).digest(hash)
            });
            let group = group.end();
            let digest = Digest::of(&group);
            stored.groups.push((number, digest));
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
        Ok(stored)
    }

    /// A table as that of the known image and what changed since. None if it is better written whole.
    fn layered(
        &mut self,
        name: &SectionName,
        table: &Table,
        known: &Image,
        stored: &Manifest,
    ) -> Result<Option<StoredTable>, HostError> {
        let Some((known, stored)) = known.table(name).zip(stored.table(name)) else {
            return Ok(None);
        };
        if known.nests() != table.nests() {
            return Ok(None);
        }
        let mut stored = stored.clone();
        let mut delta = Delta::between(known, table);
        if delta.is_empty() {
            return Ok(Some(stored));
        }
        let mut bytes = delta.encode()?;
        while let Some(layer) =
            stored.layers.pop_if(|layer| layer.bytes / LAYERS_TIMES <= bytes.len() as u64)
        {
            // A layer that cannot be read is damage: the table is written whole.
            let Ok(earlier) = self.images.layer(&layer) else { return Ok(None) };
            delta = earlier.and(delta);
            bytes = delta.encode()?;
        }
        let layers: u64 = stored.layers.iter().map(|layer| layer.bytes).sum();
        if (layers + bytes.len() as u64).saturating_mul(LAYERS_PART) > stored.bytes {
            return Ok(None);
        }
        let mut layer = Layer { bytes: bytes.len() as u64, pieces: Vec::new() };
        for piece in bytes.chunks(LAYER_PIECE_BYTES) {
            layer.pieces.push(self.blob(piece.to_vec())?);
        }
        stored.layers.push(layer);
        Ok(Some(stored))
    }

    fn whole(&mut self, table: &Table) -> Result<StoredTable, HostError> {
        let (base, bytes) = self.table(table, 0)?;
        Ok(StoredTable { base, bytes, layers: Vec::new() })
    }

    /// A table in groups: the digest of their list, and how many bytes all of it takes.
    fn table(&mut self, table: &Table, depth: u32) -> Result<(Digest, u64), HostError> {
        if depth > NESTS_MAX {
            return Err(bug!("tables are nested deeper than {NESTS_MAX}"));
        }
        let (mut groups, mut total) = (Vec::new(), 0);
        let (mut group, mut rows) = (Encoder::default(), 0);
        for row in table.iter() {
            group = group.digest(&row.key).bytes(row.bytes);
            group = match row.table.filter(|table| !table.is_empty()) {
                None => group.u8(0),
                Some(nested) => {
                    let (digest, bytes) = self.table(nested, depth + 1)?;
                    total += bytes;
                    group.u8(1).digest(&digest)
                }
            };
            rows += 1;
            let is_cut = row.key.0.last().is_some_and(|last| last % 64 == 0);
            if is_cut || rows >= ROWS_MAX {
                let bytes = std::mem::take(&mut group).end();
                total += bytes.len() as u64;
                groups.push(self.blob(bytes)?);
                rows = 0;
            }
        }
        if rows > 0 {
            let bytes = group.end();
            total += bytes.len() as u64;
            groups.push(self.blob(bytes)?);
        }
        let count = u32::try_from(groups.len()).map_err(|_| bug!("a table beyond all limits"))?;
        let list = Encoder::default().option(table.nests(), Encoder::u16).u32(count);
        let list = groups.iter().fold(list, Encoder::digest).end();
        total += list.len() as u64;
        Ok((self.blob(list)?, total))
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
