//! An archive that asks gateways.

use super::{Archive, ArchiveError};
use crate::{
    cu::cron::Point,
    disk::json::Value,
    item::DataItem,
    net::{GatewayClient, GatewayClientError, Published},
    wire::{owner, schedule::Item},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::ops::Range;

/// The most checkpoints of one process that are looked at.
const CHECKPOINTS_MAX: u32 = 50;

type Answer<'a, T> = BoxFuture<'a, Result<T, ArchiveError>>;

impl From<GatewayClientError> for ArchiveError {
    fn from(error: GatewayClientError) -> Self {
        Self(error.to_string())
    }
}

impl Archive for GatewayClient {
    fn item<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Item>> {
        Box::pin(async move { Ok(GatewayClient::item(self, id).await?.map(item)) })
    }

    fn data<'a>(&'a self, id: &'a str, range: Option<Range<u64>>) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move { Ok(GatewayClient::data(self, id, range).await?) })
    }

    fn size<'a>(&'a self, id: &'a str) -> Answer<'a, Option<u64>> {
        Box::pin(async move { Ok(GatewayClient::size(self, id).await?) })
    }

    fn transaction<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move { Ok(GatewayClient::transaction(self, id).await?) })
    }

    fn block(&self, height: u64) -> Answer<'_, Option<Bytes>> {
        Box::pin(async move { Ok(GatewayClient::block(self, height).await?) })
    }

    fn scheduler_url<'a>(&'a self, owner: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(
            async move { Ok(self.scheduler_location(owner).await?.map(|location| location.url)) },
        )
    }

    fn checkpoints<'a>(&'a self, process: &'a str, owners: &'a [String]) -> Answer<'a, Vec<Item>> {
        Box::pin(async move {
            let tags = [("Data-Protocol", "ao"), ("Type", "Checkpoint"), ("Process", process)];
            let found = self.search(owners, &tags, CHECKPOINTS_MAX).await?;
            Ok(found.into_iter().map(item).collect())
        })
    }

    fn signed<'a>(&'a self, id: &'a str) -> Answer<'a, Option<DataItem>> {
        Box::pin(async move { Ok(self.signed_item(id).await?.and_then(|(_, _, item)| item)) })
    }

    fn blocks(&self, from: u64, to: u64) -> Answer<'_, Vec<Point>> {
        Box::pin(async move {
            let blocks = GatewayClient::blocks(self, from, to).await?;
            let point = |block: &crate::net::BlockTime| Point {
                timestamp_ms: block.timestamp_s.saturating_mul(1000),
                block_height: block.height,
            };
            Ok(blocks.iter().map(point).collect())
        })
    }
}

/// An item as a message shows it. GraphQL has the empty text where there is nothing.
fn item(published: Published) -> Item {
    let text_or_null = |text: String| match text.is_empty() {
        true => Value::Null,
        false => Value::from(text),
    };
    Item {
        owner: owner(&published.owner_address, &published.owner_key),
        id: published.id,
        data: Value::Null,
        tags: published.tags,
        signature: text_or_null(published.signature),
        anchor: text_or_null(published.anchor),
        target: published.recipient,
    }
}
