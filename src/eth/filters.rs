//! Filters: what is new since a client has asked last.

use super::{
    error::RpcError,
    logs::{self, Search},
    params::Params,
    process::Process,
};
use crate::{cu::lock, disk::Slot};
use alloy_primitives::hex;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

/// Filters that are kept; a new one takes the place of the oldest.
const FILTERS_MAX: usize = 1024;
/// Blocks of one answer.
const BLOCKS_MAX: u64 = 10_000;

/// All filters, by ids that nobody guesses.
#[derive(Default)]
pub(super) struct Filters(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    filters: HashMap<String, Filter>,
    order: VecDeque<String>,
}

#[derive(Clone)]
struct Filter {
    process: String,
    /// What logs it wants, as it was asked for; `None` for blocks.
    logs: Option<Value>,
    /// The last evaluation that its client knows of.
    seen: Slot,
}

impl Filters {
    /// A private chain went back: what comes now is new to its filters.
    pub(super) fn go_back(&self, key: &str, newest: Slot) {
        let mut kept = lock(&self.0);
        let own = kept.filters.values_mut().filter(|filter| filter.process == key);
        own.for_each(|filter| filter.seen = filter.seen.min(newest));
    }
}

/// The methods of filters, by name.
pub(super) async fn answer(
    process: &Process,
    method: &str,
    params: &Params,
) -> Result<Value, RpcError> {
    match method {
        "eth_newFilter" if params.get(0).is_none() => {
            Err(RpcError::invalid("parameter 0 should be a filter"))
        }
        "eth_newFilter" => make(process, params).await,
        "eth_newBlockFilter" => make(process, &Params::new(Vec::new())).await,
        "eth_getFilterChanges" => changes(process, params).await,
        "eth_getFilterLogs" => all(process, params).await,
        _ => Ok(remove(process, params)),
    }
}

/// `eth_newFilter` and `eth_newBlockFilter`.
async fn make(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let logs = params.get(0).cloned();
    if let Some(logs) = &logs {
        Search::read(logs)?;
    }
    let filter =
        Filter { process: process.key().to_owned(), logs, seen: process.latest_slot().await? };
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| RpcError::new(-32603, error.to_string()))?;
    // A quantity has no zeros in front.
    random[0] |= 0x80;
    let id = hex::encode_prefixed(random);
    let mut kept = lock(&process.eth.filters.0);
    if kept.order.len() >= FILTERS_MAX
        && let Some(oldest) = kept.order.pop_front()
    {
        kept.filters.remove(&oldest);
    }
    kept.order.push_back(id.clone());
    kept.filters.insert(id.clone(), filter);
    Ok(id.into())
}

/// `eth_getFilterChanges`.
async fn changes(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let (id, filter) = find(process, params)?;
    let latest = process.latest_slot().await?;
    let seen = filter.seen;
    let (first, last) = (seen.nonce, latest.nonce);
    if last.saturating_sub(first) >= BLOCKS_MAX {
        let text = "this filter is too far behind; make a new one, and search with eth_getLogs";
        return Err(RpcError::new(-32005, text));
    }
    let found = match &filter.logs {
        Some(logs) => Search::read(logs)?.run(process, (first, last), Some(seen)).await?,
        None => {
            let mut hashes = Vec::new();
            for number in (first..=last).skip(1) {
                hashes.extend(process.block(number).await?.map(|block| json!(block.hash)));
            }
            hashes
        }
    };
    if let Some(filter) = lock(&process.eth.filters.0).filters.get_mut(&id) {
        filter.seen = filter.seen.max(latest);
    }
    Ok(found.into())
}

/// `eth_getFilterLogs`.
async fn all(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let (_, filter) = find(process, params)?;
    let logs = filter.logs.ok_or_else(|| RpcError::server("this filter is one of blocks"))?;
    logs::logs(process, &Params::new(vec![logs])).await
}

/// `eth_uninstallFilter`.
fn remove(process: &Process, params: &Params) -> Value {
    let Ok((id, _)) = find(process, params) else { return false.into() };
    let mut kept = lock(&process.eth.filters.0);
    kept.order.retain(|known| *known != id);
    kept.filters.remove(&id).is_some().into()
}

fn find(process: &Process, params: &Params) -> Result<(String, Filter), RpcError> {
    let id = params.get(0).and_then(Value::as_str).unwrap_or_default();
    let kept = lock(&process.eth.filters.0);
    let found = kept.filters.get(id).filter(|filter| filter.process == process.key());
    let found = found.map(|filter| (id.to_owned(), filter.clone()));
    found.ok_or_else(|| RpcError::server("filter not found"))
}
