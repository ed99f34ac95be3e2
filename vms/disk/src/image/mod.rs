//! The state of a process, as data.
//!
//! An [`Image`] is a header and named sections. A section is byte memory ([`Pages`]) or keys and values
//! ([`Table`]). Both are persistent trees: a clone is a reference count, a change copies the path to it,
//! and whoever else holds the old version sees nothing. So a state costs little to keep, to fork and to
//! hash, and two states are compared by walking only what they do not share.
//!
//! **Canonical.** The content alone decides every node, so equal states have equal [`Root`]s, on any
//! machine, after any history:
//!
//! | of | rule |
//! |---|---|
//! | page | all-zero pages are absent; bytes past the end are zero |
//! | page tree | fan-out 16; the height follows from the length; empty nodes are absent |
//! | table | a subtree of at most 8 rows is a bucket, any other is a branch |
//! | file | one way to write each image ([`Image::write_to`]); a reader refuses all others |
//!
//! **Roots.** A page and a node of pages are BLAKE3, each under its own key. The root of pages covers
//! their length. A table's root is Ethereum's (Keccak-256 of a Merkle-Patricia trie), so that a state
//! root, a proof and an image agree on one number. A nested table's digest stands inside its row's
//! value, at a place that the digest of the outer table covers ([`Table::nesting`]). The image's root is
//! BLAKE3 over header, names and section roots. Hashes are kept in the nodes: asking again costs only
//! what changed.
//!
//! **Lent pages.** A leaf holds its bytes, or a hash and a [`PageStore`] that has them ([`Lent`]), so that
//! an image of a large memory is no second copy of it. A store is believed only if the hash agrees.
//!
//! **Hostile files.** [`Image::read_from`] allocates what it has read, never what a length claims, and
//! recomputes the root that ends the file.

mod changes;
mod limits;
mod make;
mod many;
mod merkle;
mod name;
mod node;
mod pages;
mod reader;
mod rlp;
mod source;
mod table;
mod trie;
mod whole;
mod writer;

#[cfg(test)]
mod test_file;
#[cfg(test)]
mod test_pages;
#[cfg(test)]
mod test_table;

pub use changes::Change;
pub use limits::{ImageError, ImageLimits};
pub use name::{NotAName, SectionName};
pub use node::{Census, bring_up, page_hash};
pub use pages::Pages;
pub use source::{DirtySet, Lent, PageError, PageMap, PageSource, PageStore, SliceSource};
pub use table::{Row, RowChange, Table};
pub use whole::{Header, Image, Root, STATE_MAX, Section};

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// The bytes of a page.
pub type Page = [u8; PAGE];
