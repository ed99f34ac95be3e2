//! What handlers have in common: answers, their headers, and what an operator is told.

use super::{COME_BACK_S, Segment, Shared};
use crate::{
    cu::{Cu, CuError, CuStatus, Progress, StoredResult, Until},
    disk::Slot,
    http::{Failure, Params},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::fmt::Display;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A text that is JSON already.
pub(super) fn json_text(text: &str) -> Response {
    ([(header::CONTENT_TYPE, JSON)], text.to_owned()).into_response()
}

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

/// A result; and in headers what others can hold theirs against.
pub(super) fn receipt(stored: &StoredResult) -> Response {
    let mut response = json_text(&stored.json);
    let headers = response.headers_mut();
    headers.insert("slot", header_of(of_slot(stored.receipt.slot)));
    headers.insert("fuel", header_of(stored.receipt.fuel));
    headers.insert("receipt", header_of(stored.receipt.digest()));
    if let Some(root) = stored.root {
        headers.insert("root", header_of(root));
    }
    response
}

/// Why a request is not answered: as all units say it, or as the reference says it to the letter.
pub(super) enum No {
    Ours(Failure),
    Reference(StatusCode, Value),
}

impl From<Failure> for No {
    fn from(failure: Failure) -> Self {
        Self::Ours(failure)
    }
}

impl From<CuError> for No {
    fn from(error: CuError) -> Self {
        Self::Ours(error.into())
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        match self {
            Self::Ours(failure) => failure.into_response(),
            Self::Reference(status, body) => json(status, &body),
        }
    }
}

/// A parameter that must be there; without it the answer is the reference's, to the letter and the status.
pub(super) fn required<'a>(params: &'a Params, name: &str, shown: &str) -> Result<&'a str, No> {
    params.text(name).filter(|text| !text.is_empty()).ok_or_else(|| {
        No::Reference(
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({ "error": format!("'{shown}': Required.") }),
        )
    })
}

pub(super) fn header_of(value: impl Display) -> HeaderValue {
    HeaderValue::from_str(&value.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// The evaluation goes on: how far it is. 202 where the client can take it, else 503.
pub(super) fn under_way(cu: &Cu, process: &str, message: &str, no_busy: bool) -> Response {
    let text = format!("Evaluation of process \"{process}\" to \"{message}\" is in progress.");
    let progress = cu.progress(process).map_or(Value::Null, |progress| of_progress(&progress));
    if no_busy {
        let mut response = Failure::unavailable(text, COME_BACK_S).into_response();
        let slot = progress.get("slot").map(Value::to_string).unwrap_or_default();
        response.headers_mut().insert("slot", header_of(slot));
        return response;
    }
    json(StatusCode::ACCEPTED, &json!({ "message": text, "progress": progress }))
}

/// What the unit is doing.
pub(super) async fn status(State(face): Shared) -> Json<Value> {
    let status = face.cu.status();
    Json(json!({
        "unit": "cu",
        "address": face.address.to_string(),
        "timestamp": face.clock.now_ms(),
        "live": status.live,
        "live_bytes": status.live_bytes,
        "budget_bytes": status.budget_bytes,
        "modules": status.modules,
        "waiting": status.waiting,
        "reads_waiting": status.reads_waiting,
        "processes": status.processes.iter().map(of_progress).collect::<Vec<_>>(),
    }))
}

/// How far a process is.
pub(super) async fn progress(State(face): Shared, path: Segment) -> Result<Json<Value>, Failure> {
    let Path(process) = path?;
    let progress = face.cu.progress(&process).ok_or_else(|| {
        Failure::unknown(format!("nobody has asked for process {process} since this unit started"))
    })?;
    Ok(Json(of_progress(&progress)))
}

fn of_progress(progress: &Progress) -> Value {
    let target = progress.target.map(|until| match until {
        Until::Slot(slot) => Value::from(of_slot(slot)),
        Until::Now => Value::from("now"),
    });
    json!({
        "process": progress.process,
        "slot": progress.head.map(of_slot),
        "target": target,
        "evaluated": progress.evaluated,
        "rate": progress.rate,
        "estimate_s": progress.estimate_s,
        "bytes": progress.bytes,
        "trouble": progress.trouble.as_ref().map(|(text, tries)| json!({ "error": text, "tries": tries })),
        "quarantine": progress.quarantine,
    })
}

/// `7`, or `7.2` after the second tick behind it.
fn of_slot(slot: Slot) -> String {
    match slot.tick {
        0 => slot.nonce.to_string(),
        tick => format!("{}.{tick}", slot.nonce),
    }
}

/// Sets the figures that are read when somebody looks.
pub(super) fn measure(status: &CuStatus) {
    metrics::gauge!("drivebay_cu_live_processes").set(status.live as f64);
    metrics::gauge!("drivebay_cu_live_bytes").set(status.live_bytes as f64);
    metrics::gauge!("drivebay_cu_budget_bytes").set(status.budget_bytes as f64);
    metrics::gauge!("drivebay_cu_modules").set(status.modules as f64);
    metrics::gauge!("drivebay_cu_waiting").set(status.waiting as f64);
    metrics::gauge!("drivebay_cu_reads_waiting").set(status.reads_waiting as f64);
    let troubled = status.processes.iter().filter(|progress| progress.trouble.is_some());
    metrics::gauge!("drivebay_cu_troubled_processes").set(troubled.count() as f64);
    for progress in &status.processes {
        let labels = [("process", progress.process.clone())];
        let slot = progress.head.map_or(0, |slot| slot.nonce);
        metrics::gauge!("drivebay_cu_slot", &labels).set(slot as f64);
        if let Some(Until::Slot(target)) = progress.target {
            let lag = target.nonce.saturating_sub(slot);
            metrics::gauge!("drivebay_cu_lag", &labels).set(lag as f64);
        }
    }
}
