//! The scheduler, by the rows of the wire's checklist.

use super::kit::*;
use axum::{Router, body::Bytes};
use drivebay::{
    item::{DataItem, Draft, Id, KeyKind, Wallet},
    su::Su,
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

struct Desk {
    dir: tempfile::TempDir,
    gateway: Gateway,
    now: Arc<AtomicU64>,
    su: Arc<Su>,
    router: Router,
}

impl Desk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (gateway, now) = (Gateway::default(), Arc::new(AtomicU64::new(START_MS)));
        let (su, router) = open_su(dir.path(), &gateway, &now).await;
        Self { dir, gateway, now, su, router }
    }

    async fn post(&self, item: &DataItem) -> (u16, Value) {
        ask(&self.router, "POST", "/", item.bytes().clone()).await
    }

    async fn spawn(&self) -> DataItem {
        let item = process(&wallet(3), self.su.address(), "a");
        let (status, answer) = self.post(&item).await;
        assert_eq!((status, answer["id"].as_str()), (200, Some(item.id().to_string().as_str())));
        assert!(answer["timestamp"].is_u64(), "{answer}");
        item
    }

    async fn send(&self, process: Id, count: usize) -> Vec<DataItem> {
        let mut sent = Vec::new();
        for at in 0..count {
            let item = message(&wallet(3), process, &[("At", &at.to_string())]);
            assert_eq!(self.post(&item).await.0, 200);
            sent.push(item);
        }
        sent
    }

    async fn refused(&self, item: &DataItem, text: &str) {
        let (status, answer) = self.post(item).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(text), "{text}: {answer}");
    }
}

fn signed(target: Option<Id>, pairs: &[(&str, &str)]) -> DataItem {
    wallet(3).sign(&Draft::new(target, tags(pairs), " ")).unwrap()
}

/// Rows 6, 7.
#[tokio::test]
async fn it_says_who_it_is_and_what_time_it_is() {
    let desk = Desk::new().await;
    let (_, who) = read(&desk.router, "/?process-id=x").await;
    assert_eq!(
        who,
        json!({ "address": desk.su.address().to_string(), "timestamp": START_MS.to_string() })
    );
    desk.su.look_at_height().await;
    let (_, time) = read(&desk.router, "/timestamp").await;
    assert_eq!(time, json!({ "block_height": "000001500000", "timestamp": START_MS.to_string() }));
    assert_eq!(read(&desk.router, "/health").await, (200, json!("")));
    assert_eq!(read(&desk.router, "/status").await.1["places"], 0);
}

/// Rows 9, 10, 11, 13, 28.
#[tokio::test]
async fn what_is_wrong_is_refused_with_the_text_that_clients_know_and_leaves_nothing() {
    let desk = Desk::new().await;
    let target = Some(Id([1; 32]));
    let message = [("Data-Protocol", "ao"), ("Type", "Message")];
    for (item, text) in [
        (signed(target, &[("Type", "Message")]), "Data-Protocol tag not present"),
        (signed(target, &[("Data-Protocol", "ao")]), "Type tag not present"),
        (
            signed(target, &[("Data-Protocol", "ao"), ("Type", "Cake")]),
            "Unsupported Type tag value",
        ),
        (
            signed(None, &[("Data-Protocol", "ao"), ("Type", "Process"), ("Module", "m")]),
            "Required Module and Scheduler tags for Process type not present",
        ),
        (signed(target, &message), "NotFound(\"Process not found\")"),
        (signed(None, &message), "needs a target"),
        (signed(target, &[message[0], message[1], ("X", "a+link")]), "Tag X cannot contain +link"),
    ] {
        desk.refused(&item, text).await;
    }
    let mut bent = process(&wallet(3), desk.su.address(), "a").bytes().to_vec();
    *bent.last_mut().unwrap() ^= 1;
    for body in [Bytes::from(bent), Bytes::new(), Bytes::from_static(&[0xff; 2000])] {
        let (status, answer) = ask(&desk.router, "POST", "/", body).await;
        assert_eq!(status, 400);
        assert!(answer["error"].is_string(), "{answer}");
    }
    assert_eq!(read(&desk.router, "/status").await.1["places"], 0);
}

