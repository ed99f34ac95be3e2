//! What a compute unit asks of a gateway.

use crate::{cu::cron::Point, item::DataItem, wire::schedule::Item};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::ops::Range;

/// What is published for ever. `None` is "not there", as far as the gateway knows by now.
pub trait Archive: Send + Sync {
    /// Owner, tags, anchor and target of an item.
    fn item<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Item>, ArchiveError>>;

    /// Its payload, or a part of it.
    fn data<'a>(
        &'a self,
        id: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ArchiveError>>;

    /// The length of its payload.
    fn size<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<u64>, ArchiveError>>;

    /// The header of a transaction, as JSON.
    fn transaction<'a>(&'a self, id: &'a str)
    -> BoxFuture<'a, Result<Option<Bytes>, ArchiveError>>;

    /// The block at a height, as JSON.
    fn block(&self, height: u64) -> BoxFuture<'_, Result<Option<Bytes>, ArchiveError>>;

    /// The URL that the scheduler with this address published last.
    fn scheduler_url<'a>(
        &'a self,
        owner: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ArchiveError>>;

    /// Checkpoints of a process that these addresses published, the newest first. At first there are none.
    fn checkpoints<'a>(
        &'a self,
        _process: &'a str,
        _owners: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Item>, ArchiveError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// An item as it was signed, if it can be put together so that its signature may be checked.
    fn signed<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<Option<DataItem>, ArchiveError>> {
        Box::pin(async { Ok(None) })
    }

    /// The blocks from one height to another, both included, as far as they are known, in order.
    fn blocks(&self, from: u64, to: u64) -> BoxFuture<'_, Result<Vec<Point>, ArchiveError>>;
}

/// No gateway answers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no gateway answers: {0}")]
pub struct ArchiveError(pub String);
