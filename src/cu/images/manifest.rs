//! What an image is made of: named by its digest, and naming everything else.

use super::super::codec::{Decoder, Encoder};
use crate::disk::{Digest, FormatName, Header, HostError, Image, SectionName, bug};

const PAGES: u8 = 1;
const TABLE: u8 = 3;

/// An image, as digests.
pub(super) struct Manifest {
    pub(super) header: Header,
    pub(super) sections: Vec<(SectionName, Stored)>,
}

/// A section.
pub(super) enum Stored {
    Pages(StoredPages),
    Table(StoredTable),
}

/// Memory: groups of pages by number.
#[derive(Default)]
pub(super) struct StoredPages {
    pub(super) bytes: u64,
    pub(super) groups: Vec<(u64, Digest)>,
}

/// A table: one that was written whole, and what changed since, the oldest first.
#[derive(Clone)]
pub(super) struct StoredTable {
    pub(super) base: Digest,
    /// How many bytes the whole one takes.
    pub(super) bytes: u64,
    pub(super) layers: Vec<Layer>,
}

/// What changed in a table, as one text cut into pieces.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) bytes: u64,
    pub(super) pieces: Vec<Digest>,
}

impl Manifest {
    pub(super) fn new(image: &Image) -> Self {
        Self { header: image.header().clone(), sections: Vec::new() }
    }

    /// How the table of that name is stored.
    pub(super) fn table(&self, name: &SectionName) -> Option<&StoredTable> {
        let found = self.sections.iter().find(|(of, _)| of == name)?;
        match &found.1 {
            Stored::Table(table) => Some(table),
            Stored::Pages(_) => None,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, HostError> {
        let to = Encoder::default().digest(&self.header.module).text(self.header.state.as_str());
        let mut to = to.u32(count(self.sections.len())?);
        for (name, section) in &self.sections {
            to = to.text(name.as_str());
            to = match section {
                Stored::Pages(pages) => pages.encode(to.u8(PAGES))?,
                Stored::Table(table) => table.encode(to.u8(TABLE))?,
            };
        }
        Ok(to.end())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HostError> {
        let mut from = Decoder::new(bytes, "image");
        let header = Header { module: from.digest()?, state: FormatName::from(from.text()?) };
        let mut sections = Vec::new();
        for _ in 0..from.u32()? {
            let name = SectionName::from_bytes(from.text()?.as_bytes())
                .ok_or_else(|| from.damaged("a section has no name"))?;
            let section = match from.u8()? {
                PAGES => Stored::Pages(StoredPages::decode(&mut from)?),
                TABLE => Stored::Table(StoredTable::decode(&mut from)?),
                _ => return Err(from.damaged("a section is of no known kind")),
            };
            sections.push((name, section));
        }
        from.end()?;
        Ok(Self { header, sections })
    }
}

impl StoredPages {
    fn encode(&self, to: Encoder) -> Result<Encoder, HostError> {
        let to = to.u64(self.bytes).u32(count(self.groups.len())?);
        Ok(self.groups.iter().fold(to, |to, (number, digest)| to.u64(*number).digest(digest)))
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, HostError> {
        let mut pages = Self { bytes: from.u64()?, groups: Vec::new() };
        for _ in 0..from.u32()? {
            pages.groups.push((from.u64()?, from.digest()?));
        }
        Ok(pages)
    }
}

impl StoredTable {
    fn encode(&self, to: Encoder) -> Result<Encoder, HostError> {
        let mut to = to.digest(&self.base).u64(self.bytes).u32(count(self.layers.len())?);
        for layer in &self.layers {
            to = to.u64(layer.bytes).u32(count(layer.pieces.len())?);
            to = layer.pieces.iter().fold(to, Encoder::digest);
        }
        Ok(to)
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, HostError> {
        let mut table = Self { base: from.digest()?, bytes: from.u64()?, layers: Vec::new() };
        for _ in 0..from.u32()? {
            let mut layer = Layer { bytes: from.u64()?, pieces: Vec::new() };
            for _ in 0..from.u32()? {
                layer.pieces.push(from.digest()?);
            }
            table.layers.push(layer);
        }
        Ok(table)
    }
}

fn count(of: usize) -> Result<u32, HostError> {
    u32::try_from(of).map_err(|_| bug!("an image beyond all limits"))
}
