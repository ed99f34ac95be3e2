//! Doubles of the units that a test does not test, and items to send.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use drivebay::{
    clock::Clock,
    item::{DataItem, Draft, Id, KeyKind, Tag, Wallet},
    mu::{Bounds, Mu, MuOptions},
    net::{InProcess, Request, Transport},
    su::{Su, SuOptions},
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path as FilePath,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tower::ServiceExt;

pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// A wallet that is the same in every run.
pub(crate) fn wallet(seed: u8) -> Wallet {
    Wallet::from_ethereum_key(&[seed; 32]).unwrap()
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(name, value)| Tag::new(*name, *value)).collect()
}

/// A process of `owner` on `scheduler`.
pub(crate) fn process(owner: &Wallet, scheduler: Id, name: &str) -> DataItem {
    let scheduler = scheduler.to_string();
    let module = Id([9; 32]).to_string();
    let tags = tags(&[
        ("Data-Protocol", "ao"),
        ("Variant", "ao.TN.1"),
        ("Type", "Process"),
        ("Module", &module),
        ("Scheduler", &scheduler),
        ("Name", name),
    ]);
    owner.sign(&Draft::new(None, tags, " ")).unwrap()
}

/// A message to `process` with more tags.
pub(crate) fn message(owner: &Wallet, process: Id, more: &[(&str, &str)]) -> DataItem {
    let mut all = tags(&[("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message")]);
    all.extend(tags(more));
    owner.sign(&Draft::new(Some(process), all, "data").with_random_anchor().unwrap()).unwrap()
}

