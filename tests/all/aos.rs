//! Real aos, where `modules/fetch` has brought it.

use crate::kit::{Bench, number, text};
use drivebay::disk::json::Value;
use std::path::PathBuf;

/// The module, or `None` and a word why nothing is tested.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn aos(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("modules/aos").join(name);
    if path.is_file() {
        return Some(path.to_str().unwrap().to_owned());
    }
    eprintln!("skipped: {} is not there; modules/fetch brings it", path.display());
    None
}

fn said(line: &Value) -> &str {
    text(line.get("Output").unwrap(), "data")
}

fn run(bench: &Bench, module: &str, more: &[&str]) -> Vec<Value> {
    let ended = bench.drivebay(&[&["run", module, "--json"], more].concat());
    assert!(ended.code <= 1, "{}", ended.err);
    ended.lines()
}

fn eval_goes_on(name: &str) {
    let Some(module) = aos(name) else { return };
    let bench = Bench::new();
    let first = run(&bench, &module, &["--eval", "1 + 1", "--eval", "X = 41"]);
    assert_eq!(said(&first[1]), "2");
    let second = run(&bench, &module, &["--eval", "X + 1", "--eval", "nosuch()", "--eval", "X"]);
    assert_eq!(said(&second[0]), "42");
    assert!(second[1].get("Error").is_some());
    assert_eq!(text(&second[1], "Root"), text(&second[0], "Root"));
    // aos notices the slot that left no mark, and says so before it answers.
    assert!(said(&second[2]).ends_with("41"), "{:?}", second[2]);
    assert_eq!(number(&second[2], "Slot"), 5);
}

#[test]
fn aos_64_evaluates_and_goes_on() {
    eval_goes_on("aos2_0_6.wasm");
}

#[test]
fn aos_32_evaluates_and_goes_on() {
    eval_goes_on("aos2_0_4_32.wasm");
}

#[test]
fn aos_answers_a_message_to_its_handler() {
    let Some(module) = aos("aos2_0_6.wasm") else { return };
    let bench = Bench::new();
    let handler = "Handlers.add('ping', 'Ping', function (msg) msg.reply({Data = 'pong'}) end)";
    let ping = r#"{"Tags":{"Action":"Ping"}}"#;
    let lines = run(&bench, &module, &["--eval", handler, "-m", ping]);
    let messages = lines[2].get("Messages").and_then(Value::as_array).unwrap();
    assert!(messages.iter().any(|message| text(message, "Data") == "pong"), "{:?}", lines[2]);
}

#[test]
fn the_references_checkpoint_goes_out_and_comes_in() {
    let Some(module) = aos("aos2_0_6.wasm") else { return };
    let bench = Bench::new();
    run(&bench, &module, &["--eval", "X = 41"]);
    let process = bench.process();
    let save = ["image", "save", "m.gz", "--process", &process, "--checkpoint", &module];
    bench.drivebay(&save).expect(0, "");
    let load =
        ["image", "load", "m.gz", &module, "--process", "theirs", "--checkpoint", "--next", "2"];
    bench.drivebay(&load).expect(0, "");
    let lines = run(&bench, &module, &["--process", "theirs", "--eval", "X + 1"]);
    assert_eq!(said(&lines[0]), "42");
}

#[test]
fn a_checkpoint_that_is_cut_is_the_files_fault() {
    let Some(module) = aos("aos2_0_6.wasm") else { return };
    let bench = Bench::new();
    run(&bench, &module, &["--eval", "X = 41"]);
    let process = bench.process();
    let save = ["image", "save", "m.gz", "--process", &process, "--checkpoint", &module];
    bench.drivebay(&save).expect(0, "");
    let whole = std::fs::read(bench.path("m.gz")).unwrap();
    for cut in [2, 20, whole.len() / 2, whole.len() - 4] {
        std::fs::write(bench.path("cut.gz"), &whole[..cut]).unwrap();
        let load = ["image", "load", "cut.gz", &module, "--process", "theirs", "--checkpoint"];
        bench.drivebay(&load).expect(2, "its gzip is cut or damaged");
        assert!(!bench.path(".drivebay/theirs").exists());
    }
}

#[test]
fn what_aos_says_to_people_does_nothing_to_a_terminal() {
    let Some(module) = aos("aos2_0_6.wasm") else { return };
    let bench = Bench::new();
    let said = r"'a\27[31mb\27[0m\27[2Jc\27]0;d\7e'";
    for (color, expected) in [("never", "\nabce\n"), ("always", "\na\x1b[31mb\x1b[0mce\n")] {
        let ended = bench.drivebay(&["run", &module, "--color", color, "--eval", said]);
        assert!(ended.out.contains(expected), "{:?}", ended.out);
    }
}
