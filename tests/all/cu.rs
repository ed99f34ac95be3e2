//! The compute unit, with a script for a network and `Tape` for a machine.

use drivebay::{
    cu::{
        At, Cu, CuError, CuOptions, MemoryStore, Readers, ResultsQuery, Store, StoredResult,
        Verdict,
        testing::{Script, dry},
    },
    disk::{
        Data, FaultCode, Host, HostError, Module, Process, Resource, Slot,
        testing::{MapHost, Tape},
    },
};
use std::{
    ops::Range,
    sync::{Arc, Mutex, mpsc},
};

/// Adds one to its first cell and says it. A message `f` faults after that; `s` never ends.
pub(crate) const COUNTER: &str = "+>,=f['e!]>,=s[]<<.";

pub(crate) fn readers() -> Readers {
    Readers::default().with(Arc::new(Tape::default())).unwrap()
}

pub(crate) fn script(processes: usize, messages: usize) -> Script {
    let script = Script::new();
    script.module("counter", Module::new(COUNTER, "tape-1", Vec::new()));
    for process in 0..processes {
        let id = format!("p{process}");
        script.process(&id, "counter");
        for message in 0..messages {
            script.message(&id, &format!("{id}-m{message}"), "go");
        }
    }
    script
}

pub(crate) fn open(store: &Arc<dyn Store>, script: &Script) -> Cu {
    let options =
        CuOptions { workers: 2, readers: 2, fetchers: 2, page: 3, ..CuOptions::default() };
    Cu::open(options, readers(), Arc::clone(store), Arc::new(script.clone())).unwrap()
}

pub(crate) fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

/// Waits for an answer of the unit.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T, CuError>>) -> Result<T, CuError> {
    Cu::block_on(work)?
}

pub(crate) fn slot(nonce: u64) -> Slot {
    Slot { nonce, ..Slot::default() }
}

/// The count that a result says.
fn count(json: &str) -> String {
    let output = json.split("\"Output\":\"").nth(1).unwrap();
    output.split('"').next().unwrap().to_owned()
}

/// A byte as results show it.
fn said(byte: u8) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&[byte])
}

fn evaluate(cu: &Cu, process: &str, nonce: u64) -> StoredResult {
    wait(cu.evaluate(process, At::Slot(slot(nonce)))).unwrap()
}

#[test]
fn a_schedule_is_evaluated_in_order_and_answered_from_the_ledger() {
    let (store, script) = (memory(), script(1, 10));
    let cu = open(&store, &script);
    assert_eq!(count(&evaluate(&cu, "p0", 7).json), said(8));
    let asked = script.asked();
    assert_eq!(count(&evaluate(&cu, "p0", 2).json), said(3));
    assert_eq!(script.asked(), asked, "what is recorded is not asked for again");
    let last = wait(cu.evaluate("p0", At::Latest)).unwrap();
    assert_eq!((last.receipt.slot, count(&last.json)), (slot(9), said(10)));
    let by_id = wait(cu.evaluate("p0", At::Message("p0-m4".into()))).unwrap();
    assert_eq!(by_id.receipt.slot, slot(4));
    assert_eq!(wait(cu.evaluate("p0", At::Head)).unwrap(), last);
}

#[test]
fn what_is_not_there_is_unknown_and_said_at_once() {
    let cu = open(&memory(), &script(1, 2));
    for at in [At::Slot(slot(2)), At::Message("nobody".into())] {
        assert!(matches!(wait(cu.evaluate("p0", at)), Err(CuError::Unknown(_))));
    }
    assert!(matches!(wait(cu.evaluate("p9", At::Latest)), Err(CuError::Unknown(_))));
    assert_eq!(evaluate(&cu, "p0", 1).receipt.slot, slot(1));
}

#[test]
fn a_fault_is_a_result_and_leaves_no_mark() {
    let (store, script) = (memory(), script(1, 1));
    script.message("p0", "bad", "f");
    script.message("p0", "endless", "xs");
    script.message("p0", "good", "go");
    let cu = open(&store, &script);
    let bad = evaluate(&cu, "p0", 1);
    assert_eq!(bad.receipt.verdict, Verdict::Faulted(FaultCode::Raised));
    assert!(bad.is_error && bad.json.contains("\"Error\":\"e\""), "{}", bad.json);
    let endless = evaluate(&cu, "p0", 2);
    assert_eq!(endless.receipt.verdict, Verdict::Faulted(FaultCode::OutOfFuel));
    assert_eq!(count(&evaluate(&cu, "p0", 3).json), said(2));
}

