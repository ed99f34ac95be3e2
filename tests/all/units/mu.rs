//! The messenger, by the rows of the wire's checklist, with a compute unit that isn't ours.

use super::kit::*;
use axum::body::Bytes;
use drivebay::item::{DataItem, Draft, Id};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

/// Results by message id; empty ones for everything else.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<BTreeMap<String, Value>>>);

impl Script {
    fn cu(&self) -> Cu {
        let script = self.clone();
        Cu::new(move |_, id| (200, script.0.lock().unwrap().get(id).cloned().unwrap_or_else(empty)))
    }

    fn says(&self, id: Id, result: Value) {
        self.0.lock().unwrap().insert(id.to_string(), result);
    }
}

async fn net() -> (Net, Script) {
    let script = Script::default();
    (Net::new(script.cu()).await, script)
}

impl Net {
    async fn post(&self, item: &DataItem) -> (u16, Value) {
        ask(&self.mu_router, "POST", "/", item.bytes().clone()).await
    }

    async fn spawn(&self, name: &str) -> Id {
        let item = process(&wallet(3), self.su.address(), name);
        let (status, answer) = self.post(&item).await;
        let expected = json!({ "message": "Processing DataItem", "id": item.id().to_string() });
        assert_eq!((status, answer), (202, expected));
        item.id()
    }

    async fn send(&self, process: Id, more: &[(&str, &str)]) -> Id {
        let item = message(&wallet(3), process, more);
        assert_eq!(self.post(&item).await.0, 202);
        item.id()
    }

    /// The message at a place.
    async fn at(&self, process: Id, nonce: usize) -> Value {
        self.schedule(process).await[nonce]["message"].clone()
    }
}

