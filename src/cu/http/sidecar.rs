//! What HyperBEAM's delegated compute asks of the unit beside it. For the operator's own machine alone: who
//! may push slots may say what is scheduled.

use super::{
    Face,
    answer::{No, header_of, json_text, required},
    checkpoint::Memory,
};
use crate::{
    cu::{At, Foreign, Hyperbeam, Position, StoredResult},
    disk::{
        Slot,
        json::{Json, Value},
    },
    http::{Body, Caller, Failure, Params},
    wire::{aos2, schedule::Pair},
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

/// The most bytes of a slot, as the reference takes them; a state may be larger.
const SLOT_BYTES_MAX: usize = 512 << 20;
const STATE_BYTES_MAX: usize = 4 << 30;
/// What the headers of a result are, for a reader that types them.
const TYPES: &str = "timestamp=integer,block-height=integer,slot=integer,cold-start=atom";

/// A unit beside a HyperBEAM node.
pub struct Sidecar {
    /// The unit.
    pub face: Arc<Face>,
    /// Where its schedules come from.
    pub source: Arc<Hyperbeam>,
    /// Where checkpoint files are put.
    pub folder: PathBuf,
}

type Shared = State<Arc<Sidecar>>;

/// The routes that a node asks, beside those of [`super::router`].
pub fn sidecar(sidecar: Arc<Sidecar>) -> Router {
    Router::new()
        .route("/result/{id}", post(result).layer(DefaultBodyLimit::max(SLOT_BYTES_MAX)))
        .route("/snapshot/{process}", post(snapshot))
        .route("/state", post(restore).layer(DefaultBodyLimit::max(STATE_BYTES_MAX)))
        .with_state(sidecar)
}

/// `POST /result/{slot}`: evaluates the slot that the body holds.
async fn result(
    State(sidecar): Shared,
    caller: Caller,
    params: Params,
    path: Result<Path<u64>, PathRejection>,
    body: Body,
) -> Result<Response, No> {
    caller.must_be_trusted()?;
    let Path(slot) = path.map_err(Failure::from)?;
    let process = required(&params, "process-id", "processId")?;
    let pair = only_slot(&body.0, process, slot)?;
    let (cu, at) = (&sidecar.face.cu, Slot { nonce: slot, ..Slot::default() });
    sidecar.face.admission.admit_id(process)?;
    let head = cu.progress(process).and_then(|progress| progress.head);
    if let Some(head) = head.filter(|head| slot > head.nonce + 1) {
        // The words are the reference's. A unit that is new to the process catches up instead.
        let expected = head.nonce + 1;
        let text = format!("Non-incrementing slot: expected {expected} but got {slot}");
        return Err(Failure::refused(text).into());
    }
    sidecar.source.push(pair);
    let stored = cu.evaluate(process, At::Slot(at)).await?;
    Ok(answered(&stored, head.is_none()))
}

fn only_slot(body: &[u8], process: &str, slot: u64) -> Result<Pair, Failure> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Failure::malformed(format!("the body is no text: {error}")))?;
    let page = aos2::page(text).map_err(|error| {
        Failure::malformed(format!("the body is no slot of a schedule: {error}"))
    })?;
    let [(pair, _)] = <[_; 1]>::try_from(page.edges).map_err(|edges| {
        Failure::malformed(format!("the body has {} edges, but should have one", edges.len()))
    })?;
    let (found, of) = (pair.assignment.nonce, &pair.assignment.process);
    if found != slot || of != process {
        let text = format!(
            "the body is slot {found} of process {of}, but slot {slot} of process {process} is asked for"
        );
        return Err(Failure::malformed(text));
    }
    Ok(pair)
}

