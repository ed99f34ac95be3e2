//! Blocks, transactions and receipts.

use super::{
    block::Block,
    error::RpcError,
    ground::Spot,
    index::Ran,
    logs::{numbered, shown},
    params::{Params, data, number, quantity},
    process::Process,
};
use crate::cu::{At, evm};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Transaction, Typed2718};
use alloy_eips::{eip2718::Encodable2718, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B256, Bloom, keccak256};
use serde_json::{Map, Value, json};

/// Blocks of one fee history.
const FEES_MAX: u64 = 1024;
const PERCENTILES_MAX: usize = 100;
/// Most transactions of a block that are shown whole: each is asked of the scheduler again.
const WHOLE_MAX: usize = 100;

/// The methods of blocks and transactions, by name.
pub(super) async fn answer(
    process: &Process,
    method: &str,
    params: &Params,
) -> Result<Value, RpcError> {
    match method {
        "eth_getTransactionReceipt" => receipt(process, params).await,
        "eth_getTransactionByHash" => transaction(process, params).await,
        "eth_getTransactionByBlockHashAndIndex" | "eth_getTransactionByBlockNumberAndIndex" => {
            indexed(process, params).await
        }
        "eth_getBlockTransactionCountByHash" | "eth_getBlockTransactionCountByNumber" => {
            counted(process, params, |runs| runs.len()).await
        }
        "eth_getUncleCountByBlockHash" | "eth_getUncleCountByBlockNumber" => {
            counted(process, params, |_| 0).await
        }
        "eth_getBlockByNumber" | "eth_getBlockByHash" => block(process, params).await,
        "eth_getBlockReceipts" => receipts(process, params).await,
        "debug_getRawTransaction" => raw(process, params).await,
        _ => Err(RpcError::new(-32601, format!("the method {method} does not exist"))),
    }
}

/// The transaction at a place of a block.
async fn indexed(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let at = params.number(1)?;
    let Some(block) = process.number(params.block(0)?).await? else { return Ok(Value::Null) };
    let runs = process.runs(block, block).await?;
    match usize::try_from(at).ok().and_then(|at| runs.get(at)) {
        Some(run) => whole(process, run).await,
        None => Ok(Value::Null),
    }
}

/// A count of something in a block.
async fn counted(
    process: &Process,
    params: &Params,
    count: impl FnOnce(&[Ran]) -> usize,
) -> Result<Value, RpcError> {
    let Some(block) = process.number(params.block(0)?).await? else { return Ok(Value::Null) };
    Ok(quantity(count(&process.runs(block, block).await?)))
}

/// `eth_getTransactionReceipt`.
async fn receipt(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let Some((runs, at)) = found(process, params).await? else { return Ok(Value::Null) };
    Ok(of_block(process, &runs, Some(at)).await?.pop().unwrap_or_default())
}

/// `eth_getBlockReceipts`.
async fn receipts(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let Some(block) = process.number(params.block(0)?).await? else { return Ok(Value::Null) };
    let runs = process.runs(block, block).await?;
    few(&runs)?;
    Ok(of_block(process, &runs, None).await?.into())
}

/// `eth_getTransactionByHash`.
async fn transaction(process: &Process, params: &Params) -> Result<Value, RpcError> {
    if let Some((runs, at)) = found(process, params).await? {
        return match runs.get(at) {
            Some(run) => whole(process, run).await,
            None => Ok(Value::Null),
        };
    }
    let hash = params.hash(0)?;
    let waits = process.chain().await.and_then(|chain| chain.waiting(hash));
    Ok(waits.map_or(Value::Null, |asked| said(process, &asked, None)))
}

/// `debug_getRawTransaction`.
async fn raw(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let Some((runs, at)) = found(process, params).await? else { return Ok(Value::Null) };
    let Some(run) = runs.get(at) else { return Ok(Value::Null) };
    let signed = process.asked(run).await?.signed.ok_or_else(|| {
        RpcError::server("this is a message of ao's, which is no signed Ethereum transaction")
    })?;
    Ok(data(signed.encoded_2718()))
}

/// The evaluations of a transaction's block, and its place among them.
pub(super) async fn found(
    process: &Process,
    params: &Params,
) -> Result<Option<(Vec<Ran>, usize)>, RpcError> {
    let hash = params.hash(0)?;
    let Some(slot) = process.transaction(hash).await? else { return Ok(None) };
    let runs = process.runs(slot.nonce, slot.nonce).await?;
    let at = runs.iter().position(|run| run.slot == slot);
    Ok(at.map(|at| (runs, at)))
}

