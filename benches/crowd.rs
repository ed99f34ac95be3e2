//! Many processes on little memory: aos processes on a budget that holds few of them live, each asked in turn, so
//! that each is evicted and restored; and what an idle one costs where there is room for all.
//!
//! `cargo bench --bench crowd -- [PROCESSES [LIVE]]`, after `modules/fetch`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

mod memory;

use drivebay::{
    cu::{
        At, Cu, CuOptions, Engine, Entry, FjallStore, MemoryStore, Readers, Store, testing::Script,
    },
    disk::{Module, Slot},
};
use serde_json::json;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const AOS: &str = "modules/aos/aos2_0_6.wasm";
const FORMAT: &str = "wasm64-unknown-emscripten-draft_2024_02_15";
const IDLE: usize = 100;
/// What a process is asked after its own message.
const WORK: [&str; 5] = [
    "N = 1; T = {}; for i = 1, 500 do T[i] = tostring(i) end; return N",
    "N = N + 1; return N",
    "N = N + 1; return N",
    "N = N + 1; return N",
    "N = N + 1; return N",
];

fn slot(nonce: u64) -> Slot {
    Slot { nonce, ..Slot::default() }
}

/// The message as aos reads it, from the process's owner.
fn write(entry: &mut Entry, process: &str) {
    let nonce = entry.at.slot.nonce;
    let tags = match nonce {
        0 => json!([{ "name": "Type", "value": "Process" }, { "name": "Name", "value": "crowd" }]),
        _ => json!([{ "name": "Type", "value": "Message" }, { "name": "Action", "value": "Eval" }]),
    };
    let id = if nonce == 0 { process.to_owned() } else { entry.id.clone() };
    let data = nonce.checked_sub(1).and_then(|nth| WORK.get(nth as usize)).unwrap_or(&"");
    let message = json!({
        "Id": id, "Owner": "owner", "From": "owner", "Target": process, "Tags": tags, "Data": data, "Module": "aos",
        "Block-Height": 100, "Timestamp": entry.at.timestamp_ms, "Nonce": nonce,
    });
    entry.json = message.to_string().into();
}

fn script(processes: usize) -> Script {
    let script = Script::new();
    let bytes = std::fs::read(AOS).expect("aos is not here: run modules/fetch");
    script.module("aos", Module::new(bytes, FORMAT, Vec::new()));
    for process in names(processes) {
        script.process(&process, "aos");
        for (nonce, data) in std::iter::once(&"").chain(&WORK).enumerate() {
            script.message(&process, &format!("{process} {nonce}"), data);
        }
        script.change(&process, |entries| {
            entries.iter_mut().for_each(|entry| write(entry, &process));
        });
    }
    script
}

fn names(processes: usize) -> impl Iterator<Item = String> {
    (0..processes).map(|number| format!("process{number}"))
}

fn open(script: Script, store: Arc<dyn Store>, memory_bytes: u64) -> Cu {
    let options = CuOptions { memory_bytes, ..CuOptions::default() };
    Cu::open(options, Readers::stock(Engine::Speed).unwrap(), store, Arc::new(script)).unwrap()
}

/// Evaluates each process up to a message, one after another: how long each took.
async fn round(cu: &Cu, processes: usize, nonce: u64, answer: &str) -> Vec<Duration> {
    let mut taken = Vec::new();
    for process in names(processes) {
        let started = Instant::now();
        let stored = cu.evaluate(&process, At::Slot(slot(nonce))).await.unwrap();
        taken.push(started.elapsed());
        let reply = format!("{:?}", stored.receipt);
        assert!(reply.contains(answer), "{process}: {reply}");
    }
    taken.sort_unstable();
    taken
}

fn show(what: &str, times: &[Duration]) {
    let at = |part: usize| times.get(times.len() * part / 100).unwrap().as_secs_f64() * 1e3;
    println!("  {what:<44} p50 {:7.2} ms, p99 {:7.2} ms", at(50), at(99));
}

fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_of(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Processes that nobody asks: memory of the first, and of each beyond it.
async fn idle() {
    let cu = open(script(IDLE), Arc::new(MemoryStore::default()), u64::MAX);
    round(&cu, 1, 1, "").await;
    let first = memory::resident_mb();
    round(&cu, IDLE, 1, "").await;
    let all = memory::resident_mb();
    let beyond = (all as f64 - first as f64) / (IDLE - 1) as f64;
    println!("{IDLE} idle processes of one module, all live: {all} MB");
    println!("  {beyond:.2} MB for each beyond the first; the unit counts {} MB", {
        cu.status().live_bytes / 1_000_000
    });
    cu.shutdown().await.unwrap();
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (processes, live) = (args.next().unwrap_or(2000), args.next().unwrap_or(50));
    idle().await;
    let one = {
        let cu = open(script(1), Arc::new(MemoryStore::default()), u64::MAX);
        round(&cu, 1, 2, "").await;
        cu.status().live_bytes
    };
    let budget = one * live as u64;
    println!("{processes} processes on a budget of {} MB, which holds {live}", budget / 1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(FjallStore::open(dir.path()).unwrap());
    let cu = open(script(processes), store, budget);
    let before = memory::resident_mb();
    show("born, and two messages", &round(&cu, processes, 2, "2").await);
    show("restored, and a message", &round(&cu, processes, 3, "3").await);
    // The first of a pair restores.
    let mut again = Vec::new();
    for process in names(live) {
        cu.evaluate(&process, At::Slot(slot(4))).await.unwrap();
        let started = Instant::now();
        cu.evaluate(&process, At::Slot(slot(5))).await.unwrap();
        again.push(started.elapsed());
    }
    again.sort_unstable();
    show("a message alone, of a live process", &again);
    let status = cu.status();
    println!(
        "  {} live in {} MB as the unit counts, {} MB in the program ({before} before them); {} evictions; {:.2} MB on disk for each",
        status.live,
        status.live_bytes / 1_000_000,
        memory::resident_mb(),
        status.evicted,
        size_of(dir.path()) as f64 / 1e6 / processes as f64,
    );
    cu.shutdown().await.unwrap();
}
