//! One process, as a chain.

use super::{
    Eth,
    error::RpcError,
    index::{Ran, is_of_slot},
    params::{self, Block, Params, data, quantity},
};
use crate::{
    cu::{At, Cu, Mark, ProcessDefinition, ResultsQuery, evm},
    disk::Slot,
    http::{Caller, Failure},
};
use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};
use std::sync::Arc;

/// Most slots of one proof.
const SLOTS_MAX: usize = 256;
/// Most slots of one look at them.
const VALUES_MAX: usize = 1024;
/// Results that are read at once.
const PAGE: usize = 64;
/// Most evaluations, and bytes of their results, that are looked at for a range of blocks.
const RUNS_MAX: usize = 10_000;
const RUN_BYTES_MAX: usize = 64 << 20;

/// A process, for one request of a client, or for as long as it is connected.
pub(super) struct Process {
    pub(super) eth: Arc<Eth>,
    pub(super) id: String,
    pub(super) definition: Arc<ProcessDefinition>,
    /// Who asks.
    pub(super) caller: Caller,
}

impl Process {
    pub(super) async fn new(eth: Arc<Eth>, id: String, caller: Caller) -> Result<Self, Failure> {
        let definition = eth.face.cu.process(&id).await?;
        Ok(Self { eth, id, definition, caller })
    }

    pub(super) fn cu(&self) -> &Cu {
        &self.eth.face.cu
    }

    pub(super) fn chain_id(&self) -> u64 {
        evm::chain_id(&self.definition.process)
    }

    pub(super) fn gas_limit(&self) -> u64 {
        evm::gas_limit(&self.definition.process)
    }

    /// The number of the newest block, after evaluating all that is scheduled.
    pub(super) async fn latest(&self) -> Result<u64, RpcError> {
        Ok(self.latest_slot().await?.nonce)
    }

    /// The newest evaluation, after evaluating all that is scheduled.
    pub(super) async fn latest_slot(&self) -> Result<Slot, RpcError> {
        let last = self.cu().evaluate(&self.id, At::Latest).await?;
        Ok(last.receipt.slot)
    }

    /// The number of a block; `None` if there is no such block yet.
    pub(super) async fn number(&self, block: Block) -> Result<Option<u64>, RpcError> {
        let latest = self.latest().await?;
        Ok(match block {
            Block::Latest => Some(latest),
            Block::Number(number) => (number <= latest).then_some(number),
            Block::Hash(hash) => self.eth.indices.block(self, hash).await?,
        })
    }

    /// Where the state of a block is asked for.
    pub(super) async fn at(&self, block: Block) -> Result<At, RpcError> {
        if block == Block::Latest {
            return Ok(At::Latest);
        }
        let number = self.number(block).await?;
        let number = number.ok_or_else(|| RpcError::server("there is no such block"))?;
        // Ticks belong to the block of the message before them: its state is that after the last of them.
        let runs = self.runs(number, number).await?;
        let last = runs.last().map(|run| run.slot);
        Ok(At::Slot(last.unwrap_or(Slot { epoch: 0, nonce: number, tick: 0 })))
    }

    /// The evaluations of some blocks, in order.
    pub(super) async fn runs(&self, first: u64, last: u64) -> Result<Vec<Ran>, RpcError> {
        let end = |nonce| Slot { epoch: 0, nonce, tick: u32::MAX };
        let mut after = first.checked_sub(1).map(end);
        let (mut runs, mut bytes) = (Vec::<Ran>::new(), 0);
        loop {
            let query = ResultsQuery {
                after: after.map(Mark::Slot),
                through: Some(Mark::Slot(end(last))),
                limit: PAGE,
                ..ResultsQuery::default()
            };
            let found = self.cu().results(&self.id, query).await?;
            for stored in &found.results {
                bytes += stored.json.len();
                let head = runs.last().filter(|run| is_of_slot(run, stored));
                runs.push(Ran::new(&self.id, stored, head.map(|run| run.block_hash)));
            }
            if !found.has_more {
                return Ok(runs);
            }
            if bytes > RUN_BYTES_MAX || runs.len() > RUNS_MAX {
                let text = "there is too much in these blocks; ask for fewer";
                return Err(RpcError::new(-32005, text));
            }
            after = runs.last().map(|run| run.slot);
        }
    }

