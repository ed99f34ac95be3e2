//! States as files: saved, shown, compared and loaded.

use crate::kit::{Bench, text};

const PING: &[&str] = &["--message", r#"{"Data":"hello"}"#];

#[test]
fn a_saved_state_goes_on_under_another_process() {
    let bench = Bench::new();
    let lines = bench.count(PING);
    let process = bench.process();
    let saved = bench.drivebay(&["image", "save", "a.image", "--process", &process]).expect(0, "");
    let root = text(&lines[1], "Root");
    assert!(saved.out.contains(root), "{}", saved.out);

    let load = ["image", "load", "a.image", "counter.wasm", "--process", "copy"];
    let loaded = bench.drivebay(&load).expect(0, "");
    assert!(loaded.out.contains(root), "{}", loaded.out);
    let copy = bench.count(&["--process", "copy", PING[0], PING[1]]);
    assert_eq!(text(&copy[0], "Output"), "000003");
    bench.drivebay(&load).expect(2, "already has a state");
    bench.drivebay(&[&load[..], &["--fresh"]].concat()).expect(0, "");
}

#[test]
fn show_and_diff_say_what_is_there_and_what_changed() {
    let bench = Bench::new();
    let lines = bench.count(PING);
    let process = bench.process();
    bench.drivebay(&["image", "save", "a.image", "--process", &process]).expect(0, "");
    bench.count(PING);
    bench.drivebay(&["image", "save", "b.image", "--process", &process]).expect(0, "");

    let shown = bench.drivebay(&["image", "show", "a.image"]).expect(0, "");
    assert!(shown.out.contains(text(&lines[1], "Root")), "{}", shown.out);
    assert!(shown.out.contains("section "), "{}", shown.out);
    let json = &bench.drivebay(&["image", "show", "a.image", "--json"]).expect(0, "").lines()[0];
    assert_eq!(text(json, "Root"), text(&lines[1], "Root"));

    let equal = bench.drivebay(&["image", "diff", "a.image", "a.image"]).expect(0, "");
    assert!(equal.out.starts_with("equal"), "{}", equal.out);
    let differs = bench.drivebay(&["image", "diff", "a.image", "b.image"]).expect(1, "");
    assert!(differs.out.contains("pages of 4096 bytes differ"), "{}", differs.out);
}

#[test]
fn only_images_of_the_module_are_loaded() {
    let bench = Bench::new();
    bench.count(PING);
    bench.drivebay(&["image", "save", "a.image", "--process", &bench.process()]).expect(0, "");
    let other = include_str!("counter.wat").replace("sorry\\\"}", "SORRY\\\"}");
    std::fs::write(bench.path("other.wasm"), wat::parse_str(other).unwrap()).unwrap();
    bench
        .drivebay(&["image", "load", "a.image", "other.wasm", "--process", "q"])
        .expect(2, "module");

    let whole = std::fs::read(bench.path("a.image")).unwrap();
    let mut bent = whole.clone();
    bent[whole.len() / 2] ^= 1;
    std::fs::write(bench.path("bent.image"), bent).unwrap();
    bench.drivebay(&["image", "show", "bent.image"]).expect(2, "no image that can be used");
    bench
        .drivebay(&["image", "load", "bent.image", "counter.wasm", "--process", "q"])
        .expect(2, "");
    assert!(!bench.path(".drivebay/q").exists());
    bench
        .drivebay(&["image", "save", "x", "--process", "nobody"])
        .expect(2, "there is no process nobody");
    bench
        .drivebay(&["image", "load", "nowhere", "counter.wasm"])
        .expect(2, "there is no file nowhere");
}

#[test]
fn a_format_without_checkpoints_says_so() {
    let bench = Bench::new();
    bench.count(PING);
    let process = bench.process();
    let save = ["image", "save", "m.gz", "--process", &process, "--checkpoint", "counter.wasm"];
    bench.drivebay(&save).expect(2, "checkpoint");
    assert!(!bench.path("m.gz").exists());
}
