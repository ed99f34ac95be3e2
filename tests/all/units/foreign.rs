//! The compute unit as a program, on a scheduler and a gateway that are not ours: they answer what was recorded
//! while the reference's unit evaluated, in the reference's shapes and from its ids, links and times. What a
//! module is shown is equal to what it was shown there, key by key.

use super::whole::{at, echo, text};
use crate::kit::Bench;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use drivebay::{
    disk::json::Value,
    item::{Id, first_link, next_link},
    net::{Http, Request, Transport},
};
use serde_json::{Value as Plain, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

const RECORDED: &str = include_str!("recorded.json");
/// Messages of the recording, by their nonce.
const NAMES: [&str; 5] = ["pid", "m1", "m2", "m3", "asg"];

/// The process's own assignment: its id is not in the recording, so this one stands for it.
const FIRST: &str = "0000000000000000000000000000000000000000000";

/// The recording, once it is seen that all links but the first follow from the recorded ids, with links that
/// follow from the assignment that stands for the one that is not recorded.
fn chained() -> String {
    let recorded: Plain = serde_json::from_str(RECORDED).unwrap();
    let id = |value: &Plain| value.as_str().unwrap().parse::<Id>().unwrap();
    let assignment = |nonce: usize| match nonce {
        0 => FIRST.parse().unwrap(),
        _ => id(&recorded["ids"][NAMES[nonce]]["assignmentId"]),
    };
    let links: Vec<Id> =
        (0..NAMES.len()).map(|nonce| id(&recorded["messages"][nonce]["Hash-Chain"])).collect();
    let (mut link, mut text) = (first_link(&id(&recorded["ids"]["pid"])), RECORDED.to_owned());
    assert_eq!(links[0], link);
    for nonce in 1..NAMES.len() {
        let follows = next_link(&assignment(nonce - 1), &links[nonce - 1]);
        assert!(nonce == 1 || links[nonce] == follows, "{nonce}");
        link = next_link(&assignment(nonce - 1), &link);
        text = text.replace(&links[nonce].to_string(), &link.to_string());
    }
    text
}

/// Scheduler and gateway in one.
struct Foreign {
    text: String,
    recorded: Plain,
    url: String,
}

impl Foreign {
    async fn open() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = chained();
        let recorded = serde_json::from_str(&text).unwrap();
        let foreign = Arc::new(Self { text, recorded, url });
        let router = Router::new()
            .route("/graphql", post(graphql))
            .route("/raw/{id}", get(raw))
            .route("/timestamp", get(timestamp))
            .route("/processes/{id}", get(process))
            .route("/{id}/latest", get(latest))
            .route("/{id}", get(scheduled))
            .with_state(Arc::clone(&foreign));
        tokio::spawn(async move { axum::serve(listener, router).await });
        foreign
    }

    fn id(&self, name: &str) -> &str {
        let id = &self.recorded["ids"][name];
        id.as_str().or_else(|| id["id"].as_str()).unwrap()
    }

    fn message(&self, nonce: usize) -> &Plain {
        &self.recorded["messages"][nonce]
    }

    /// A message as this scheduler shows it; an assigned transaction it does not.
    fn shown(&self, nonce: usize) -> Plain {
        let message = self.message(nonce);
        if NAMES[nonce] == "asg" {
            return Plain::Null;
        }
        let (target, tags) = match nonce {
            0 => (Plain::Null, &self.recorded["env"]["Process"]["Tags"]),
            _ => (message["Target"].clone(), &message["Tags"]),
        };
        json!({
            "anchor": message["Anchor"], "data": message["Data"], "id": message["Id"],
            "owner": { "address": message["Owner"], "key": "a2V5" }, "signature": message["Signature"],
            "tags": tags, "target": target,
        })
    }

    fn pair(&self, nonce: usize) -> Plain {
        let message = self.message(nonce);
        let mut tags = vec![
            ("Process", self.id("pid").to_owned()),
            ("Epoch", "0".to_owned()),
            ("Nonce", nonce.to_string()),
            ("Hash-Chain", message["Hash-Chain"].as_str().unwrap().to_owned()),
            ("Block-Height", format!("{:012}", message["Block-Height"].as_u64().unwrap())),
            ("Timestamp", message["Timestamp"].to_string()),
        ];
        if nonce > 0 {
            tags.push(("Message", message["Id"].as_str().unwrap().to_owned()));
        }
        if NAMES[nonce] == "asg" {
            tags.extend([("Exclude", "Data".to_owned()), ("Exclude", "Nothing".to_owned())]);
        }
        let tags: Vec<_> =
            tags.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let id = match nonce {
            0 => json!(FIRST),
            _ => self.recorded["ids"][NAMES[nonce]]["assignmentId"].clone(),
        };
        let owner = json!({ "address": self.scheduler(), "key": "a2V5" });
        json!({
            "assignment": { "anchor": null, "id": id, "owner": owner, "signature": "s", "tags": tags, "target": "" },
            "message": self.shown(nonce),
        })
    }

    fn scheduler(&self) -> &str {
        let tags = self.recorded["env"]["Process"]["Tags"].as_array().unwrap();
        let tag = tags.iter().find(|tag| tag["name"] == "Scheduler").unwrap();
        tag["value"].as_str().unwrap()
    }

    fn page(&self, query: &BTreeMap<String, String>) -> Plain {
        let number = |key: &str| query.get(key).map(|text| text.parse::<u64>().unwrap());
        let time = |nonce: usize| self.message(nonce)["Timestamp"].as_u64().unwrap();
        let wanted = |nonce: &usize| {
            number("from").is_none_or(|from| time(*nonce) > from)
                && number("to").is_none_or(|to| time(*nonce) <= to)
                && number("from-nonce").is_none_or(|from| *nonce as u64 > from)
                && number("to-nonce").is_none_or(|to| *nonce as u64 <= to)
        };
        let edges = (0..NAMES.len()).filter(wanted);
        let edges: Vec<_> = edges
            .map(|nonce| json!({ "cursor": time(nonce).to_string(), "node": self.pair(nonce) }))
            .collect();
        json!({ "page_info": { "has_next_page": false }, "edges": edges })
    }
}

