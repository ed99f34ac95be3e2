//! Reading a schedule: one entry, or a part of it.

use super::{Su, SuError, log::Range};
use crate::item::Id;

pub use super::log::Entry;

/// Entries of a page, if nobody says otherwise, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 10_000;

/// What a page is cut by, and its cursors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cursor {
    /// Timestamps in milliseconds.
    #[default]
    Time,
    /// Nonces.
    Nonce,
}

/// Which part of a schedule is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// What `from` and `to` are.
    pub cursor: Cursor,
    /// Exclusive; none to begin with the process's own item.
    pub from: Option<u64>,
    /// Inclusive.
    pub to: Option<u64>,
    /// Entries; 100 if none, at most 10,000.
    pub limit: Option<u32>,
}

/// A part of a schedule, in order.
#[derive(Clone, Debug)]
pub struct Page {
    /// What its cursors are.
    pub cursor: Cursor,
    /// In order.
    pub entries: Vec<Entry>,
    /// Whether the schedule goes on.
    pub has_next: bool,
}

impl Page {
    /// What to ask `from` to get what comes after `entry`.
    pub fn cursor_of(&self, entry: &Entry) -> u64 {
        match self.cursor {
            Cursor::Time => entry.timestamp_ms,
            Cursor::Nonce => entry.nonce,
        }
    }
}

impl Su {
    /// A part of the schedule of `process`; none if it has none.
    pub async fn page(&self, process: &Id, query: PageQuery) -> Result<Option<Page>, SuError> {
        if self.log.start(process).await?.is_none() {
            return Ok(None);
        }
        let range = Range {
            cursor: query.cursor,
            from: query.from,
            to: query.to.unwrap_or(u64::MAX),
            limit: query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX),
        };
        let (entries, has_next) = self.log.page(process, range).await?;
        Ok(Some(Page { cursor: query.cursor, entries, has_next }))
    }

    /// The entry whose message or assignment is `id`.
    pub async fn entry(&self, id: &Id, process: Option<&Id>) -> Result<Option<Entry>, SuError> {
        Ok(self.log.entry(id, process).await?)
    }

    /// The entry of a process's own item.
    pub async fn start(&self, process: &Id) -> Result<Option<Entry>, SuError> {
        Ok(self.log.start(process).await?)
    }

    /// The newest entry, short of the process's own item.
    pub async fn latest(&self, process: &Id) -> Result<Option<Entry>, SuError> {
        Ok(self.log.latest(process).await?)
    }
}
