//! `eth_simulateV1`: calls in blocks that never will be, each on the state that the one before it left.

use super::{
    blocks::{Place, bare, signed},
    call::{StandIn, parsed, within},
    error::RpcError,
    params::{BlockName, Params, data, quantity},
    process::Process,
};
use crate::cu::{
    evm,
    lab::{
        BlockOverrides, How, Lab, No, Overrides, Setting, Step, TRANSFER_LOG_EMITTER, Trial, Wish,
        filled, unsigned,
    },
};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Signature, U256, keccak256};
use serde::Deserialize;
use serde_json::{Value, json};

/// Blocks of one simulation, with those that are only between others.
const BLOCKS_MAX: u64 = 256;
/// Calls of one simulation.
const CALLS_MAX: usize = 1_000;

/// Codes of errors that execution-apis names.
const BLOCKS_UNORDERED: i32 = -38020;
const TIMES_UNORDERED: i32 = -38021;
const TOO_MANY_BLOCKS: i32 = -38026;
const BLOCK_IS_FULL: i32 = -38015;
/// The same for calls, by how they say it.
const REFUSALS: [(&str, i32); 7] = [
    ("nonce too low", -38010),
    ("nonce too high", -38011),
    ("max fee per gas less than block base fee", -38012),
    ("intrinsic gas too low", -38013),
    ("insufficient funds", -38014),
    ("the sender is a contract", -38024),
    ("init code too large", -38025),
];

/// What a client wants.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    block_state_calls: Vec<WantedBlock>,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WantedBlock {
    #[serde(default)]
    block_overrides: BlockOverrides,
    #[serde(default)]
    state_overrides: Overrides,
    #[serde(default)]
    calls: Vec<Wish>,
}

/// Where a simulation stands.
struct Chain {
    number: u64,
    time: u64,
    hash: B256,
    gas_limit: u64,
    chain_id: u64,
    how: How,
    /// Transactions are shown whole.
    is_full: bool,
}

/// A block of it.
struct Block {
    number: u64,
    time: u64,
    hash: B256,
    steps: Vec<Step>,
    /// The transactions that they would be, with a signature of zeros, and whose.
    transactions: Vec<(evm::Envelope, Address)>,
    is_full: bool,
}

pub(super) async fn simulate(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let what = "parameter 0 should be blockStateCalls";
    let wanted: Wanted = parsed(params.get(0), what)?.ok_or_else(|| RpcError::invalid(what))?;
    let mut calls = wanted.block_state_calls.iter().flat_map(|block| &block.calls);
    if calls.clone().count() > CALLS_MAX {
        return Err(RpcError::invalid(format!("at most {CALLS_MAX} calls are simulated at once")));
    }
    let first = calls.next().cloned().unwrap_or_default();
    process.eth.face.admission.allow_dry_run(process.caller)?;
    let number = process.known(params.block(1)?).await?;
    let last = process.block(number).await?.ok_or_else(RpcError::no_block)?;
    let (hash, time, gas_limit) = (last.hash, last.timestamp, last.gas_limit);
    let how = How { is_checked: wanted.validation, tells_transfers: wanted.trace_transfers };
    let (is_full, chain_id) = (wanted.return_full_transactions, process.chain_id());
    let mut chain = Chain { number, time, hash, gas_limit, chain_id, how, is_full };
    let spot = process.spot(BlockName::Number(number)).await?;
    let stand_in = StandIn::new(&process.id, &first)?;
    let tried = within(|stop| {
        process.look(spot, move |ground| {
            let setting = stand_in.setting(ground);
            let lab = match ground.lab(stop) {
                Ok(lab) => lab,
                Err(no) => return Ok(Err(no.into())),
            };
            Ok(chain.blocks(lab, &setting, wanted.block_state_calls))
        })
    });
    tried.await?.map(Value::from)
}

