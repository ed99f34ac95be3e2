//! Private chains: a developer's own fork of a process, in memory, to be moved on, gone back with and changed
//! at will.
//!
//! Nothing of one ever reaches its process: it has a state that it took out, and no way to send. It ends with
//! the unit, or when others are used and it is not.

mod chain;
mod keys;
mod methods;
mod mine;
mod pool;
mod revise;
mod sign;
mod time;

pub(super) use chain::{Chain, Fork};
pub(super) use methods::{METHODS, accounts, answer};

use super::{call::within, error::RpcError, process::Process};
use crate::{
    cu::{At, lock},
    http::Failure,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::OwnedMutexGuard;

/// Private chains of one unit: with all that each may hold ([`chain::BYTES_MAX`]) they take a gigabyte.
const CHAINS_MAX: usize = 8;
/// Characters of a chain's name.
const NAME_MAX: usize = 64;

/// Why there is none.
const OFF: &str = "private chains are off at this unit: its operator turns them on with eth_dev = \"on\" \
                   under [cu] in drivebay.toml, DRIVEBAY_CU_ETH_DEV=on, or --set cu.eth_dev=on";

/// A chain that one request has to itself.
pub(super) type Guard = OwnedMutexGuard<Chain>;

/// A private chain, by name.
pub(super) struct Private {
    /// The process, and what the chain is called.
    pub(super) key: String,
    chain: Arc<tokio::sync::Mutex<Chain>>,
}

/// The private chains of a unit, the one that was used last at the end.
#[derive(Default)]
pub(super) struct Chains(Mutex<Vec<Arc<Private>>>);

/// What it takes to run transactions.
struct Means {
    /// The process.
    id: String,
    chain_id: u64,
    /// Unix time in seconds.
    now: u64,
    /// Set when nobody waits any more.
    stop: Arc<AtomicBool>,
}

impl Means {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Private {
    pub(super) async fn lock(&self) -> Guard {
        Arc::clone(&self.chain).lock_owned().await
    }

    /// Has a job change the chain, on a thread for reads, for as long as the client waits and not too long.
    async fn work<T: Send + 'static>(
        &self,
        process: &Process,
        job: impl FnOnce(&mut Chain, &Means) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        process.eth.face.admission.allow_dry_run(process.caller)?;
        let mut chain = self.lock().await;
        let (id, chain_id) = (process.id.clone(), process.chain_id());
        let now = process.eth.face.clock.now_ms() / 1000;
        let done = within(|stop| {
            process.cu().work(move || job(&mut chain, &Means { id, chain_id, now, stop }))
        });
        done.await?
    }
}

impl Chains {
    fn find(&self, key: &str) -> Option<Arc<Private>> {
        let mut chains = lock(&self.0);
        let at = chains.iter().position(|private| private.key == key)?;
        let found = chains.remove(at);
        chains.push(Arc::clone(&found));
        Some(found)
    }

    /// Keeps a new chain, unless another was made meanwhile. The least recently used one goes for it.
    fn keep(&self, key: String, chain: Chain) -> Arc<Private> {
        if let Some(known) = self.find(&key) {
            return known;
        }
        let mut chains = lock(&self.0);
        if chains.len() >= CHAINS_MAX {
            chains.remove(0);
        }
        let private = Arc::new(Private { key, chain: Arc::new(tokio::sync::Mutex::new(chain)) });
        chains.push(Arc::clone(&private));
        private
    }
}

/// A process's private chain of some name. One that nobody has named before forks the process's newest state.
pub(super) async fn chain_of(process: Process, name: &str) -> Result<Process, Failure> {
    let Some(chains) = &process.eth.private else { return Err(Failure::forbidden(OFF)) };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() > NAME_MAX || !name.bytes().all(is_plain) {
        let text =
            "a private chain's name has at most 64 letters, digits, dots, hyphens and underscores";
        return Err(Failure::malformed(text));
    }
    let key = format!("{}/dev/{name}", process.id);
    let private = match chains.find(&key) {
        Some(known) => known,
        None => {
            process.eth.face.admission.allow_dry_run(process.caller)?;
            let chain = Chain::fork(&process, &key, At::Latest).await;
            let chain = chain.map_err(|error| Failure::refused(error.text()))?;
            chains.keep(key, chain)
        }
    };
    Ok(Process { private: Some(private), ..process })
}
