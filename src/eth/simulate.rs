//! `eth_simulateV1`: calls in blocks that never will be, each on the state that the one before it left.

use super::{
    blocks::bare,
    call::{StandIn, parsed, within},
    error::RpcError,
    params::{BlockName, Params, data, quantity},
    process::Process,
};
use crate::cu::{
    evm,
    lab::{BlockOverrides, Lab, No, Overrides, Setting, Step, Trial, Wish},
};
use alloy_primitives::{B256, Bloom, BloomInput, U256, keccak256};
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
const NO_FUNDS: i32 = -38014;

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
}

/// A block of it.
struct Block {
    number: u64,
    time: u64,
    hash: B256,
    steps: Vec<Step>,
}

pub(super) async fn simulate(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let what = "parameter 0 should be blockStateCalls";
    let wanted: Wanted = parsed(params.get(0), what)?.ok_or_else(|| RpcError::invalid(what))?;
    if wanted.validation || wanted.trace_transfers || wanted.return_full_transactions {
        return Err(RpcError::invalid(
            "validation, traceTransfers and returnFullTransactions are not done here: calls are tried as messages",
        ));
    }
    let mut calls = wanted.block_state_calls.iter().flat_map(|block| &block.calls);
    if calls.clone().count() > CALLS_MAX {
        return Err(RpcError::invalid(format!("at most {CALLS_MAX} calls are simulated at once")));
    }
    let first = calls.next().cloned().unwrap_or_default();
    process.eth.face.admission.allow_dry_run(process.caller)?;
    let number = process.number(params.block(1)?).await?;
    let number = number.ok_or_else(|| RpcError::server("there is no such block"))?;
    let last = process.block(number).await?;
    let last = last.ok_or_else(|| RpcError::server("there is no such block"))?;
    let (hash, time, gas_limit) = (last.hash, last.timestamp, last.gas_limit);
    let mut chain = Chain { number, time, hash, gas_limit };
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
        let (mut steps, mut left) = (Vec::new(), limit);
        for wish in calls {
            if wish.gas.is_some_and(|gas| gas > left) {
                return Err(RpcError::new(BLOCK_IS_FULL, "the block's gas limit is reached"));
            }
            let block = block_overrides.clone();
            let trial = Trial { setting: setting.clone(), wish, block };
            let step = lab.advance(&trial, left).map_err(refused)?;
            left = left.saturating_sub(step.gas.1);
            steps.push(step);
        }
        let root = lab.world().root();
        let words =
            [self.hash.as_slice(), &number.to_be_bytes(), &time.to_be_bytes(), root.as_slice()];
        let hash = keccak256(words.concat());
        let parent = std::mem::replace(&mut self.hash, hash);
        (self.number, self.time, self.gas_limit) = (number, time, limit);
        let block = Block { number, time, hash: self.hash, steps };
        Ok(block.shown((parent, root, limit - left), &block_overrides, limit))
    }
}

/// Why a call could not be tried, by the codes that there are for it.
fn refused(no: No) -> RpcError {
    match no {
        No::Invalid(why) if why.starts_with("insufficient funds") => RpcError::new(NO_FUNDS, why),
        no => no.into(),
    }
}

impl Block {
    fn shown(
        &self,
        (parent, root, gas): (B256, B256, u64),
        said: &BlockOverrides,
        limit: u64,
    ) -> Value {
        let hashes: Vec<B256> = (0..self.steps.len()).map(|at| self.transaction(at)).collect();
        let mut bloom = Bloom::default();
        for log in self.steps.iter().flat_map(|step| &step.logs) {
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
            "transactions": hashes,
            "calls": calls,
        });
        if let Value::Object(own) = own {
            shown.extend(own);
        }
        shown.into()
    }

    /// A call has no signature to make a hash of.
    fn transaction(&self, at: usize) -> B256 {
        keccak256([self.hash.as_slice(), &at.to_be_bytes()].concat())
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
                "transactionHash": self.transaction(at),
                "transactionIndex": quantity(at),
                "logIndex": quantity(first_log + index),
                "removed": false,
            })
        });
        let mut shown = json!({
            "returnData": data(&step.returned),
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
