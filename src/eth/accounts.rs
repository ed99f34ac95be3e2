//! Accounts, as a state has them.

use super::{
    error::RpcError,
    params::{self, Params, data, quantity},
    process::Process,
};
use crate::cu::evm;
use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

/// Most slots of one proof.
const SLOTS_MAX: usize = 256;
/// Most slots of one look at them.
const VALUES_MAX: usize = 1024;

/// `eth_getStorageValues`.
pub(super) async fn slots(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let wanted = wanted_slots(params)?;
    let world = process.world(params.block(1)?).await?;
    let found = wanted.into_iter().map(|(address, slots)| {
        let values = slots.into_iter().map(|slot| data(B256::from(world.look_slot(address, slot))));
        (format!("{address:?}"), values.collect())
    });
    Ok(Value::Object(found.collect()))
}

/// What a state says of an account.
pub(super) async fn account(
    process: &Process,
    method: &str,
    params: &Params,
) -> Result<Value, RpcError> {
    let address = params.address(0)?;
    let has_slot = matches!(method, "eth_getStorageAt" | "eth_getProof");
    let block = params.block(if has_slot { 2 } else { 1 })?;
    if let ("eth_getTransactionCount", Some(nonce)) =
        (method, process.pending(block, address).await)
    {
        return Ok(quantity(nonce));
    }
    let world = process.world(block).await?;
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
