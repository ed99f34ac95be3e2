//! The server: jsonrpsee's, behind our router. It reads requests and batches, writes answers, upgrades
//! connections and keeps subscriptions; which process is meant comes with the path.

use super::{Eth, methods, private, process::Process, subscribe};
use crate::http::{Caller, Failure};
use alloy_primitives::hex;
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, Method, header::CONTENT_TYPE},
    response::Response,
    routing::any,
};
use jsonrpsee::{
    RpcModule,
    core::traits::IdProvider,
    server::{
        BatchRequestConfig, Methods, PingConfig, RegisterMethodError, ServerConfig, ServerHandle,
        StopHandle, TowerServiceBuilder, stop_channel,
    },
    types::SubscriptionId,
};
use std::sync::Arc;
use tower::{Service, layer::util::Identity};

/// Requests of one batch.
const BATCH_MAX: u32 = 100;
/// Bytes of a body or of a message: a transaction of the greatest length in hexadecimal digits, and more.
const REQUEST_BYTES_MAX: u32 = 4 << 20;
/// Bytes of an answer, or of a batch of answers.
const ANSWER_BYTES_MAX: u32 = 64 << 20;
/// Requests and connections at a time.
const CONNECTIONS_MAX: u32 = 4096;
/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: u32 = 64;
/// Messages that wait for a slow client before its subscriptions wait too.
const WAITING_MAX: u32 = 256;

struct Server {
    eth: Arc<Eth>,
    builder: TowerServiceBuilder<Identity, Identity>,
    methods: Methods,
    stop: StopHandle,
    /// Connections end when it goes.
    _running: ServerHandle,
}

/// Ids as other nodes make them: nobody guesses one.
#[derive(Clone, Copy, Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let mut random = [0; 16];
        // Without randomness ids can be guessed, which lets a client end a subscription of its own
        // connection, and no other.
        let _ = getrandom::fill(&mut random);
        SubscriptionId::Str(hex::encode_prefixed(random).into())
    }
}

/// Its route. Fails if two methods have one name.
pub fn router(eth: Arc<Eth>) -> Result<Router, RegisterMethodError> {
    let mut module = RpcModule::new(());
    methods::register(&mut module)?;
    subscribe::register(&mut module)?;
    let config = ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(ANSWER_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_MAX)
        .set_message_buffer_capacity(WAITING_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .enable_ws_ping(PingConfig::new())
        .set_id_provider(HexIds)
        .build();
    let builder = jsonrpsee::server::ServerBuilder::with_config(config).to_service_builder();
    let (stop, running) = stop_channel();
    let server = Server { eth, builder, methods: module.into(), stop, _running: running };
    let routes = Router::new()
        .route("/eth/{process}", any(serve))
        .route("/eth/{process}/dev", any(serve_private))
        .route("/eth/{process}/dev/{name}", any(serve_private_named));
    Ok(routes.with_state(Arc::new(server)))
}

type Parts<T> = Result<Path<T>, PathRejection>;

async fn serve(
    State(server): State<Arc<Server>>,
    caller: Caller,
    path: Parts<String>,
    request: Request,
) -> Result<Response, Failure> {
    let process = server.process(path?.0, caller).await?;
    server.answer(process, request).await
}

async fn serve_private(
    server: State<Arc<Server>>,
    caller: Caller,
    path: Parts<String>,
    request: Request,
) -> Result<Response, Failure> {
    let named = path.map(|Path(id)| Path((id, String::new())));
    serve_private_named(server, caller, named, request).await
}

async fn serve_private_named(
    State(server): State<Arc<Server>>,
    caller: Caller,
    path: Parts<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let Path((id, name)) = path?;
    let process = server.process(id, caller).await?;
    server.answer(private::chain_of(process, &name).await?, request).await
}

impl Server {
    async fn process(&self, id: String, caller: Caller) -> Result<Process, Failure> {
        let eth = &self.eth;
        eth.face.admission.admit(&eth.face.cu, &id).await?;
        Process::new(Arc::clone(eth), id, caller).await
    }

    async fn answer(&self, process: Process, mut request: Request) -> Result<Response, Failure> {
        request.extensions_mut().insert(Arc::new(process));
        if request.method() == Method::POST {
            // What comes here is JSON, whatever a client's library calls it.
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        let mut service = self.builder.clone().build(self.methods.clone(), self.stop.clone());
        let answer = service.call(request).await;
        let answer = answer.map_err(|error| Failure::internal(&error.to_string()))?;
        Ok(answer.map(Body::new))
    }
}
