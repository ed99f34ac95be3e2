//! `eth_sendRawTransaction`: a transaction travels as the data of an ao message.

use super::{
    call,
    error::RpcError,
    params::{Params, data},
    process::Process,
};
use crate::{cu::evm, disk::Tag, item::Draft, net::Request};
use alloy_consensus::Transaction;
use alloy_primitives::hex;
use serde_json::Value;

const ACTION: (&str, &str) = ("Action", "eth_sendRawTransaction");

pub(super) async fn send(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let post = process.eth.post.as_ref().ok_or_else(|| {
        RpcError::server("this unit knows no messenger and no scheduler, so it sends nothing")
    })?;
    let bytes = params.bytes(0)?;
    let (transaction, _) = evm::signed_transaction(&bytes).map_err(RpcError::server)?;
    if transaction.chain_id().is_none() {
        let text = "only replay-protected (EIP-155) transactions are taken";
        return Err(RpcError::server(text));
    }
    // Who is told now what is wrong with it does not wait for a receipt that never comes.
    let tags = [Tag::new(ACTION.0, ACTION.1)];
    call::would_take(process, &post.wallet.ao_address(), &tags, &bytes).await?;
    let target = process.id.parse();
    let target = target.map_err(|_| RpcError::server("the process's id is not 32 bytes"))?;
    let tags = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message"), ACTION];
    let tags = tags.map(|(name, value)| Tag::new(name, value)).to_vec();
    let draft = Draft::new(Some(target), tags, hex::encode_prefixed(&bytes));
    let item = draft.with_random_anchor().and_then(|draft| post.wallet.sign(&draft));
    let item = item.map_err(|error| RpcError::new(-32603, error.to_string()))?;
    let request = Request::post(post.url.clone(), item.bytes().clone());
    let answer = post.transport.call(request).await;
    let answer = answer.map_err(|error| RpcError::server(error.to_string()))?;
    if !(200..300).contains(&answer.status) {
        let text = format!("the transaction was not taken ({}): {}", answer.status, answer.text());
        return Err(RpcError::server(text));
    }
    Ok(data(transaction.tx_hash()))
}
