//! The scheduler over HTTP, as its clients know it.

use super::{Cursor, Entry, Existing, PageQuery, Placed, Su, SuError, assignment::padded};
use crate::{
    http::{Body, Failure, Params, prometheus},
    item::Id,
    wire::scheduler as wire,
};
use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Failure>;
type Segment = Result<Path<String>, PathRejection>;

/// The routes of a scheduler.
pub fn router(su: Arc<Su>) -> Router {
    Router::new()
        .route("/", get(who).post(post))
        .route("/timestamp", get(timestamp))
        .route("/health", get(async || ()))
        .route("/status", get(status))
        .route("/metrics", get(measured))
        .route("/processes/{id}", get(process))
        .route("/{id}/latest", get(latest))
        .route("/{id}", get(entry_or_page))
        .with_state(su)
}

impl From<SuError> for Failure {
    fn from(error: SuError) -> Self {
        match error {
            SuError::Refused(refusal) => refusal.into(),
            SuError::Forbidden(text) => Self::forbidden(text),
            SuError::Busy => Self::unavailable(error.to_string(), 1),
            SuError::Host(host) => host.into(),
        }
    }
}

async fn who(State(su): State<Arc<Su>>) -> Json<Value> {
    let timestamp = su.now_ms().to_string();
    Json(json!({ "address": su.address().to_string(), "timestamp": timestamp }))
}

async fn timestamp(State(su): State<Arc<Su>>) -> Json<Value> {
    let timestamp = su.now_ms().to_string();
    Json(json!({ "block_height": padded(su.height()), "timestamp": timestamp }))
}

async fn measured(State(su): State<Arc<Su>>) -> Result<String, Failure> {
    let status = su.status().await?;
    metrics::gauge!("drivebay_su_uploads_waiting").set(status.uploads as f64);
    metrics::gauge!("drivebay_su_processes").set(status.processes as f64);
    Ok(prometheus())
}

async fn status(State(su): State<Arc<Su>>) -> Answer {
    let status = su.status().await?;
    Ok(Json(json!({
        "unit": "su",
        "address": su.address().to_string(),
        "block_height": su.height(),
        "processes": status.processes,
        "places": status.places,
        "uploads": status.uploads,
    })))
}

async fn post(State(su): State<Arc<Su>>, params: Params, body: Body) -> Answer {
    let placed = match existing(&params)? {
        Some(existing) => {
            let placed = su.assign(existing).await?;
            return Ok(Json(placed_json(placed.assignment, &placed)));
        }
        None => su.schedule(body.0).await?,
    };
    Ok(Json(placed_json(placed.message, &placed)))
}

fn placed_json(id: Id, placed: &Placed) -> Value {
    json!({ "id": id.to_string(), "timestamp": placed.timestamp_ms })
}

/// What a query asks to assign, if it does.
fn existing(params: &Params) -> Result<Option<Existing>, Failure> {
    let (process, item) = match (params.text("process-id"), params.text("assign")) {
        (None, None) => return Ok(None),
        (Some(process), Some(item)) => (process, item),
        _ => {
            let text = "If sending assign or process-id, you must send both.";
            return Err(Failure::malformed(text));
        }
    };
    let exclude = params.text("exclude").unwrap_or_default().split(',').map(str::trim);
    Ok(Some(Existing {
        process: id(process)?,
        item: id(item)?,
        base_layer: params.has("base-layer"),
        exclude: exclude.filter(|field| !field.is_empty()).map(str::to_owned).collect(),
    }))
}

async fn process(State(su): State<Arc<Su>>, path: Segment) -> Result<Response, Failure> {
    let id = id(&path?.0)?;
    let start = su.start(&id).await?;
    let process = start.as_ref().and_then(|entry| {
        let item = entry.item.as_ref()?;
        Some(wire::Process::new(item, &entry.assignment, entry.timestamp_ms))
    });
    let process = process.ok_or_else(|| Failure::malformed("NotFound(\"Process not found\")"))?;
    Ok(Json(process).into_response())
}

async fn latest(
    State(su): State<Arc<Su>>,
    params: Params,
    path: Segment,
) -> Result<Response, Failure> {
    let id = id(&path?.0)?;
    let entry = su.latest(&id).await?;
    let entry = entry.ok_or_else(|| Failure::malformed("Latest message not available"))?;
    Ok(Json(pair(&entry, params.has("show-anchor"))).into_response())
}

/// A page of a process, or the one entry that has this id.
async fn entry_or_page(
    State(su): State<Arc<Su>>,
    params: Params,
    path: Segment,
) -> Result<Response, Failure> {
    let id = id(&path?.0)?;
    let anchors = params.has("show-anchor");
    if let Some(page) = su.page(&id, page_query(&params)?).await? {
        let entries =
            page.entries.iter().map(|entry| (pair(entry, anchors), page.cursor_of(entry)));
        return Ok(Json(wire::Page::new(entries, page.has_next)).into_response());
    }
    let process = params.text("process-id").or(params.text("proc-id"));
    let process = process.map(self::id).transpose()?;
    let entry = su.entry(&id, process.as_ref()).await?;
    let entry = entry.ok_or_else(|| Failure::malformed("Message or Process not found"))?;
    Ok(Json(pair(&entry, anchors)).into_response())
}

fn pair(entry: &Entry, anchors: bool) -> wire::Pair {
    wire::Pair::new(entry.item.as_ref(), entry.starts, &entry.assignment, anchors)
}

fn page_query(params: &Params) -> Result<PageQuery, Failure> {
    let limit = params.number("limit")?;
    let by_nonce = params.has("from-nonce") || params.has("to-nonce");
    let (cursor, from, to) = match by_nonce {
        true => (Cursor::Nonce, "from-nonce", "to-nonce"),
        false => (Cursor::Time, "from", "to"),
    };
    // -1 is before the first nonce.
    let from = params.number::<i64>(from)?.and_then(|number| u64::try_from(number).ok());
    let to = params.number::<i64>(to)?.map(|number| u64::try_from(number).unwrap_or(0));
    Ok(PageQuery { cursor, from, to, limit })
}

fn id(text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|error: crate::item::IdError| Failure::malformed(error.to_string()))
}
