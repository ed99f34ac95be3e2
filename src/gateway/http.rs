//! The gateway's HTTP face.

use super::{
    Gateway, GatewayError, Shared, Stored,
    admission::admitted,
    graphql,
    payload::{self, Wanted},
    receipt::receipt,
    transaction,
};
use crate::{
    http::{Body, Failure},
    item::{DataItem, Id},
    store::StoreError,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, Method, header::CONTENT_TYPE},
    middleware::from_fn_with_state,
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use std::sync::Arc;

/// Bytes of a GraphQL request.
const QUERY_BYTES_MAX: usize = 1 << 20;

/// All routes of the gateway, without what every unit has around them.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let upload_bytes_max = gateway.options.upload_bytes_max;
    let uploads = ["/tx", "/tx/arweave", "/v1/tx", "/v1/tx/arweave", "/id"];
    let uploads =
        uploads.into_iter().fold(Router::new(), |router, path| router.route(path, post(upload)));
    let uploads = uploads
        .layer(DefaultBodyLimit::max(upload_bytes_max))
        .layer(from_fn_with_state(Arc::clone(&gateway), admitted));
    let queries =
        Router::new().route("/graphql", post(query)).layer(DefaultBodyLimit::max(QUERY_BYTES_MAX));
    Router::new()
        .route("/", get(front_door))
        .route("/info", get(info))
        .route("/health", get(|| async {}))
        .route("/raw/{id}", get(data::<false>))
        .route("/tx/{id}", get(header))
        .route("/tx/{id}/status", get(status))
        .route("/tx/{id}/data", get(data::<false>))
        .route("/block/current", get(current_block))
        .route("/block/height/{height}", get(block_at))
        .route("/block/hash/{id}", get(block_with_id))
        .route("/{id}", get(data::<true>))
        .merge(uploads)
        .merge(queries)
        .with_state(gateway)
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Item(_) | GatewayError::Refused(_) => Self::malformed(error.to_string()),
            GatewayError::Store(StoreError::Closed) => Self::unavailable(error.to_string(), 1),
            error => Self::internal(&error),
        }
    }
}

async fn front_door(State(gateway): State<Shared>) -> Json<Value> {
    Json(transaction::front_door(&gateway))
}

async fn info(State(gateway): State<Shared>) -> Json<Value> {
    Json(transaction::info(&gateway))
}

async fn query(State(gateway): State<Shared>, Body(body): Body) -> Result<Json<Value>, Failure> {
    let request = serde_json::from_slice(&body).map_err(|error| {
        let shape = "{\"query\": text, \"variables\": object}";
        Failure::malformed(format!("a GraphQL request is JSON of the form {shape}: {error}"))
    })?;
    graphql::execute(&gateway, request).await.map(Json)
}

async fn upload(
    State(gateway): State<Shared>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Value>, Failure> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") || body.first() == Some(&b'{') {
        return Err(Failure::malformed(
            "this gateway takes signed data items (ANS-104) as application/octet-stream; Arweave transactions in JSON are not taken: sign a data item instead, as aoconnect, arbundles and `drivebay publish` do",
        ));
    }
    let item = DataItem::parse(body).map_err(GatewayError::from)?;
    let stored = gateway.put_item(item).await?;
    Ok(Json(receipt(&stored)))
}

/// The data of an item; with its tags in the answer's headers.
async fn data<const WITH_TAGS: bool>(
    State(gateway): State<Shared>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let stored = found(&gateway, &id).await?;
    let wanted = Wanted { method: &method, headers: &headers, with_tags: WITH_TAGS };
    payload::answer(&gateway, &stored, wanted).await
}

async fn header(
    State(gateway): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(transaction::transaction(&found(&gateway, &id).await?)))
}

async fn status(
    State(gateway): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let stored = found(&gateway, &id).await?;
    Ok(Json(transaction::status(&gateway, &stored)))
}

async fn current_block(State(gateway): State<Shared>) -> Result<Json<Value>, Failure> {
    let block = gateway.blocks.at(gateway.height());
    block.map(|block| Json(transaction::block(&block))).ok_or_else(|| no_block("current"))
}

async fn block_at(
    State(gateway): State<Shared>,
    Path(height): Path<String>,
) -> Result<Json<Value>, Failure> {
    let number = height
        .parse()
        .map_err(|_| Failure::malformed(format!("a height is a number, but {height:?} is none")))?;
    let block = gateway.blocks.at(number).ok_or_else(|| {
        let (first, last) = (gateway.blocks.start(), gateway.height());
        Failure::unknown(format!("there is no block {number} here: blocks are {first} to {last}"))
    })?;
    Ok(Json(transaction::block(&block)))
}

async fn block_with_id(
    State(gateway): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let block = gateway.blocks.with_id(&id);
    block.map(|block| Json(transaction::block(&block))).ok_or_else(|| no_block(&id))
}

fn no_block(name: &str) -> Failure {
    Failure::unknown(format!("there is no block {name:?} here"))
}

/// The item under `id`. What is no id is not here either: browsers ask for icons.
async fn found(gateway: &Gateway, id: &str) -> Result<Stored, Failure> {
    let parsed: Id =
        id.parse().map_err(|error: crate::item::IdError| Failure::unknown(error.to_string()))?;
    let stored = gateway.find(&parsed).await?;
    stored.ok_or_else(|| Failure::unknown(format!("{id} is not here: nobody has uploaded it")))
}
