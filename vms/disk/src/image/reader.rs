//! An image from a file that nobody vouches for. The layout is in `writer.rs`.

use super::{
    Header, Image, ImageError, ImageLimits, PAGE, Pages, Root, Section, SectionName, Table, node,
    trie::{Entry, Value},
    writer::{MAGIC, PAGES, TABLE, VERSION},
};
use crate::{Digest, FormatName, HostError, Refusal, RefusalCode};
use std::io::{self, BufReader, Read};

/// How deep tables may be nested.
pub(super) const NESTS_MAX: u32 = 8;

/// The most bytes allocated ahead of what has been read.
const CHUNK: usize = 1 << 16;

impl Image {
    /// Reads an image to the end of `input`, and checks the root that ends it. Refuses whatever
    /// [`Image::write_to`] would not have written, and what is over `max`.
    pub fn read_from(input: &mut dyn Read, max: &ImageLimits) -> Result<Self, ImageError> {
        let file = BufReader::with_capacity(CHUNK, input);
        let mut input = Input { file, at: 0, max: *max, memory_left: max.memory_bytes };
        let header = input.header()?;
        let mut image = Self::new(header);
        let mut last = None;
        for _ in 0..input.section_count()? {
            let name = input.name()?;
            if let Some(last) = last.filter(|last| *last >= name) {
                let text =
                    format!("section {name} comes after {last}; sections stand by name, once");
                return Err(input.bad(text));
            }
            last = Some(name);
            image = image.with(name, input.section()?);
        }
        let (found, claimed) = (image.root(), Root(Digest(input.array()?)));
        if found != claimed {
            return Err(input.bad(format!(
                "its content has root {found}, but it ends with {claimed}; the file is damaged, get it again"
            )));
        }
        input.end()?;
        Ok(image)
    }
}

struct Input<'a> {
    file: BufReader<&'a mut dyn Read>,
    /// Bytes read so far.
    at: u64,
    max: ImageLimits,
    /// Bytes of memory that page sections may still span.
    memory_left: u64,
}

