//! The scheduler unit: gives each message of a process its place, durably, and says so with a signature.
//!
//! What takes time is done before a message waits for its place: parsing, verifying, looking up. Inside a
//! process's lane there is only: the next nonce, the next link, a signature, a place in the store's queue.
//! Who waits for the disk waits together: one fsync serves all processes. An answer means durable.

mod assignment;
mod check;
mod existing;
mod http;
mod log;
mod page;
mod redirect;
mod sequencer;
mod upload;

pub use existing::Existing;
pub use http::router;
pub use page::{Cursor, Entry, Page, PageQuery};
pub use redirect::redirecting;

use crate::{
    clock::Clock,
    disk::{HostError, Refusal, RefusalCode},
    item::{DataItem, Id, Wallet},
    net::Transport,
    store::{Store, StoreError, StoreOptions},
};
use bytes::Bytes;
use log::Log;
use sequencer::{Lanes, New};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Semaphore;

/// Items that are worked on at a time; who comes then, is told to come back.
const UNDER_WAY_MAX: usize = 4096;

/// What an operator chooses for a scheduler.
#[derive(Clone)]
pub struct SuOptions {
    /// The gateway that items are uploaded to and looked up at, such as `http://127.0.0.1:4000`.
    pub gateway: Option<String>,
    /// How it is reached.
    pub transport: Arc<dyn Transport>,
    /// What time it is.
    pub clock: Clock,
    /// The most bytes of a message; processes may have as many as a request.
    pub message_bytes_max: Option<usize>,
    /// Only these processes may be scheduled, if there is a list.
    pub processes: Option<Vec<Id>>,
    /// How the store is opened.
    pub store: StoreOptions,
}

impl SuOptions {
    /// With everything else as it is by default.
    pub fn new(gateway: Option<String>, transport: Arc<dyn Transport>) -> Self {
        Self {
            gateway,
            transport,
            clock: Clock::system(),
            message_bytes_max: None,
            processes: None,
            store: StoreOptions::default(),
        }
    }
}

/// Why something was not scheduled, or not found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SuError {
    /// The sender's mistake. Nothing was written.
    #[error("{0}")]
    Refused(Refusal),
    /// Not on the operator's list.
    #[error("{0}")]
    Forbidden(String),
    /// Too much at a time.
    #[error("this scheduler is busy; come back in a second")]
    Busy,
    /// Ours. If something was asked for, it may be done; asking again is safe.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl SuError {
    fn refused(text: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(RefusalCode::Malformed, text.into()))
    }
}

impl From<StoreError> for SuError {
    fn from(error: StoreError) -> Self {
        Self::Host(error.into())
    }
}

impl From<sqlx::Error> for SuError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// A place that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Of which process.
    pub process: Id,
    /// Its number there.
    pub nonce: u64,
    /// Unix time in milliseconds; more than that of the place before.
    pub timestamp_ms: u64,
    /// Id of the item that was placed.
    pub message: Id,
    /// Id of the assignment.
    pub assignment: Id,
}

/// How a scheduler is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuStatus {
    /// Processes with a schedule here.
    pub processes: u64,
    /// Places given, over all processes.
    pub places: u64,
    /// Items not yet uploaded.
    pub uploads: u64,
}

/// A scheduler.
pub struct Su {
    log: Log,
    lanes: Lanes,
    wallet: Arc<Wallet>,
    height: AtomicU64,
    under_way: Semaphore,
    options: SuOptions,
}

impl Su {
    /// Opens the schedule in the folder `dir`, or starts one.
    pub async fn open(dir: &Path, wallet: Wallet, options: SuOptions) -> Result<Self, SuError> {
        let path = dir.join("su.db");
        let store = Store::open(&path, log::MIGRATIONS, options.store.clone()).await?;
        let wallet = Arc::new(wallet);
        Ok(Self {
            log: Log::new(store),
            lanes: Lanes::default(),
            wallet,
            height: AtomicU64::new(0),
            under_way: Semaphore::new(UNDER_WAY_MAX),
            options,
        })
    }

    /// Address of the wallet that signs assignments: what processes put into `Scheduler`.
    pub fn address(&self) -> Id {
        self.wallet.address()
    }

    /// Unix time in milliseconds, as assignments have it.
    pub fn now_ms(&self) -> u64 {
        self.options.clock.now_ms()
    }

    /// Height of the newest block that is known here.
    pub fn height(&self) -> u64 {
        self.height.load(Ordering::Relaxed)
    }

    /// There is a block of this height.
    pub fn see_height(&self, height: u64) {
        self.height.fetch_max(height, Ordering::Relaxed);
    }

    /// Verifies a data item and gives it its place. Refused without a trace if anything is wrong with it.
    pub async fn schedule(&self, bytes: Bytes) -> Result<Placed, SuError> {
        let _under_way = self.under_way.try_acquire().map_err(|_| SuError::Busy)?;
        let item = verified(bytes).await?;
        let kind = check::kind(&item, self.options.message_bytes_max)?;
        let process = kind.process();
        self.allows(&process)?;
        if let check::Kind::Process { on_boot: Some(id), .. } = &kind {
            self.must_exist(id).await?;
        }
        let new = New::item(item, matches!(kind, check::Kind::Process { .. }));
        let placed = self.place(process, new).await?;
        metrics::counter!("drivebay_su_places_total").increment(1);
        Ok(placed)
    }

    fn allows(&self, process: &Id) -> Result<(), SuError> {
        match &self.options.processes {
            Some(list) if !list.contains(process) => Err(SuError::Forbidden(format!(
                "Forbidden, process {process} is not on this scheduler's list"
            ))),
            _ => Ok(()),
        }
    }

    /// How it is doing.
    pub async fn status(&self) -> Result<SuStatus, SuError> {
        Ok(self.log.status().await?)
    }
}

/// Parsed and verified, on a thread that may take its time.
async fn verified(bytes: Bytes) -> Result<DataItem, SuError> {
    let checked = tokio::task::spawn_blocking(move || {
        let item = DataItem::parse(bytes)?;
        item.verify()?;
        Ok::<_, crate::item::ItemError>(item)
    });
    let item = checked.await.map_err(|error| SuError::Host(crate::disk::bug!("{error}")))?;
    item.map_err(|error| SuError::refused(error.to_string()))
}