/// The receipts of a block, or the one at a place.
async fn of_block(
    process: &Process,
    runs: &[Ran],
    only: Option<usize>,
) -> Result<Vec<Value>, RpcError> {
    let (mut shown_all, mut gas) = (Vec::new(), 0u64);
    for (at, (run, first_log)) in numbered(runs).enumerate() {
        gas = gas.saturating_add(run.gas);
        if only.is_none_or(|only| only == at) {
            shown_all.push(one_receipt(process, run, gas, first_log).await?);
        }
    }
    Ok(shown_all)
}

async fn one_receipt(
    process: &Process,
    run: &Ran,
    gas: u64,
    first_log: usize,
) -> Result<Value, RpcError> {
    let asked = process.asked(run).await?;
    let logs = run.logs.iter().enumerate().map(|(at, log)| shown(run, log, first_log + at));
    let signed = asked.signed.as_ref();
    Ok(json!({
        "transactionHash": run.hash,
        "transactionIndex": quantity(run.slot.tick),
        "blockHash": run.block_hash,
        "blockNumber": quantity(run.slot.nonce),
        "from": asked.from,
        "to": asked.to,
        "cumulativeGasUsed": quantity(gas),
        "gasUsed": quantity(run.gas),
        "effectiveGasPrice": quantity(signed.map_or(0, |tx| tx.effective_gas_price(Some(run.base_fee)))),
        "contractAddress": run.created.filter(|_| asked.to.is_none()),
        "logs": logs.collect::<Vec<_>>(),
        "logsBloom": run.bloom(),
        "type": quantity(signed.map_or(0, Typed2718::ty)),
        "status": quantity(u8::from(run.succeeded)),
    }))
}

/// A transaction with everything that it says.
async fn whole(process: &Process, run: &Ran) -> Result<Value, RpcError> {
    Ok(said(process, &process.asked(run).await?, Some(run)))
}

/// What a transaction says; and where it is, unless it waits.
fn said(process: &Process, asked: &evm::Transacted, run: Option<&Ran>) -> Value {
    let place = run.map(|run| Place {
        block_hash: run.block_hash,
        number: run.slot.nonce,
        timestamp: run.timestamp,
        index: run.slot.tick.into(),
    });
    let hash = run.map(|run| run.hash);
    if let Some(envelope) = &asked.signed {
        let hash = hash.unwrap_or(*envelope.tx_hash());
        return signed(envelope, (hash, asked.from), place, run.map(|run| run.base_fee));
    }
    // A message is signed as ao signs, so there is no signature of Ethereum to be shown.
    let message = json!({
        "type": "0x0",
        "to": asked.to,
        "value": quantity(asked.value),
        "input": data(&asked.input),
        "nonce": run.map(|run| quantity(run.slot.nonce)),
        "gas": quantity(process.gas_limit()),
        "gasPrice": "0x0",
        "chainId": quantity(process.chain_id()),
        "v": "0x1b",
        "r": B256::ZERO,
        "s": B256::ZERO,
    });
    placed(message, (hash, asked.from), place)
}

/// Where a transaction stands.
pub(super) struct Place {
    pub(super) block_hash: B256,
    pub(super) number: u64,
    pub(super) timestamp: u64,
    pub(super) index: u64,
}

/// A signed transaction: where it stands, unless it waits, and at which base fee, if that is known.
pub(super) fn signed(
    envelope: &evm::Envelope,
    (hash, from): (B256, Address),
    place: Option<Place>,
    base_fee: Option<u64>,
) -> Value {
    let mut shown = serde_json::to_value(envelope).unwrap_or_default();
    if let Some(shown) = shown.as_object_mut() {
        let price = quantity(envelope.effective_gas_price(base_fee));
        shown.insert("gasPrice".to_owned(), price);
    }
    placed(shown, (Some(hash), from), place)
}

fn placed(mut shown: Value, (hash, from): (Option<B256>, Address), place: Option<Place>) -> Value {
    let place = place.as_ref();
    let placed = json!({
        "hash": hash,
        "from": from,
        "blockHash": place.map(|place| place.block_hash),
        "blockNumber": place.map(|place| quantity(place.number)),
        "blockTimestamp": place.map(|place| quantity(place.timestamp)),
        "transactionIndex": place.map(|place| quantity(place.index)),
    });
    if let (Some(shown), Value::Object(placed)) = (shown.as_object_mut(), placed) {
        shown.extend(placed);
    }
    shown
}

pub(super) fn few(runs: &[Ran]) -> Result<(), RpcError> {
    if runs.len() > WHOLE_MAX {
        let text = format!("the block has more than {WHOLE_MAX} transactions; ask for each");
        return Err(RpcError::new(-32005, text));
    }
    Ok(())
}