fn names(message: &Value) -> Vec<&str> {
    message["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect()
}

/// Rows 60, 61, 62.
#[tokio::test]
async fn an_item_is_answered_when_its_scheduler_has_it() {
    let (net, _) = net().await;
    let process = net.spawn("a").await;
    let item = message(&wallet(3), process, &[]);
    assert_eq!(net.post(&item).await.0, 202);
    assert_eq!(read(&net.su_router, &format!("/{}", item.id())).await.0, 200);
    // Sending it again is safe, before and after it was done.
    assert_eq!(net.post(&item).await.0, 202);
    net.settle().await;
    assert_eq!(net.post(&item).await.0, 202);
    assert_eq!(net.schedule(process).await.len(), 2);
    let mut bent = item.bytes().to_vec();
    *bent.last_mut().unwrap() ^= 1;
    let nobody = message(&wallet(3), Id([8; 32]), &[]);
    let untyped = wallet(3).sign(&Draft::new(Some(process), tags(&[("Data-Protocol", "ao")]), " "));
    let unsaid = wallet(3).sign(&Draft::new(Some(process), tags(&[("Type", "Message")]), " "));
    for (body, text) in [
        (Bytes::from(bent), "A valid and signed data item must be provided"),
        (Bytes::from_static(b"junk"), "A valid and signed data item must be provided"),
        (nobody.bytes().clone(), "is no process that is known here"),
        (untyped.unwrap().bytes().clone(), "Type tag must be"),
        (unsaid.unwrap().bytes().clone(), "Data-Protocol tag must be ao"),
    ] {
        let (status, answer) = ask(&net.mu_router, "POST", "/", body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(text), "{answer}");
    }
    assert_eq!(net.mu.tally().await.unwrap().shelved, 0);
    assert_eq!(read(&net.mu_router, "/").await, (200, json!("ao messenger unit")));
    assert_eq!(read(&net.mu_router, "/?debug&message=x").await.1["edges"], json!([]));
}

/// Rows 63, 64, 66.
#[tokio::test]
async fn messages_of_a_result_reach_processes_and_wallets() {
    let (net, script) = net().await;
    let (a, b) = (net.spawn("a").await, net.spawn("b").await);
    let stranger = wallet(7).address();
    let first = message(&wallet(3), a, &[]);
    let mut no_anchor = sent(&b.to_string(), 3, &[]);
    no_anchor["Anchor"] = Value::Null;
    script.says(
        first.id(),
        json!({ "Messages": [
        no_anchor,
        sent(&b.to_string(), 1, &[("Variant", "ao.TN.1"), ("Type", "Message"), ("Action", "Hi")]),
        { "Tags": [], "Anchor": "x" },
        sent(&stranger.to_string(), 2, &[("Action", "Bye")]),
        sent("0x00000000000000000000000000000000000000aa", 4, &[]),
    ] }),
    );
    assert_eq!(net.post(&first).await.0, 202);
    net.settle().await;
    let got = net.at(b, 1).await;
    let expected = [
        "Reference",
        "Variant",
        "Action",
        "Data-Protocol",
        "Type",
        "From-Process",
        "From-Module",
        "Pushed-For",
    ];
    assert_eq!(names(&got), expected);
    assert_eq!(tag(&got, "From-Process"), Some(a.to_string().as_str()));
    assert_eq!(tag(&got, "From-Module"), Some(Id([9; 32]).to_string().as_str()));
    assert_eq!(tag(&got, "Pushed-For"), Some(first.id().to_string().as_str()));
    assert_eq!(got["anchor"], format!("{:032}", 1));
    assert_eq!(got["owner"]["address"], net.mu.address().to_string());
    assert_eq!((net.schedule(b).await.len(), net.schedule(a).await.len()), (2, 2));
    let shelf = net.mu.shelf(0, 10).await.unwrap();
    let why: Vec<_> = shelf.iter().map(|task| task.why.as_str()).collect();
    assert_eq!(why.len(), 3, "{why:?}");
    assert!(why[0].contains("no Anchor") && why[1].contains("no Target"), "{why:?}");
    assert!(why[2].contains("0x0000") && shelf.iter().all(|task| task.kind == "note"));
}

/// Row 65.
#[tokio::test]
async fn a_spawn_makes_a_process_and_tells_its_maker() {
    let (net, script) = net().await;
    let a = net.spawn("a").await;
    let first = message(&wallet(3), a, &[]);
    let tags = [("Module", "m"), ("Reference", "77"), ("From-Process", &a.to_string())]
        .map(|(name, value)| json!({ "name": name, "value": value }));
    script.says(first.id(), json!({ "Spawns": [{ "Data": "code", "Anchor": "x", "Tags": tags }] }));
    assert_eq!(net.post(&first).await.0, 202);
    net.settle().await;
    let told = net.at(a, 2).await;
    assert_eq!(tag(&told, "Action"), Some("Spawned"));
    assert_eq!(
        (tag(&told, "Reference"), tag(&told, "From-Process")),
        (Some("77"), Some(a.to_string().as_str()))
    );
    let made: Id = tag(&told, "Process").unwrap().parse().unwrap();
    let made = net.schedule(made).await;
    let made = &made[0]["message"];
    assert_eq!(tag(made, "Scheduler"), Some(net.su.address().to_string().as_str()));
    assert_eq!(tag(made, "Pushed-For"), Some(first.id().to_string().as_str()));
    assert_eq!((&made["data"], tag(made, "Type")), (&json!("code"), Some("Process")));
    // The results of all three were asked for: the new process may send something as it boots.
    assert!(net.cu.asked.lock().unwrap().contains(&made["id"].as_str().unwrap().to_owned()));
}

/// Rows 67, 68.
#[tokio::test]
async fn assignments_are_asked_for_and_their_results_cranked() {
    let (net, script) = net().await;
    let (a, b) = (net.spawn("a").await, net.spawn("b").await);
    let item = wallet(5).sign(&Draft::new(None, tags(&[("Some", "thing")]), "x")).unwrap();
    net.gateway.put(&item);
    let first = message(&wallet(3), a, &[]);
    script.says(
        first.id(),
        json!({ "Assignments": [
        { "Processes": [a.to_string(), b.to_string()], "Message": item.id().to_string() },
    ] }),
    );
    assert_eq!(net.post(&first).await.0, 202);
    net.settle().await;
    for process in [a, b] {
        let nodes = net.schedule(process).await;
        let assignment = &nodes.last().unwrap()["assignment"];
        assert_eq!(tag(assignment, "Message"), Some(item.id().to_string().as_str()));
        let id = assignment["id"].as_str().unwrap().to_owned();
        assert!(net.cu.asked.lock().unwrap().contains(&id));
    }
    let query = format!("/?process-id={b}&assign={}&exclude=Data,Owner&base-layer", Id([0; 32]));
    let (status, answer) = ask(&net.mu_router, "POST", &query, Bytes::new()).await;
    assert_eq!((status, &answer["message"]), (202, &json!("Processing Assignment")));
    let nodes = net.schedule(b).await;
    let assignment = &nodes.last().unwrap()["assignment"];
    assert_eq!(
        (assignment["id"].clone(), tag(assignment, "Exclude")),
        (answer["id"].clone(), Some("Data"))
    );
    let (status, answer) =
        ask(&net.mu_router, "POST", &format!("/?assign={a}"), Bytes::new()).await;
    assert_eq!(status, 400);
    assert!(
        answer["error"].as_str().unwrap().starts_with("You must set both process-id and assign")
    );
}

/// Row 69.
#[tokio::test]
async fn cron_results_are_delivered_once_and_only_while_monitored() {
    let (net, _) = net().await;
    let (a, b) = (net.spawn("a").await, net.spawn("b").await);
    net.settle().await;
    let tick = |at: u64| {
        (format!("cursor+{at}=="), json!({ "Messages": [sent(&b.to_string(), at, &[])] }))
    };
    let look = async || {
        net.now.fetch_add(11_000, Ordering::SeqCst);
        net.mu.look_at_monitored().await.unwrap();
        net.settle().await;
        net.schedule(b).await.len() - 1
    };
    let item = wallet(3).sign(&Draft::new(Some(a), Vec::new(), " ")).unwrap();
    let path = format!("/monitor/{a}");
    let monitor =
        async |method: &str| ask(&net.mu_router, method, &path, item.bytes().clone()).await;
    net.cu.cron.lock().unwrap().push(tick(1));
    assert_eq!(look().await, 0);
    assert_eq!(monitor("POST").await, (200, json!("Monitoring process")));
    assert_eq!(look().await, 1);
    assert_eq!(look().await, 1);
    net.cu.cron.lock().unwrap().extend([tick(2), tick(3)]);
    assert_eq!(look().await, 3);
    assert_eq!(monitor("POST").await.1["error"], "Process already being monitored");
    assert_eq!(monitor("DELETE").await, (200, json!("Process deleted")));
    assert_eq!(monitor("DELETE").await.1["error"], "Process monitor not found");
    net.cu.cron.lock().unwrap().push(tick(4));
    assert_eq!(look().await, 3);
    let (status, answer) = ask(&net.mu_router, "POST", &path, Bytes::new()).await;
    assert_eq!((status, answer["error"].as_str()), (400, Some("Signed data item is required")));
    let got = net.at(b, 3).await;
    assert_eq!((tag(&got, "Reference"), tag(&got, "Pushed-For")), (Some("3"), None));
}

/// Row 70.
#[tokio::test]
async fn all_hops_of_a_ping_pong_name_the_item_that_began_it() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let (a, b) = (net.spawn("a").await, net.spawn("b").await);
    let net = net.ping_pong([a, b]).await;
    let first = net.send(a, &[("Left", "9")]).await;
    net.settle().await;
    let (in_a, in_b) = (net.schedule(a).await, net.schedule(b).await);
    assert_eq!((in_a.len(), in_b.len()), (6, 6));
    let pushed = in_a.iter().skip(2).chain(in_b.iter().skip(1));
    for node in pushed {
        assert_eq!(tag(&node["message"], "Pushed-For"), Some(first.to_string().as_str()));
    }
    check_chain(a, &in_a);
    check_chain(b, &in_b);
}

