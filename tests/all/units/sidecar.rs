//! A compute unit beside a HyperBEAM node, and states that go from unit to unit: rows 58 and 59.

use super::{kit::wallet, whole::*};
use axum::{Json, Router, extract::Query, routing::get};
use drivebay::{
    clock::Clock,
    cu::{
        Admission, At, Cu, Face, Hyperbeam, MemoryStore, Network, Publisher, Readers, Sidecar,
        Store, sidecar,
    },
    http::{Limits, dressed},
    item::DataItem,
    net::{GatewayClient, InProcess, Transport},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const PID: &str = "FldvR-L8GBIN3l4y1vvheT4daWMXo4sCfOb06jtxJEY";

/// A slot as the node shows it.
fn slot(module: &str, nonce: u64, data: &str, skip: bool) -> Value {
    let mut tags = vec![json!({ "name": "Data-Protocol", "value": "ao" })];
    let kind = if nonce == 0 { "Process" } else { "Message" };
    tags.push(json!({ "name": "Type", "value": kind }));
    tags.push(json!({ "name": "Module", "value": module }));
    let placed = [
        ("Process", PID.to_owned()),
        ("Slot", nonce.to_string()),
        ("Epoch", "0".to_owned()),
        ("Timestamp", (1_700_000_000_000 + nonce).to_string()),
        ("Block-Height", "1500000".to_owned()),
        ("Hash-Chain", "h".to_owned()),
        ("Skip", skip.to_string()),
    ];
    let placed: Vec<_> =
        placed.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let id = if nonce == 0 { PID.to_owned() } else { format!("message-{nonce}") };
    let message = json!({ "Id": id, "Anchor": "", "Owner": "owner", "From": "owner", "Tags": tags, "Target": PID, "Data": data, "Signature": "s" });
    let assignment = json!({ "Id": format!("assignment-{nonce}"), "Owner": "su", "Tags": placed });
    json!({ "cursor": nonce.to_string(), "node": { "message": message, "assignment": assignment } })
}

fn page(edges: &[Value]) -> Value {
    json!({ "page_info": { "process": PID, "has_next_page": false, "timestamp": "1", "block-height": "1", "block-hash": "" }, "edges": edges })
}

/// A node that gives any slot.
fn node(module: String) -> Router {
    let schedule = move |Query(query): Query<BTreeMap<String, String>>| {
        assert_eq!(
            (query["target"].as_str(), query["accept"].as_str()),
            (PID, "application/aos-2")
        );
        let number = |key: &str| query[key].parse::<u64>().unwrap();
        let slots = number("from")..=number("to");
        let edges: Vec<_> =
            slots.map(|nonce| slot(&module, nonce, &format!("said {nonce}"), false)).collect();
        async move { Json(page(&edges)) }
    };
    Router::new().route("/~scheduler@1.0/schedule", get(schedule))
}

struct Beside {
    _dir: tempfile::TempDir,
    folder: std::path::PathBuf,
    router: Router,
    cu: Cu,
    module: String,
}

impl Beside {
    /// With a node that can be asked, or one that only pushes.
    async fn new(ao: &Whole, asks: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let module = ao.module.to_string();
        let units = InProcess::default()
            .with("http://gw", drivebay::gateway::router(ao.gateway.clone()))
            .with("http://hb", node(module.clone()));
        let transport: Arc<dyn Transport> = Arc::new(units);
        let gateways = GatewayClient::new(["http://gw".to_owned()], Arc::clone(&transport));
        let runtime = tokio::runtime::Handle::current();
        let network = Network::new(runtime, transport, Arc::new(gateways), None).unwrap();
        let source = Arc::new(Hyperbeam::new(network, asks.then_some("http://hb")).unwrap());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let readers = Readers::stock(drivebay::cu::Engine::Speed).unwrap();
        let cu = Cu::open(options(), readers, store, source.clone()).unwrap();
        let face = Arc::new(Face {
            cu: cu.clone(),
            address: wallet(4).address(),
            clock: Clock::by_hand(ao.now.clone()),
            admission: Admission::default(),
            publisher: None,
        });
        let folder = dir.path().join("checkpoints");
        let beside = Sidecar { face: face.clone(), source, folder: folder.clone() };
        let router = drivebay::cu::router(face).merge(sidecar(Arc::new(beside)));
        let router = dressed(router, "cu", &Limits::default());
        Self { _dir: dir, folder, router, cu, module }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string().into();
        call(&self.router, "POST", path, "application/json", body).await
    }

    async fn slot(&self, nonce: u64, data: &str) -> Answer {
        let body = page(&[slot(&self.module, nonce, data, false)]);
        self.post(&format!("/result/{nonce}?process-id={PID}"), &body).await
    }
}

fn count(answer: &Answer) -> String {
    text(&answer.json(), "Output.data.count")
}

/// Row 58.
#[tokio::test]
async fn slots_come_with_requests_and_follow_each_other() {
    let ao = Whole::new().await;
    let beside = Beside::new(&ao, false).await;
    assert_eq!(call(&beside.router, "GET", "/status", "", "".into()).await.status, 200);
    assert_eq!(count(&beside.slot(0, "born").await.ok()), "000001");
    let first = beside.slot(1, "said 1").await.ok();
    assert_eq!(count(&first), "000002");
    assert_eq!((first.header("slot"), first.header("message")), ("1".into(), "message-1".into()));
    assert_eq!(text(&first.json(), "Output.data.msg.From"), "owner");
    assert_eq!(at(&first.json(), "Output.data.msg.Nonce").as_u64(), Some(1));
    let third = beside.slot(3, "said 3").await;
    let said = "Non-incrementing slot: expected 2 but got 3";
    assert_eq!((third.status, third.error().as_str()), (422, said));
    // Again, it is the same; and a message that fails says so.
    assert_eq!(beside.slot(1, "said 1").await.ok().text(), first.text());
    let sorry = beside.slot(2, "sorry").await.ok().json();
    assert_eq!(text(&sorry, "Error"), "I am sorry");
    assert_eq!(text(&sorry, "Output.data"), "");
    // One that is passed over has its place and no effect.
    let skipped = page(&[slot(&beside.module, 3, "said 3", true)]);
    let skipped = beside.post(&format!("/result/3?process-id={PID}"), &skipped).await.ok().json();
    assert_eq!(text(&skipped, "Output.data"), "");
    assert_eq!(at(&skipped, "GasUsed").as_u64(), Some(0));
    assert_eq!(count(&beside.slot(4, "said 4").await.ok()), "000003");
    for (path, body, part) in [
        (format!("/result/5?process-id={PID}"), json!({}), "edges is not a list"),
        (format!("/result/5?process-id={PID}"), page(&[]), "has 0 edges"),
        (format!("/result/6?process-id={PID}"), page(&[slot("m", 5, "", false)]), "is slot 5"),
        (format!("/result/x?process-id={PID}"), page(&[]), "the path cannot be read"),
    ] {
        let refused = beside.post(&path, &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.error().contains(part), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_unit_that_is_new_to_a_process_asks_the_node_for_what_is_before() {
    let ao = Whole::new().await;
    let beside = Beside::new(&ao, true).await;
    assert_eq!(count(&beside.slot(150, "said 150").await.ok()), "000151");
    let blind = Beside::new(&ao, false).await;
    let lost = blind.slot(5, "said 5").await;
    assert_eq!(lost.status, 503);
    assert!(lost.error().contains("cu.hyperbeam"), "{}", lost.text());
}

/// Row 59.
#[tokio::test]
async fn a_snapshot_goes_on_in_another_unit() {
    let ao = Whole::new().await;
    let one = Beside::new(&ao, false).await;
    let nothing = one.post(&format!("/snapshot/{PID}"), &json!({})).await;
    assert_eq!((nothing.status, at(&nothing.json(), "success").as_bool()), (404, Some(false)));
    for nonce in 0..3 {
        one.slot(nonce, "go").await.ok();
    }
    let taken = one.post(&format!("/snapshot/{PID}"), &json!({})).await.ok();
    assert_eq!(text(&taken.json(), "processId"), PID);
    assert_eq!(
        (taken.header("snapshot-nonce"), taken.header("snapshot-module-id")),
        ("2".into(), one.module.clone())
    );
    let file = text(&taken.json(), "file");
    assert!(std::path::Path::new(&file).starts_with(&one.folder), "{file}");
    let bytes = std::fs::read(&file).unwrap();

    let restore = async |to: &Beside, bytes: &[u8]| {
        let mut request = axum::http::Request::builder().method("POST").uri("/state");
        for (name, value) in [
            ("process", PID),
            ("module", to.module.as_str()),
            ("assignment", "assignment-2"),
            ("hash-chain", "h"),
            ("timestamp", "1700000000002"),
            ("nonce", "2"),
            ("block-height", "1500000"),
        ] {
            request = request.header(name, value);
        }
        let request = request.body(axum::body::Body::from(bytes.to_vec())).unwrap();
        let response = tower::ServiceExt::oneshot(to.router.clone(), request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let other = Beside::new(&ao, true).await;
    let (status, said) = restore(&other, &bytes[..bytes.len() / 2]).await;
    assert_eq!(status, 400, "{said}");
    let (status, said) = restore(&other, &bytes).await;
    assert_eq!(
        (status, said),
        (200, format!("Successfully cached process memory for process {PID}"))
    );
    let here = one.slot(3, "next").await.ok();
    let there = other.slot(3, "next").await.ok();
    assert_eq!(there.text(), here.text());
    assert_eq!(count(&there), "000004");
    let root = async |cu: &Cu| cu.image_at(PID, At::Head).await.unwrap().image.root();
    assert_eq!(root(&other.cu).await, root(&one.cu).await);
    // What lies before is not known there, and one that is behind changes nothing.
    let before = call(&other.router, "GET", &format!("/state/{PID}?slot=1"), "", "".into()).await;
    assert_eq!(before.status, 404, "{}", before.text());
    restore(&other, &bytes).await;
    assert_eq!(count(&other.slot(4, "next").await.ok()), "000005");
}

/// Whoever does not sit on the operator's own machine may push nothing.
#[tokio::test]
async fn strangers_push_no_slots_and_take_no_snapshots() {
    let ao = Whole::new().await;
    let beside = Beside::new(&ao, false).await;
    for path in [format!("/result/0?process-id={PID}"), format!("/snapshot/{PID}"), "/state".into()]
    {
        let request = axum::http::Request::builder().method("POST").uri(&path);
        let request = request.header("x-forwarded-for", "9.9.9.9");
        let request = request.body(axum::body::Body::from("{}")).unwrap();
        let response = tower::ServiceExt::oneshot(beside.router.clone(), request).await.unwrap();
        assert_eq!(response.status().as_u16(), 403, "{path}");
    }
}

/// Tags of a checkpoint, in the network's order.
const TAGS: [&str; 15] = [
    "Data-Protocol",
    "Variant",
    "Type",
    "Module",
    "Process",
    "Nonce",
    "Timestamp",
    "Block-Height",
    "Content-Type",
    "SHA-256",
    "Content-Encoding",
    "Unit-Identifier",
    "Ordinate",
    "Hash-Chain",
    "Epoch",
];

/// A unit without anything in its store, that believes the checkpoints of these.
fn beginner(ao: &Whole, gateways: &GatewayClient, trusted: Vec<String>) -> Cu {
    let units = InProcess::default()
        .with("http://gw", drivebay::gateway::router(ao.gateway.clone()))
        .with("http://su", ao.su_router.clone());
    let (runtime, archive) = (tokio::runtime::Handle::current(), Arc::new(gateways.clone()));
    let source = Network::new(runtime, Arc::new(units), archive, Some("http://su")).unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let readers = Readers::stock(drivebay::cu::Engine::Speed).unwrap();
    Cu::open(options(), readers, store, Arc::new(source.trusting(trusted))).unwrap()
}

/// Checkpoints of the network: written on an operator's wish, read from who is trusted.
#[tokio::test]
async fn a_published_checkpoint_is_where_another_unit_begins() {
    let ao = Whole::new().await;
    let pid = ao.spawn(&[]).await;
    let mut last = pid;
    for n in 1..=5 {
        last = ao.send(&wallet(3), pid, &[("Sent", &n.to_string())], "hi").await;
    }
    ao.result(pid, last).await.ok();
    let gateway = drivebay::gateway::router(ao.gateway.clone());
    let transport: Arc<dyn Transport> = Arc::new(InProcess::default().with("http://gw", gateway));
    let gateways = GatewayClient::new(["http://gw".to_owned()], transport);
    let face = Face {
        cu: ao.cu.clone(),
        address: wallet(4).address(),
        clock: Clock::by_hand(ao.now.clone()),
        admission: Admission::default(),
        publisher: Some(Publisher { wallet: wallet(4), gateways: gateways.clone() }),
    };
    let router = dressed(drivebay::cu::router(Arc::new(face)), "cu", &Limits::default());
    let path = format!("/checkpoint/{pid}");
    let published = call(&router, "POST", &path, "", "".into()).await.ok().json();
    let id = text(&published, "id").parse().unwrap();
    let item: DataItem = ao.gateway.get(&id).await.unwrap().unwrap();
    assert!(item.tags().iter().map(|tag| tag.name.as_str()).eq(TAGS));

    let next = ao.send(&wallet(3), pid, &[("Sent", "6")], "hi").await;
    let here = ao.result(pid, next).await.ok().text();
    let mut evaluated = Vec::new();
    for (trusted, before) in [(Some(4), 404), (Some(9), 200), (None, 200)] {
        let trusted = trusted.map(|seed| wallet(seed).address().to_string());
        let cu = beginner(&ao, &gateways, trusted.into_iter().collect());
        let router = face_of(&cu, &ao);
        let path = |id| format!("/result/{id}?process-id={pid}");
        assert_eq!(call(&router, "GET", &path(next), "", "".into()).await.ok().text(), here);
        evaluated.push(cu.progress(&pid.to_string()).unwrap().evaluated);
        let known = call(&router, "GET", &path(last), "", "".into()).await;
        assert_eq!(known.status, before, "{}", known.text());
    }
    // One message after the checkpoint; without trust, all seven.
    assert_eq!(evaluated, [1, 7, 7]);
}

fn face_of(cu: &Cu, ao: &Whole) -> Router {
    face(cu, &Clock::by_hand(ao.now.clone()))
}
