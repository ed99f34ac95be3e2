//! What is refused, and whether the text says what to do.

use crate::kit::Bench;

#[test]
fn bad_messages_are_refused_before_anything_runs() {
    let bench = Bench::new();
    let good = r#"{"Data":"hello"}"#;
    for (message, part) in [
        ("{oops}", "--message is not JSON"),
        ("[1]", "a message is a JSON object"),
        ("7", "this is a number"),
        (r#"{"Dta":1}"#, "its keys are Id, Signature, Data"),
        (r#"{"Tags":["Action"]}"#, r#"write Tags as {"Action":"Ping"}"#),
        ("@nowhere.json", "there is no file nowhere.json"),
    ] {
        let ended = bench.drivebay(&["run", "counter.wasm", "-m", good, "-m", message]);
        ended.expect(2, part);
        assert!(!bench.path(".drivebay").exists(), "{message} left a mark");
    }
}

#[test]
fn a_state_is_refused_to_another_module() {
    let bench = Bench::new();
    let other =
        wat::parse_str(include_str!("counter.wat").replace("sorry\\\"}", "SORRY\\\"}")).unwrap();
    std::fs::write(bench.path("other.wasm"), other).unwrap();
    bench.drivebay(&["run", "counter.wasm", "--process", "p"]).expect(0, "");
    let ended = bench.drivebay(&["run", "other.wasm", "--process", "p", "-m", "{}"]);
    let ended = ended.expect(2, "process p belongs to another module");
    assert!(ended.err.contains("--fresh"), "{}", ended.err);
    bench.drivebay(&["run", "other.wasm", "--process", "p", "--fresh", "-m", "{}"]).expect(0, "");
}

#[test]
fn what_a_process_was_started_with_is_fixed() {
    let bench = Bench::new();
    let run =
        |more: &[&str]| bench.drivebay(&[&["run", "counter.wasm", "-m", "{}"], more].concat());
    run(&["--tag", "Name=a"]).expect(0, "");
    run(&["--tag", "Name=a"]).expect(0, "");
    run(&["--tag", "Name=b"]).expect(2, "was started without tag Name=b");
    run(&["--owner", "somebody"]).expect(2, "was started without owner somebody");
    run(&["--spawn-data", "x"]).expect(2, "--spawn-data comes too late");
}

#[test]
fn a_file_that_is_no_module_is_refused_with_the_formats_there_are() {
    let bench = Bench::new();
    bench.write("text.wasm", "not wasm");
    let empty = wat::parse_str("(module)").unwrap();
    std::fs::write(bench.path("empty.wasm"), empty).unwrap();
    for command in ["run", "inspect"] {
        bench.drivebay(&[command, "text.wasm"]).expect(2, "this is neither WebAssembly");
        bench.drivebay(&[command, "empty.wasm"]).expect(2, "fit no ao format");
        bench.drivebay(&[command, "nowhere.wasm"]).expect(2, "there is no module nowhere.wasm");
        let ended = bench.drivebay(&[command, "counter.wasm", "--format", "wasm32-future-9"]);
        let ended = ended.expect(2, "no reader knows the format wasm32-future-9");
        assert!(ended.err.contains("wasm32-drivebay-1"), "{}", ended.err);
    }
}

#[test]
fn a_folder_is_no_file() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("folder")).unwrap();
    bench.drivebay(&["run", "folder"]).expect(2, "folder is a folder without Lua files");
    bench.drivebay(&["inspect", "folder"]).expect(2, "folder is a folder without Lua files");
    bench.drivebay(&["image", "show", "folder"]).expect(2, "folder is a folder; name a file");
    let message = ["run", "counter.wasm", "-m", "@folder"];
    bench.drivebay(&message).expect(2, "folder is a folder; name a file");
}

#[test]
fn names_in_a_module_do_nothing_to_a_terminal() {
    let bench = Bench::new();
    let source = include_str!("counter.wat").replace(
        "(memory (export",
        "(import \"env\" \"os\\1b[2Jexecute\\07\" (func (param i32))) (memory (export",
    );
    std::fs::write(bench.path("bad.wasm"), wat::parse_str(source).unwrap()).unwrap();
    let ended = bench.drivebay(&["inspect", "bad.wasm"]).expect(2, "osexecute");
    assert!(!(ended.out + &ended.err).contains(['\x1b', '\x07']));
}

#[test]
fn a_module_that_breaks_its_format_is_refused_and_leaves_no_folder() {
    let bench = Bench::new();
    let source = include_str!("counter.wat").replace(
        "(memory (export",
        "(import \"env\" \"os_execute\" (func (param i32))) (memory (export",
    );
    std::fs::write(bench.path("bad.wasm"), wat::parse_str(source).unwrap()).unwrap();
    bench.drivebay(&["run", "bad.wasm"]).expect(2, "os_execute");
    bench.drivebay(&["inspect", "bad.wasm"]).expect(2, "os_execute");
    assert!(!bench.path(".drivebay").exists());
}

#[test]
fn bent_modules_are_refused_or_run_and_never_crash() {
    let bench = Bench::new();
    let whole = std::fs::read(bench.path("counter.wasm")).unwrap();
    for at in (8..whole.len()).step_by(41) {
        let mut bent = whole.clone();
        bent[at] ^= 0x55;
        std::fs::write(bench.path("bent.wasm"), bent).unwrap();
        let args = ["run", "bent.wasm", "--dry-run", "--format", "wasm32-drivebay-1", "-m", "{}"];
        let ended = bench.drivebay(&args);
        assert!((0..=2).contains(&ended.code), "byte {at}: {} {}", ended.code, ended.err);
    }
}

#[test]
fn a_process_needs_a_name_that_a_folder_can_have() {
    let bench = Bench::new();
    for name in ["../up", "", "a b", "."] {
        bench
            .drivebay(&["run", "counter.wasm", "--process", name])
            .expect(2, "cannot name a process");
    }
}

#[test]
fn usage_mistakes_end_with_2_and_help_with_0() {
    let bench = Bench::new();
    bench.drivebay(&["run"]).expect(2, "Usage:");
    bench.drivebay(&["inspec"]).expect(2, "a similar subcommand");
    for args in [&["--help"][..], &["run", "--help"], &["image", "--help"], &["--version"]] {
        assert!(!bench.drivebay(args).expect(0, "").out.is_empty());
    }
    let help = bench.drivebay(&["--help"]).out;
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}

#[test]
fn inspect_says_what_a_module_is() {
    let bench = Bench::new();
    let ended = bench.drivebay(&["inspect", "counter.wasm"]).expect(0, "");
    for part in ["wasm32-drivebay-1", "drivebay-wasm", "handle", "alloc", "limits", "accepted"] {
        assert!(ended.out.contains(part), "{part:?} is not in: {}", ended.out);
    }
    let line = &bench.drivebay(&["inspect", "counter.wasm", "--json"]).expect(0, "").lines()[0];
    assert_eq!(crate::kit::text(line, "Format"), "wasm32-drivebay-1");
    assert!(line.get("Refused").unwrap().is_null());
    let limits = line.get("Limits").unwrap();
    assert_eq!(crate::kit::number(limits, "Memory-Bytes"), 256 << 20);
}
