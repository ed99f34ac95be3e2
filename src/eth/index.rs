//! Evaluations as transactions, and where a hash is found.

use super::{error::RpcError, process::Process};
use crate::{
    cu::{Mark, ResultsQuery, StoredResult, Verdict, call_seed, evm, lock},
    disk::Slot,
    item,
};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, keccak256};
use serde_json::Value;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

/// Hashes that are remembered of one process: those of the newest evaluations.
const HASHES_MAX: usize = 1 << 20;
/// Processes whose hashes are remembered.
const PROCESSES_MAX: usize = 256;
/// Results that are read at once.
const PAGE: usize = 256;

/// One evaluation, as a transaction that a block has.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) slot: Slot,
    /// The transaction's hash: Ethereum's of a signed one, else the message's id.
    pub(super) hash: B256,
    pub(super) block_hash: B256,
    pub(super) seed: B256,
    pub(super) timestamp: u64,
    /// What its block asks for a unit of gas.
    pub(super) base_fee: u64,
    pub(super) gas: u64,
    pub(super) succeeded: bool,
    pub(super) created: Option<Address>,
    pub(super) logs: Vec<Log>,
    /// What others must agree on, as a digest.
    pub(super) receipt: B256,
    /// The message had been evaluated before, and was not again.
    pub(super) is_again: bool,
}

/// What a contract has logged.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
}

/// Whether a result is of the same block as an evaluation.
pub(super) fn is_of_slot(run: &Ran, stored: &StoredResult) -> bool {
    let slot = stored.receipt.slot;
    (run.slot.epoch, run.slot.nonce) == (slot.epoch, slot.nonce)
}

impl Ran {
    /// The evaluation of a result. `head` is the hash of its block, where a message before it made that.
    pub(super) fn new(process: &str, stored: &StoredResult, head: Option<B256>) -> Self {
        let slot = stored.receipt.slot;
        let message = Slot { tick: 0, ..slot };
        let seed = B256::from(call_seed(process, message, &stored.at.hash_chain));
        let block_hash = head.unwrap_or_else(|| evm::block_hash(slot.nonce, &seed));
        // What is scheduled again is not evaluated again: its result is that of the first.
        let is_again = matches!(stored.receipt.verdict, Verdict::Duplicate(_));
        let json = if is_again { "" } else { &*stored.json };
        let json: Value = serde_json::from_str(json).unwrap_or_default();
        let output = json.get("Output");
        let said = |key: &str| output.and_then(|output| output.get(key));
        let parsed = |key: &str| said(key)?.as_str()?.parse::<B256>().ok();
        let id = || {
            let id = item::from_b64url(&stored.receipt.message).filter(|_| !is_again)?;
            id.as_slice().try_into().ok()
        };
        let other = || keccak256([block_hash.as_slice(), &slot.tick.to_be_bytes()].concat());
        let logs = said("logs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            slot,
            hash: parsed("transaction").or_else(id).unwrap_or_else(other),
            block_hash,
            seed,
            timestamp: stored.at.timestamp_ms / 1000,
            base_fee: 0,
            gas: json.get("GasUsed").and_then(Value::as_u64).unwrap_or_default(),
            succeeded: said("status").and_then(Value::as_u64) == Some(1),
            created: said("contract").and_then(Value::as_str).and_then(|text| text.parse().ok()),
            logs: logs.iter().filter_map(Log::read).collect(),
            receipt: B256::from(stored.receipt.digest().0),
            is_again,
        }
    }

    pub(super) fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::default();
        for log in &self.logs {
            bloom.accrue(BloomInput::Raw(log.address.as_slice()));
            log.topics.iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
        }
        bloom
    }
}

impl Log {
    fn read(json: &Value) -> Option<Self> {
        let text = |key: &str| json.get(key)?.as_str();
        let topics = json.get("topics")?.as_array()?;
        let topics = topics.iter().map(|topic| topic.as_str()?.parse().ok());
        Some(Self {
            address: text("address")?.parse().ok()?,
            topics: topics.collect::<Option<_>>()?,
            data: text("data")?.parse().ok()?,
        })
    }
}

/// Where hashes are found, by process. It follows from the ledger, and is read from there as it grows.
#[derive(Default)]
pub(super) struct Indices(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Index>>>>);

#[derive(Default)]
struct Index {
    last: Option<Slot>,
    /// The hash of the last one's block.
    head: Option<(u64, B256)>,
    transactions: HashMap<B256, Slot>,
    blocks: HashMap<B256, u64>,
    order: VecDeque<(B256, B256)>,
}

impl Indices {
    /// The number of a block.
    pub(super) async fn block(
        &self,
        process: &Process,
        hash: B256,
    ) -> Result<Option<u64>, RpcError> {
        let index = self.of(&process.id);
        let mut index = index.lock().await;
        index.grow(process).await?;
        Ok(index.blocks.get(&hash).copied())
    }

    /// The slot of a transaction.
    pub(super) async fn transaction(
        &self,
        process: &Process,
        hash: B256,
    ) -> Result<Option<Slot>, RpcError> {
        let index = self.of(&process.id);
        let mut index = index.lock().await;
        index.grow(process).await?;
        Ok(index.transactions.get(&hash).copied())
    }

    fn of(&self, process: &str) -> Arc<tokio::sync::Mutex<Index>> {
        let mut indices = lock(&self.0);
        if indices.len() >= PROCESSES_MAX && !indices.contains_key(process) {
            indices.clear();
        }
        Arc::clone(indices.entry(process.to_owned()).or_default())
    }
}

impl Index {
    /// Takes in what was evaluated since.
    async fn grow(&mut self, process: &Process) -> Result<(), RpcError> {
        loop {
            let query = ResultsQuery {
                after: self.last.map(Mark::Slot),
                limit: PAGE,
                ..ResultsQuery::default()
            };
            let found = process.cu().results(&process.id, query).await?;
            for stored in &found.results {
                let nonce = stored.receipt.slot.nonce;
                let head = self.head.filter(|(number, _)| *number == nonce).map(|(_, hash)| hash);
                self.take(&Ran::new(&process.id, stored, head));
            }
            if !found.has_more {
                return Ok(());
            }
        }
    }

    fn take(&mut self, run: &Ran) {
        self.last = Some(run.slot);
        self.head = Some((run.slot.nonce, run.block_hash));
        self.transactions.entry(run.hash).or_insert(run.slot);
        self.blocks.insert(run.block_hash, run.slot.nonce);
        self.order.push_back((run.hash, run.block_hash));
        if self.order.len() > HASHES_MAX
            && let Some((transaction, block)) = self.order.pop_front()
        {
            self.transactions.remove(&transaction);
            self.blocks.remove(&block);
        }
    }
}
