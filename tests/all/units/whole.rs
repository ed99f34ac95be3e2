//! Gateway, scheduler and compute unit as they are, in one program, with a clock that is set by hand.

use super::kit::{START_MS, tags, wallet};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request},
};
use drivebay::{
    clock::Clock,
    cu::{Access, Admission, Cu, CuOptions, Engine, Face, MemoryStore, Network, Readers, Store},
    disk::json::Value,
    gateway::{BlockOptions, Gateway, GatewayOptions},
    http::{Limits, dressed},
    item::{DataItem, Draft, Id, Tag, Wallet},
    net::{GatewayClient, InProcess, Transport},
    su::{Su, SuOptions},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tower::ServiceExt;

/// When processes of this world are made: half a second after its first block.
pub(crate) const BORN_MS: u64 = START_MS + 500;
pub(crate) const HEIGHT: u64 = 1_500_000;

/// What was answered, with its keys in their order.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        Value::parse(&self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }

    #[track_caller]
    pub(crate) fn error(&self) -> String {
        at(&self.json(), "error").as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }
}

/// What is at a path of keys and numbers, such as `edges.0.node`.
#[track_caller]
pub(crate) fn at(value: &Value, path: &str) -> Value {
    let step = |value: &Value, key: &str| match key.parse::<usize>() {
        Ok(index) => value.as_array().and_then(|list| list.get(index)).cloned(),
        Err(_) => value.get(key).cloned(),
    };
    path.split('.').fold(value.clone(), |value, key| {
        step(&value, key).unwrap_or_else(|| panic!("no {key} of {path} in {value:?}"))
    })
}

#[track_caller]
pub(crate) fn text(value: &Value, path: &str) -> String {
    at(value, path).as_str().unwrap_or_else(|| panic!("{path} is no text in {value:?}")).to_owned()
}

pub(crate) fn keys(value: &Value) -> Vec<String> {
    let pairs = value.as_object().unwrap();
    pairs.iter().map(|(key, _)| key.to_string_lossy().into_owned()).collect()
}

/// A whole ao but for a messenger.
pub(crate) struct Whole {
    _dir: tempfile::TempDir,
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) su: Arc<Su>,
    pub(crate) su_router: Router,
    pub(crate) cu: Cu,
    pub(crate) cu_router: Router,
    pub(crate) module: Id,
}

impl Whole {
    pub(crate) async fn new() -> Self {
        Self::with(|units| Arc::new(units), options()).await
    }

