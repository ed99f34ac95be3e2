//! Where pages come from, and which ones to look at.

use super::{PAGE, Page, node};
use crate::{Digest, HostError, bug};
use std::{fmt, sync::Arc};

/// Live memory, page by page: what [`Pages::rebase`](super::Pages::rebase) reads.
pub trait PageSource {
    /// Length in bytes.
    fn len_bytes(&self) -> u64;
    /// Page `index`, for any index below `len_bytes / 4096` rounded up. Bytes of the last page beyond
    /// `len_bytes` are ignored.
    fn page(&self, index: u64) -> Result<&Page, HostError>;
}

/// Keeps pages for leaves that hold only a hash: a vault, or the base of a frozen drive.
pub trait PageStore: Send + Sync {
    /// Copies the page `index`, whose hash is `hash`, to `into`. A store may find it by either. What it
    /// gives is checked against `hash`; another page is a bug of the store.
    fn page(&self, index: u64, hash: &Digest, into: &mut Page) -> Result<(), HostError>;
}

/// A memory that nobody writes to any more, where leaves may have their pages: a file that is mapped, or a copy.
pub trait PageMap: Send + Sync {
    /// Page `index`, the same bytes every time.
    fn page(&self, index: u64) -> &Page;
}

/// A page that is elsewhere: its hash, and who has its bytes.
#[derive(Clone)]
pub struct Lent {
    /// [`page_hash`](super::page_hash) of its bytes.
    pub hash: Digest,
    /// Who has them.
    pub from: Arc<dyn PageStore>,
}

impl Lent {
    /// Copies the page to `into`, and holds the store to its hash.
    pub(super) fn load(&self, index: u64, into: &mut Page) -> Result<(), HostError> {
        self.from.page(index, &self.hash, into)?;
        let found = node::page_hash(into);
        if found == self.hash {
            return Ok(());
        }
        Err(bug!("the store lent page {index} as {}, but gave {found}", self.hash))
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({})", self.hash)
    }
}

/// A slice of bytes as a source of pages. Whole pages are not copied; a cut last page is padded once.
pub struct SliceSource<'a> {
    pages: &'a [Page],
    last: Option<Box<Page>>,
    len_bytes: u64,
}

impl<'a> SliceSource<'a> {
    /// `bytes` as pages; the last one may be cut.
    pub fn new(bytes: &'a [u8]) -> Self {
        let (pages, rest) = bytes.as_chunks::<PAGE>();
        let last = (!rest.is_empty()).then(|| {
            let mut last = Box::new([0; PAGE]);
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            last
        });
        Self { pages, last, len_bytes: bytes.len() as u64 }
    }

    /// The last page, if it is cut.
    pub(super) fn last(&self) -> Option<&Page> {
        self.last.as_deref()
    }
}

impl PageSource for SliceSource<'_> {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn page(&self, index: u64) -> Result<&Page, HostError> {
        let at = usize::try_from(index).ok();
        let whole = at.and_then(|at| self.pages.get(at));
        let last = || self.last.as_deref().filter(|_| at == Some(self.pages.len()));
        whole.or_else(last).ok_or_else(|| bug!("page {index} of {} bytes", self.len_bytes))
    }
}

/// The pages that may have changed since a state. Naming too many costs time; too few is a bug.
#[derive(Clone, Debug)]
pub struct DirtySet(pub(super) Dirty);

#[derive(Clone, Debug)]
pub(super) enum Dirty {
    All,
    /// Increasing.
    These(Vec<u64>),
}

impl DirtySet {
    /// Any page may have changed: all are compared.
    pub fn unknown() -> Self {
        Self(Dirty::All)
    }

    /// The page indexes that may have changed, increasing; `None` if it may be any.
    pub fn pages(&self) -> Option<&[u64]> {
        match &self.0 {
            Dirty::All => None,
            Dirty::These(pages) => Some(pages),
        }
    }

    /// At most these page indexes changed, in any order.
    pub fn from_pages(pages: impl IntoIterator<Item = u64>) -> Self {
        let mut pages: Vec<u64> = pages.into_iter().collect();
        pages.sort_unstable();
        pages.dedup();
        Self(Dirty::These(pages))
    }
}

/// Why bytes were not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PageError {
    /// The range does not lie within the pages.
    #[error("bytes {offset}+{size} are outside of {len_bytes} bytes of memory")]
    OutOfRange {
        /// First byte asked for.
        offset: u64,
        /// How many.
        size: u64,
        /// How many there are.
        len_bytes: u64,
    },
    /// A lent page could not be had.
    #[error(transparent)]
    Host(#[from] HostError),
}