    /// The accounts of the state at `at`.
    pub(super) async fn world(&self, at: At) -> Result<evm::World, RpcError> {
        let image = self.cu().image_at(&self.id, at).await?.image;
        evm::world(&image).ok_or_else(|| {
            RpcError::server(format!("process {} is no EVM process: it has no accounts", self.id))
        })
    }

    /// `eth_getStorageValues`.
    pub(super) async fn slots(&self, params: &Params) -> Result<Value, RpcError> {
        let wanted = wanted_slots(params)?;
        let world = self.world(self.at(params.block(1)?).await?).await?;
        let found = wanted.into_iter().map(|(address, slots)| {
            let values =
                slots.into_iter().map(|slot| data(B256::from(world.look_slot(address, slot))));
            (format!("{address:?}"), values.collect())
        });
        Ok(Value::Object(found.collect()))
    }

    /// What a state says of an account.
    pub(super) async fn account(&self, method: &str, params: &Params) -> Result<Value, RpcError> {
        let address = params.address(0)?;
        let has_slot = matches!(method, "eth_getStorageAt" | "eth_getProof");
        let block = params.block(if has_slot { 2 } else { 1 })?;
        let world = self.world(self.at(block).await?).await?;
        if method == "eth_getProof" {
            return proof(&world, params);
        }
        if has_slot {
            let value = world.look_slot(address, params.number(1)?);
            return Ok(data(B256::from(value)));
        }
        let (nonce, balance, code) = world.look(address);
        Ok(match method {
            "eth_getBalance" => quantity(balance),
            "eth_getTransactionCount" => quantity(nonce),
            _ => data(code),
        })
    }
}

/// Slots of accounts, as `eth_getStorageValues` names them.
fn wanted_slots(params: &Params) -> Result<Vec<(Address, Vec<U256>)>, RpcError> {
    let all = params.get(0).and_then(Value::as_object);
    let all = all.filter(|all| !all.is_empty());
    let all = all.ok_or_else(|| RpcError::invalid("parameter 0 should be slots by address"))?;
    let mut count = 0;
    let read = |(address, slots): (&String, &Value)| {
        let slots: Vec<_> = slots.as_array()?.iter().map(params::number).collect::<Option<_>>()?;
        count += slots.len();
        let address = address.parse().ok().filter(|_| address.starts_with("0x"))?;
        Some((address, slots))
    };
    let read: Option<Vec<_>> = all.iter().map(read).collect();
    let read = read.filter(|_| count <= VALUES_MAX);
    read.ok_or_else(|| {
        RpcError::invalid(format!(
            "parameter 0 should be an object of addresses, each with an array of slots, at most \
             {VALUES_MAX} of them"
        ))
    })
}

/// `eth_getProof` (EIP-1186).
fn proof(world: &evm::World, params: &Params) -> Result<Value, RpcError> {
    let address = params.address(0)?;
    let keys = params.get(1).and_then(Value::as_array);
    let keys = keys.filter(|keys| keys.len() <= SLOTS_MAX).ok_or_else(|| {
        RpcError::invalid(format!("parameter 1 should be an array of at most {SLOTS_MAX} slots"))
    })?;
    let slots: Option<Vec<_>> = keys.iter().map(params::number).collect();
    let slots = slots.ok_or_else(|| RpcError::invalid("a slot is 0x and hexadecimal digits"))?;
    let proof = evm::prove(world, address, &slots);
    let nodes = |nodes: &[Vec<u8>]| nodes.iter().map(data).collect::<Vec<_>>();
    let slots = proof.slots.iter().zip(keys).map(|((_, value, path), key)| {
        json!({ "key": key, "value": quantity(value), "proof": nodes(path) })
    });
    Ok(json!({
        "address": address,
        "nonce": quantity(proof.nonce),
        "balance": quantity(proof.balance),
        "codeHash": proof.code_hash,
        "storageHash": proof.storage_root,
        "accountProof": nodes(&proof.nodes),
        "storageProof": slots.collect::<Vec<_>>(),
    }))
}
