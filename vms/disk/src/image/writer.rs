//! The image as a file. There is one way to write each image.
//!
//! All numbers are little-endian.
//!
//! ```text
//! file     = "DRIVEBAY" version:u8 module:32 state:text8 count:u16 section* root:32
//! text8    = length:u8 bytes
//! section  = name:text8 kind:u8 (pages | table)           by name, increasing
//! pages    = length:u64 runs:u64 run*                     kind 1
//! run      = first:u64 count:u64 page*                    increasing, with a gap between any two
//! page     = 4096 bytes, not all zero; zero past the length
//! table    = 0:u8 rows:u64 row*                           kind 2
//!          | 1:u8 after:u16 rows:u64 (row table)*
//! row      = key:32 length:u32 bytes                      by key, increasing
//! ```

use super::{Image, Pages, STATE_MAX, Section, Table, reader::NESTS_MAX};
use crate::{HostError, bug};
use std::io::{BufWriter, Write};

pub(super) const MAGIC: &[u8; 8] = b"DRIVEBAY";
pub(super) const VERSION: u8 = 1;
pub(super) const PAGES: u8 = 1;
pub(super) const TABLE: u8 = 2;

impl Image {
    /// Writes the image, ending with its root. Lent pages are fetched as they are written.
    ///
    /// An image outside of what any file can say (a layout's name over [`STATE_MAX`] bytes, tables nested
    /// deeper than 8, a value over 4 GiB, 65,536 sections) is a bug of whoever made it.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), HostError> {
        let mut out = Out(BufWriter::with_capacity(1 << 16, out));
        out.bytes(MAGIC)?;
        out.bytes(&[VERSION])?;
        out.bytes(&self.header().module.0)?;
        let state = self.header().state.as_str();
        if state.len() > STATE_MAX {
            return Err(bug!("the layout's name has {} bytes, not {STATE_MAX}", state.len()));
        }
        out.text(state)?;
        let count = u16::try_from(self.sections().len()).map_err(|_| bug!("too many sections"))?;
        out.bytes(&count.to_le_bytes())?;
        for (name, section) in self.sections() {
            out.text(name.as_str())?;
            match section {
                Section::Pages(pages) => out.pages(pages)?,
                Section::Table(table) => {
                    out.bytes(&[TABLE])?;
                    out.table(table, 0)?;
                }
            }
        }
        out.bytes(&self.root().0.0)?;
        out.0.flush().map_err(|error| HostError::io("writing an image", error))
    }
}

struct Out<'a>(BufWriter<&'a mut dyn Write>);

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.0.write_all(bytes).map_err(|error| HostError::io("writing an image", error))
    }

    /// The caller knows that it has at most 255 bytes.
    fn text(&mut self, text: &str) -> Result<(), HostError> {
        self.bytes(&[text.len() as u8])?;
        self.bytes(text.as_bytes())
    }

    fn u64(&mut self, number: u64) -> Result<(), HostError> {
        self.bytes(&number.to_le_bytes())
    }

    fn pages(&mut self, pages: &Pages) -> Result<(), HostError> {
        let runs = pages.runs()?;
        self.bytes(&[PAGES])?;
        self.u64(pages.len_bytes())?;
        self.u64(runs.len() as u64)?;
        let mut runs = runs.iter().peekable();
        pages.for_each_page(|index, page| {
            if let Some(run) = runs.next_if(|run| run.start == index) {
                self.u64(run.start)?;
                self.u64(run.end - run.start)?;
            }
            self.bytes(page)
        })
    }

    fn table(&mut self, table: &Table, depth: u32) -> Result<(), HostError> {
        if depth > NESTS_MAX {
            return Err(bug!("tables are nested deeper than {NESTS_MAX}"));
        }
        match table.nests() {
            None => self.bytes(&[0])?,
            Some(after) => {
                self.bytes(&[1])?;
                self.bytes(&after.to_le_bytes())?;
            }
        }
        self.u64(table.len())?;
        for row in table.iter() {
            let len = u32::try_from(row.bytes.len()).map_err(|_| bug!("a value over 4 GiB"))?;
            self.bytes(&row.key.0)?;
            self.bytes(&len.to_le_bytes())?;
            self.bytes(row.bytes)?;
            if let Some(table) = row.table {
                self.table(table, depth + 1)?;
            }
        }
        Ok(())
    }
}
