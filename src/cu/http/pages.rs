//! Lists of results: of messages and ticks that were evaluated, and of ticks up to now.

use super::{Segment, Shared, answer, answer::No};
use crate::{
    cu::{At, Cu, CuError, Mark, Results, ResultsQuery, StoredResult},
    disk::Slot,
    http::{Failure, Params},
    wire::{Cursor, Sort},
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

const RESULTS_LIMIT: usize = 25;
const CRON_LIMIT: usize = 500;
const LIMIT_MAX: usize = 1000;
/// Ticks that are looked through for the one that a cursor names: more share no second.
const TICKS_OF_A_SECOND: usize = 256;

/// `GET /results/{process}`. Evaluates nothing.
pub(super) async fn results(
    State(face): Shared,
    params: Params,
    path: Segment,
) -> Result<Response, No> {
    let Path(process) = path.map_err(Failure::from)?;
    let sort = params.text("sort").map_or(Ok(Sort::Asc), Sort::parse).map_err(|error| {
        No::Reference(StatusCode::INTERNAL_SERVER_ERROR, serde_json::json!({ "error": error }))
    })?;
    let query = ResultsQuery {
        newest_first: sort == Sort::Desc,
        without_errors: true,
        limit: limit(&params, RESULTS_LIMIT)?,
        ..range(&face.cu, &process, &params).await?
    };
    let found = face.cu.results(&process, query).await?;
    Ok(answer::json_text(&page(&found, sort)))
}

/// `GET /cron/{process}`. Evaluates up to now first.
pub(super) async fn cron(
    State(face): Shared,
    params: Params,
    path: Segment,
) -> Result<Response, Failure> {
    let Path(process) = path?;
    face.admission.admit(&face.cu, &process).await?;
    face.cu.evaluate(&process, At::Latest).await?;
    let query = ResultsQuery {
        only_ticks: true,
        without_errors: true,
        limit: limit(&params, CRON_LIMIT)?,
        ..range(&face.cu, &process, &params).await?
    };
    let found = face.cu.results(&process, query).await?;
    Ok(answer::json_text(&page(&found, Sort::Asc)))
}

fn limit(params: &Params, otherwise: usize) -> Result<usize, Failure> {
    Ok(params.number::<usize>("limit")?.unwrap_or(otherwise).clamp(1, LIMIT_MAX))
}

async fn range(cu: &Cu, process: &str, params: &Params) -> Result<ResultsQuery, Failure> {
    let (after, through) = (params.text("from"), params.text("to"));
    Ok(ResultsQuery {
        after: mark(cu, process, "from", after).await?,
        through: mark(cu, process, "to", through).await?,
        ..ResultsQuery::default()
    })
}

async fn mark(
    cu: &Cu,
    process: &str,
    name: &str,
    text: Option<&str>,
) -> Result<Option<Mark>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let cursor = Cursor::parse(text).ok_or_else(|| {
        Failure::malformed(format!(
            "{name} is {text:?}; it should be a cursor of an edge, or a time in milliseconds"
        ))
    })?;
    let Some(nonce) = cursor.ordinate else { return Ok(Some(Mark::Time(cursor.timestamp_ms))) };
    let slot = Slot { epoch: 0, nonce, tick: 0 };
    Ok(Some(match &cursor.cron {
        None => Mark::Slot(slot),
        Some(cron) => tick(cu, process, slot, cron, cursor.timestamp_ms).await?,
    }))
}

/// The slot of a tick, of which a cursor says the message before, the cron and the time.
async fn tick(
    cu: &Cu,
    process: &str,
    message: Slot,
    cron: &str,
    timestamp_ms: u64,
) -> Result<Mark, CuError> {
    let query = ResultsQuery {
        after: Some(Mark::Slot(message)),
        through: Some(Mark::Time(timestamp_ms)),
        newest_first: true,
        only_ticks: true,
        limit: TICKS_OF_A_SECOND,
        ..ResultsQuery::default()
    };
    let found = cu.results(process, query).await?;
    let same = |stored: &&StoredResult| {
        stored.at.timestamp_ms == timestamp_ms && stored.cron.as_deref() == Some(cron)
    };
    let slot = found.results.iter().find(same).map(|stored| stored.receipt.slot);
    Ok(slot.map_or(Mark::Time(timestamp_ms), Mark::Slot))
}

fn page(found: &Results, sort: Sort) -> String {
    let edge = |stored: &StoredResult| {
        let cursor = Cursor {
            timestamp_ms: stored.at.timestamp_ms,
            ordinate: Some(stored.receipt.slot.nonce),
            cron: stored.cron.as_deref().map(str::to_owned),
        };
        format!(r#"{{"node":{},"cursor":"{}"}}"#, stored.json, cursor.text(sort))
    };
    let edges: Vec<String> = found.results.iter().map(edge).collect();
    let more = found.has_more;
    format!(r#"{{"pageInfo":{{"hasNextPage":{more}}},"edges":[{}]}}"#, edges.join(","))
}