type Shared = State<Arc<Foreign>>;

async fn timestamp() -> Json<Plain> {
    Json(json!({ "block_height": "000001500000", "timestamp": "1700000045500" }))
}

async fn process(State(foreign): Shared) -> Json<Plain> {
    let mut shown = foreign.shown(0);
    let id = shown.as_object_mut().unwrap().remove("id").unwrap();
    shown["process_id"] = id;
    shown["block"] = json!("000001500000");
    shown["timestamp"] = foreign.message(0)["Timestamp"].clone();
    Json(shown)
}

async fn latest(State(foreign): Shared) -> Json<Plain> {
    Json(foreign.pair(NAMES.len() - 1))
}

/// A page for the process; else the pair with this message or this assignment.
async fn scheduled(
    State(foreign): Shared,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if id == foreign.id("pid") {
        return Json(foreign.page(&query)).into_response();
    }
    let pairs = (1..NAMES.len()).map(|nonce| foreign.pair(nonce));
    let named = |pair: &Plain| {
        let tags = pair["assignment"]["tags"].as_array().unwrap();
        pair["assignment"]["id"] == *id || tags.iter().any(|tag| tag["value"] == *id)
    };
    match pairs.into_iter().find(named) {
        Some(pair) => Json(pair).into_response(),
        None => {
            let error = json!({ "error": "Message or Process not found" });
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
    }
}

/// An item as the gateway describes it. All fields are told, whichever are asked for.
fn described(of: &Plain, tags: &Plain, size: usize) -> Plain {
    json!({
        "id": of["Id"], "signature": "s", "anchor": of["Anchor"].as_str().unwrap_or(""),
        "owner": { "address": of["Owner"], "key": "a2V5" }, "tags": tags, "recipient": "", "block": null,
        "data": { "size": size.to_string() },
    })
}

async fn graphql(State(foreign): Shared, Json(asked): Json<Plain>) -> Json<Plain> {
    let asked = asked["variables"].to_string();
    let env = &foreign.recorded["env"];
    let nodes = if asked.contains(foreign.id("pid")) && !asked.contains("Checkpoint") {
        vec![described(foreign.message(0), &env["Process"]["Tags"], 9)]
    } else if asked.contains(foreign.id("module")) {
        // What ran there cannot be had here: this module shows what it is given.
        let tags = env["Module"]["Tags"].to_string();
        let tags = tags.replace("wasm32-unknown-emscripten", "wasm32-drivebay-1");
        vec![described(&env["Module"], &serde_json::from_str(&tags).unwrap(), echo().len())]
    } else if asked.contains(foreign.id("asg")) {
        let message = foreign.message(4);
        let mut node = described(message, &message["Tags"], 2);
        node["signature"] = message["Signature"].clone();
        vec![node]
    } else if asked.contains(foreign.scheduler()) {
        let tags = [("Url", foreign.url.as_str()), ("Time-To-Live", "3600000")];
        let tags = tags.map(|(name, value)| json!({ "name": name, "value": value }));
        vec![
            json!({ "id": foreign.scheduler(), "owner": { "address": foreign.scheduler() }, "tags": tags }),
        ]
    } else {
        Vec::new()
    };
    let edges: Vec<_> = nodes.into_iter().map(|node| json!({ "node": node })).collect();
    Json(json!({ "data": { "transactions": { "edges": edges } } }))
}

async fn raw(State(foreign): Shared, Path(id): Path<String>) -> Result<Bytes, StatusCode> {
    match id == foreign.id("module") {
        true => Ok(echo().into()),
        false => Err(StatusCode::NOT_FOUND),
    }
}

/// `drivebay cu`, with nothing but a gateway's address.
struct Unit {
    _bench: Bench,
    child: Child,
    url: String,
    http: Http,
}

impl Unit {
    fn start(gateway: &str) -> Self {
        let (bench, gateway) = (Bench::new(), format!("gateway.urls={gateway}"));
        let mut command = bench.command(&["cu", "--port", "0", "--json", "--set", &gateway]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = text(&Value::parse(&line).unwrap(), "cu");
        Self { _bench: bench, child, url, http: Http::new(Duration::from_secs(60)).unwrap() }
    }

    async fn ask(&self, request: Request) -> (u16, Value) {
        let answer = self.http.call(request).await.unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        (answer.status, Value::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    async fn result(&self, process: &str, id: &str) -> (u16, Value) {
        self.ask(Request::get(format!("{}/result/{id}?process-id={process}", self.url))).await
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Foreign {
    /// What is recorded at a path, its keys in their order.
    fn told(&self, path: &str) -> Value {
        at(&Value::parse(&self.text).unwrap(), path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_scheduler_and_gateway_are_read_as_the_reference_reads_them() {
    let foreign = Foreign::open().await;
    let unit = Unit::start(&foreign.url);
    let process = foreign.id("pid");
    for (nonce, name) in NAMES.iter().enumerate() {
        let (status, result) = unit.result(process, foreign.id(name)).await;
        assert_eq!(status, 200, "{name}: {result:?}");
        let (shown, expected) =
            (at(&result, "Output.msg"), foreign.told(&format!("messages.{nonce}")));
        assert_eq!(shown, expected, "{name}");
    }
    // By its assignment, too.
    let by_assignment = foreign.recorded["ids"]["m2"]["assignmentId"].as_str().unwrap();
    let (_, one) = unit.result(process, by_assignment).await;
    let (_, other) = unit.result(process, foreign.id("m2")).await;
    assert_eq!(one, other);
    assert_eq!(at(&one, "Output.env.Process"), foreign.told("env.Process"));
    // Questions beside the schedule, as they were asked there.
    let tags =
        r#""Tags":[{"name":"function","value":"hello"},{"name":"Data-Protocol","value":"ao"}]"#;
    let pushed = format!(
        r#""Tags":[{{"name":"function","value":"hello"}},{{"name":"From-Process","value":"{}"}}]"#,
        "Q".repeat(43)
    );
    for (nth, asked) in [
        format!(r#"{{"Id":"1234","Target":"{process}","Owner":"1234","Anchor":"0","Data":"1234",{tags}}}"#),
        format!(r#"{{"Id":"1","Target":"{process}","Owner":"own","From":"spoof","Extra":1,{pushed},"Timestamp":"42","Block-Height":"7"}}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let url = format!("{}/dry-run?process-id={process}", unit.url);
        let request = Request::post_json(url, asked.into());
        let (status, answer) = unit.ask(request).await;
        assert_eq!(status, 200, "{answer:?}");
        assert_eq!(at(&answer, "Output.msg"), foreign.told(&format!("dry_runs.{nth}")));
    }
    // Who asks for what is not there is told so.
    let (status, unknown) = unit.result(process, &"u".repeat(43)).await;
    assert_eq!(status, 404, "{unknown:?}");
}
