//! What one image has that another has not.

use super::{Image, Pages, Row, Section, SectionName, Table};
use crate::Digest;

/// A difference between an image and its base.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A section that the base lacks, or has as another kind or with another length or nesting. What it
    /// holds is also listed, against an empty one.
    Section {
        /// Its name.
        section: SectionName,
        /// What it is now, or `None` if only the base has it.
        now: Option<&'a Section>,
    },
    /// A page whose bytes differ.
    Page {
        /// Name of its section.
        section: SectionName,
        /// Its index.
        index: u64,
        /// The pages it is one of; it is all zero if they are shorter.
        pages: &'a Pages,
    },
    /// A row whose bytes or table differ. For a nested table, ask [`Table::diff`] of both.
    Row {
        /// Name of its section.
        section: SectionName,
        /// Its key.
        key: Digest,
        /// The row as it was.
        old: Option<Row<'a>>,
        /// The row as it is, or `None` if it went.
        new: Option<Row<'a>>,
    },
}

impl Image {
    /// What differs from `base`, by section and index or key. What both share is skipped: the cost goes
    /// with the number of changes.
    pub fn changes_since<'a>(&'a self, base: &'a Image) -> impl Iterator<Item = Change<'a>> + 'a {
        let gone = base
            .sections()
            .filter(|(name, _)| self.section(name).is_none())
            .map(|(name, _)| Change::Section { section: *name, now: None });
        let changed =
            self.sections().flat_map(|(name, section)| changes(*name, section, base.section(name)));
        changed.chain(gone)
    }
}

fn changes<'a>(name: SectionName, now: &'a Section, base: Option<&'a Section>) -> Vec<Change<'a>> {
    let whole = Change::Section { section: name, now: Some(now) };
    match (now, base) {
        (Section::Pages(now), Some(Section::Pages(base))) => {
            let resized = now.len_bytes() != base.len_bytes();
            resized.then_some(whole).into_iter().chain(pages(name, now, base)).collect()
        }
        (Section::Table(now), Some(Section::Table(base))) if now.nests() == base.nests() => {
            rows(now, base, name)
        }
        (Section::Pages(now), _) => {
            [whole].into_iter().chain(pages(name, now, &Pages::new(0))).collect()
        }
        (Section::Table(now), _) => {
            let rows = now.iter().map(|row| Change::Row {
                section: name,
                key: row.key,
                old: None,
                new: Some(row),
            });
            [whole].into_iter().chain(rows).collect()
        }
    }
}

fn pages<'a>(
    section: SectionName,
    now: &'a Pages,
    base: &Pages,
) -> impl Iterator<Item = Change<'a>> + use<'a> {
    now.diff(base).into_iter().map(move |index| Change::Page { section, index, pages: now })
}

fn rows<'a>(now: &'a Table, base: &'a Table, section: SectionName) -> Vec<Change<'a>> {
    let mut found = Vec::new();
    now.diff(base, |row| {
        found.push(Change::Row { section, key: row.key, old: row.old, new: row.new });
    });
    found
}
