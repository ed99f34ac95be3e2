//! The messenger unit: hands messages to the schedulers of their processes, and carries on what their
//! results send.
//!
//! Everything it means to do is a task in a durable outbox before it is tried: at least once, in order per
//! target, with bounded patience, and then on a shelf where a person finds it. A task holds the signed
//! bytes of what it sends, and a result becomes tasks in one transaction, so that whatever happens in
//! between, each message is one item, however often it is sent.

mod bounds;
mod crank;
mod deliver;
mod effects;
mod http;
mod locate;
mod monitor;
mod outbox;
mod post;
mod work;

pub use bounds::Bounds;
pub use http::router;
pub use outbox::{Shelved, Tally};
pub use post::AssignRequest;

use crate::{
    clock::Clock,
    disk::{HostError, Refusal, RefusalCode},
    item::{DataItem, Id, Wallet},
    net::Transport,
    store::{Store, StoreError, StoreOptions},
};
use bytes::Bytes;
use locate::Directory;
use outbox::Outbox;
use std::{collections::HashSet, path::Path, sync::Arc};
use tokio::sync::{Mutex, Notify, Semaphore};

/// What an operator chooses for a messenger.
#[derive(Clone)]
pub struct MuOptions {
    /// The compute unit that results are taken from.
    pub cu: String,
    /// The gateway that processes and schedulers are looked up at, and that wallets' messages go to.
    pub gateway: Option<String>,
    /// Schedulers that are asked first, by URL.
    pub schedulers: Vec<String>,
    /// How they all are reached.
    pub transport: Arc<dyn Transport>,
    /// What time it is.
    pub clock: Clock,
    /// How much it does, and how often it tries.
    pub bounds: Bounds,
    /// Who may see and replay what is on the shelf from elsewhere than this machine.
    pub operator_token: Option<String>,
    /// How the store is opened.
    pub store: StoreOptions,
}

impl MuOptions {
    /// With everything else as it is by default.
    pub fn new(cu: impl Into<String>, transport: Arc<dyn Transport>) -> Self {
        Self {
            cu: cu.into(),
            gateway: None,
            schedulers: Vec::new(),
            transport,
            clock: Clock::system(),
            bounds: Bounds::default(),
            operator_token: None,
            store: StoreOptions::default(),
        }
    }
}

/// Why a messenger did not take something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MuError {
    /// The sender's mistake. Nothing was written.
    #[error("{0}")]
    Refused(Refusal),
    /// It is not here.
    #[error("{0}")]
    Unknown(String),
    /// Only the operator may.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody else is not there now. What was sent may be carried on later; sending it again is safe.
    #[error("{0}")]
    Later(String),
    /// Ours.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl MuError {
    fn refused(text: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(RefusalCode::Malformed, text.into()))
    }
}

impl From<StoreError> for MuError {
    fn from(error: StoreError) -> Self {
        Self::Host(error.into())
    }
}

impl From<sqlx::Error> for MuError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// A messenger.
pub struct Mu {
    outbox: Outbox,
    directory: Directory,
    wallet: Arc<Wallet>,
    options: MuOptions,
    /// There may be something to do.
    bell: Notify,
    /// Lanes that somebody works on.
    busy: Mutex<HashSet<String>>,
    under_way: Semaphore,
}

impl Mu {
    /// Opens the outbox in the folder `dir`, or starts one.
    pub async fn open(dir: &Path, wallet: Wallet, options: MuOptions) -> Result<Self, MuError> {
        let path = dir.join("mu.db");
        let store = Store::open(&path, outbox::MIGRATIONS, options.store.clone()).await?;
        let under_way = Semaphore::new(options.bounds.posts_under_way);
        Ok(Self {
            outbox: Outbox::new(store),
            directory: Directory::new(&options),
            wallet: Arc::new(wallet),
            options,
            bell: Notify::new(),
            busy: Mutex::default(),
            under_way,
        })
    }

    /// Address of the wallet that signs what processes send: what processes put into `Authority`.
    pub fn address(&self) -> Id {
        self.wallet.address()
    }

    /// The same as processes meet it.
    pub fn ao_address(&self) -> String {
        self.wallet.ao_address()
    }

    fn now_ms(&self) -> u64 {
        self.options.clock.now_ms()
    }

    /// What is waiting and what is shelved.
    pub async fn tally(&self) -> Result<Tally, MuError> {
        Ok(self.outbox.tally().await?)
    }

    /// What was given up, after the task with number `after`, oldest first.
    pub async fn shelf(&self, after: i64, limit: u32) -> Result<Vec<Shelved>, MuError> {
        Ok(self.outbox.shelf(after, limit).await?)
    }

    /// Takes a task from the shelf and tries it again, from the start.
    pub async fn replay(&self, task: i64) -> Result<(), MuError> {
        let found = self.outbox.replay(task, self.now_ms()).await?;
        self.bell.notify_one();
        found.then_some(()).ok_or_else(|| MuError::Unknown(format!("no task {task} on the shelf")))
    }

    /// Takes a task from the shelf for good.
    pub async fn forget(&self, task: i64) -> Result<(), MuError> {
        let found = self.outbox.forget(task).await?;
        found.then_some(()).ok_or_else(|| MuError::Unknown(format!("no task {task} on the shelf")))
    }
}

/// Parsed and verified, on a thread that may take its time.
async fn verified(bytes: Bytes) -> Result<DataItem, MuError> {
    let checked = tokio::task::spawn_blocking(move || {
        let item = DataItem::parse(bytes)?;
        item.verify()?;
        Ok::<_, crate::item::ItemError>(item)
    });
    let item = checked.await.map_err(|error| MuError::Host(crate::disk::bug!("{error}")))?;
    item.map_err(|error| {
        MuError::refused(format!(
            "'body': A valid and signed data item must be provided as the body: {error}"
        ))
    })
}
