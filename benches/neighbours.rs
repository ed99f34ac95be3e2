//! What bad neighbours cost the honest: 100 processes that each answer in no time, alone, and beside one in an endless
//! loop at its fuel limit and one that fills its memory; and how soon a read is answered while its process is busy
//! with a long message. What is claimed is the ratio of the 99th percentiles.
//!
//! `cargo bench --bench neighbours`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use drivebay::{
    cu::{
        At, Cu, CuOptions, Engine, MemoryStore, Readers,
        testing::{Script, dry},
    },
    disk::{Module, Process, Slot},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const HONEST: usize = 100;
/// Messages of each honest process, alone and beside the others.
const MESSAGES: u64 = 40;
/// Clients of the honest, each with one request at a time.
const CLIENTS: usize = 4;

/// Says `{}`. A message with an `s` first loops for ever, one with an `h` takes memory until there is none, and
/// any other one works a little.
const GUEST: &str = r#"(module
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (data (i32.const 32) "{}")
  (func (export "alloc") (param $len i32) (result i32) (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get $len)))
    (local.get $at))
  (func (export "handle") (param $at i32) (param i32 i32 i32) (result i64) (local $n i32)
    (global.set $top (i32.const 65536))
    ;; {"Data":"…
    (local.set $n (i32.load8_u offset=9 (local.get $at)))
    (if (i32.eq (local.get $n) (i32.const 115)) (then (loop $on (br $on))))
    (if (i32.eq (local.get $n) (i32.const 104)) (then
      (block $full (loop $on
        (local.set $n (memory.grow (i32.const 16)))
        (br_if $full (i32.eq (local.get $n) (i32.const -1)))
        (memory.fill (i32.shl (local.get $n) (i32.const 16)) (i32.const 1) (i32.const 1048576))
        (br $on)))
      unreachable))
    (local.set $n (i32.const 100000))
    (loop $on
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get $n)))
      (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i64.or (i64.shl (i64.const 32) (i64.const 32)) (i64.const 2))))"#;

fn slot(nonce: u64) -> Slot {
    Slot { nonce, ..Slot::default() }
}

fn script() -> Script {
    let script = Script::new();
    let bytes = wat::parse_str(GUEST).unwrap();
    script.module("guest", Module::new(bytes, "wasm32-drivebay-1", Vec::new()));
    let names = (0..HONEST).map(|n| format!("honest{n}"));
    for name in names.chain(["spin".to_owned(), "hog".to_owned()]) {
        script.process(&name, "guest");
        script.message(&name, &format!("{name} 0"), "boot");
        for n in 1..=2 * MESSAGES {
            let data = if name.starts_with("honest") { "go" } else { &name };
            script.message(&name, &format!("{name} {n}"), data);
        }
    }
    script
}

/// Latencies of the honest processes' messages, in order of length.
async fn honest(cu: &Cu, messages: std::ops::RangeInclusive<u64>) -> Vec<Duration> {
    let (first, count) = (*messages.start(), messages.count() * HONEST);
    let next = Arc::new(AtomicU64::new(0));
    let clients = (0..CLIENTS).map(|_| {
        let (cu, next) = (cu.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count as u64 {
                    return taken;
                }
                let process = format!("honest{}", at % HONEST as u64);
                let nonce = first + at / HONEST as u64;
                let started = Instant::now();
                cu.evaluate(&process, At::Slot(slot(nonce))).await.unwrap();
                taken.push(started.elapsed());
            }
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.extend(client.await.unwrap());
    }
    all.sort_unstable();
    all
}

fn at(times: &[Duration], part: f64) -> f64 {
    let index = (times.len() as f64 * part) as usize;
    times.get(index.min(times.len() - 1)).unwrap().as_secs_f64() * 1e3
}

/// A read of a process that is busy: from the slot before. No two are the same, or one answer would do for all.
async fn read(cu: &Cu, number: usize) -> Duration {
    let started = Instant::now();
    let make = move |_: &_| Ok(dry(&format!("read {number}"), &Process::default()));
    let done = cu.dry_run("spin", At::Head, make).await.unwrap();
    assert_eq!(done.at.slot, slot(0), "the loop has ended: the machine is faster than its fuel");
    started.elapsed()
}

#[tokio::main]
async fn main() {
    let script = script();
    let readers = Readers::stock(Engine::Speed).unwrap();
    let options = CuOptions { memory_bytes: 8 << 30, ..CuOptions::default() };
    let cu =
        Cu::open(options, readers, Arc::new(MemoryStore::default()), Arc::new(script)).unwrap();
    for process in (0..HONEST).map(|n| format!("honest{n}")).chain(["spin".into(), "hog".into()]) {
        cu.evaluate(&process, At::Slot(slot(0))).await.unwrap();
    }
    let alone = honest(&cu, 1..=MESSAGES).await;
    let bad = ["spin", "hog"].map(|process| {
        let cu = cu.clone();
        tokio::spawn(async move {
            let _ = cu.evaluate(process, At::Slot(slot(2 * MESSAGES))).await;
        })
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut reads = Vec::new();
    for number in 0..20 {
        reads.push(read(&cu, number).await);
    }
    reads.sort_unstable();
    let beside = honest(&cu, MESSAGES + 1..=2 * MESSAGES).await;
    println!("honest processes, ms        p50     p99");
    println!("alone                    {:7.2} {:7.2}", at(&alone, 0.5), at(&alone, 0.99));
    println!("beside a loop and a hog  {:7.2} {:7.2}", at(&beside, 0.5), at(&beside, 0.99));
    println!(
        "ratio                    {:7.2} {:7.2}",
        at(&beside, 0.5) / at(&alone, 0.5),
        at(&beside, 0.99) / at(&alone, 0.99)
    );
    println!(
        "a read of the process in the loop: p50 {:.2} ms, at most {:.2} ms",
        at(&reads, 0.5),
        at(&reads, 1.0)
    );
    bad.iter().for_each(tokio::task::JoinHandle::abort);
    // The loop goes on until its fuel is spent: nobody waits for that.
    std::process::exit(0);
}
