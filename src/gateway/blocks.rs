//! Blocks, as a clock: one every so often, each a pure function of where the chain began and its height. No
//! block lists transactions, for there are none on this chain: data items are placed by the index.

use super::{GatewayError, GatewayOptions, shelf::Shelf};
use crate::{clock::Clock, item::b64url};
use sha2::{Digest, Sha384};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a block's id: 40 of a hash, and its height.
const ID_LEN: usize = 48;
const HASH_LEN: usize = 40;

/// Where a new chain begins, and how fast it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// Height of the first block. Above 1,440,000, compute units check hash chains.
    pub start: u64,
    /// Milliseconds from block to block.
    pub interval_ms: u64,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self { start: 1_500_000, interval_ms: 120_000 }
    }
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// When it was made, in seconds since 1970.
    pub timestamp_s: u64,
    /// Its id: 64 characters of base64url.
    pub id: String,
    /// The id of the block before.
    pub previous: String,
}

/// The chain.
pub(super) struct Blocks {
    origin_ms: u64,
    options: BlockOptions,
    clock: Clock,
    /// Heights do not fall, whatever the clock does.
    reached: AtomicU64,
}

impl Blocks {
    /// The chain that the shelf remembers, or a new one that begins now.
    pub(super) async fn open(
        shelf: &Shelf,
        options: &GatewayOptions,
    ) -> Result<Self, GatewayError> {
        let BlockOptions { start, interval_ms } = options.blocks;
        if interval_ms == 0 {
            return Err(GatewayError::Refused(
                "blocks need more than 0 ms between them".to_owned(),
            ));
        }
        let clock = options.clock.clone();
        let origin_ms = shelf.remember("origin_ms", clock.now_ms()).await?;
        let start = shelf.remember("start", start).await?;
        let interval_ms = shelf.remember("interval_ms", interval_ms).await?.max(1);
        let reached = AtomicU64::new(shelf.height().await?.max(start));
        Ok(Self { origin_ms, options: BlockOptions { start, interval_ms }, clock, reached })
    }

    pub(super) fn height(&self) -> u64 {
        let BlockOptions { start, interval_ms } = self.options;
        let grown = self.clock.now_ms().saturating_sub(self.origin_ms) / interval_ms;
        let height = start.saturating_add(grown);
        self.reached.fetch_max(height, Ordering::SeqCst).max(height)
    }

    /// Height of the first block.
    pub(super) fn start(&self) -> u64 {
        self.options.start
    }

    /// The block at `height`, if the chain has got there.
    pub(super) fn at(&self, height: u64) -> Option<Block> {
        let grown = height.checked_sub(self.options.start)?;
        if height > self.height() {
            return None;
        }
        let age_ms = grown.saturating_mul(self.options.interval_ms);
        Some(Block {
            height,
            timestamp_s: self.origin_ms.saturating_add(age_ms) / 1000,
            id: self.id(height),
            previous: self.id(height.saturating_sub(1)),
        })
    }

    /// The block with this id.
    pub(super) fn with_id(&self, id: &str) -> Option<Block> {
        let bytes = crate::item::from_b64url(id)?;
        let height = u64::from_be_bytes(bytes.get(HASH_LEN..)?.try_into().ok()?);
        self.at(height).filter(|block| block.id == id)
    }

    fn id(&self, height: u64) -> String {
        let mut hasher = Sha384::new();
        hasher.update(b"drivebay block");
        hasher.update(self.origin_ms.to_be_bytes());
        hasher.update(height.to_be_bytes());
        let hash = hasher.finalize();
        let mut id = Vec::with_capacity(ID_LEN);
        id.extend(hash.iter().take(HASH_LEN));
        id.extend(height.to_be_bytes());
        b64url(&id)
    }
}