/// `eth_getBlockByNumber` and `eth_getBlockByHash`.
async fn block(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let Some(block) = process.number(params.block(0)?).await? else { return Ok(Value::Null) };
    let Some(block) = process.block(block).await? else { return Ok(Value::Null) };
    let (mut shown, runs) = (headed(process, &block).await?, &block.runs);
    let mut transactions = Vec::new();
    if params.get(1).and_then(Value::as_bool) == Some(true) {
        few(runs)?;
        for run in runs {
            transactions.push(whole(process, run).await?);
        }
    } else {
        transactions.extend(runs.iter().map(|run| json!(run.hash)));
    }
    shown.insert("transactions".to_owned(), transactions.into());
    shown.insert("uncles".to_owned(), json!([]));
    shown.insert("withdrawals".to_owned(), json!([]));
    shown.insert("size".to_owned(), "0x0".into());
    Ok(shown.into())
}

/// The header of a block, as subscribers are told it.
pub(super) async fn head(process: &Process, block: u64) -> Result<Option<Value>, RpcError> {
    let Some(block) = process.block(block).await? else { return Ok(None) };
    Ok(Some(headed(process, &block).await?.into()))
}

/// The header of a block.
async fn headed(process: &Process, block: &Block) -> Result<Map<String, Value>, RpcError> {
    let stand = process.chain().await.and_then(|chain| chain.stand(block.number));
    let last = || block.runs.last().map(|run| At::Slot(run.slot));
    let spot = stand.map(Spot::Private).or_else(|| last().map(Spot::Process));
    let spot = spot.ok_or_else(|| RpcError::server("the block is gone"))?;
    Ok(header(block, process.world_at(spot).await?.root()))
}

fn header(block: &Block, root: B256) -> Map<String, Value> {
    let (mut bloom, mut gas) = (Bloom::default(), 0u64);
    for run in &block.runs {
        bloom |= run.bloom();
        gas = gas.saturating_add(run.gas);
    }
    let all = |part: fn(&Ran) -> B256| {
        keccak256(block.runs.iter().map(part).collect::<Vec<_>>().concat())
    };
    let header = json!({
        "number": quantity(block.number),
        "hash": block.hash,
        "parentHash": block.parent,
        "timestamp": quantity(block.timestamp),
        "mixHash": block.random,
        "stateRoot": root,
        // Of hashes and receipts as this unit has them: there are no tries of them.
        "transactionsRoot": all(|run| run.hash),
        "receiptsRoot": all(|run| run.receipt),
        "logsBloom": bloom,
        "gasUsed": quantity(gas),
        "gasLimit": quantity(block.gas_limit),
        "baseFeePerGas": quantity(block.base_fee),
        "miner": block.coinbase,
    });
    let mut shown = bare();
    if let Value::Object(header) = header {
        shown.extend(header);
    }
    shown
}

/// What the headers of all blocks say.
pub(super) fn bare() -> Map<String, Value> {
    let header = json!({
        "nonce": "0x0000000000000000",
        "difficulty": "0x0",
        "extraData": "0x",
        "sha3Uncles": EMPTY_OMMER_ROOT_HASH,
        // Of what newer forks have, a slot has nothing.
        "withdrawalsRoot": EMPTY_ROOT_HASH,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": B256::ZERO,
        "requestsHash": EMPTY_REQUESTS_HASH,
    });
    match header {
        Value::Object(header) => header,
        _ => Map::new(),
    }
}

/// `eth_feeHistory`.
pub(super) async fn fee_history(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let count = params.get(0).and_then(number).and_then(|count| u64::try_from(count).ok());
    let count = count.filter(|count| *count > 0);
    let count = count.ok_or_else(|| RpcError::invalid("parameter 0 should be a count"))?;
    let percentiles = params.get(2).and_then(Value::as_array).map_or(0, Vec::len);
    if percentiles > PERCENTILES_MAX {
        return Err(RpcError::invalid(format!("at most {PERCENTILES_MAX} percentiles")));
    }
    let newest = process.known(params.block(1)?).await?;
    let oldest = (newest + 1).saturating_sub(count.min(FEES_MAX));
    let limit = process.gas_limit().max(1) as f64;
    let (mut ratios, mut fees) = (Vec::new(), Vec::new());
    for block in oldest..=newest {
        let runs = process.runs(block, block).await?;
        ratios.push(runs.iter().map(|run| run.gas as f64).sum::<f64>() / limit);
        fees.push(quantity(runs.first().map_or(0, |run| run.base_fee)));
    }
    fees.push(quantity(0));
    let rewards = vec![vec!["0x0"; percentiles]; ratios.len()];
    let mut history = json!({
        "oldestBlock": quantity(oldest),
        "baseFeePerGas": fees,
        "baseFeePerBlobGas": vec!["0x0"; ratios.len() + 1],
        "blobGasUsedRatio": vec![0; ratios.len()],
        "gasUsedRatio": ratios,
    });
    if let (true, Some(history)) = (percentiles > 0, history.as_object_mut()) {
        history.insert("reward".to_owned(), json!(rewards));
    }
    Ok(history)
}
