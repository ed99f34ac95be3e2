//! Commands that speak to units, against an embedded gateway and units that answer as recorded.

use crate::kit::{Bench, Ended};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use drivebay::{
    gateway::{Gateway, GatewayOptions, Neighbours, router},
    item::{DataItem, Draft, Id, Tag, Wallet},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::runtime::Runtime;

/// All units behind one socket.
struct Units {
    runtime: Runtime,
    gateway: Arc<Gateway>,
    seen: Arc<Seen>,
    url: String,
    _dir: tempfile::TempDir,
}

/// What units were asked, and what they will answer.
#[derive(Default)]
struct Seen {
    gateway: Mutex<Option<Arc<Gateway>>>,
    items: Mutex<Vec<DataItem>>,
    asked: Mutex<Vec<String>>,
    /// Results by message.
    results: Mutex<HashMap<String, Value>>,
    busy: AtomicUsize,
}

type Shared = State<Arc<Seen>>;

impl Units {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = GatewayOptions::default();
        let gateway = Arc::new(runtime.block_on(Gateway::open(dir.path(), options)).unwrap());
        let seen = Arc::new(Seen::default());
        *seen.gateway.lock().unwrap() = Some(Arc::clone(&gateway));
        let units = Router::new()
            .route("/mu/", post(messenger))
            .route("/mu/monitor/{process}", post(monitored).delete(monitored))
            .route("/cu/result/{message}", get(result))
            .route("/cu/dry-run", post(dry_run))
            .route("/su/{message}", get(scheduled))
            .with_state(Arc::clone(&seen));
        let units = units.merge(router(Arc::clone(&gateway)));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, units).await.unwrap() });
        gateway.set_neighbours(Neighbours {
            scheduler: Some(wallet().address().to_string()),
            authority: Some("the-authority".to_owned()),
            mu_url: Some(format!("{url}/mu/")),
            cu_url: Some(format!("{url}/cu")),
            modules: vec![("counter".to_owned(), "m".repeat(42) + "0")],
            ..Neighbours::default()
        });
        Self { runtime, gateway, seen, url, _dir: dir }
    }

    fn put(&self, item: &DataItem) -> String {
        self.runtime.block_on(self.gateway.put_item(item.clone())).unwrap();
        item.id().to_string()
    }

    /// Runs the program, pointed at these units.
    fn run(&self, bench: &Bench, args: &[&str]) -> Ended {
        let mut command = bench.command(args);
        command.env("GATEWAY_URL", &self.url).env_remove("MU_URL").env_remove("CU_URL");
        crate::kit::ended(&command.output().unwrap())
    }

    fn last(&self) -> DataItem {
        self.seen.items.lock().unwrap().last().unwrap().clone()
    }
}

fn wallet() -> Wallet {
    Wallet::from_ethereum_key(&[1; 32]).unwrap()
}