    /// With a compute unit that reaches the others through `road`.
    pub(crate) async fn with(
        road: impl FnOnce(InProcess) -> Arc<dyn Transport>,
        options: CuOptions,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(START_MS));
        let clock = Clock::by_hand(now.clone());
        let gateways = GatewayOptions {
            blocks: BlockOptions { start: HEIGHT, interval_ms: 7000 },
            clock: clock.clone(),
            ..GatewayOptions::default()
        };
        let gateway = Arc::new(Gateway::open(&dir.path().join("gw"), gateways).await.unwrap());
        let gw_router = drivebay::gateway::router(gateway.clone());
        let mut units = InProcess::default().with("http://gw", gw_router.clone());
        let mut orders = SuOptions::new(Some("http://gw".to_owned()), Arc::new(units.clone()));
        orders.clock = clock.clone();
        let su = Arc::new(Su::open(&dir.path().join("su"), wallet(1), orders).await.unwrap());
        let su_router = drivebay::su::router(su.clone());
        units = units.with("http://su", su_router.clone());
        let module = module("wasm32-drivebay-1", &[], echo());
        gateway.put_item(module.clone()).await.unwrap();
        now.store(BORN_MS, Ordering::SeqCst);
        su.look_at_height().await;
        let transport = road(units);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let cu = open_cu(&transport, &store, options);
        let cu_router = face(&cu, &clock);
        Self { _dir: dir, now, gateway, su, su_router, cu, cu_router, module: module.id() }
    }

    /// So many milliseconds later. The scheduler looks at the newest block.
    pub(crate) async fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
        self.su.look_at_height().await;
    }

    pub(crate) async fn schedule(&self, item: &DataItem) -> Id {
        self.su.schedule(item.bytes().clone()).await.unwrap();
        item.id()
    }

    /// A process with more tags, scheduled.
    pub(crate) async fn spawn(&self, more: &[(&str, &str)]) -> Id {
        self.spawn_of(self.module, more).await
    }

    pub(crate) async fn spawn_of(&self, module: Id, more: &[(&str, &str)]) -> Id {
        let (module, scheduler) = (module.to_string(), self.su.address().to_string());
        let mut all = tags(&[("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Process")]);
        all.extend(tags(&[("Module", &module), ("Scheduler", &scheduler)]));
        all.extend(tags(more));
        self.schedule(&wallet(3).sign(&Draft::new(None, all, " ")).unwrap()).await
    }

    /// A message of `from` with more tags, scheduled.
    pub(crate) async fn send(
        &self,
        from: &Wallet,
        process: Id,
        more: &[(&str, &str)],
        data: &str,
    ) -> Id {
        let mut all = tags(&[("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message")]);
        all.extend(tags(more));
        let draft = Draft {
            anchor: Some(*b"00000000000000000000000000000042"),
            ..Draft::new(Some(process), all, data.to_owned())
        };
        self.schedule(&from.sign(&draft).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        call(&self.cu_router, "GET", path, "", Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let body = Bytes::from(body.to_owned());
        call(&self.cu_router, "POST", path, "application/json", body).await
    }

    pub(crate) async fn result(&self, process: Id, id: impl std::fmt::Display) -> Answer {
        self.get(&format!("/result/{id}?process-id={process}")).await
    }
}

pub(crate) fn options() -> CuOptions {
    CuOptions { workers: 2, readers: 2, fetchers: 2, ..CuOptions::default() }
}

pub(crate) fn open_cu(
    transport: &Arc<dyn Transport>,
    store: &Arc<dyn Store>,
    options: CuOptions,
) -> Cu {
    let gateways = GatewayClient::new(["http://gw".to_owned()], Arc::clone(transport));
    let runtime = tokio::runtime::Handle::current();
    let archive = Arc::new(gateways.with_rounds(1));
    let source = Network::new(runtime, Arc::clone(transport), archive, Some("http://su")).unwrap();
    let readers = Readers::stock(Engine::Speed).unwrap();
    Cu::open(options, readers, Arc::clone(store), Arc::new(source)).unwrap()
}

pub(crate) fn face(cu: &Cu, clock: &Clock) -> Router {
    let face = Face {
        cu: cu.clone(),
        address: wallet(4).address(),
        clock: clock.clone(),
        admission: Admission::new(Access::default()),
        publisher: None,
    };
    dressed(drivebay::cu::router(Arc::new(face)), "cu", &Limits::default())
}

pub(crate) fn echo() -> Vec<u8> {
    wat::parse_str(include_str!("echo.wat")).unwrap()
}

/// A module as it is published.
pub(crate) fn module(format: &str, more: &[(&str, &str)], bytes: Vec<u8>) -> DataItem {
    let mut all: Vec<Tag> = tags(&[
        ("Data-Protocol", "ao"),
        ("Variant", "ao.TN.1"),
        ("Type", "Module"),
        ("Module-Format", format),
        ("Input-Encoding", "JSON-1"),
        ("Output-Encoding", "JSON-1"),
    ]);
    all.extend(tags(more));
    wallet(5).sign(&Draft::new(None, all, bytes)).unwrap()
}

pub(crate) async fn call(
    router: &Router,
    method: &str,
    path: &str,
    content_type: &str,
    body: Bytes,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    let response = router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 1 << 28).await.unwrap();
    Answer { status, headers, body }
}
