//! An Arweave gateway of one's own: data items in, GraphQL and payloads out, and a chain of blocks that is a
//! clock. It answers what ao's clients, units and scheduler look-ups ask of a gateway.
//!
//! What is stored is the signed item itself, so everything that is answered can be checked by who asks. An
//! item counts as mined when it is stored: nothing here reorganises.

mod admission;
mod blocks;
mod graphql;
mod http;
mod index;
mod payload;
mod receipt;
mod shelf;
mod transaction;

#[cfg(test)]
mod tests;

pub use blocks::{Block, BlockOptions};
pub use http::router;
pub use shelf::Stored;

use crate::{
    clock::Clock,
    disk::HostError,
    item::{DataItem, Id, ItemError, is_bundle, read_nested},
    store::StoreError,
};
use blocks::Blocks;
use graphql::Schema;
use shelf::{Place, Shelf};
use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Semaphore;

/// Signatures that are verified at a time: the rest wait, so that uploads leave cores to others.
const VERIFIED_AT_A_TIME: usize = 4;

/// How a gateway is opened. None of it changes what an item says.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The chain of blocks, for a folder that has none yet.
    pub blocks: BlockOptions,
    /// Bytes of an item that is taken. Modules are large.
    pub upload_bytes_max: usize,
    /// Confirmations that an item has from the start: who waits for a transaction to settle waits for reorganisations to become unlikely, and there are none here.
    pub settled: u64,
    /// What time it is.
    pub clock: Clock,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            blocks: BlockOptions::default(),
            upload_bytes_max: 256 << 20,
            settled: 20,
            clock: Clock::system(),
        }
    }
}

/// The units around a gateway, for who comes to its front door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Address of the scheduler: a process's `Scheduler`.
    pub scheduler: Option<String>,
    /// Address of the messenger: a process's `Authority`.
    pub authority: Option<String>,
    /// URL of the scheduler unit.
    pub su_url: Option<String>,
    /// URL of the messenger unit.
    pub mu_url: Option<String>,
    /// URL of the compute unit.
    pub cu_url: Option<String>,
    /// Modules that are published here, as name and id.
    pub modules: Vec<(String, String)>,
}

/// A gateway on a folder.
pub struct Gateway {
    shelf: Shelf,
    blocks: Blocks,
    options: GatewayOptions,
    schema: Schema,
    neighbours: RwLock<Neighbours>,
    verifying: Semaphore,
    large: Semaphore,
}

/// Why a gateway did not do as it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The item is wrong, or not signed by its owner.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// What is asked for cannot be asked for so.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the store failed.
    #[error("the file {path} of the store: {why}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
}

impl From<sqlx::Error> for GatewayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<GatewayError> for HostError {
    fn from(error: GatewayError) -> Self {
        HostError::io("using the gateway's store", std::io::Error::other(error.to_string()))
    }
}

impl Gateway {
    /// Opens the gateway in the folder `dir`, or makes one.
    pub async fn open(dir: &Path, options: GatewayOptions) -> Result<Self, GatewayError> {
        let shelf = Shelf::open(dir).await?;
        let blocks = Blocks::open(&shelf, &options).await?;
        Ok(Self {
            shelf,
            blocks,
            options,
            schema: graphql::schema(),
            neighbours: RwLock::default(),
            verifying: Semaphore::new(VERIFIED_AT_A_TIME),
            large: Semaphore::new(admission::LARGE_AT_A_TIME),
        })
    }

    /// Verifies and stores an item, and the valid items of a bundle that it carries. An item that is there
    /// already is left as it is. Durable when this returns.
    pub async fn put_item(&self, item: DataItem) -> Result<Stored, GatewayError> {
        if let Some(stored) = self.shelf.find(&item.id()).await? {
            return Ok(stored);
        }
        let (item, inner) = self.verified(item).await?;
        for (holder, inner) in inner {
            let place = Place { bundled_in: Some(holder), ..self.place() };
            self.shelf.insert(&inner, place).await?;
        }
        self.shelf.insert(&item, self.place()).await
    }

    /// The item, if its signature holds, and what of its bundle is valid.
    async fn verified(
        &self,
        item: DataItem,
    ) -> Result<(DataItem, Vec<(Id, DataItem)>), GatewayError> {
        let _permit = self.verifying.acquire().await.map_err(|_| StoreError::Closed)?;
        let work = move || {
            item.verify()?;
            let inner = if is_bundle(&item) { read_nested(&item)? } else { Vec::new() };
            let inner = inner.into_iter().filter(|(_, inner)| inner.verify().is_ok()).collect();
            Ok((item, inner))
        };
        // Hashing a module takes longer than an answer should make others wait.
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
    }

    /// What is known of the item `id`, without its payload.
    pub async fn find(&self, id: &Id) -> Result<Option<Stored>, GatewayError> {
        self.shelf.find(id).await
    }

    /// The item `id` as it was signed.
    pub async fn get(&self, id: &Id) -> Result<Option<DataItem>, GatewayError> {
        let Some(stored) = self.shelf.find(id).await? else { return Ok(None) };
        let data = self.shelf.read(&stored, 0..stored.data_size).await?;
        let bytes = [stored.head.bytes().as_ref(), data.as_ref()].concat();
        Ok(Some(DataItem::parse(bytes)?))
    }

    /// The height of the newest block.
    pub fn height(&self) -> u64 {
        self.blocks.height()
    }

    /// Says who is around, for the front door.
    pub fn set_neighbours(&self, neighbours: Neighbours) {
        *self.neighbours.write().unwrap_or_else(PoisonError::into_inner) = neighbours;
    }

    fn neighbours(&self) -> Neighbours {
        self.neighbours.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn place(&self) -> Place {
        let received_ms = self.options.clock.now_ms();
        Place { height: self.blocks.height(), received_ms, bundled_in: None }
    }
}

/// A gateway as handlers share it.
type Shared = Arc<Gateway>;