async fn messenger(
    State(seen): Shared,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Response {
    if let Some(assigned) = query.get("assign") {
        seen.asked.lock().unwrap().push(format!("{query:?}"));
        return Json(json!({ "message": "Processing Assignment", "id": assigned })).into_response();
    }
    let item = DataItem::parse(body).unwrap();
    item.verify().unwrap();
    if item.tag("Action") == Some("Refuse") {
        let error = json!({ "error": "the process is unknown" });
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    seen.items.lock().unwrap().push(item.clone());
    (StatusCode::ACCEPTED, Json(json!({ "id": item.id().to_string() }))).into_response()
}

async fn monitored(State(seen): Shared, method: axum::http::Method, body: Bytes) -> &'static str {
    let item = DataItem::parse(body).unwrap();
    assert!(item.tags().is_empty() && item.data() == b" ");
    seen.asked.lock().unwrap().push(method.to_string());
    "no JSON"
}

/// Not ready the first time.
async fn result(State(seen): Shared, Path(message): Path<String>) -> Response {
    if seen.busy.fetch_sub(1, Ordering::SeqCst) > 0 {
        let error = json!({ "error": "catching up" });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response();
    }
    seen.busy.store(0, Ordering::SeqCst);
    let known = seen.results.lock().unwrap().get(&message).cloned();
    let plain =
        json!({ "Messages": [], "Spawns": [], "Output": { "data": "so be it" }, "GasUsed": 7 });
    Json(known.unwrap_or(plain)).into_response()
}

async fn dry_run(State(seen): Shared, body: String) -> Json<Value> {
    seen.asked.lock().unwrap().push(body);
    Json(json!({ "Messages": [], "Spawns": [], "Output": "", "Error": "no such balance" }))
}

async fn scheduled() -> Json<Value> {
    Json(json!({ "assignment": { "tags": [{ "name": "Nonce", "value": "3" }] } }))
}

#[test]
fn what_would_be_refused_is_not_published() {
    let (bench, units) = (Bench::new(), Units::new());
    bench.write("bad.wasm", "\0asm\u{1}\0\0\0 and more");
    let args = ["publish", "bad.wasm", "--format", "wasm64-unknown-emscripten-draft_2024_02_15"];
    units.run(&bench, &args).expect(2, "");
    let ended = units.run(&bench, &["publish", "counter.wasm", "--tag", "Name=counter"]);
    let id: Id = ended.expect(0, "made a wallet in").out.trim().parse().unwrap();
    let item = units.runtime.block_on(units.gateway.get(&id)).unwrap().unwrap();
    assert_eq!((item.tag("Type"), item.tag("Name")), (Some("Module"), Some("counter")));
    assert_eq!(item.data(), std::fs::read(bench.path("counter.wasm")).unwrap());
    let again = units.run(&bench, &["publish", "counter.wasm", "--tag", "Name=counter"]);
    assert_eq!(again.expect(0, "").out.trim(), id.to_string(), "one module, one id");
}

#[test]
fn a_process_is_given_its_units_and_messages_are_signed() {
    let (bench, units) = (Bench::new(), Units::new());
    let ended = units.run(&bench, &["spawn", "counter", "--tag", "Name=mine", "--body", "boot"]);
    let process = ended.expect(0, "").out.trim().to_owned();
    let item = units.last();
    assert_eq!(item.id().to_string(), process);
    let value = |name| item.tag(name).unwrap().to_owned();
    assert_eq!(value("Scheduler"), wallet().address().to_string());
    assert_eq!((value("Authority"), value("Type")), ("the-authority".into(), "Process".into()));
    assert_eq!((value("Module"), item.data()), ("m".repeat(42) + "0", b"boot".as_slice()));
    units.run(&bench, &["spawn", "nobody"]).expect(2, "a module that the gateway lists (counter)");

    let message = ["message", &process, "--action", "Ping", "--tag", "Quantity=1"];
    let first = units.run(&bench, &message).expect(0, "").out;
    let second = units.run(&bench, &message).expect(0, "").out;
    assert_ne!(first, second, "two messages that say the same are two");
    let sent = units.last();
    assert_eq!(sent.target().unwrap().to_string(), process);
    assert_eq!((sent.tag("Action"), sent.tag("Type")), (Some("Ping"), Some("Message")));
    assert!(sent.anchor_text().is_some(), "a process sees its anchor");

    units.seen.busy.store(1, Ordering::SeqCst);
    let waited = units.run(&bench, &[&message[..], &["--wait"]].concat()).expect(0, "");
    assert!(waited.out.contains("so be it") && waited.out.contains("GasUsed 7"), "{}", waited.out);
    let refused = ["message", &process, "--action", "Refuse"];
    units.run(&bench, &refused).expect(2, "the process is unknown");
}

#[test]
fn results_dry_runs_assignments_and_monitors() {
    let (bench, units) = (Bench::new(), Units::new());
    let (process, message) = (Id([1; 32]).to_string(), Id([2; 32]).to_string());
    let json = units.run(&bench, &["result", &process, &message, "--json"]).expect(0, "").lines();
    assert_eq!(crate::kit::number(&json[0], "GasUsed"), 7);
    let dry = ["dry-run", &process, "--action", "Balance", "--owner", "me"];
    let ended = units.run(&bench, &dry).expect(1, "");
    assert!(ended.out.contains("no such balance"));
    let body: Value = serde_json::from_str(&units.seen.asked.lock().unwrap()[0]).unwrap();
    assert_eq!((&body["Owner"], &body["Target"]), (&json!("me"), &json!(process)));
    assert_eq!(body["Tags"][0], json!({ "name": "Action", "value": "Balance" }));
    let assign = ["assign", &process, &message, "--base-layer", "--exclude", "Data,Tags"];
    assert_eq!(units.run(&bench, &assign).expect(0, "").out.trim(), message);
    let asked = units.seen.asked.lock().unwrap()[1].clone();
    assert!(asked.contains("base-layer") && asked.contains("Data,Tags"), "{asked}");
    units.run(&bench, &["monitor", &process]).expect(0, "");
    units.run(&bench, &["monitor", &process, "--stop"]).expect(0, "");
    assert_eq!(units.seen.asked.lock().unwrap()[2..], ["POST", "DELETE"]);
    units.run(&bench, &["result", "short", &message]).expect(2, "an id is 43 characters");
    // An id may begin as a flag does.
    let mut bytes = [7; 32];
    (bytes[0], bytes[1]) = (0xfb, 0xe7);
    let (dashes, dash) = (Id(bytes).to_string(), Id([0xfb; 32]).to_string());
    assert!(dashes.starts_with("--") && dash.starts_with('-'), "{dashes} {dash}");
    units.run(&bench, &["result", &dashes, &dash, "--json"]).expect(0, "");
    units.run(&bench, &["monitor", &dashes, "--stop"]).expect(0, "");
    let nowhere = ["result", &process, &message, "--gateway", "http://127.0.0.1:9"];
    units.run(&bench, &nowhere).expect(3, "start one with `drivebay up`");
}

#[test]
fn a_console_evaluates_lines_files_and_blueprints() {
    let (bench, units) = (Bench::new(), Units::new());
    let process = Id([1; 32]).to_string();
    bench.write("more.lua", "return 'from a file'");
    std::fs::create_dir(bench.path("prints")).unwrap();
    bench.write("prints/mine.lua", "return 'mine'");
    bench.write("typed", "return 1\n.load more.lua\n.load-blueprint mine\n.load-blueprint token\n.load-blueprint ../x\n.load-blueprint none\n.what\n.dry return 2\nreturn 3\n");
    let mut command = bench.command(&["console", &process, "--blueprints", "prints"]);
    command.env("GATEWAY_URL", &units.url).env_remove("MU_URL").env_remove("CU_URL");
    command.stdin(std::fs::File::open(bench.path("typed")).unwrap());
    let ended =
        crate::kit::ended(&command.output().unwrap()).expect(0, "there is no command .what");
    let items = units.seen.items.lock().unwrap();
    let sent: Vec<&str> =
        items.iter().map(|item| std::str::from_utf8(item.data()).unwrap()).collect();
    assert_eq!(sent[..3], ["return 1", "return 'from a file'", "return 'mine'"]);
    assert!(sent[3].contains("Handlers.add") && sent[4] == "return 3", "{sent:?}");
    assert!(items.iter().all(|item| item.tag("Action") == Some("Eval")));
    let asked = units.seen.asked.lock().unwrap();
    assert!(asked.iter().any(|body| body.contains("return 2")), "{asked:?}");
    assert!(
        ended.out.contains("so be it") && ended.out.contains("no such balance"),
        "{}",
        ended.out
    );
    assert!(
        ended.err.contains("there is no blueprint none")
            && ended.err.contains("is named by letters")
    );
}

/// A root that sends two messages, one of which is delivered and fails.
#[test]
fn a_trace_draws_what_a_message_set_off() {
    let (bench, units) = (Bench::new(), Units::new());
    let wallet = wallet();
    let sign = |target: Option<Id>, tags: &[(&str, &str)], anchor: u8| {
        let tags = tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect();
        let draft = Draft { anchor: Some([anchor; 32]), ..Draft::new(target, tags, "x") };
        wallet.sign(&draft).unwrap()
    };
    let su = format!("{}/su", units.url);
    let location = [
        ("Data-Protocol", "ao"),
        ("Type", "Scheduler-Location"),
        ("Url", &su),
        ("Time-To-Live", "1"),
    ];
    units.put(&sign(None, &location, 1));
    let scheduler = wallet.address().to_string();
    let process = sign(None, &[("Type", "Process"), ("Scheduler", &scheduler)], 2);
    let pid = units.put(&process);
    let root = sign(Some(process.id()), &[("Type", "Message"), ("Action", "Start")], 3);
    let root_id = units.put(&root);
    let tags =
        [("Type", "Message"), ("Action", "Next"), ("From-Process", &pid), ("Pushed-For", &root_id)];
    let child = units.put(&sign(Some(process.id()), &tags, b'c'));
    let spawned =
        [("Type", "Process"), ("From-Process", &pid), ("Pushed-For", &root_id), ("Reference", "9")];
    let kid = units.put(&sign(None, &spawned, b'k'));
    let notice = [("Type", "Message"), ("Action", "Spawned"), ("Process", &kid)];
    let notice = units.put(&sign(Some(process.id()), &notice, b'n'));
    let anchor = |c: &str| c.repeat(32);
    let spawns = json!([{ "Tags": [{ "name": "Reference", "value": "9" }] }]);
    let outbox = json!([
        { "Target": pid, "Anchor": anchor("c"), "Tags": [] },
        { "Target": "0xdead", "Anchor": anchor("d"), "Tags": [] },
    ]);
    let mut results = units.seen.results.lock().unwrap();
    results.insert(root_id.clone(), json!({ "Messages": outbox, "Spawns": spawns, "GasUsed": 5 }));
    results.insert(child.clone(), json!({ "Messages": [], "Spawns": [], "Error": "\n\nit broke" }));
    drop(results);
    let ended = units.run(&bench, &["trace", &root_id]).expect(1, "");
    let expected = format!(
        "Start → {pid} slot 3  gas 5  {root_id}\n  Next → {pid} slot 3  {child}\n    error it broke\n  not delivered (yet) → 0xdead\n  Process → {kid} (no schedule)  {kid}\n  Spawned → {pid} slot 3  gas 7  {notice}\n"
    );
    assert_eq!(ended.out, expected);
    let lines = units.run(&bench, &["trace", &root_id, "--json"]).expect(1, "").lines();
    assert_eq!((lines.len(), crate::kit::number(&lines[1], "Depth")), (5, 1));
    units.run(&bench, &["trace", &"x".repeat(42)]).expect(2, "an id is 43 characters");
    units.run(&bench, &["trace", &Id([8; 32]).to_string()]).expect(2, "does not know");
}

#[test]
fn a_wallet_is_made_once_and_items_in_files_are_verified() {
    let bench = Bench::new();
    bench.drivebay(&["wallet", "--file", "a.json", "--new", "ed25519"]).expect(0, "");
    bench.drivebay(&["wallet", "--file", "a.json", "--new", "ethereum"]).expect(3, "exists");
    let shown = bench.drivebay(&["wallet", "--file", "a.json", "--json"]).expect(0, "").lines();
    assert_eq!(crate::kit::number(&shown[0], "Signature-Type"), 2);
    let sign = [
        "item", "sign", "--wallet", "a.json", "--out", "i.bin", "--action", "Ping", "--body",
        "hello",
    ];
    let id = bench.drivebay(&sign).expect(0, "").out.trim().to_owned();
    let verify = || bench.drivebay(&["item", "verify", "i.bin"]);
    let told = verify().expect(0, "").lines();
    assert_eq!(crate::kit::text(&told[0], "Id"), id);
    let mut bytes = std::fs::read(bench.path("i.bin")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(bench.path("i.bin"), &bytes).unwrap();
    verify().expect(2, "the signature does not hold");
    std::fs::write(bench.path("i.bin"), &bytes[..30]).unwrap();
    verify().expect(2, "ends within its signature");
    let short = [&sign[..], &["--anchor", "short"]].concat();
    bench.drivebay(&short).expect(2, "an anchor has 32 bytes, and this has 5");
}
