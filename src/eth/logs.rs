//! `eth_getLogs`, and logs as they are shown.

use super::{
    error::RpcError,
    index::{Log, Ran},
    params::{self, BlockName, Params, data, quantity},
    process::Process,
};
use crate::disk::Slot;
use alloy_primitives::{Address, B256};
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// Blocks of one search.
const BLOCKS_MAX: u64 = 10_000;
/// Blocks that are read at once.
const STEP: u64 = 16;
/// Logs of one answer, and their bytes.
const LOGS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;
/// Choices of one place of a filter.
const CHOICES_MAX: usize = 1000;
const TOPICS_MAX: usize = 4;

/// What is searched for. An empty list is anything.
pub(super) struct Search {
    addresses: Vec<Address>,
    topics: Vec<Vec<B256>>,
}

pub(super) async fn logs(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let wanted = params.get(0).unwrap_or(&Value::Null);
    let search = Search::read(wanted)?;
    let range = range(process, wanted.as_object().unwrap_or(&Map::new())).await?;
    if range.1.saturating_sub(range.0) >= BLOCKS_MAX {
        let text = format!("at most {BLOCKS_MAX} blocks are searched at once; ask for fewer");
        return Err(RpcError::new(-32005, text));
    }
    Ok(search.run(process, range, None).await?.into())
}

/// Evaluations, each with the number in its block of its first log.
pub(super) fn numbered(runs: &[Ran]) -> impl Iterator<Item = (&Ran, usize)> {
    let mut before = (0, 0);
    runs.iter().map(move |run| {
        if run.slot.nonce != before.0 {
            before = (run.slot.nonce, 0);
        }
        let first = before.1;
        before.1 += run.logs.len();
        (run, first)
    })
}

pub(super) fn shown(run: &Ran, log: &Log, index: usize) -> Value {
    json!({
        "address": log.address,
        "topics": log.topics,
        "data": data(&log.data),
        "blockNumber": quantity(run.slot.nonce),
        "blockHash": run.block_hash,
        "blockTimestamp": quantity(run.timestamp),
        "transactionHash": run.hash,
        "transactionIndex": quantity(run.slot.tick),
        "logIndex": quantity(index),
        "removed": false,
    })
}

/// First and last block; none if the first is behind the last.
async fn range(process: &Process, object: &Map<String, Value>) -> Result<(u64, u64), RpcError> {
    let said = |key: &str| object.get(key).filter(|value| !value.is_null());
    let block = |key: &str| said(key).map_or(Ok(BlockName::Latest), params::block);
    if said("blockHash").is_some() {
        if said("fromBlock").or(said("toBlock")).is_some() {
            return Err(RpcError::invalid("blockHash goes with neither fromBlock nor toBlock"));
        }
        let number = process.known(block("blockHash")?).await?;
        return Ok((number, number));
    }
    let (from, to) = (block("fromBlock")?, block("toBlock")?);
    let latest = process.latest().await?;
    let number = |block| match block {
        BlockName::Number(number) => Ok(number),
        BlockName::Latest | BlockName::Pending => Ok(latest),
        BlockName::Hash(_) => Err(RpcError::invalid("fromBlock and toBlock are numbers or tags")),
    };
    let (first, last) = (number(from)?, number(to)?);
    if last > latest {
        let text = format!("toBlock is {last}, and the newest block is {latest}");
        return Err(RpcError::invalid(text));
    }
    // Who asks from the next block on, to the latest, asks for what is not there yet.
    if first > last && matches!(to, BlockName::Number(_)) {
        return Err(RpcError::invalid("fromBlock stands behind toBlock"));
    }
    Ok((first, last))
}

impl Search {
    /// What a filter object asks for, wherever it is to be searched for.
    pub(super) fn read(wanted: &Value) -> Result<Self, RpcError> {
        let object = wanted.as_object();
        let object = object.ok_or_else(|| RpcError::invalid("parameter 0 should be a filter"))?;
        let topics = match object.get("topics") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(topics)) if topics.len() <= TOPICS_MAX => topics,
            Some(_) => return Err(RpcError::invalid("topics is an array of at most four")),
        };
        let topics = topics.iter().map(|topic| choices(topic, "a topic"));
        let addresses = object.get("address").unwrap_or(&Value::Null);
        Ok(Self {
            addresses: choices(addresses, "an address")?,
            topics: topics.collect::<Result<_, _>>()?,
        })
    }

    /// The logs from one block to another that fit, of evaluations after one that is known.
    pub(super) async fn run(
        &self,
        process: &Process,
        (first, last): (u64, u64),
        after: Option<Slot>,
    ) -> Result<Vec<Value>, RpcError> {
        let (mut found, mut bytes, mut next) = (Vec::new(), 0, first);
        while next <= last {
            let end = last.min(next.saturating_add(STEP - 1));
            let runs = process.runs(next, end).await?;
            let new = numbered(&runs).filter(|(run, _)| after.is_none_or(|seen| run.slot > seen));
            for (run, first_log) in new {
                for (at, log) in run.logs.iter().enumerate().filter(|(_, log)| self.fits(log)) {
                    bytes += log.data.len() + 512;
                    found.push(shown(run, log, first_log + at));
                }
                if found.len() > LOGS_MAX || bytes > BYTES_MAX {
                    let text = format!(
                        "more than {LOGS_MAX} logs, or {BYTES_MAX} bytes; ask for fewer blocks"
                    );
                    return Err(RpcError::new(-32005, text));
                }
            }
            next = end.saturating_add(1);
        }
        Ok(found)
    }

    fn fits(&self, log: &Log) -> bool {
        let any = self.addresses.is_empty() || self.addresses.contains(&log.address);
        let mut topics = self.topics.iter().enumerate();
        any && topics.all(|(at, choices)| match log.topics.get(at) {
            Some(topic) => choices.is_empty() || choices.contains(topic),
            None => false,
        })
    }
}

/// One, or any of several; null is anything.
fn choices<T: FromStr>(value: &Value, what: &str) -> Result<Vec<T>, RpcError> {
    let one = |value: &Value| {
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| RpcError::invalid(format!("{what} is 0x and hexadecimal digits")))
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) if values.len() <= CHOICES_MAX => values.iter().map(one).collect(),
        Value::Array(_) => Err(RpcError::invalid(format!("at most {CHOICES_MAX} choices"))),
        value => Ok(vec![one(value)?]),
    }
}