#[test]
fn a_dry_run_reads_any_slot_and_leaves_no_mark() {
    let (store, script) = (memory(), script(1, 6));
    let cu = open(&store, &script);
    let read = |at: At| {
        let message = |_: &_| Ok(dry("go", &Process::default()));
        wait(cu.dry_run("p0", at, message)).unwrap()
    };
    assert_eq!(count(&read(At::Head).json), said(2), "the first slot, where nothing stood yet");
    assert_eq!(count(&read(At::Slot(slot(3))).json), said(5));
    assert_eq!(count(&read(At::Slot(slot(1))).json), said(3));
    assert_eq!(count(&read(At::Latest).json), said(7));
    let again = read(At::Latest);
    assert_eq!((again.at.slot, count(&again.json)), (slot(5), said(7)));
    assert_eq!(count(&evaluate(&cu, "p0", 5).json), said(6));
}

#[test]
fn a_restart_replays_and_goes_on() {
    let (store, script) = (memory(), script(1, 5));
    script.message("p0", "bad", "f");
    let first = open(&store, &script);
    evaluate(&first, "p0", 5);
    wait(first.shutdown()).unwrap();
    script.message("p0", "late", "go");
    let second = open(&store, &script);
    assert_eq!(count(&evaluate(&second, "p0", 6).json), said(6));
}

