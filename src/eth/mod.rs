//! Ethereum's JSON-RPC, one for each EVM process: `POST /eth/{process}`, batches included.
//!
//! A slot is a block, and each of its evaluations is a transaction. What is read is the compute unit's; what
//! is sent travels as an ao message through messenger and scheduler, so the schedule is the only truth.
//! `README.md` beside this file has the methods, and where a process differs from a chain.

mod blocks;
mod call;
mod error;
mod filters;
mod index;
mod logs;
mod params;
mod process;
mod send;

use crate::{
    cu::{Face, caller},
    http::{Body, Failure, Peer},
    item::Wallet,
    net::Transport,
};
use axum::{
    Extension, Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use error::RpcError;
use filters::Filters;
use index::Indices;
use params::Params;
use process::Process;
use serde_json::{Value, json};
use std::sync::Arc;

/// Requests of one batch.
const BATCH_MAX: usize = 100;
/// Bytes of a body: a transaction of the greatest length in hexadecimal digits, and some more.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of answers after which the rest of a batch is refused.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What serves Ethereum's tools.
pub struct Eth {
    /// The compute unit that is asked.
    face: Arc<Face>,
    /// How transactions are sent; without it, they are refused.
    post: Option<Post>,
    indices: Indices,
    filters: Filters,
}

/// How transactions are sent.
pub struct Post {
    /// Signs the messages that bear them.
    pub wallet: Wallet,
    /// The messenger or the scheduler that takes them.
    pub url: String,
    /// How it is reached.
    pub transport: Arc<dyn Transport>,
}

impl Eth {
    /// For the processes of a compute unit.
    pub fn new(face: Arc<Face>, post: Option<Post>) -> Self {
        Self { face, post, indices: Indices::default(), filters: Filters::default() }
    }
}

/// Its route.
pub fn router(eth: Arc<Eth>) -> Router {
    Router::new().route("/eth/{process}", post(serve)).with_state(eth)
}

async fn serve(
    State(eth): State<Arc<Eth>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, Failure> {
    let Path(process) = path?;
    if body.0.len() > BODY_BYTES_MAX {
        return Err(Failure::too_big(format!("at most {BODY_BYTES_MAX} bytes are taken at once")));
    }
    let request: Value = match serde_json::from_slice(&body.0) {
        Ok(request) => request,
        Err(error) => {
            let error = RpcError::new(-32700, format!("the body should be JSON: {error}"));
            return Ok(Json(answered(&Value::Null, Err(error))).into_response());
        }
    };
    eth.face.admission.admit(&eth.face.cu, &process).await?;
    let caller = caller(&headers, peer);
    let process = Process::new(&eth, process, caller).await?;
    let Value::Array(requests) = request else {
        return Ok(Json(one(&process, request).await).into_response());
    };
    if requests.is_empty() || requests.len() > BATCH_MAX {
        let text =
            format!("a batch has 1 to {BATCH_MAX} requests; this one has {}", requests.len());
        let error = RpcError::new(-32600, text);
        return Ok(Json(answered(&Value::Null, Err(error))).into_response());
    }
    let (mut answers, mut bytes) = (Vec::new(), 0);
    for request in requests {
        let answer = match bytes < ANSWER_BYTES_MAX {
            true => one(&process, request).await,
            false => {
                let error = RpcError::server("the answers of this batch are too long together");
                answered(request.get("id").unwrap_or(&Value::Null), Err(error))
            }
        };
        let answer = answer.to_string();
        bytes += answer.len();
        answers.push(answer);
    }
    let headers = [("content-type", "application/json")];
    Ok((headers, format!("[{}]", answers.join(","))).into_response())
}

fn answered(id: &Value, answer: Result<Value, RpcError>) -> Value {
    match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.json() }),
    }
}

async fn one(process: &Process<'_>, mut request: Value) -> Value {
    let id = request.get("id").cloned().unwrap_or_default();
    let Some(method) = request.get("method").and_then(Value::as_str).map(str::to_owned) else {
        let text = "a request is an object with jsonrpc, id, method and params";
        return answered(&id, Err(RpcError::new(-32600, text)));
    };
    let params = match request.get_mut("params").map(Value::take) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(params)) => params,
        Some(_) => {
            return answered(&id, Err(RpcError::invalid("params should be an array")));
        }
    };
    let answer = Box::pin(dispatch(process, &method, &Params::new(params))).await;
    answered(&id, answer)
}

async fn dispatch(process: &Process<'_>, method: &str, params: &Params) -> Result<Value, RpcError> {
    match method {
        "eth_chainId" => Ok(params::quantity(process.chain_id())),
        "net_version" => Ok(process.chain_id().to_string().into()),
        "web3_clientVersion" => Ok(concat!("drivebay/", env!("CARGO_PKG_VERSION")).into()),
        "eth_accounts" => Ok(json!([])),
        "eth_syncing" => Ok(false.into()),
        // A message costs its sender no fee, and a block has no base fee.
        "eth_gasPrice" | "eth_maxPriorityFeePerGas" => Ok(params::quantity(0)),
        "eth_feeHistory" => blocks::fee_history(process, params).await,
        "eth_blockNumber" => Ok(params::quantity(process.latest().await?)),
        "eth_call" => call::call(process, params).await,
        "eth_estimateGas" => call::estimate(process, params).await,
        "eth_getBalance"
        | "eth_getTransactionCount"
        | "eth_getCode"
        | "eth_getStorageAt"
        | "eth_getProof" => process.account(method, params).await,
        "eth_sendRawTransaction" => send::send(process, params).await,
        "eth_getTransactionReceipt" => blocks::receipt(process, params).await,
        "eth_getTransactionByHash" => blocks::transaction(process, params).await,
        "eth_getBlockByNumber" | "eth_getBlockByHash" => blocks::block(process, params).await,
        "eth_getBlockReceipts" => blocks::receipts(process, params).await,
        "eth_newFilter" if params.get(0).is_none() => {
            Err(RpcError::invalid("parameter 0 should be a filter"))
        }
        "eth_newFilter" => filters::make(process, params).await,
        "eth_newBlockFilter" => filters::make(process, &Params::new(Vec::new())).await,
        "eth_getFilterChanges" => filters::changes(process, params).await,
        "eth_getFilterLogs" => filters::all(process, params).await,
        "eth_uninstallFilter" => Ok(filters::remove(process, params)),
        "eth_getLogs" => logs::logs(process, params).await,
        // In the words by which clients know that they must do without it.
        _ => Err(RpcError::new(
            -32601,
            format!("the method {method} does not exist or is not available"),
        )),
    }
}
