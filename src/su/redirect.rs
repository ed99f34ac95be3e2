//! One address for many schedulers: each request is sent on to the one that has its process.
//!
//! Which one that is, is a function of the process's id and the list alone, so any number of these agree.
//! A list that changes moves processes, and their schedules do not move by themselves.

use crate::{
    http::{Body, Failure, Params},
    item::{DataItem, Id},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

/// The routes of a scheduler, all answered with 307 and where to ask instead. `units` are URLs; none at all
/// answers 503.
pub fn redirecting(units: Vec<String>) -> Router {
    Router::new()
        .route("/", get(ask).post(post))
        .route("/{*path}", get(ask))
        .with_state(Arc::new(units))
}

async fn ask(
    State(units): State<Arc<Vec<String>>>,
    uri: Uri,
    params: Params,
) -> Result<Response, Failure> {
    let process = named(&params)?
        .ok_or_else(|| Failure::malformed("No process-id query parameter provided"))?;
    elsewhere(&units, &process, &uri)
}

/// An item says itself which process it is for.
async fn post(
    State(units): State<Arc<Vec<String>>>,
    uri: Uri,
    params: Params,
    body: Body,
) -> Result<Response, Failure> {
    let process = match named(&params)? {
        Some(process) => process,
        None => {
            let item = DataItem::parse(body.0);
            let item = item.map_err(|error| Failure::malformed(error.to_string()))?;
            let starts = item.tag("Type") == Some("Process");
            item.target().filter(|_| !starts).unwrap_or(item.id())
        }
    };
    elsewhere(&units, &process, &uri)
}

fn named(params: &Params) -> Result<Option<Id>, Failure> {
    let process = params.text("process-id").or(params.text("proc-id"));
    let parsed = process.map(str::parse).transpose();
    parsed.map_err(|error: crate::item::IdError| Failure::malformed(error.to_string()))
}

fn elsewhere(units: &[String], process: &Id, uri: &Uri) -> Result<Response, Failure> {
    let path = uri.path_and_query().map_or("/", |whole| whole.as_str());
    let unit =
        unit(units, process).ok_or_else(|| Failure::unavailable("no scheduler is known", 60))?;
    let location = format!("{}{path}", unit.trim_end_matches('/'));
    Ok((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response())
}

fn unit<'a>(units: &'a [String], process: &Id) -> Option<&'a String> {
    let (head, _) = process.as_bytes().split_first_chunk::<8>()?;
    let at = u64::from_be_bytes(*head).checked_rem(units.len() as u64)?;
    units.get(usize::try_from(at).ok()?)
}