/// Rows 8, 12, 14, 15, 16.
#[tokio::test]
async fn places_are_numbered_chained_timed_and_signed() {
    let desk = Desk::new().await;
    let start = desk.spawn().await;
    // The clock stands still, and even goes back: times of places do not.
    let sent = desk.send(start.id(), 2).await;
    desk.now.fetch_sub(5000, Ordering::SeqCst);
    desk.send(start.id(), 1).await;
    desk.refused(&sent[0], "MessageExists").await;
    desk.refused(&start, "MessageExists").await;
    let nodes = schedule(&desk.router, start.id()).await;
    assert_eq!(nodes.len(), 4);
    check_chain(start.id(), &nodes);
    let names = |node: &Value| {
        let tags = node["assignment"]["tags"].as_array().unwrap().clone();
        tags.iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected = [
        "Process",
        "Epoch",
        "Nonce",
        "Hash-Chain",
        "Block-Height",
        "Timestamp",
        "Data-Protocol",
        "Type",
        "Variant",
    ];
    assert_eq!(names(&nodes[0]), expected);
    assert_eq!(names(&nodes[1]), [&expected[..], &["Message"]].concat());
    for entry in desk.su.page(&start.id(), Default::default()).await.unwrap().unwrap().entries {
        entry.assignment.verify().unwrap();
        assert_eq!(entry.assignment.owner_address(), desk.su.address());
        assert!(entry.assignment.anchor().is_some() && entry.assignment.target().is_none());
    }
}

/// Rows 17 to 22, 24, 25.
#[tokio::test]
async fn a_schedule_is_read_by_time_by_nonce_and_by_id() {
    let desk = Desk::new().await;
    let start = desk.spawn().await;
    let pid = start.id();
    assert_eq!(
        read(&desk.router, &format!("/{pid}/latest")).await,
        (400, json!({ "error": "Latest message not available" }))
    );
    let sent = desk.send(pid, 5).await;
    let (mut from, mut seen) = (String::new(), Vec::new());
    loop {
        let (_, page) = read(&desk.router, &format!("/{pid}?process-id={pid}&limit=2{from}")).await;
        let edges = page["edges"].as_array().unwrap();
        let time = |edge: &Value| tag(&edge["node"]["assignment"], "Timestamp").unwrap().to_owned();
        assert!(edges.iter().all(|edge| edge["cursor"] == time(edge).as_str()));
        seen.extend(edges.iter().map(|edge| edge["node"].clone()));
        from = format!("&from={}", edges.last().unwrap()["cursor"].as_str().unwrap());
        if page["page_info"]["has_next_page"] == false {
            break;
        }
        assert_eq!(edges.len(), 2);
    }
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0]["message"]["id"], pid.to_string());
    assert_eq!(seen[0]["message"]["target"], Value::Null);
    check_chain(pid, &seen);
    let nonces = |page: &Value| {
        let edges = page["edges"].as_array().unwrap();
        edges.iter().map(|edge| edge["cursor"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("from-nonce=1&to-nonce=3", vec!["2", "3"]),
        ("from-nonce=-1&to-nonce=1", vec!["0", "1"]),
        ("to-nonce=1", vec!["0", "1"]),
        ("from-nonce=4", vec!["5"]),
        ("from-nonce=9", vec![]),
    ] {
        let (_, page) = read(&desk.router, &format!("/{pid}?proc-id={pid}&{query}")).await;
        assert_eq!(nonces(&page), expected, "{query}");
    }
    let third = tag(&seen[3]["assignment"], "Timestamp").unwrap();
    let (_, page) = read(&desk.router, &format!("/{pid}?to={third}")).await;
    assert_eq!(page["edges"].as_array().unwrap().len(), 4);
    let by_message = read(&desk.router, &format!("/{}?process-id={pid}", sent[0].id())).await;
    let assignment = seen[1]["assignment"]["id"].as_str().unwrap();
    assert_eq!(by_message, read(&desk.router, &format!("/{assignment}?process-id={pid}")).await);
    assert_eq!(by_message, (200, seen[1].clone()));
    assert_eq!(read(&desk.router, &format!("/{pid}/latest")).await, (200, seen[5].clone()));
    let (_, found) = read(&desk.router, &format!("/processes/{pid}")).await;
    assert!(found["timestamp"].is_u64());
    assert_eq!(
        (found["block"].as_str().unwrap().len(), &found["process_id"]),
        (12, &json!(pid.to_string()))
    );
    for path in [
        format!("/{}?process-id={pid}", Id([7; 32])),
        format!("/processes/{}", Id([7; 32])),
        "/short".to_owned(),
        format!("/{pid}?limit=x"),
        format!("/{pid}?from=1e9"),
        "/%ff".to_owned(),
    ] {
        let (status, answer) = read(&desk.router, &path).await;
        assert!(status == 400 && answer["error"].is_string(), "{path}: {status} {answer}");
    }
}

/// Row 23.
#[tokio::test]
async fn anchors_are_text_where_they_are_text() {
    let desk = Desk::new().await;
    let pid = desk.spawn().await.id();
    let text = *b"00000000000000000000000000000042";
    for (anchor, expected) in [
        (Some(text), json!("00000000000000000000000000000042")),
        (Some([0xff; 32]), Value::Null),
        (None, Value::Null),
    ] {
        let tags = tags(&[("Data-Protocol", "ao"), ("Type", "Message")]);
        let draft = Draft { anchor, ..Draft::new(Some(pid), tags, "x") };
        let item = wallet(3).sign(&draft).unwrap();
        assert_eq!(desk.post(&item).await.0, 200);
        let (_, node) = read(&desk.router, &format!("/{}?process-id={pid}", item.id())).await;
        assert_eq!(node["message"]["anchor"], expected);
    }
}

/// Rows 26, 27.
#[tokio::test]
async fn an_existing_item_gets_one_place_however_often_it_is_asked_for() {
    let desk = Desk::new().await;
    let pid = desk.spawn().await.id();
    let post = async |query: String| ask(&desk.router, "POST", &query, Bytes::new()).await;
    let both = json!({ "error": "If sending assign or process-id, you must send both." });
    assert_eq!(post(format!("/?process-id={pid}")).await, (400, both.clone()));
    assert_eq!(post(format!("/?assign={pid}")).await, (400, both));
    let item = signed(None, &[("Some", "thing")]);
    let query = format!("/?process-id={pid}&assign={}&exclude=Data,Tags", item.id());
    let nobody = post(query.clone()).await;
    assert_eq!(nobody, (400, json!({ "error": "Invalid gateway tx for assigning" })));
    desk.gateway.put(&item);
    let (status, first) = post(query.clone()).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(post(query).await, (200, first.clone()));
    let nodes = schedule(&desk.router, pid).await;
    assert_eq!((nodes.len(), &nodes[1]["message"]), (2, &Value::Null));
    assert_eq!(nodes[1]["assignment"]["id"], first["id"]);
    assert_eq!(tag(&nodes[1]["assignment"], "Message"), Some(item.id().to_string().as_str()));
    let excluded = |node: &Value| {
        let tags = node["assignment"]["tags"].as_array().unwrap().clone();
        let named = tags.iter().filter(|tag| tag["name"] == "Exclude");
        named.map(|tag| tag["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(excluded(&nodes[1]), ["Data", "Tags"]);
    let (deep, shallow, none) = (Id([0; 32]), Id([4; 32]), Id([255; 32]));
    let (deep, shallow, none) = (deep.to_string(), shallow.to_string(), none.to_string());
    assert!(deep.starts_with('A') && shallow.starts_with('B') && none.starts_with('_'));
    let base = |id: &str| format!("/?process-id={pid}&assign={id}&base-layer&exclude=Data");
    assert_eq!(post(base(&deep)).await.0, 200);
    let shallow = post(base(&shallow)).await;
    assert_eq!(shallow.1["error"], "Not enough confirmations to assign");
    assert_eq!(post(base(&none)).await.1["error"], "Invalid gateway tx for assigning");
    let nodes = schedule(&desk.router, pid).await;
    // One name is written twice, for a reader that stops at exactly one.
    assert_eq!(excluded(&nodes[2]), ["Data", "Data"]);
}

#[tokio::test]
async fn messages_of_processes_are_known_by_their_content() {
    let desk = Desk::new().await;
    let pid = desk.spawn().await.id();
    let pushed = |by: u8, chain: &str, reference: &str| {
        let pairs = [
            ("Data-Protocol", "ao"),
            ("Type", "Message"),
            ("From-Process", "x"),
            ("Reference", reference),
            ("Pushed-For", chain),
        ];
        wallet(by).sign(&Draft::new(Some(pid), tags(&pairs), " ")).unwrap()
    };
    assert_eq!(desk.post(&pushed(3, "a", "1")).await.0, 200);
    desk.refused(&pushed(4, "b", "1"), "MessageExists(\"Deep hash already exists\")").await;
    assert_eq!(desk.post(&pushed(4, "b", "2")).await.0, 200);
}

#[tokio::test]
async fn whoever_comes_at_the_same_time_shares_the_disk_and_no_place() {
    let desk = Desk::new().await;
    let pids = [desk.spawn().await.id(), {
        let other = process(&wallet(4), desk.su.address(), "b");
        assert_eq!(desk.post(&other).await.0, 200);
        other.id()
    }];
    let items: Vec<_> =
        (0..60).map(|at| message(&wallet(3), pids[at % 2], &[("At", &at.to_string())])).collect();
    // Each is sent twice at once: one of the two is told that it exists.
    let all = items.iter().chain(&items).map(|item| desk.post(item));
    let answers = futures_util::future::join_all(all).await;
    let placed = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(placed, 60, "{answers:?}");
    for pid in pids {
        let nodes = schedule(&desk.router, pid).await;
        assert_eq!(nodes.len(), 31);
        check_chain(pid, &nodes);
    }
}

#[tokio::test]
async fn a_schedule_goes_on_after_a_new_start_and_uploads_what_is_left() {
    let mut desk = Desk::new().await;
    let start = desk.spawn().await;
    let sent = desk.send(start.id(), 3).await;
    desk.gateway.broken.store(true, Ordering::SeqCst);
    assert_eq!(desk.su.upload_due().await.unwrap(), 4);
    assert_eq!(desk.su.status().await.unwrap().uploads, 4);
    (desk.su, desk.router) = open_su(desk.dir.path(), &desk.gateway, &desk.now).await;
    desk.refused(&sent[2], "MessageExists").await;
    desk.send(start.id(), 1).await;
    check_chain(start.id(), &schedule(&desk.router, start.id()).await);
    desk.gateway.broken.store(false, Ordering::SeqCst);
    desk.now.fetch_add(60_000, Ordering::SeqCst);
    while desk.su.upload_due().await.unwrap() > 0 {}
    assert_eq!(desk.su.status().await.unwrap().uploads, 0);
    assert!(desk.gateway.has(start.id()) && desk.gateway.has(sent[0].id()));
    let (_, node) = read(&desk.router, &format!("/{}", sent[0].id())).await;
    assert!(desk.gateway.has(node["assignment"]["id"].as_str().unwrap().parse().unwrap()));
}

/// Every kind of key that the network has.
#[tokio::test]
async fn all_kinds_of_signatures_are_taken() {
    let desk = Desk::new().await;
    let pid = desk.spawn().await.id();
    for owner in [rsa(), Wallet::generate(KeyKind::Ed25519).unwrap(), wallet(5)] {
        let item = message(&owner, pid, &[]);
        assert_eq!(desk.post(&item).await.0, 200);
        let (_, node) = read(&desk.router, &format!("/{}", item.id())).await;
        assert_eq!(node["message"]["owner"]["address"], owner.address().to_string());
    }
}

#[tokio::test]
async fn a_process_boots_only_from_what_is_there() {
    let desk = Desk::new().await;
    let boot = |from: &str| {
        let scheduler = desk.su.address().to_string();
        signed(
            None,
            &[
                ("Data-Protocol", "ao"),
                ("Type", "Process"),
                ("Module", "m"),
                ("Scheduler", &scheduler),
                ("On-Boot", from),
            ],
        )
    };
    let there = signed(None, &[("A", "b")]);
    desk.gateway.put(&there);
    assert_eq!(desk.post(&boot("Data")).await.0, 200);
    assert_eq!(desk.post(&boot(&there.id().to_string())).await.0, 200);
    desk.refused(&boot(&Id([8; 32]).to_string()), "Invalid tx id for On-Boot tag").await;
    desk.refused(&boot("nonsense"), "Invalid tx id for On-Boot tag").await;
}

/// Row 3.8 of the wire: one address for many.
#[tokio::test]
async fn many_schedulers_stand_behind_one_address() {
    let units = vec!["http://one".to_owned(), "http://two/".to_owned()];
    let router = drivebay::su::redirecting(units);
    let (even, odd) = (Id([2; 32]), Id([3; 32]));
    let at = async |method: &str, path: &str, body: Bytes| {
        let request = axum::http::Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let answer = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
        let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location.unwrap_or_default())
    };
    let none = Bytes::new;
    let path = format!("/{even}?process-id={even}&limit=2");
    assert_eq!(at("GET", &path, none()).await, (307, format!("http://one{path}")));
    let path = format!("/timestamp?proc-id={odd}");
    assert_eq!(at("GET", &path, none()).await, (307, format!("http://two{path}")));
    let item = message(&wallet(3), odd, &[]);
    assert_eq!(at("POST", "/", item.bytes().clone()).await, (307, "http://two/".to_owned()));
    assert_eq!(at("POST", "/", Bytes::from_static(b"junk")).await.0, 400);
    assert_eq!(at("GET", &format!("/{even}"), none()).await.0, 400);
}