#[test]
fn what_does_not_replay_as_recorded_is_quarantined_and_harms_nobody_else() {
    let (store, script) = (memory(), script(2, 5));
    let first = open(&store, &script);
    evaluate(&first, "p0", 4);
    // Without a shutdown there is no image, and the second unit replays.
    drop(first);
    script.change("p0", |entries| entries[3].message = dry("f", &Process::default()).message);
    script.message("p0", "late", "go");
    let second = open(&store, &script);
    for _ in 0..2 {
        match wait(second.evaluate("p0", At::Slot(slot(5)))) {
            Err(CuError::Diverged { slot: at, .. }) => assert_eq!(at, slot(3)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        count(&evaluate(&second, "p0", 4).json),
        said(5),
        "what is recorded is still answered"
    );
    assert_eq!(count(&evaluate(&second, "p1", 4).json), said(5));
    assert!(second.progress("p0").unwrap().quarantine.is_some());
}

#[test]
fn a_tick_that_is_no_longer_scheduled_is_noticed() {
    for missing in [1, 2] {
        let (store, script) = (memory(), script(1, 4));
        script.tick("p0", "go");
        script.tick("p0", "go");
        let first = open(&store, &script);
        let last = Slot { tick: 2, ..slot(3) };
        assert_eq!(count(&wait(first.evaluate("p0", At::Slot(last))).unwrap().json), said(6));
        drop(first);
        // The last tick goes, or both do; what follows is numbered as before.
        script.change("p0", |entries| entries.truncate(6 - missing));
        script.message("p0", "late", "go");
        let second = open(&store, &script);
        match wait(second.evaluate("p0", At::Slot(slot(4)))) {
            Err(CuError::Diverged { slot: at, .. }) => {
                assert_eq!(at, Slot { tick: 3 - missing as u32, ..slot(3) });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn duplicates_are_answered_and_not_evaluated_again() {
    let (store, script) = (memory(), script(1, 3));
    script.message("p0", "p0-m1", "go");
    script.message("p0", "fresh", "go");
    let cu = open(&store, &script);
    let again = evaluate(&cu, "p0", 3);
    assert_eq!(again.receipt.verdict, Verdict::Duplicate(slot(1)));
    assert_eq!(again.json, evaluate(&cu, "p0", 1).json);
    assert_eq!(count(&evaluate(&cu, "p0", 4).json), said(4));
}

#[test]
fn results_come_in_pages() {
    let (store, script) = (memory(), script(1, 4));
    script.tick("p0", "go");
    script.tick("p0", "go");
    script.message("p0", "bad", "f");
    let cu = open(&store, &script);
    evaluate(&cu, "p0", 4);
    let list = |query: ResultsQuery| {
        let page = wait(cu.results("p0", query)).unwrap();
        let slots = page.results.iter().map(|it| (it.receipt.slot.nonce, it.receipt.slot.tick));
        (slots.collect::<Vec<_>>(), page.has_more)
    };
    let all = || ResultsQuery { limit: 100, ..ResultsQuery::default() };
    let whole = vec![(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (4, 0)];
    assert_eq!(list(all()), (whole, false));
    let newest = ResultsQuery { newest_first: true, limit: 2, without_errors: true, ..all() };
    assert_eq!(list(newest), (vec![(3, 2), (3, 1)], true));
    assert_eq!(list(ResultsQuery { only_ticks: true, ..all() }), (vec![(3, 1), (3, 2)], false));
}

/// Like the counter, but a message `q` asks its host and waits for the answer, as long as that takes.
const ASKER: &str = "+>,=q[>?<-]<.";

/// A host that answers when it is told to.
struct Gate(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);

impl Host for Gate {
    fn read(&self, _: &Resource, _: Range<u64>) -> Result<Option<Data>, HostError> {
        self.1.send(()).unwrap();
        self.0.lock().unwrap().recv().unwrap();
        Ok(None)
    }
    fn log(&self, _: &str) {}
}

/// A unit in which the fourth message of `p0` waits, and what makes it go on.
fn waiting(store: &Arc<dyn Store>) -> (Cu, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let script = script(2, 3);
    script.module("asker", Module::new(ASKER, "tape-1", Vec::new()));
    script.process("slow", "asker");
    for (id, data) in [("a", "go"), ("b", "go"), ("c", "q"), ("d", "go")] {
        script.message("slow", id, data);
    }
    let (go, gate) = mpsc::channel();
    let (asks, asked) = mpsc::channel();
    script.host(Arc::new(Gate(Mutex::new(gate), asks)));
    (open(store, &script), go, asked)
}

#[test]
fn a_read_is_answered_while_a_long_message_runs_from_the_slot_before_it() {
    let (cu, go, asked) = waiting(&memory());
    assert_eq!(count(&evaluate(&cu, "slow", 1).json), said(2));
    let other = cu.clone();
    let long = std::thread::spawn(move || evaluate(&other, "slow", 3));
    asked.recv().unwrap();
    // The long message is under way and ends only when this test says so.
    let read =
        |at| wait(cu.dry_run("slow", at, |_: &_| Ok(dry("go", &Process::default())))).unwrap();
    let head = read(At::Head);
    assert_eq!((head.at.slot, count(&head.json)), (slot(1), said(3)));
    assert_eq!(count(&read(At::Slot(slot(0))).json), said(2), "a past slot too");
    assert_eq!(count(&evaluate(&cu, "slow", 1).json), said(2), "and what is recorded");
    assert_eq!(count(&evaluate(&cu, "p1", 2).json), said(3), "and other processes");
    assert_eq!(wait(cu.image_at("slow", At::Head)).unwrap().at.slot, slot(1));
    go.send(()).unwrap();
    assert_eq!(count(&long.join().unwrap().json), said(4));
    assert_eq!(read(At::Head).at.slot, slot(3));
}

#[test]
fn a_host_that_fails_costs_no_verdict_and_harms_nobody_else() {
    let script = script(1, 3);
    script.module("asker", Module::new(ASKER, "tape-1", Vec::new()));
    script.process("reader", "asker");
    for (id, data) in [("a", "go"), ("b", "q"), ("c", "go")] {
        script.message("reader", id, data);
    }
    let cu = open(&memory(), &script);
    for _ in 0..2 {
        match wait(cu.evaluate("reader", At::Slot(slot(2)))) {
            Err(CuError::Host(HostError::Unavailable { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
    let progress = cu.progress("reader").unwrap();
    assert_eq!(progress.head, Some(slot(0)));
    assert!(progress.trouble.is_some());
    assert_eq!(count(&evaluate(&cu, "p0", 2).json), said(3));
    script.host(Arc::new(MapHost::new()));
    let last = loop {
        match wait(cu.evaluate("reader", At::Slot(slot(2)))) {
            Ok(last) => break last,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    assert_eq!(count(&last.json), said(3));
}

#[test]
fn endless_loops_are_moved_aside_and_the_honest_go_on() {
    let script = script(20, 5);
    // More of them than there are workers; each ends at its fuel limit, as a fault.
    for process in 0..4 {
        let id = format!("loop{process}");
        script.process(&id, "counter");
        for message in 0..6 {
            script.message(&id, &format!("{id}-m{message}"), "xs");
        }
    }
    let cu = open(&memory(), &script);
    let loops: Vec<_> = (0..4)
        .map(|process| {
            let cu = cu.clone();
            std::thread::spawn(move || evaluate(&cu, &format!("loop{process}"), 5))
        })
        .collect();
    for process in 0..20 {
        assert_eq!(count(&evaluate(&cu, &format!("p{process}"), 4).json), said(5));
    }
    for ended in loops {
        let last = ended.join().unwrap();
        assert_eq!(last.receipt.verdict, Verdict::Faulted(FaultCode::OutOfFuel));
    }
}
