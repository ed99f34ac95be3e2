//! The messenger over HTTP, as its clients know it. No answer to a POST is ever a redirect: clients cannot
//! send their bytes twice.

use super::{AssignRequest, Mu, MuError, Shelved};
use crate::{
    http::{Body, Failure, Params, Peer, prometheus},
    item::Id,
};
use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    routing::{delete, get, post},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Entries of one page of the shelf.
const SHELF_PAGE: u32 = 100;
const SHELF_PAGE_MAX: u32 = 1000;

type Segment = Result<Path<String>, PathRejection>;
type Number = Result<Path<i64>, PathRejection>;

/// The routes of a messenger.
pub fn router(mu: Arc<Mu>) -> Router {
    Router::new()
        .route("/", get(who).post(post_item))
        .route("/monitor/{id}", post(monitor).delete(unmonitor))
        .route("/status", get(status))
        .route("/health", get(async || ()))
        .route("/metrics", get(measured))
        .route("/shelf", get(shelf))
        .route("/shelf/{task}", delete(forget))
        .route("/shelf/{task}/replay", post(replay))
        .with_state(mu)
}

impl From<MuError> for Failure {
    fn from(error: MuError) -> Self {
        match error {
            MuError::Refused(refusal) => refusal.into(),
            MuError::Unknown(text) => Self::unknown(text),
            MuError::Forbidden(text) => Self::forbidden(text),
            MuError::Later(text) => Self::unavailable(text, 1),
            MuError::Host(host) => host.into(),
        }
    }
}

/// With `debug`: a page of traces, of which there are none; `trace` of the command line draws them.
async fn who(params: Params) -> axum::response::Response {
    use axum::response::IntoResponse;
    match params.has("debug") {
        true => {
            let page = json!({ "pageInfo": { "hasNextPage": false }, "edges": [] });
            Json(page).into_response()
        }
        false => "ao messenger unit".into_response(),
    }
}

async fn post_item(
    State(mu): State<Arc<Mu>>,
    params: Params,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (message, id) = match assigned(&params)? {
        Some(request) => ("Processing Assignment", mu.assign(request).await?),
        None => ("Processing DataItem", mu.submit(body.0).await?),
    };
    Ok((StatusCode::ACCEPTED, Json(json!({ "message": message, "id": id.to_string() }))))
}

fn assigned(params: &Params) -> Result<Option<AssignRequest>, Failure> {
    let (process, item) = match (params.text("process-id"), params.text("assign")) {
        (None, None) => return Ok(None),
        (Some(process), Some(item)) => (id(process)?, id(item)?),
        _ => {
            return Err(Failure::malformed(
                "You must set both process-id and assign to send an assignment, not just one",
            ));
        }
    };
    let exclude = params.text("exclude").unwrap_or_default().split(',').map(str::trim);
    Ok(Some(AssignRequest {
        process,
        item,
        base_layer: params.has("base-layer"),
        exclude: exclude.filter(|field| !field.is_empty()).map(str::to_owned).collect(),
    }))
}

async fn monitor(
    State(mu): State<Arc<Mu>>,
    path: Segment,
    body: Body,
) -> Result<&'static str, Failure> {
    mu.monitor(id(&path?.0)?, body.0).await?;
    Ok("Monitoring process")
}

async fn unmonitor(
    State(mu): State<Arc<Mu>>,
    path: Segment,
    body: Body,
) -> Result<&'static str, Failure> {
    mu.unmonitor(id(&path?.0)?, body.0).await?;
    Ok("Process deleted")
}

async fn measured(State(mu): State<Arc<Mu>>) -> Result<String, Failure> {
    let tally = mu.tally().await?;
    metrics::gauge!("drivebay_mu_outbox_waiting").set(tally.waiting as f64);
    metrics::gauge!("drivebay_mu_outbox_shelved").set(tally.shelved as f64);
    metrics::gauge!("drivebay_mu_monitored").set(tally.monitored as f64);
    Ok(prometheus())
}

async fn status(State(mu): State<Arc<Mu>>) -> Result<Json<Value>, Failure> {
    let tally = mu.tally().await?;
    Ok(Json(json!({
        "unit": "mu",
        "address": mu.address().to_string(),
        "authority": mu.ao_address(),
        "waiting": tally.waiting,
        "shelved": tally.shelved,
        "monitored": tally.monitored,
    })))
}

async fn shelf(
    State(mu): State<Arc<Mu>>,
    params: Params,
    who: Operator,
) -> Result<Json<Value>, Failure> {
    who.may(&mu)?;
    let after = params.number("after")?.unwrap_or(0);
    let limit = params.number("limit")?.unwrap_or(SHELF_PAGE).clamp(1, SHELF_PAGE_MAX);
    let shelved = mu.shelf(after, limit).await?;
    let tasks: Vec<_> = shelved.iter().map(shelved_json).collect();
    Ok(Json(json!({ "tasks": tasks })))
}

fn shelved_json(task: &Shelved) -> Value {
    json!({
        "task": task.task,
        "kind": task.kind,
        "key": task.key,
        "process": task.process.to_string(),
        "item": task.item.to_string(),
        "pushed-for": task.chain.map(|id| id.to_string()),
        "tries": task.tries,
        "since": task.since_ms,
        "why": task.why,
    })
}

async fn replay(
    State(mu): State<Arc<Mu>>,
    task: Number,
    who: Operator,
) -> Result<Json<Value>, Failure> {
    who.may(&mu)?;
    let Path(task) = task?;
    mu.replay(task).await?;
    Ok(Json(json!({ "replayed": task })))
}

async fn forget(
    State(mu): State<Arc<Mu>>,
    task: Number,
    who: Operator,
) -> Result<Json<Value>, Failure> {
    who.may(&mu)?;
    let Path(task) = task?;
    mu.forget(task).await?;
    Ok(Json(json!({ "forgotten": task })))
}

/// Who asks: somebody on this machine, or somebody with the operator's token.
struct Operator {
    local: bool,
    token: Option<String>,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Failure> {
        // Without a peer there is no socket: the caller is this program.
        let peer = parts.extensions.get::<Peer>();
        let local = peer.is_none_or(|peer| peer.0.ip().is_loopback());
        Ok(Self { local, token: bearer(&parts.headers) })
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    text.strip_prefix("Bearer ").map(str::to_owned)
}

impl Operator {
    fn may(&self, mu: &Mu) -> Result<(), MuError> {
        match &mu.options.operator_token {
            // Hashes are compared, so that the time it takes says nothing of the token.
            Some(token) if Id::of(token.as_bytes()) == self.hash() => Ok(()),
            None if self.local => Ok(()),
            Some(_) => Err(MuError::Forbidden("the operator's token is needed".to_owned())),
            None => Err(MuError::Forbidden(
                "only from this machine, or with the operator's token if one is set".to_owned(),
            )),
        }
    }

    fn hash(&self) -> Id {
        Id::of(self.token.as_deref().unwrap_or_default().as_bytes())
    }
}

fn id(text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|error: crate::item::IdError| Failure::malformed(error.to_string()))
}
