//! What `drivebay run` promises.

use crate::kit::{Bench, number, text};
use drivebay::disk::json::Value;

const PING: &[&str] = &["--message", r#"{"Data":"hello"}"#];

#[test]
fn state_goes_on_from_run_to_run() {
    let bench = Bench::new();
    let first = bench.count(PING);
    // The process's own message, then ours.
    assert_eq!(
        first.iter().map(|line| text(line, "Output")).collect::<Vec<_>>(),
        ["000001", "000002"]
    );
    let second = bench.count(PING);
    assert_eq!(second.len(), 1);
    assert_eq!(text(&second[0], "Output"), "000003");
    assert_eq!(number(&second[0], "Slot"), 2);
    let anew = bench.count(&["--fresh", PING[0], PING[1]]);
    assert_eq!(text(&anew[1], "Output"), "000002");
    assert_eq!(text(&anew[1], "Root"), text(&first[1], "Root"));
}

#[test]
fn many_messages_in_one_run_are_as_many_runs() {
    let (one, many) = (Bench::new(), Bench::new());
    let at_once = one.count(&[PING, PING, PING].concat());
    let mut one_by_one = many.count(PING);
    one_by_one.extend(many.count(PING));
    one_by_one.extend(many.count(PING));
    assert_eq!(at_once, one_by_one);
}

#[test]
fn a_line_of_json_has_the_keys_of_the_wire_in_their_order() {
    let bench = Bench::new();
    let args = ["-m", r#"{"Data":"a"}"#, "-m", r#"{"Data":"sorry"}"#, "-m", r#"{"Data":"trap"}"#];
    let lines = bench.count(&args);
    let keys = |line: &Value| -> Vec<String> {
        let pairs = line.as_object().unwrap();
        pairs.iter().map(|(key, _)| key.to_string_lossy().into_owned()).collect()
    };
    let head = ["Messages", "Assignments", "Spawns", "Output", "GasUsed"];
    let tail = ["Slot", "Root", "Fuel"];
    assert_eq!(keys(&lines[1]), [&head[..], &tail].concat());
    assert_eq!(keys(&lines[2]), [&head[..], &["Error"], &tail].concat());
    assert_eq!(text(&lines[2], "Error"), "I am sorry");
    assert_eq!(text(&lines[3], "Error"), "trapped");
    assert_eq!(number(&lines[1], "GasUsed"), number(&lines[1], "Fuel"));
    let message = &lines[1].get("Messages").unwrap().as_array().unwrap()[0];
    assert_eq!(text(message, "Target"), "T");
}

#[test]
fn a_failed_message_takes_its_slot_and_nothing_else() {
    let bench = Bench::new();
    let before = bench.count(PING);
    for data in ["trap", "sorry"] {
        let message = format!(r#"{{"Data":"{data}"}}"#);
        let ended = bench.drivebay(&["run", "counter.wasm", "--json", "-m", &message]);
        assert_eq!(ended.code, 1, "{}", ended.err);
        assert!(ended.err.contains("fault: "), "{}", ended.err);
        assert_eq!(text(&ended.lines()[0], "Root"), text(&before[1], "Root"));
    }
    let after = bench.count(PING);
    assert_eq!(number(&after[0], "Slot"), 4);
    assert_eq!(text(&after[0], "Output"), "000003");
}

#[test]
fn a_dry_run_leaves_no_mark() {
    let bench = Bench::new();
    let dry = bench.count(&["--dry-run", PING[0], PING[1]]);
    assert_eq!(text(&dry[1], "Output"), "000002");
    assert!(!bench.path(".drivebay").exists());

    bench.count(PING);
    let image = std::fs::read(bench.image()).unwrap();
    let head = std::fs::read(bench.process_dir().join("head.json")).unwrap();
    let dry = bench.count(&[&["--dry-run"], PING, PING].concat());
    assert_eq!(
        dry.iter().map(|line| text(line, "Output")).collect::<Vec<_>>(),
        ["000003", "000003"]
    );
    assert_eq!(std::fs::read(bench.image()).unwrap(), image);
    assert_eq!(std::fs::read(bench.process_dir().join("head.json")).unwrap(), head);
    assert_eq!(text(&bench.count(PING)[0], "Output"), "000003");
}

#[test]
fn messages_come_from_arguments_files_and_stdin() {
    let bench = Bench::new();
    bench.write("two.jsonl", "{\"Data\":\"a\"}\n{\"Data\":\"b\"}\n");
    bench.write("list.json", r#"[{"Data":"c"},{"Data":"d"}]"#);
    bench.write("in.json", r#"{"Data":"e"}"#);
    let mut command = bench.command(&[
        "run",
        "counter.wasm",
        "--json",
        "-m",
        "@two.jsonl",
        "-m",
        "@list.json",
        "-m",
        "-",
    ]);
    command.stdin(std::fs::File::open(bench.path("in.json")).unwrap());
    let ended = crate::kit::ended(&command.output().unwrap());
    assert_eq!(ended.lines().len(), 6, "{}", ended.err);
}

#[test]
fn processes_of_one_module_are_apart() {
    let bench = Bench::new();
    bench.count(&["--process", "one", PING[0], PING[1]]);
    bench.count(&["--process", "one", PING[0], PING[1]]);
    let other = bench.count(&["--process", "two", PING[0], PING[1]]);
    assert_eq!(text(&other[1], "Output"), "000002");
}

#[test]
fn the_text_for_people_says_what_happened() {
    let bench = Bench::new();
    let ended = bench.drivebay(&["run", "counter.wasm", "-m", r#"{"Tags":{"Action":"Ping"}}"#]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    for part in
        ["slot 1 · Ping", "root ", "GasUsed ", "\n000002\n", "message → T  Action=Count  \"hi\""]
    {
        assert!(ended.out.contains(part), "{part:?} is not in: {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "colours in a pipe: {}", ended.out);
}

#[test]
fn the_text_for_people_tells_a_failure_once() {
    let bench = Bench::new();
    for (data, line) in
        [("sorry", "\nerror I am sorry\n"), ("trap", "\nerror trapped (unreachable)\n")]
    {
        let message = format!(r#"{{"Data":"{data}"}}"#);
        let ended = bench.drivebay(&["run", "counter.wasm", "-m", &message]).expect(1, "");
        assert!(ended.out.contains(line), "{line:?} is not in: {}", ended.out);
        assert_eq!(ended.err, "");
    }
}

#[test]
fn time_only_runs_forward() {
    let bench = Bench::new();
    bench.count(&["--timestamp", "5000", PING[0], PING[1]]);
    let back = bench.drivebay(&["run", "counter.wasm", "-m", r#"{"Timestamp":6000}"#]);
    back.expect(2, "Timestamp is 6000, but the last message stands at 6000");
    let next = bench.drivebay(&["run", "counter.wasm", "-m", r#"{"Timestamp":6001}"#]);
    next.expect(0, "");
    bench.drivebay(&["run", "counter.wasm", "-m", r#"{"Nonce":9}"#]).expect(2, "leave Nonce out");
}

#[test]
fn every_engine_gives_the_same_lines() {
    let run = |engine| {
        let bench = Bench::new();
        bench.count(&[&["--engine", engine], PING, &["-m", r#"{"Data":"trap"}"#], PING].concat())
    };
    let speed = run("speed");
    assert_eq!(run("plain"), speed);
    assert_eq!(run("pulley"), speed);
}

#[test]
fn a_reader_of_the_output_who_goes_away_is_no_failure() {
    let bench = Bench::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = bench.command(&["run", "counter.wasm", PING[0], PING[1]]);
    let ended = crate::kit::ended(&command.stdout(writer).output().unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn a_slot_of_the_past_is_shown_again_and_can_be_read() {
    let bench = Bench::new();
    let lines = bench.count(&[PING, &["-m", r#"{"Data":"trap"}"#], PING, PING].concat());
    for (slot, line) in lines.iter().enumerate() {
        let again = bench.drivebay(&["run", "counter.wasm", "--json", "--slot", &slot.to_string()]);
        let code = i32::from(line.get("Error").is_some());
        assert_eq!(again.expect(code, "").lines(), std::slice::from_ref(line));
    }
    // A read counts on from there, and leaves no mark.
    for _ in 0..2 {
        let read = bench.count(&["--slot", "1", "--dry-run", PING[0], PING[1]]);
        assert_eq!(text(&read[0], "Output"), "000003");
        assert_eq!(text(&read[0], "Root"), text(&lines[1], "Root"));
    }
    assert_eq!(text(&bench.count(PING)[0], "Output"), "000005");
    let wrong = |more: &[&str], why: &str| {
        bench.drivebay(&[&["run", "counter.wasm"], more].concat()).expect(2, why);
    };
    wrong(&["--slot", "6"], "has the slots 0 to 5, and no 6");
    wrong(&["--slot", "1", PING[0], PING[1]], "add --dry-run");
    wrong(&["--slot", "1", "--fresh"], "leave --fresh");
}

#[test]
fn a_past_that_was_not_kept_or_is_another_one_is_told() {
    let bench = Bench::new();
    bench.count(&[PING, PING].concat());
    let journal = bench.process_dir().join("messages.jsonl");
    let whole = std::fs::read_to_string(&journal).unwrap();
    let slot = ["run", "counter.wasm", "--slot", "1"];
    let lines: Vec<&str> = whole.lines().collect();
    std::fs::write(&journal, lines[1..].join("\n")).unwrap();
    bench.drivebay(&slot).expect(3, "the message at slot 0 was not kept");
    std::fs::write(&journal, whole.replacen("\"root\":\"", "\"root\":\"0", 2)).unwrap();
    bench.drivebay(&slot).expect(3, "its root was");
}
