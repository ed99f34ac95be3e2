//! The compute unit over HTTP, as its clients know it.

mod admission;
mod answer;
mod checkpoint;
mod pages;
mod sidecar;
mod state;

pub use admission::{Access, Admission, Parties};
pub use checkpoint::Publisher;
pub use sidecar::{Sidecar, sidecar};

use super::{At, Cu, CuError};
use crate::{
    clock::Clock,
    disk::{Slot, json::Value},
    http::{Body, Caller, Failure, Params, prometheus},
    item::Id,
    wire::{dry_fields, place_dry},
};
use answer::{No, json_text, required};
use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use std::{sync::Arc, time::Duration};

/// How long a result is waited for before the caller is told how far the evaluation is.
const PATIENCE: Duration = Duration::from_secs(25);
/// When to come back for it, in seconds.
const COME_BACK_S: u32 = 1;

/// A compute unit, and how it meets its clients.
pub struct Face {
    /// The unit.
    pub cu: Cu,
    /// Address of its wallet.
    pub address: Id,
    /// What time it is.
    pub clock: Clock,
    /// Who may ask for what, and how often.
    pub admission: Admission,
    /// How it publishes checkpoints, if it does.
    pub publisher: Option<Publisher>,
}

type Shared = State<Arc<Face>>;
type Segment = Result<Path<String>, PathRejection>;

/// The routes of a compute unit.
pub fn router(face: Arc<Face>) -> Router {
    Router::new()
        .route("/", get(who))
        .route("/result/{id}", get(result))
        .route("/results/{process}", get(pages::results))
        .route("/cron/{process}", get(pages::cron))
        .route("/dry-run", post(dry_run))
        .route("/state/{process}", get(state::state))
        .route("/checkpoint/{process}", post(checkpoint::publish))
        .route("/status", get(answer::status))
        .route("/status/{process}", get(answer::progress))
        .route("/healthcheck", get(async || "OK"))
        .route("/health", get(async || "OK"))
        .route("/metrics", get(metrics))
        .with_state(face)
}

async fn who(State(face): Shared) -> Json<serde_json::Value> {
    let timestamp = face.clock.now_ms();
    Json(serde_json::json!({ "address": face.address.to_string(), "timestamp": timestamp }))
}

async fn metrics(State(face): Shared) -> String {
    answer::measure(&face.cu.status());
    prometheus()
}

async fn result(State(face): Shared, params: Params, path: Segment) -> Result<Response, No> {
    let Path(id) = path.map_err(Failure::from)?;
    let process = required(&params, "process-id", "processId")?;
    face.admission.admit(&face.cu, process).await?;
    let evaluated = face.cu.evaluate(process, At::Message(id.clone()));
    match tokio::time::timeout(PATIENCE, evaluated).await {
        Ok(Ok(stored)) => Ok(answer::receipt(&stored)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Ok(answer::under_way(&face.cu, process, &id, params.has("no-busy"))),
    }
}

async fn dry_run(
    State(face): Shared,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Err(not_json(content_type));
    }
    let text = std::str::from_utf8(&body.0).map_err(|error| malformed(&error.to_string()))?;
    let body = Value::parse(text).map_err(|error| malformed(&error.to_string()))?;
    let process = required(&params, "process-id", "processId")?.to_owned();
    face.admission.allow_dry_run(caller)?;
    face.admission.admit(&face.cu, &process).await?;
    let at = at(&params, At::Latest)?;
    let mut fields = dry_fields(body, &process).map_err(Failure::from)?;
    let done = face.cu.dry_run(&process, at, move |place| {
        place_dry(&mut fields, place.timestamp_ms, place.block_height);
        Ok(super::DryMessage::new(&fields))
    });
    let done = done.await?;
    let mut response = json_text(&done.json);
    let headers = response.headers_mut();
    headers.insert("slot", answer::header_of(done.at.slot.nonce));
    if let Some(root) = done.root {
        headers.insert("root", answer::header_of(root));
    }
    Ok(response)
}

/// Where a state is asked for: `to` names a message, `slot` a slot, `at=head` what is evaluated by now.
fn at(params: &Params, otherwise: At) -> Result<At, Failure> {
    if let Some(nonce) = params.number("slot")? {
        let tick = params.number("tick")?.unwrap_or_default();
        return Ok(At::Slot(Slot { epoch: 0, nonce, tick }));
    }
    match (params.text("to").filter(|text| !text.is_empty()), params.text("at")) {
        (Some(message), _) => Ok(At::Message(message.to_owned())),
        (None, Some("head")) => Ok(At::Head),
        (None, _) => Ok(otherwise),
    }
}

/// What the reference's server says of a body that is no JSON.
fn malformed(why: &str) -> No {
    let body = serde_json::json!({
        "statusCode": 400,
        "error": "Bad Request",
        "message": format!("the body should be JSON: {why}"),
    });
    No::Reference(StatusCode::BAD_REQUEST, body)
}

/// The same of a body that does not even say that it is.
fn not_json(content_type: &str) -> No {
    let body = serde_json::json!({
        "statusCode": 415,
        "code": "FST_ERR_CTP_INVALID_MEDIA_TYPE",
        "error": "Unsupported Media Type",
        "message": format!("Unsupported Media Type: {content_type}; send application/json"),
    });
    No::Reference(StatusCode::UNSUPPORTED_MEDIA_TYPE, body)
}

impl From<CuError> for Failure {
    fn from(error: CuError) -> Self {
        match error {
            CuError::Refused(refusal) => refusal.into(),
            CuError::Unknown(text) => Self::unknown(text),
            CuError::Host(error) => error.into(),
            CuError::Unreachable(_) | CuError::Busy(_) | CuError::Stopped => {
                Self::unavailable(error.to_string(), COME_BACK_S)
            }
            CuError::Diverged { .. } => Self::internal(&error),
        }
    }
}
