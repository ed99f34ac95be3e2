//! A unit's store: killed, full, short of memory, checked, swept and copied.

use crate::cu::{memory, open, readers, script, slot, wait};
use drivebay::{
    cu::{
        At, Cu, CuError, CuOptions, FjallStore, ResultsQuery, Store,
        testing::{FailingStore, Script},
        upkeep,
    },
    disk::{Digest, Module},
};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const CHILD: &str = "DRIVEBAY_TEST_UNIT_CHILD";

fn is_long() -> bool {
    env::var_os("DRIVEBAY_LONG").is_some()
}

/// Digests of all receipts of a process.
fn receipts(cu: &Cu, process: &str) -> Vec<Digest> {
    let query = ResultsQuery { limit: usize::MAX, ..ResultsQuery::default() };
    let page = wait(cu.results(process, query)).unwrap();
    page.results.iter().map(|stored| stored.receipt.digest()).collect()
}

fn root(cu: &Cu, process: &str, nonce: u64) -> String {
    wait(cu.image_at(process, At::Slot(slot(nonce)))).unwrap().image.root().to_string()
}

/// The schedule that is killed: three processes that take turns, with faults among the messages.
fn killed_script() -> Script {
    let script = script(3, 40);
    for process in ["p0", "p1", "p2"] {
        for message in 0..40 {
            let data = if message % 7 == 3 { "f" } else { "go" };
            script.message(process, &format!("{process}-late{message}"), data);
        }
    }
    script
}

const LAST: u64 = 79;

/// Not a test of its own: the program that is killed. It says each slot that it was answered.
#[test]
fn killed_unit() {
    let Some(dir) = env::var_os(CHILD) else { return };
    let store: Arc<dyn Store> = Arc::new(FjallStore::open(dir.as_ref()).unwrap());
    let options = CuOptions {
        workers: 2,
        readers: 1,
        fetchers: 2,
        page: 5,
        memory_bytes: 1,
        ..CuOptions::default()
    };
    let cu = Cu::open(options, readers(), store, Arc::new(killed_script())).unwrap();
    let mut out = std::io::stdout();
    for nonce in 0..=LAST {
        for process in ["p0", "p1", "p2"] {
            let stored = wait(cu.evaluate(process, At::Slot(slot(nonce)))).unwrap();
            writeln!(out, "\nanswered {process} {nonce} {}", stored.receipt.digest()).unwrap();
            out.flush().unwrap();
        }
    }
    wait(cu.shutdown()).unwrap();
}

#[test]
fn whenever_it_is_killed_no_answer_is_lost_and_replay_agrees() {
    let honest = open(&memory(), &killed_script());
    wait(honest.evaluate("p0", At::Latest)).unwrap();
    for process in ["p1", "p2"] {
        wait(honest.evaluate(process, At::Latest)).unwrap();
    }
    let expected: Vec<Vec<Digest>> = ["p0", "p1", "p2"].map(|id| receipts(&honest, id)).into();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let rounds = if is_long() { 200 } else { 6 };
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().join("store-0");
    for round in 0..rounds {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let answers = kill_after(&path, Duration::from_micros((random >> 40) % 400_000));
        let store: Arc<dyn Store> = Arc::new(FjallStore::open(&path).unwrap());
        let report = upkeep::check(&store, &mut || {}).unwrap();
        assert_eq!(report.damages, Vec::<String>::new(), "round {round}");
        let cu = open(&store, &killed_script());
        for (process, nonce, digest) in answers {
            let stored = wait(cu.evaluate(&process, At::Slot(slot(nonce)))).unwrap();
            assert_eq!(
                stored.receipt.digest().to_string(),
                digest,
                "round {round}: {process} {nonce}"
            );
        }
        let done = receipts(&cu, "p0").len();
        if done > LAST as usize {
            for (at, process) in ["p0", "p1", "p2"].into_iter().enumerate() {
                wait(cu.evaluate(process, At::Slot(slot(LAST)))).unwrap();
                assert_eq!(receipts(&cu, process), expected[at], "round {round}");
                assert_eq!(root(&cu, process, LAST), root(&honest, process, LAST));
            }
            // It is all there: begin anew.
            path = dir.path().join(format!("store-{}", round + 1));
        } else {
            for (at, process) in ["p0", "p1", "p2"].into_iter().enumerate() {
                let here = receipts(&cu, process);
                assert_eq!(here[..], expected[at][..here.len()], "round {round}: {process}");
                if let Some(last) = here.len().checked_sub(1) {
                    assert_eq!(
                        root(&cu, process, last as u64),
                        root(&honest, process, last as u64)
                    );
                }
            }
        }
    }
}

