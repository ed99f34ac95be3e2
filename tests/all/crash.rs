//! Whatever ends a run, the state is the one before a message or the one after it.

use crate::kit::{Bench, number, text};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::Duration,
};

const PING: &[&str] = &["--message", r#"{"Data":"hello"}"#];
const SPIN: &[&str] = &["--message", r#"{"Data":"spin"}"#];

/// The counter says how many messages it has seen, so its answer must agree with its slot.
#[track_caller]
fn assert_whole(bench: &Bench) -> u64 {
    let lines = bench.count(PING);
    let last = lines.last().unwrap();
    let seen: u64 = text(last, "Output").parse().unwrap();
    assert_eq!(seen, number(last, "Slot") + 1);
    number(last, "Slot")
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_state() {
    let bench = Bench::new();
    let mut slot = assert_whole(&bench);
    // Odd steps, so that the kills fall on all phases of a run.
    for step in 0_u64..20 {
        let args = [&["run", "counter.wasm"], PING, SPIN, PING, SPIN, PING].concat();
        let mut child =
            bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(3 + (step * 37) % 170));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = assert_whole(&bench);
        assert!((slot + 1..=slot + 6).contains(&now), "from slot {slot} to {now}");
        slot = now;
    }
    // What the killed runs left behind has been swept.
    assert!(bench.image().is_file());
}

#[test]
fn a_kill_while_starting_anew_leaves_the_old_state_or_none() {
    let bench = Bench::new();
    for step in 0_u64..8 {
        bench.count(PING);
        let args = ["run", "counter.wasm", "--fresh", SPIN[0], SPIN[1]];
        let mut child =
            bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(2 + step * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_whole(&bench);
    }
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let bench = Bench::new();
    assert_whole(&bench);
    let spins: Vec<&str> = (0..40).flat_map(|_| SPIN).copied().collect();
    let mut child = bench
        .command(&[&["run", "counter.wasm"][..], &spins].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has said something it holds the process; asked before, it would be the one refused.
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    bench
        .drivebay(&[&["run", "counter.wasm", "--dry-run"], PING].concat())
        .expect(3, "is in use by another drivebay");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_whole(&bench);
}

#[test]
fn a_damaged_image_is_named_and_not_run() {
    let bench = Bench::new();
    assert_whole(&bench);
    let path = bench.image();
    let whole = std::fs::read(&path).unwrap();
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    for damage in [&bent[..], &whole[..whole.len() - 1], b"", &[&whole[..], b"x"].concat()] {
        std::fs::write(&path, damage).unwrap();
        let ended =
            bench.drivebay(&[&["run", "counter.wasm"], PING].concat()).expect(3, "is damaged");
        assert!(ended.err.contains("--fresh"), "{}", ended.err);
    }
    std::fs::write(&path, whole).unwrap();
    assert_whole(&bench);
    std::fs::remove_file(bench.image()).unwrap();
    bench.drivebay(&[&["run", "counter.wasm"], PING].concat()).expect(3, ".image");
}

#[test]
fn a_damaged_head_is_named_and_keeps_the_image() {
    let bench = Bench::new();
    assert_whole(&bench);
    let head = bench.process_dir().join("head.json");
    let whole = std::fs::read_to_string(&head).unwrap();
    let outside = whole.replace(".image\"", "/../../../x\"");
    for damage in ["", "{}", &whole[..whole.len() / 2], &outside] {
        std::fs::write(&head, damage).unwrap();
        bench
            .drivebay(&[&["run", "counter.wasm"], PING].concat())
            .expect(3, "head.json is damaged");
    }
    std::fs::write(&head, whole).unwrap();
    assert_whole(&bench);
}
