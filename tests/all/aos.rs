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

/// Messages that a step sent, as target, action and data.
fn sent(line: &Value) -> Vec<(String, String, String)> {
    let messages = line.get("Messages").and_then(Value::as_array).unwrap();
    let one = |message: &Value| {
        let tags = message.get("Tags").and_then(Value::as_array).unwrap();
        let action = tags.iter().find(|tag| text(tag, "name") == "Action");
        let action = action.map_or(String::new(), |tag| text(tag, "value").to_owned());
        (text(message, "Target").to_owned(), action, text(message, "Data").to_owned())
    };
    messages.iter().map(one).collect()
}

#[test]
fn the_token_blueprint_mints_moves_and_refuses() {
    let Some(module) = aos("aos2_0_6.wasm") else { return };
    let bench = Bench::new();
    bench.write("token.lua", include_str!("../../modules/blueprints/token.lua"));
    let message = |owner: &str, tags: &str| format!(r#"{{"Owner":"{owner}","Tags":{{{tags}}}}}"#);
    let mint = |owner| message(owner, r#""Action":"Mint","Quantity":"100""#);
    let pay = |quantity: &str| {
        message("me", &format!(r#""Action":"Transfer","Recipient":"bob","Quantity":"{quantity}""#))
    };
    let balance = message("x", r#""Action":"Balance","Recipient":"bob""#);
    let (good, much, below) = (pay("30"), pay("71"), pay("-3"));
    let (mine, others) = (mint("me"), mint("bob"));
    let mut args = vec!["--owner", "me", "--eval", "@token.lua"];
    for message in [&mine, &good, &much, &below, &others, &balance] {
        args.extend(["-m", message.as_str()]);
    }
    let lines = run(&bench, &module, &args);
    let told = |at: usize| sent(&lines[at + 2]);
    assert_eq!(told(0)[0].1, "Mint-Notice");
    let notices: Vec<_> = told(1).into_iter().map(|(to, action, _)| (to, action)).collect();
    let notice = |to: &str, action: &str| (to.to_owned(), action.to_owned());
    assert_eq!(notices, [notice("me", "Debit-Notice"), notice("bob", "Credit-Notice")]);
    assert!(told(2)[0].2.contains("Insufficient Balance: me has 70"), "{:?}", told(2));
    assert!(told(3)[0].2.contains("Quantity must be"), "{:?}", told(3));
    assert_eq!((told(4)[0].1.as_str(), told(5)[0].2.as_str()), ("Mint-Error", "30"));
}