impl Input<'_> {
    fn header(&mut self) -> Result<Header, ImageError> {
        if self.array()? != *MAGIC {
            return Err(self.bad("it does not start with DRIVEBAY, so it is no image"));
        }
        let [version] = self.array()?;
        if version != VERSION {
            let text = format!("image version {version} is not known; expected {VERSION}");
            return Err(Refusal::new(RefusalCode::Unsupported, text).into());
        }
        let module = Digest(self.array()?);
        let state = self.text()?;
        let Ok(state) = std::str::from_utf8(&state) else {
            return Err(self.bad("the name of its layout is not UTF-8"));
        };
        Ok(Header { module, state: FormatName::from(state) })
    }

    fn section_count(&mut self) -> Result<u16, ImageError> {
        let count = u16::from_le_bytes(self.array()?);
        if count > self.max.sections {
            let max = self.max.sections;
            return Err(too_big(format!("the image has {count} sections; the limit is {max}")));
        }
        Ok(count)
    }

    fn name(&mut self) -> Result<SectionName, ImageError> {
        let name = self.text()?;
        SectionName::from_bytes(&name)
            .ok_or_else(|| self.bad("a section name has 1 to 16 visible ASCII characters"))
    }

    fn section(&mut self) -> Result<Section, ImageError> {
        match self.array()? {
            [PAGES] => Ok(Section::Pages(self.pages()?)),
            [TABLE] => Ok(Section::Table(self.table(0)?)),
            [kind] => Err(self.bad(format!("section kind {kind} is not known; expected 1 or 2"))),
        }
    }

    fn pages(&mut self) -> Result<Pages, ImageError> {
        let len = self.u64()?;
        self.memory_left = self.memory_left.checked_sub(len).ok_or_else(|| {
            too_big(format!(
                "the image's memory is over the limit of {} bytes",
                self.max.memory_bytes
            ))
        })?;
        let mut pages = Pages::new(len);
        let mut least = 0;
        for _ in 0..self.u64()? {
            let (first, count) = (self.u64()?, self.u64()?);
            let end = first.checked_add(count).filter(|end| *end <= pages.page_count());
            let Some(end) = end.filter(|_| count > 0 && first >= least) else {
                return Err(self.bad(format!(
                    "a run of {count} pages from {first} is empty, out of order, joins the last or passes the end"
                )));
            };
            for index in first..end {
                self.page(&mut pages, index)?;
            }
            // The next page would have belonged to this run.
            least = end + 1;
        }
        Ok(pages)
    }

    fn page(&mut self, pages: &mut Pages, index: u64) -> Result<(), ImageError> {
        let page = self.array::<PAGE>()?;
        if page == node::ZERO {
            return Err(self.bad(format!("page {index} is all zero; such pages are left out")));
        }
        let first = index * PAGE as u64;
        let kept = usize::try_from(pages.len_bytes() - first).unwrap_or(usize::MAX);
        if page.iter().skip(kept).any(|byte| *byte != 0) {
            return Err(self.bad("bytes past the end of memory are not zero"));
        }
        pages.put(index, &page);
        Ok(())
    }

    fn table(&mut self, depth: u32) -> Result<Table, ImageError> {
        let after = match self.array()? {
            [0] => None,
            [1] if depth < NESTS_MAX => Some(u16::from_le_bytes(self.array()?)),
            [1] => return Err(self.bad(format!("tables are nested deeper than {NESTS_MAX}"))),
            [kind] => {
                return Err(self.bad(format!("table kind {kind} is not known; expected 0 or 1")));
            }
        };
        let mut rows: Vec<Entry> = Vec::new();
        for _ in 0..self.u64()? {
            let key = Digest(self.array()?);
            if rows.last().is_some_and(|last| last.key >= key) {
                return Err(self.bad(format!("row {key} is not after the one before it")));
            }
            let bytes = self.value()?;
            let value = match after {
                None => Value::new(&bytes),
                Some(_) => Value::nested(&bytes, self.table(depth + 1)?),
            };
            rows.push(Entry { key, value });
        }
        Ok(Table::from_sorted(&rows, after))
    }

    fn value(&mut self) -> Result<Vec<u8>, ImageError> {
        let len = u32::from_le_bytes(self.array()?);
        if len > self.max.value_bytes {
            let max = self.max.value_bytes;
            return Err(too_big(format!("a value has {len} bytes; the limit is {max}")));
        }
        self.vec(len as usize)
    }

    fn end(&mut self) -> Result<(), ImageError> {
        match self.file.read_exact(&mut [0]) {
            Ok(()) => Err(self.bad("there are bytes after its end")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(HostError::io("reading an image", error).into()),
        }
    }

    fn u64(&mut self) -> Result<u64, ImageError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<Vec<u8>, ImageError> {
        let [len] = self.array()?;
        self.vec(len.into())
    }

    fn vec(&mut self, len: usize) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at = bytes.len();
            bytes.resize(len.min(at + CHUNK), 0);
            self.fill(bytes.split_at_mut(at).1)?;
        }
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), ImageError> {
        self.at += into.len() as u64;
        if self.at > self.max.file_bytes {
            let max = self.max.file_bytes;
            return Err(too_big(format!("the image's file is over the limit of {max} bytes")));
        }
        match self.file.read_exact(into) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.bad("it ends early; the file is cut, get it again"))
            }
            Err(error) => Err(HostError::io("reading an image", error).into()),
        }
    }

    fn bad(&self, what: impl AsRef<str>) -> ImageError {
        let text = format!("bad image at byte {}: {}", self.at, what.as_ref());
        Refusal::new(RefusalCode::Malformed, text).into()
    }
}

fn too_big(text: String) -> ImageError {
    Refusal::new(RefusalCode::TooBig, text).into()
}
