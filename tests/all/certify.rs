//! `drivebay certify`: a case of the counter's own, transcripts, and what a fuzzer and a kill leave.

use crate::kit::{Bench, number};
use sha2::{Digest, Sha256};

/// Two messages to the counter; the second is said to be answered by `second`.
fn write_case(bench: &Bench, second: &str) {
    let module = std::fs::read(bench.path("counter.wasm")).unwrap();
    let sha256: String = Sha256::digest(module).iter().map(|byte| format!("{byte:02x}")).collect();
    let sent = r#"[{"Target":"T","Data":"hi","Tags":[{"name":"Action","value":"Count"}]}]"#;
    let answer = |output: &str| {
        format!(
            r#"{{"Output":"{output}","Messages":{sent},"Spawns":[],"Assignments":[],"next_memory":"returned"}}"#
        )
    };
    let results = [answer("000001"), answer(second)].join(",");
    let case = format!(
        r#"{{"module_file":"counter.wasm","module_sha256":"{sha256}","format":"wasm32-drivebay-1","options":{{}},"env":{{}},"messages":[{{"Id":"a"}},{{"Id":"b"}}],"results":[{results}]}}"#
    );
    std::fs::create_dir_all(bench.path("cases/own")).unwrap();
    bench.write("cases/own/0_count.json", &case);
}

fn certify(bench: &Bench, more: &[&str]) -> (i32, String) {
    let args = [&["certify", "golden", "cases", "--modules", "."], more].concat();
    let ended = bench.drivebay(&args);
    (ended.code, ended.out + &ended.err)
}

#[test]
fn equal_answers_pass_and_others_are_shown() {
    let bench = Bench::new();
    write_case(&bench, "000002");
    for how in [&[][..], &["--restored"], &["--engine", "pulley"]] {
        let (code, out) = certify(&bench, how);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains("1 passed, 0 failed, 0 skipped; 2/2 replies equal"), "{out}");
    }
    write_case(&bench, "000009");
    let (code, out) = certify(&bench, &[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("FAIL own/0_count") && out.contains("000009"), "{out}");
}

#[test]
fn a_named_difference_is_meant_to_be() {
    let bench = Bench::new();
    write_case(&bench, "000009");
    bench.write("differences.txt", "own/0_count | 1 | Output | a test\n");
    let (code, out) = certify(&bench, &[]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("1 named difference"), "{out}");
    // And one that does not occur any more must go.
    write_case(&bench, "000002");
    assert_eq!(certify(&bench, &[]).0, 1);
}

#[test]
fn a_missing_module_is_skipped_and_counted() {
    let bench = Bench::new();
    write_case(&bench, "000002");
    std::fs::create_dir(bench.path("none")).unwrap();
    let args = ["certify", "golden", "cases", "--modules", "none", "--json"];
    let lines = bench.drivebay(&args).expect(0, "").lines();
    assert_eq!(number(lines[1].get("Total").unwrap(), "Skipped"), 1);
    bench
        .drivebay(&["certify", "golden", "cases", "--modules", "nowhere"])
        .expect(3, "modules/fetch");
    bench
        .drivebay(&["certify", "golden", "cases", "--modules", ".", "--only", "x"])
        .expect(2, "no case");
}

#[test]
fn a_transcript_is_the_recorded_one_whoever_plays_it_and_however() {
    let bench = Bench::new();
    let recorded = include_str!("../../conformance/golden/receipts/wasm.txt");
    for how in [&[][..], &["--engine", "pulley"], &["--way", "imaged"]] {
        let played = bench.drivebay(&[&["certify", "play", "wasm", "roles"], how].concat());
        assert_eq!(played.expect(0, "").out, recorded, "{how:?}");
    }
    let unknown = bench.drivebay(&["certify", "play", "wasm", "nothing"]);
    unknown.expect(2, "there are roles, aos2_0_6");
    let way = ["certify", "play", "wasm", "roles", "--way", "sideways"];
    bench.drivebay(&way).expect(2, "no way is called sideways; there are again");
}

#[test]
fn what_was_kept_before_a_kill_is_gone_on_from() {
    let bench = Bench::new();
    let args = ["certify", "play", "wasm", "roles", "--resume", "kept"];
    let whole = bench.drivebay(&args).expect(0, "").out;
    assert_eq!(whole, include_str!("../../conformance/golden/receipts/wasm.txt"));
    // As a kill leaves it: one log is there in part, one not at all.
    std::fs::remove_file(bench.path("kept/float")).unwrap();
    assert_eq!(bench.drivebay(&args).expect(0, "").out, whole);
    bench.write("kept/float", "2\nbent");
    bench.drivebay(&args).expect(3, "what was kept cannot be read");
}

#[test]
fn a_report_counts_and_says_why_something_was_skipped() {
    let bench = Bench::new();
    let args = ["certify", "--only", "all", "--report", "report", "--json"];
    let report = &bench.drivebay(&args).expect(0, "").lines()[0];
    assert_eq!(number(report, "Failed"), 0);
    assert_eq!(number(report, "Skipped"), 3, "neither suites nor cases are here");
    let xml = std::fs::read_to_string(bench.path("report/report.xml")).unwrap();
    assert!(xml.contains("conformance/suites/fetch brings it"), "{xml}");
    let table = std::fs::read_to_string(bench.path("report/report.txt")).unwrap();
    assert!(table.contains("0 passed, 0 failed, 3 skipped"), "{table}");
    bench.drivebay(&["certify", "--only", "nothing"]).expect(2, "no suite has that in its name");
}

#[test]
fn random_logs_agree_on_every_engine() {
    let bench = Bench::new();
    let found = bench.drivebay(&["certify", "fuzz", "--cases", "60", "--machine", "wasm"]);
    let found = found.expect(0, "");
    assert!(found.out.contains("module") && found.out.contains(" 0 diverged"), "{}", found.out);
    // A run that was ended goes on from where it was, and counts what was done before.
    let keep = |cases: &str| {
        let line = ["certify", "fuzz", "--cases", cases, "--machine", "evm", "--keep", "kept"];
        bench.drivebay(&line).expect(0, "").out
    };
    let (part, whole) = (keep("50"), keep("100"));
    assert_ne!(part, whole);
    assert_eq!(keep("100"), whole);
    let anew = bench.drivebay(&["certify", "fuzz", "--cases", "100", "--machine", "evm"]);
    assert_eq!(anew.expect(0, "").out, whole);
    bench.write("kept/evm-seed-1-from-0.txt", "bent");
    let bent = ["certify", "fuzz", "--machine", "evm", "--keep", "kept"];
    bench.drivebay(&bent).expect(2, "is bent");
    bench.drivebay(&["certify", "fuzz", "--machine", "none"]).expect(2, "no machine of that name");
}