/// What a router answers.
pub(crate) async fn ask(router: &Router, method: &str, path: &str, body: Bytes) -> (u16, Value) {
    let request = axum::http::Request::builder().method(method).uri(path);
    let request = request.body(axum::body::Body::from(body)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 26).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(crate) async fn read(router: &Router, path: &str) -> (u16, Value) {
    ask(router, "GET", path, Bytes::new()).await
}

/// A gateway that keeps items, and answers as much GraphQL as the units ask.
#[derive(Clone, Default)]
pub(crate) struct Gateway {
    items: Arc<Mutex<BTreeMap<String, DataItem>>>,
    pub(crate) broken: Arc<std::sync::atomic::AtomicBool>,
}

impl Gateway {
    pub(crate) fn put(&self, item: &DataItem) {
        self.items.lock().unwrap().insert(item.id().to_string(), item.clone());
    }

    pub(crate) fn has(&self, id: Id) -> bool {
        self.items.lock().unwrap().contains_key(&id.to_string())
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/tx/arweave", post(upload))
            .route("/graphql", post(graphql))
            .route("/info", get(async || Json(json!({ "height": 1_500_000 }))))
            .route("/tx/{id}/status", get(confirmations))
            .route("/{id}", get(item))
            .with_state(self.clone())
    }
}

async fn upload(State(gateway): State<Gateway>, body: Bytes) -> Result<Json<Value>, StatusCode> {
    if gateway.broken.load(Ordering::SeqCst) {
        return Err(StatusCode::BAD_GATEWAY);
    }
    let item = DataItem::parse(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    gateway.put(&item);
    Ok(Json(json!({ "id": item.id().to_string(), "timestamp": START_MS })))
}

async fn graphql(State(gateway): State<Gateway>, Json(body): Json<Value>) -> Json<Value> {
    let query = body["query"].as_str().unwrap();
    let items = gateway.items.lock().unwrap();
    let wanted = |item: &DataItem| match query.contains("owners:") {
        true => {
            query.contains(&item.owner_address().to_string())
                && item.tag("Type") == Some("Scheduler-Location")
        }
        false => query.contains(&item.id().to_string()),
    };
    let edges: Vec<_> = items
        .values()
        .filter(|item| wanted(item))
        .map(|item| {
            let tags = item.tags().iter();
            let tags: Vec<_> =
                tags.map(|tag| json!({ "name": tag.name, "value": tag.value })).collect();
            json!({ "node": { "id": item.id().to_string(), "tags": tags } })
        })
        .collect();
    Json(json!({ "data": { "transactions": { "edges": edges } } }))
}

/// The last character of an id says how deep it lies.
async fn confirmations(Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    match id.as_bytes()[0] {
        b'A' => Ok(Json(json!({ "block_height": 1, "number_of_confirmations": 25 }))),
        b'B' => Ok(Json(json!({ "block_height": 1, "number_of_confirmations": 2 }))),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn item(State(gateway): State<Gateway>, Path(id): Path<String>) -> StatusCode {
    match gateway.items.lock().unwrap().contains_key(&id) {
        true => StatusCode::OK,
        false => StatusCode::NOT_FOUND,
    }
}

/// What a compute unit's double answers for a message in a process.
pub(crate) type Evaluate =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, (u16, Value)> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Cu {
    pub(crate) evaluate: Evaluate,
    pub(crate) cron: Arc<Mutex<Vec<(String, Value)>>>,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Cu {
    pub(crate) fn new(
        evaluate: impl Fn(&str, &str) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let evaluate: Evaluate = Arc::new(move |process, id| {
            let answer = evaluate(&process, &id);
            Box::pin(async move { answer })
        });
        Self { evaluate, cron: Arc::default(), asked: Arc::default() }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/result/{id}", get(result))
            .route("/results/{id}", get(async || Json(json!({ "edges": [] }))))
            .route("/cron/{id}", get(cron))
            .with_state(self.clone())
    }
}

type Query = axum::extract::Query<BTreeMap<String, String>>;

async fn result(
    State(cu): State<Cu>,
    Path(id): Path<String>,
    query: Query,
) -> (StatusCode, Json<Value>) {
    cu.asked.lock().unwrap().push(id.clone());
    let (status, value) = (cu.evaluate)(query["process-id"].clone(), id).await;
    (StatusCode::from_u16(status).unwrap(), Json(value))
}

/// Edges after the cursor.
async fn cron(State(cu): State<Cu>, query: Query) -> Json<Value> {
    let cron = cu.cron.lock().unwrap();
    let from = query.get("from").and_then(|from| cron.iter().position(|(at, _)| at == from));
    let edges: Vec<_> = cron
        .iter()
        .skip(from.map_or(0, |at| at + 1))
        .map(|(cursor, node)| json!({ "cursor": cursor, "node": node }))
        .collect();
    Json(json!({ "pageInfo": { "hasNextPage": false }, "edges": edges }))
}

/// Two processes that answer a number with one less, to each other, until it is 0.
pub(crate) fn ping_pong(transport: Arc<dyn Transport>, su: &str, peers: [Id; 2]) -> Cu {
    let su = su.to_owned();
    let evaluate: Evaluate = Arc::new(move |process, id| {
        let (url, transport) = (format!("{su}/{id}?process-id={process}"), transport.clone());
        Box::pin(async move {
            match transport.call(Request::get(url)).await {
                Ok(found) if found.status == 200 => {
                    let node = serde_json::from_slice(&found.body).unwrap();
                    (200, answer(&node, &process, peers))
                }
                other => (500, json!({ "error": format!("{other:?}") })),
            }
        })
    });
    Cu { evaluate, cron: Arc::default(), asked: Arc::default() }
}

fn answer(node: &Value, process: &str, peers: [Id; 2]) -> Value {
    let message = &node["message"];
    let left: u64 = tag(message, "Left").and_then(|left| left.parse().ok()).unwrap_or(0);
    let Some(left) = left.checked_sub(1) else { return empty() };
    let other = if process == peers[0].to_string() { peers[1] } else { peers[0] };
    let chain = tag(message, "Chain").unwrap_or("");
    let reference = tag(&node["assignment"], "Nonce").unwrap().parse().unwrap();
    let left = left.to_string();
    let more = [("Left", left.as_str()), ("Chain", chain)];
    json!({ "Messages": [sent(&other.to_string(), reference, &more)] })
}

pub(crate) fn empty() -> Value {
    json!({ "Messages": [], "Spawns": [], "Assignments": [], "Output": "" })
}

/// A message as a process sends it.
pub(crate) fn sent(target: &str, reference: u64, more: &[(&str, &str)]) -> Value {
    let mut tags = vec![json!({ "name": "Reference", "value": reference.to_string() })];
    tags.extend(more.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    json!({ "Target": target, "Anchor": format!("{reference:032}"), "Data": "x", "Tags": tags })
}

/// Gateway, scheduler, messenger and a compute unit's double, in one program.
pub(crate) struct Net {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) gateway: Gateway,
    pub(crate) cu: Cu,
    pub(crate) su: Arc<Su>,
    pub(crate) su_router: Router,
    pub(crate) mu: Arc<Mu>,
    pub(crate) mu_router: Router,
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) bounds: Bounds,
}

impl Net {
    pub(crate) async fn new(cu: Cu) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (gateway, now) = (Gateway::default(), Arc::new(AtomicU64::new(START_MS)));
        let (su, su_router) = open_su(dir.path(), &gateway, &now).await;
        let bounds = Bounds::default();
        let transport = units(&gateway, &su_router, &cu);
        let mu = open_mu(dir.path(), transport, &now, &bounds).await;
        let mu_router = drivebay::mu::router(mu.clone());
        Self { dir, gateway, cu, su, su_router, mu, mu_router, now, bounds }
    }

    /// The same with a compute unit whose processes play.
    pub(crate) async fn ping_pong(mut self, peers: [Id; 2]) -> Self {
        let su = InProcess::default().with("http://su", self.su_router.clone());
        self.cu = ping_pong(Arc::new(su), "http://su", peers);
        self.restart_mu().await;
        self
    }

    pub(crate) async fn restart_mu(&mut self) {
        let transport = units(&self.gateway, &self.su_router, &self.cu);
        self.mu = open_mu(self.dir.path(), transport, &self.now, &self.bounds).await;
        self.mu_router = drivebay::mu::router(self.mu.clone());
    }

    /// Works until nothing is due, however far in the future.
    pub(crate) async fn settle(&self) {
        for _ in 0..10_000 {
            if !self.mu.step(0).await.unwrap() {
                if self.mu.tally().await.unwrap().waiting == 0 {
                    return;
                }
                self.now.fetch_add(1000, Ordering::SeqCst);
            }
        }
        panic!("there is no end to it");
    }

    /// Messages of a process in order: the tags of each.
    pub(crate) async fn schedule(&self, process: Id) -> Vec<Value> {
        schedule(&self.su_router, process).await
    }
}

fn units(gateway: &Gateway, su: &Router, cu: &Cu) -> Arc<dyn Transport> {
    let transport = InProcess::default()
        .with("http://gw", gateway.router())
        .with("http://su", su.clone())
        .with("http://cu", cu.router());
    Arc::new(transport)
}

pub(crate) async fn open_su(
    dir: &FilePath,
    gateway: &Gateway,
    now: &Arc<AtomicU64>,
) -> (Arc<Su>, Router) {
    let transport = Arc::new(InProcess::default().with("http://gw", gateway.router()));
    let mut options = SuOptions::new(Some("http://gw".to_owned()), transport);
    options.clock = Clock::by_hand(now.clone());
    let su = Arc::new(Su::open(dir, wallet(1), options).await.unwrap());
    let router = drivebay::su::router(su.clone());
    (su, router)
}

pub(crate) async fn open_mu(
    dir: &FilePath,
    transport: Arc<dyn Transport>,
    now: &Arc<AtomicU64>,
    bounds: &Bounds,
) -> Arc<Mu> {
    let mut options = MuOptions::new("http://cu", transport);
    options.clock = Clock::by_hand(now.clone());
    options.bounds = bounds.clone();
    options.gateway = Some("http://gw".to_owned());
    options.schedulers = vec!["http://su".to_owned()];
    Arc::new(Mu::open(dir, wallet(2), options).await.unwrap())
}

pub(crate) async fn schedule(su: &Router, process: Id) -> Vec<Value> {
    let (status, page) = read(su, &format!("/{process}?limit=10000")).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(page["page_info"]["has_next_page"], false);
    page["edges"].as_array().unwrap().iter().map(|edge| edge["node"].clone()).collect()
}

/// The first tag with this name of a message or an assignment.
pub(crate) fn tag<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of["tags"].as_array()?.iter().find(|tag| tag["name"] == name)?["value"].as_str()
}

/// Recomputes the hash chain of a schedule from its text, and checks numbers and times.
pub(crate) fn check_chain(process: Id, nodes: &[Value]) {
    let (mut link, mut last) = (drivebay::item::first_link(&process), 0);
    for (nonce, node) in nodes.iter().enumerate() {
        let assignment = &node["assignment"];
        assert_eq!(tag(assignment, "Nonce"), Some(nonce.to_string().as_str()));
        assert_eq!(tag(assignment, "Hash-Chain"), Some(link.to_string().as_str()), "{nonce}");
        let time: u64 = tag(assignment, "Timestamp").unwrap().parse().unwrap();
        assert!(time > last, "{time} after {last}");
        last = time;
        let id = assignment["id"].as_str().unwrap().parse().unwrap();
        link = drivebay::item::next_link(&id, &link);
    }
}

pub(crate) fn rsa() -> Wallet {
    Wallet::parse(include_str!("../../../src/item/testdata/rsa-test-key.json"))
        .unwrap_or_else(|_| Wallet::generate(KeyKind::Rsa).unwrap())
}
