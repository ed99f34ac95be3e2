//! The methods, by name.

use super::{
    accounts, blocks, call,
    error::RpcError,
    filters, logs,
    params::{self, Params},
    private,
    process::Process,
    send, simulate, trace,
};
use alloy_primitives::{Bytes, keccak256};
use jsonrpsee::{Extensions, RpcModule, server::RegisterMethodError, types};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

/// All of them, but for the subscriptions.
const METHODS: &[&str] = &[
    "debug_getRawTransaction",
    "debug_traceBlockByHash",
    "debug_traceBlockByNumber",
    "debug_traceCall",
    "debug_traceTransaction",
    "eth_accounts",
    "eth_baseFee",
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_getLogs",
    "eth_getProof",
    "eth_getStorageAt",
    "eth_getStorageValues",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber",
    "eth_maxPriorityFeePerGas",
    "eth_newBlockFilter",
    "eth_newFilter",
    "eth_sendRawTransaction",
    "eth_simulateV1",
    "eth_syncing",
    "eth_uninstallFilter",
    "net_listening",
    "net_version",
    "web3_clientVersion",
    "web3_sha3",
];

/// What a method answers.
#[derive(Clone, serde::Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Value(Value),
    /// JSON that is too long to be taken apart for nothing.
    Text(Box<RawValue>),
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

pub(super) fn register(module: &mut RpcModule<()>) -> Result<(), RegisterMethodError> {
    for method in METHODS.iter().chain(private::METHODS) {
        module.register_async_method(method, async move |params, _, extensions| {
            let process = process(&extensions)?;
            let params = read(&params)?;
            Box::pin(dispatch(&process, method, &params)).await
        })?;
    }
    Ok(())
}

/// The process that a request is for.
pub(super) fn process(extensions: &Extensions) -> Result<Arc<Process>, RpcError> {
    let process = extensions.get::<Arc<Process>>().cloned();
    process.ok_or_else(|| RpcError::new(-32603, "the request has no process"))
}

/// The parameters of a request: by place, or none.
pub(super) fn read(params: &types::Params<'_>) -> Result<Params, RpcError> {
    let Some(text) = params.as_str() else { return Ok(Params::new(Vec::new())) };
    match serde_json::from_str(text) {
        Ok(Value::Array(params)) => Ok(Params::new(params)),
        Ok(Value::Null) => Ok(Params::new(Vec::new())),
        _ => Err(RpcError::invalid("params should be an array")),
    }
}

async fn dispatch(process: &Process, method: &str, params: &Params) -> Result<Answer, RpcError> {
    let value = match method {
        "debug_traceTransaction" => return trace::transaction(process, params).await,
        "debug_traceCall" => return trace::call(process, params).await,
        "debug_traceBlockByNumber" | "debug_traceBlockByHash" => {
            return trace::block(process, params).await;
        }
        "eth_chainId" => Ok(params::quantity(process.chain_id())),
        "net_version" => Ok(process.chain_id().to_string().into()),
        "net_listening" => Ok(true.into()),
        "web3_clientVersion" => Ok(version(process).into()),
        "web3_sha3" => params.bytes(0).map(|bytes: Bytes| json!(keccak256(bytes))),
        "eth_accounts" => Ok(private::accounts(process)),
        "eth_syncing" => Ok(false.into()),
        // A message costs its sender no fee, and a block has no base fee and no blobs.
        "eth_baseFee" | "eth_blobBaseFee" | "eth_gasPrice" | "eth_maxPriorityFeePerGas" => {
            Ok(params::quantity(0))
        }
        "eth_feeHistory" => blocks::fee_history(process, params).await,
        "eth_blockNumber" => process.latest().await.map(params::quantity),
        "eth_call" => call::call(process, params).await,
        "eth_estimateGas" => call::estimate(process, params).await,
        "eth_createAccessList" => call::access_list(process, params).await,
        "eth_getBalance"
        | "eth_getTransactionCount"
        | "eth_getCode"
        | "eth_getStorageAt"
        | "eth_getProof" => accounts::account(process, method, params).await,
        "eth_getStorageValues" => accounts::slots(process, params).await,
        _ if private::METHODS.contains(&method) => private::answer(process, method, params).await,
        "eth_sendRawTransaction" if process.private.is_some() => {
            private::answer(process, method, params).await
        }
        "eth_sendRawTransaction" => send::send(process, params).await,
        "eth_simulateV1" => simulate::simulate(process, params).await,
        "eth_getLogs" => logs::logs(process, params).await,
        _ if method.contains("Filter") => filters::answer(process, method, params).await,
        _ => blocks::answer(process, method, params).await,
    };
    value.map(Answer::Value)
}

/// What answers. Tools look for a chain that does as they wish by how its name begins.
fn version(process: &Process) -> &'static str {
    match process.private {
        Some(_) => concat!("anvil-like/drivebay/", env!("CARGO_PKG_VERSION")),
        None => concat!("drivebay/", env!("CARGO_PKG_VERSION")),
    }
}
