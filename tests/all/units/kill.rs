//! Scheduler and messenger as programs of their own, over sockets and a real disk, killed at random moments
//! in the middle of a game: each message is scheduled once, in order, whoever died when.

use super::kit::*;
use drivebay::{
    http::{Limits, dressed, serve},
    item::Id,
    mu::{Bounds, Mu, MuOptions},
    net::{Http, Request, Transport},
    su::{Su, SuOptions},
};
use std::{
    future::pending,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

/// Tells the program of tests that it is a unit: which, where its data is, and the three ports.
const ROLE: &str = "DRIVEBAY_TEST_UNIT";

/// Three ports: scheduler, messenger, and the doubles of the others.
type Ports = [u16; 3];

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A unit, if this program was started as one: it runs until it is killed. Otherwise there is nothing here.
#[tokio::test]
async fn a_unit_to_be_killed() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<_> = role.split(' ').collect();
    let ports = [2, 3, 4].map(|at| words[at].parse().unwrap());
    let dir = Path::new(words[1]);
    let transport = Arc::new(Http::new(Duration::from_secs(5)).unwrap());
    let (port, router) = match words[0] {
        "su" => {
            let options = SuOptions::new(Some(url(ports[2])), transport);
            let su = Arc::new(Su::open(dir, wallet(1), options).await.unwrap());
            tokio::spawn(su.clone().work());
            (ports[0], drivebay::su::router(su))
        }
        _ => {
            let mut options = MuOptions::new(url(ports[2]), transport);
            options.gateway = Some(url(ports[2]));
            options.schedulers = vec![url(ports[0])];
            options.bounds =
                Bounds { tries: 10_000, pause_ms: 10, pause_ms_max: 100, ..Bounds::default() };
            let mu = Arc::new(Mu::open(dir, wallet(2), options).await.unwrap());
            tokio::spawn(mu.clone().work());
            (ports[1], drivebay::mu::router(mu))
        }
    };
    let limits = Limits::default();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    serve(listener, dressed(router, "test", &limits), &limits, pending()).await.unwrap();
}

fn start(role: &str, dir: &Path, ports: Ports) -> Child {
    let [su, mu, others] = ports;
    Command::new(std::env::current_exe().unwrap())
        .args(["units::kill::a_unit_to_be_killed", "--exact", "--nocapture"])
        .env(ROLE, format!("{role} {} {su} {mu} {others}", dir.to_str().unwrap()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Gateway and compute unit, which nobody kills.
async fn others(su: u16, peers: [Id; 2]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = Arc::new(Http::new(Duration::from_secs(5)).unwrap());
    let cu = ping_pong(transport, &url(su), peers);
    let router = Gateway::default().router().merge(cu.router());
    let limits = Limits::default();
    tokio::spawn(async move { serve(listener, router, &limits, pending()).await });
    port
}

/// A port that is free now; nobody else takes it soon.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Sends the same bytes until they have arrived.
async fn insist(http: &Http, mu: u16, bytes: bytes::Bytes) {
    loop {
        let sent = http.call(Request::post(url(mu), bytes.clone())).await;
        if sent.is_ok_and(|answer| answer.status == 202) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Messages of both processes in the schedule so far, or none if the scheduler is dead.
async fn schedules(http: &Http, su: u16, peers: [Id; 2]) -> Option<[Vec<serde_json::Value>; 2]> {
    let mut found = [Vec::new(), Vec::new()];
    for (process, nodes) in peers.iter().zip(&mut found) {
        let path = format!("{}/{process}?limit=10000", url(su));
        let answer = http.call(Request::get(path)).await.ok()?;
        let page: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        *nodes = page["edges"].as_array()?.iter().map(|edge| edge["node"].clone()).collect();
    }
    Some(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_units_lose_nothing_and_double_nothing() {
    let (rounds, kills) =
        if std::env::var_os("DRIVEBAY_LONG").is_some() { (1000, 100) } else { (150, 20) };
    let dir = tempfile::tempdir().unwrap();
    let starts = ["a", "b"].map(|name| process(&wallet(3), wallet(1).address(), name));
    let peers = starts.each_ref().map(drivebay::item::DataItem::id);
    let (su, mu) = (free_port().await, free_port().await);
    let ports = [su, mu, others(su, peers).await];
    let mut units = ["su", "mu"].map(|role| (role, start(role, dir.path(), ports)));
    let http = Http::new(Duration::from_secs(5)).unwrap();
    for item in &starts {
        insist(&http, mu, item.bytes().clone()).await;
    }
    let left = (rounds * 2 - 1_u64).to_string();
    let first = message(&wallet(3), peers[0], &[("Left", &left), ("Chain", "x")]);
    insist(&http, mu, first.bytes().clone()).await;
    let (mut killed, mut seed) = (0, 12345_u64);
    let ended = loop {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(30 + (seed >> 33) % 150)).await;
        if killed < kills {
            let (role, unit) = &mut units[usize::from(seed >> 63 == 1)];
            unit.kill().unwrap();
            unit.wait().unwrap();
            *unit = start(role, dir.path(), ports);
            killed += 1;
            continue;
        }
        let found = schedules(&http, su, peers).await;
        if let Some(found) = found.filter(|[a, b]| (a.len() + b.len()) as u64 >= 2 + rounds * 2) {
            break found;
        }
    };
    // Time for something that should not come.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(schedules(&http, su, peers).await, Some(ended.clone()));
    for (_, unit) in &mut units {
        unit.kill().unwrap();
        unit.wait().unwrap();
    }
    for (at, (process, nodes)) in peers.iter().zip(&ended).enumerate() {
        check_chain(*process, nodes);
        let told = nodes.iter().skip(1).map(|node| tag(&node["message"], "Left").unwrap());
        let expected = (0..rounds).rev().map(|round| (round * 2 + 1 - at as u64).to_string());
        assert!(told.eq(expected), "process {at}");
    }
}