impl Chain {
    fn blocks(
        &mut self,
        mut lab: Lab,
        setting: &Setting,
        wanted: Vec<WantedBlock>,
    ) -> Result<Vec<Value>, RpcError> {
        let last = self.number.saturating_add(BLOCKS_MAX);
        let mut shown = Vec::new();
        for mut block in wanted {
            let number = block.block_overrides.number.map(u64::try_from);
            let number = number.unwrap_or(Ok(self.number + 1)).unwrap_or(u64::MAX);
            if number <= self.number {
                let text = format!("block numbers must be in order: {number} <= {}", self.number);
                return Err(RpcError::new(BLOCKS_UNORDERED, text));
            }
            if number > last {
                return Err(RpcError::new(TOO_MANY_BLOCKS, "too many blocks"));
            }
            // Blocks that nobody described are empty.
            while self.number + 1 < number {
                shown.push(self.block(&mut lab, setting, WantedBlock::default())?);
            }
            lab.change(&std::mem::take(&mut block.state_overrides)).map_err(RpcError::from)?;
            shown.push(self.block(&mut lab, setting, block)?);
        }
        Ok(shown)
    }

    /// The next block, run and shown.
    fn block(
        &mut self,
        lab: &mut Lab,
        setting: &Setting,
        wanted: WantedBlock,
    ) -> Result<Value, RpcError> {
        let WantedBlock { mut block_overrides, calls, .. } = wanted;
        let time = block_overrides.time.unwrap_or(self.time + 1);
        if time <= self.time {
            let text = format!("block timestamps must be in order: {time} <= {}", self.time);
            return Err(RpcError::new(TIMES_UNORDERED, text));
        }
        let number = self.number + 1;
        block_overrides.number = Some(U256::from(number));
        block_overrides.time = Some(time);
        block_overrides.random.get_or_insert_default();
        let limit = block_overrides.gas_limit.unwrap_or(self.gas_limit);
        let (mut steps, mut transactions, mut left) = (Vec::new(), Vec::new(), limit);
        for wish in calls {
            if wish.gas.is_some_and(|gas| gas > left) {
                return Err(RpcError::new(BLOCK_IS_FULL, "the block's gas limit is reached"));
            }
            let block = block_overrides.clone();
            transactions.push(self.transaction(lab, &wish, left)?);
            let trial = Trial { setting: setting.clone(), wish, block };
            let step = lab.advance(&trial, left, self.how).map_err(refused)?;
            left = left.saturating_sub(step.gas.1);
            steps.push(step);
        }
        let root = lab.world().root();
        let words =
            [self.hash.as_slice(), &number.to_be_bytes(), &time.to_be_bytes(), root.as_slice()];
        let hash = keccak256(words.concat());
        let parent = std::mem::replace(&mut self.hash, hash);
        (self.number, self.time, self.gas_limit) = (number, time, limit);
        let (hash, is_full) = (self.hash, self.is_full);
        let block = Block { number, time, hash, steps, transactions, is_full };
        Ok(block.shown((parent, root, limit - left), &block_overrides, limit))
    }

    /// The transaction that a call would be, where no price is the least that there is.
    fn transaction(
        &self,
        lab: &Lab,
        wish: &Wish,
        left: u64,
    ) -> Result<(evm::Envelope, Address), RpcError> {
        let from = wish.from.unwrap_or_default();
        let mut wish = filled(wish.clone(), lab.world().nonce(from), self.chain_id, 0);
        wish.gas = wish.gas.or(Some(left));
        let unsigned = unsigned(wish).map_err(RpcError::invalid)?;
        let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
        Ok((unsigned.into_envelope(nobody), from))
    }
}

/// Why a call could not be tried, by the codes that there are for it.
fn refused(no: No) -> RpcError {
    let No::Invalid(why) = no else { return no.into() };
    match REFUSALS.iter().find(|(begins, _)| why.starts_with(begins)) {
        Some((_, code)) => RpcError::new(*code, why),
        None => RpcError::server(why),
    }
}