fn answered(stored: &StoredResult, is_cold: bool) -> Response {
    let mut response = json_text(&for_node(&stored.json));
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: String| {
        headers.insert(HeaderName::from_static(name), header_of(value));
    };
    put("message", stored.receipt.message.clone());
    put("timestamp", stored.at.timestamp_ms.to_string());
    put("block-height", stored.at.block_height.to_string());
    put("slot", stored.at.slot.nonce.to_string());
    put("cold-start", is_cold.to_string());
    put("ao-types", TYPES.to_owned());
    response
}

/// The result, its output an object with `data`: the node's decoder takes nothing else.
fn for_node(result: &str) -> String {
    let pairs = Value::parse(result).ok().and_then(Value::into_object).unwrap_or_default();
    let pairs = pairs.into_iter().map(|(key, value)| match key.as_str() {
        Some("Output") if value.get("data").is_none() => (key, Value::object([("data", value)])),
        _ => (key, value),
    });
    Json::from(Value::object(pairs)).as_str().to_owned()
}

/// `POST /snapshot/{process}`: writes the state of the process to a file, and says where.
async fn snapshot(
    State(sidecar): Shared,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    caller.must_be_trusted()?;
    let Path(process) = path?;
    let cu = &sidecar.face.cu;
    if cu.progress(&process).and_then(|progress| progress.head).is_none() {
        let text = format!("nothing of process {process} has been evaluated here");
        let body = json!({ "success": false, "message": text });
        return Ok((axum::http::StatusCode::NOT_FOUND, axum::Json(body)).into_response());
    }
    let module = cu.process(&process).await?.process.module.clone();
    let memory = Memory::of(cu, &process, At::Head).await?;
    let at = &memory.at;
    let file = sidecar.folder.join(format!("checkpoint-{process}-{}.gz", at.slot.nonce));
    memory.write(file.clone()).await?;
    let (nonce, hash_chain) = (at.slot.nonce.to_string(), at.hash_chain.to_string());
    let body = json!({
        "success": true,
        "message": format!("the state of process {process} after slot {nonce} is in a file"),
        "processId": process,
        "file": file.display().to_string(),
        "timestamp": at.timestamp_ms,
        "ordinate": nonce,
        "snapshot": {
            "processId": process,
            "moduleId": module,
            "timestamp": at.timestamp_ms,
            "epoch": at.slot.epoch,
            "nonce": at.slot.nonce,
            "blockHeight": at.block_height,
            "ordinate": nonce,
            "hashChain": hash_chain,
            "encoding": "gzip",
        },
    });
    let headers = [
        ("snapshot-timestamp", header_of(at.timestamp_ms)),
        ("snapshot-ordinate", header_of(&nonce)),
        ("snapshot-block-height", header_of(at.block_height)),
        ("snapshot-module-id", header_of(&module)),
        ("snapshot-nonce", header_of(&nonce)),
        ("snapshot-epoch", header_of(at.slot.epoch)),
        ("snapshot-hash-chain", header_of(&hash_chain)),
    ];
    Ok((headers, axum::Json(body)).into_response())
}

/// `POST /state`: takes over a state. One that is behind what is known here is left.
async fn restore(
    State(sidecar): Shared,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    caller.must_be_trusted()?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let needed = |name: &str| {
        text(name).filter(|text| !text.is_empty()).ok_or_else(|| {
            Failure::malformed(format!("the header {name} is missing: it says what state this is"))
        })
    };
    let number = |name: &str| {
        needed(name)?
            .parse::<u64>()
            .map_err(|_| Failure::malformed(format!("the header {name} should be a number")))
    };
    let process = needed("process")?.to_owned();
    let foreign = Foreign {
        at: Position {
            slot: Slot { nonce: number("nonce")?, ..Slot::default() },
            timestamp_ms: number("timestamp")?,
            block_height: number("block-height")?,
            hash_chain: text("hash-chain").unwrap_or_default().into(),
        },
        message: String::new(),
        assignment: text("assignment").unwrap_or_default().to_owned(),
        memory: body.0,
    };
    sidecar.face.cu.adopt(&process, foreign).await?;
    Ok(format!("Successfully cached process memory for process {process}").into_response())
}
