//! The image itself: a header, and sections by name.

use super::{Pages, SectionName, Table};
use crate::{Digest, FormatName};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Names a whole state: equal images have equal roots, whoever made them and however.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(pub Digest);

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose state it is, and in which layout. Not which engine made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// BLAKE3 of the module's bytes.
    pub module: Digest,
    /// Whose layout the sections follow. At most [`STATE_MAX`] bytes when written.
    pub state: FormatName,
}

/// The longest name of a layout in a file, in bytes.
pub const STATE_MAX: usize = 255;

/// A part of a state.
#[derive(Clone, Debug)]
pub enum Section {
    /// Byte memory.
    Pages(Pages),
    /// Keys and values.
    Table(Table),
}

impl Section {
    /// Covers the kind and everything in it.
    pub fn root(&self) -> Digest {
        match self {
            Self::Pages(pages) => {
                Digest::of_parts("drivebay section of pages v1", &[&pages.root().0])
            }
            Self::Table(table) => {
                Digest::of_parts("drivebay section of rows v1", &[&table.digest().0])
            }
        }
    }
}

impl From<Pages> for Section {
    fn from(pages: Pages) -> Self {
        Self::Pages(pages)
    }
}

impl From<Table> for Section {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

/// A process's state: whole, portable, canonical. A clone is a few reference counts.
#[derive(Clone)]
pub struct Image {
    header: Header,
    sections: Arc<BTreeMap<SectionName, Section>>,
}

impl Image {
    /// An image without sections.
    pub fn new(header: Header) -> Self {
        Self { header, sections: Arc::default() }
    }

    /// Whose state it is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The same image with that section, in place of one of the same name.
    pub fn with(mut self, name: SectionName, section: impl Into<Section>) -> Self {
        Arc::make_mut(&mut self.sections).insert(name, section.into());
        self
    }

    /// The section of that name.
    pub fn section(&self, name: &SectionName) -> Option<&Section> {
        self.sections.get(name)
    }

    /// The section of that name, if it is memory.
    pub fn pages(&self, name: &SectionName) -> Option<&Pages> {
        match self.section(name)? {
            Section::Pages(pages) => Some(pages),
            Section::Table(_) => None,
        }
    }

    /// The section of that name, if it is a table.
    pub fn table(&self, name: &SectionName) -> Option<&Table> {
        match self.section(name)? {
            Section::Table(table) => Some(table),
            Section::Pages(_) => None,
        }
    }

    /// All sections, by name.
    pub fn sections(&self) -> impl ExactSizeIterator<Item = (&SectionName, &Section)> {
        self.sections.iter()
    }

    /// Covers header and sections. Only what changed since it was last asked for is hashed.
    pub fn root(&self) -> Root {
        let roots: Vec<_> = self.sections().map(|(name, section)| (name, section.root())).collect();
        let mut parts: Vec<&[u8]> =
            vec![&self.header.module.0, self.header.state.as_str().as_bytes()];
        for (name, root) in &roots {
            parts.extend([name.as_str().as_bytes(), root.0.as_slice()]);
        }
        Root(Digest::of_parts("drivebay image v1", &parts))
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("header", &self.header)
            .field("sections", &self.sections)
            .finish()
    }
}