impl Block {
    fn shown(
        &self,
        (parent, root, gas): (B256, B256, u64),
        said: &BlockOverrides,
        limit: u64,
    ) -> Value {
        let hashes: Vec<B256> = (0..self.steps.len()).map(|at| self.hash_of(at)).collect();
        let transactions: Vec<Value> = match self.is_full {
            true => (0..hashes.len()).map(|at| self.whole(at)).collect(),
            false => hashes.iter().map(|hash| json!(hash)).collect(),
        };
        let mut bloom = Bloom::default();
        // Value that moved is nobody's log, so a block's filter knows nothing of it.
        let logs = self.steps.iter().flat_map(|step| &step.logs);
        for log in logs.filter(|log| log.address != TRANSFER_LOG_EMITTER) {
            bloom.accrue(BloomInput::Raw(log.address.as_slice()));
            log.topics().iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
        }
        let mut first_log = 0;
        let calls = self.steps.iter().enumerate().map(|(at, step)| {
            let shown = self.step(at, step, first_log);
            first_log += step.logs.len();
            shown
        });
        let calls: Vec<Value> = calls.collect();
        let all = |parts: &[B256]| keccak256(parts.concat());
        let mut shown = bare();
        let own = json!({
            "number": quantity(self.number),
            "hash": self.hash,
            "parentHash": parent,
            "timestamp": quantity(self.time),
            "mixHash": said.random.unwrap_or_default(),
            "stateRoot": root,
            "transactionsRoot": all(&hashes),
            "receiptsRoot": all(&hashes),
            "logsBloom": bloom,
            "gasUsed": quantity(gas),
            "gasLimit": quantity(limit),
            "baseFeePerGas": quantity(said.base_fee.unwrap_or_default()),
            "miner": said.coinbase.unwrap_or(evm::COINBASE),
            "uncles": [],
            "withdrawals": [],
            "size": "0x0",
            "transactions": transactions,
            "calls": calls,
        });
        if let Value::Object(own) = own {
            shown.extend(own);
        }
        shown.into()
    }

    fn hash_of(&self, at: usize) -> B256 {
        self.transactions.get(at).map(|(envelope, _)| *envelope.tx_hash()).unwrap_or_default()
    }

    /// A transaction, as blocks show it.
    fn whole(&self, at: usize) -> Value {
        let Some((envelope, from)) = self.transactions.get(at) else { return Value::Null };
        let place = Place {
            block_hash: self.hash,
            number: self.number,
            timestamp: self.time,
            index: at as u64,
        };
        signed(envelope, (*envelope.tx_hash(), *from), Some(place), None)
    }

    fn step(&self, at: usize, step: &Step, first_log: usize) -> Value {
        let logs = step.logs.iter().enumerate().map(|(index, log)| {
            json!({
                "address": log.address,
                "topics": log.topics(),
                "data": data(&log.data.data),
                "blockNumber": quantity(self.number),
                "blockHash": self.hash,
                "blockTimestamp": quantity(self.time),
                "transactionHash": self.hash_of(at),
                "transactionIndex": quantity(at),
                "logIndex": quantity(first_log + index),
                "removed": false,
            })
        });
        // What it reverted with stands beside the reason alone.
        let reverted = matches!(step.failure, Some((_, true)));
        let mut shown = json!({
            "returnData": data(if reverted { &[][..] } else { &step.returned }),
            "logs": logs.collect::<Vec<_>>(),
            "gasUsed": quantity(step.gas.1),
            "maxUsedGas": quantity(step.gas.0.max(step.gas.1)),
            "status": quantity(u8::from(step.failure.is_none())),
        });
        if let (Some((why, reverted)), Some(shown)) = (&step.failure, shown.as_object_mut()) {
            let mut error = json!({ "code": if *reverted { 3 } else { -32015 }, "message": why });
            if let (true, Some(error)) = (*reverted, error.as_object_mut()) {
                error.insert("data".to_owned(), data(&step.returned));
            }
            shown.insert("error".to_owned(), error);
        }
        shown
    }
}