/// Runs the unit on the store, kills it, and gives what it had answered.
fn kill_after(store: &std::path::Path, after: Duration) -> Vec<(String, u64, String)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cu_store::killed_unit", "--nocapture"])
        .env(CHILD, store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answers = Vec::new();
    // The first line comes when the tests' harness has started.
    let mut killed = false;
    for line in lines.map_while(Result::ok) {
        if !killed && started.elapsed() >= after {
            child.kill().unwrap();
            killed = true;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["answered", process, nonce, digest] = words[..] {
            answers.push((process.to_owned(), nonce.parse().unwrap(), digest.to_owned()));
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
    answers
}

#[test]
fn a_store_that_fails_now_and_then_changes_no_receipt() {
    let honest = open(&memory(), &killed_script());
    wait(honest.evaluate("p0", At::Latest)).unwrap();
    let expected = receipts(&honest, "p0");
    for seed in 0..if is_long() { 200 } else { 20 } {
        let store = Arc::new(FailingStore::new(memory(), seed, 5 + seed % 20));
        let options =
            CuOptions { workers: 1, readers: 1, fetchers: 1, page: 7, ..CuOptions::default() };
        let dynamic = Arc::clone(&store) as Arc<dyn Store>;
        let cu = Cu::open(options, readers(), dynamic, Arc::new(killed_script())).unwrap();
        let mut errors = 0;
        for nonce in (0..=LAST).step_by(13) {
            for _ in 0..3 {
                match wait(cu.evaluate("p0", At::Slot(slot(nonce)))) {
                    Ok(stored) => assert_eq!(stored.receipt.digest(), expected[nonce as usize]),
                    Err(CuError::Host(_)) => errors += 1,
                    Err(other) => panic!("seed {seed}: {other}"),
                }
            }
        }
        assert_eq!(errors > 0, store.failures() > 0, "seed {seed}");
        store.set_one_in(0);
        let mut last = wait(cu.evaluate("p0", At::Slot(slot(LAST))));
        for _ in 0..600 {
            // A process that met errors pauses before it is tried again.
            if last.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            last = wait(cu.evaluate("p0", At::Slot(slot(LAST))));
        }
        last.unwrap();
        assert_eq!(receipts(&cu, "p0"), expected, "seed {seed}");
        assert_eq!(root(&cu, "p0", LAST), root(&honest, "p0", LAST), "seed {seed}");
    }
}

#[test]
fn many_processes_share_a_budget_that_holds_few() {
    let (processes, live) = if is_long() { (2000, 50) } else { (300, 10) };
    // Each writes on three pages of its own.
    let script = Script::new();
    script.module("wide", Module::new("+)+)+(([-]+.", "tape-1", Vec::new()));
    for process in 0..processes {
        let id = format!("p{process}");
        script.process(&id, "wide");
        for message in 0..6 {
            script.message(&id, &format!("{id}-m{message}"), "go");
        }
    }
    // A drive and its window count a page each for three pages.
    let budget = live * 2 * 3 * 4096;
    let options =
        CuOptions { workers: 2, readers: 2, memory_bytes: budget, ..CuOptions::default() };
    let cu = Cu::open(options, readers(), memory(), Arc::new(script)).unwrap();
    for nonce in [1, 5] {
        for process in 0..processes {
            wait(cu.evaluate(&format!("p{process}"), At::Slot(slot(nonce)))).unwrap();
            if process % 50 == 0 {
                // A worker accounts for its process just after it has answered, when the system lets it.
                let fits = || {
                    let status = cu.status();
                    status.live_bytes <= budget && status.live as u64 <= live
                };
                let asked = Instant::now();
                while !fits() && asked.elapsed() < Duration::from_secs(10) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let status = cu.status();
                assert!(status.live_bytes <= budget, "{} of {budget}", status.live_bytes);
                assert!(status.live as u64 <= live, "{} live", status.live);
            }
        }
    }
    let status = cu.status();
    assert!(status.evicted >= processes, "{} evicted", status.evicted);
}

#[test]
fn a_store_is_checked_swept_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut roots = Vec::new();
    for round in 1..=4 {
        let store: Arc<dyn Store> = Arc::new(FjallStore::open(&path).unwrap());
        let cu = open(&store, &script(2, 40));
        for process in ["p0", "p1"] {
            wait(cu.evaluate(process, At::Slot(slot(round * 10 - 1)))).unwrap();
        }
        roots.push(root(&cu, "p0", round * 10 - 1));
        if round == 4 {
            upkeep::backup(&path, &dir.path().join("copy")).unwrap();
        }
        wait(cu.shutdown()).unwrap();
    }
    let copy: Arc<dyn Store> = Arc::new(FjallStore::open(&dir.path().join("copy")).unwrap());
    let report = upkeep::check(&copy, &mut || {}).unwrap();
    assert_eq!((report.receipts, report.processes), (80, 2));
    assert_eq!(report.damages, Vec::<String>::new());
    let store: Arc<dyn Store> = Arc::new(FjallStore::open(&path).unwrap());
    assert_eq!(upkeep::check(&store, &mut || {}).unwrap().checkpoints, 8);
    let swept = upkeep::sweep(&store, 1).unwrap();
    assert_eq!((swept.checkpoints, swept.checkpoints_left), (6, 2));
    assert!(swept.blobs > 0);
    assert_eq!(upkeep::sweep(&store, 1).unwrap().blobs, 0);
    assert_eq!(upkeep::check(&store, &mut || {}).unwrap().damages, Vec::<String>::new());
    let cu = open(&store, &script(2, 40));
    for (round, expected) in roots.iter().enumerate() {
        assert_eq!(root(&cu, "p0", round as u64 * 10 + 9), *expected, "a swept slot is replayed");
    }
}

#[test]
fn a_bent_store_is_found_out() {
    let store = memory();
    let cu = open(&store, &script(1, 10));
    wait(cu.evaluate("p0", At::Latest)).unwrap();
    wait(cu.shutdown()).unwrap();
    assert!(upkeep::check(&store, &mut || {}).unwrap().damages.is_empty());
    for table in drivebay::cu::Table::ALL {
        for (key, value) in store.scan(&drivebay::cu::Scan::prefix(table, &[])).unwrap() {
            let mut bent = value.clone();
            let at = value.len() / 2;
            bent[at] ^= 0x10;
            let put = |value| drivebay::cu::Change::Put(table, key.clone(), value);
            store.write(vec![put(bent)]).unwrap();
            let damages = upkeep::check(&store, &mut || {}).unwrap().damages;
            assert!(!damages.is_empty(), "{table:?}: a bent byte at {at} of {}", value.len());
            store.write(vec![put(value)]).unwrap();
        }
    }
}