#[tokio::test]
async fn what_fails_for_good_is_shelved_and_can_be_replayed() {
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let failing = fails.clone();
    let net = Net::new(Cu::new(move |_, _| match failing.load(Ordering::SeqCst) {
        true => (500, json!({ "error": "no disk" })),
        false => (200, empty()),
    }))
    .await;
    let a = net.spawn("a").await;
    net.settle().await;
    let (status, page) = read(&net.mu_router, "/shelf").await;
    let task = &page["tasks"][0];
    assert_eq!((status, &task["kind"], &task["tries"]), (200, &json!("crank"), &json!(20)));
    assert!(task["why"].as_str().unwrap().contains("no disk"), "{task}");
    assert_eq!(task["process"], a.to_string());
    fails.store(false, Ordering::SeqCst);
    let path = format!("/shelf/{}/replay", task["task"]);
    assert_eq!(ask(&net.mu_router, "POST", &path, Bytes::new()).await.0, 200);
    assert_eq!(ask(&net.mu_router, "POST", &path, Bytes::new()).await.0, 404);
    net.settle().await;
    assert_eq!(net.mu.tally().await.unwrap().shelved, 0);
}

#[tokio::test]
async fn a_chain_without_end_is_ended_by_its_depth() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let (a, b) = (net.spawn("a").await, net.spawn("b").await);
    let mut net = net.ping_pong([a, b]).await;
    net.bounds.depth = 6;
    net.restart_mu().await;
    net.send(a, &[("Left", "1000000")]).await;
    net.settle().await;
    let shelf = net.mu.shelf(0, 10).await.unwrap();
    assert_eq!(shelf.len(), 1);
    assert!(shelf[0].why.contains("hops from the user's item"), "{}", shelf[0].why);
    assert_eq!(net.schedule(a).await.len() + net.schedule(b).await.len(), 2 + 7);
}

/// After each step everything is opened anew: what was half done is done once.
#[tokio::test]
async fn a_messenger_that_dies_after_every_step_loses_and_doubles_nothing() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let (a, b) = (net.spawn("a").await, net.spawn("b").await);
    let mut net = net.ping_pong([a, b]).await;
    net.send(a, &[("Left", "5"), ("Chain", "x")]).await;
    loop {
        net.restart_mu().await;
        if !net.mu.step(0).await.unwrap() {
            break;
        }
    }
    assert_eq!(net.schedule(a).await.len() + net.schedule(b).await.len(), 2 + 6);
    assert_eq!(net.mu.tally().await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_process_with_a_target_is_shown_to_it() {
    let (net, _) = net().await;
    let a = net.spawn("a").await;
    let scheduler = net.su.address().to_string();
    let pairs = [
        ("Data-Protocol", "ao"),
        ("Type", "Process"),
        ("Module", "m"),
        ("Scheduler", scheduler.as_str()),
    ];
    let item = wallet(3).sign(&Draft::new(Some(a), tags(&pairs), " ")).unwrap();
    assert_eq!(net.post(&item).await.0, 202);
    net.settle().await;
    let nodes = net.schedule(a).await;
    let shown = tag(&nodes[1]["assignment"], "Message");
    assert_eq!((nodes.len(), shown), (2, Some(item.id().to_string().as_str())));
}
