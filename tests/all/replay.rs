//! `drivebay replay` and `drivebay store`: a whole schedule from a file, and the store that it leaves.

use crate::kit::{Bench, number, text};

/// A log of `count` messages.
fn log(count: u64) -> String {
    let id = |kind: &str, number: u64| format!("{kind}{number:0>40}");
    let tags = |kind: &str| {
        format!(r#"[{{"name":"Data-Protocol","value":"ao"}},{{"name":"Type","value":"{kind}"}}]"#)
    };
    let part = |kind: &str| {
        let (id, tags) = (id(&kind[..3], 1), tags(kind));
        format!(r#""{kind}":{{"Id":"{id}","Owner":"owner","Tags":{tags}}}"#)
    };
    let message = |nonce: u64| {
        format!(
            r#"{{"Id":"{}","Data":"go","Owner":"owner","From":"owner","Tags":{},"Nonce":{nonce},"Timestamp":{},"Block-Height":1,"Hash-Chain":"c{nonce}"}}"#,
            id("msg", nonce),
            tags("Message"),
            1000 + nonce
        )
    };
    let messages: Vec<String> = (0..count).map(message).collect();
    format!(
        r#"{{"name":"test","env":{{{},{}}},"messages":[{}]}}"#,
        part("Process"),
        part("Module"),
        messages.join(",")
    )
}

#[test]
fn a_log_is_replayed_kept_and_gone_on_with() {
    let bench = Bench::new();
    bench.write("log.json", &log(30));
    let replay = |more: &[&str]| {
        let line = [&["replay", "log.json", "counter.wasm", "--json"], more].concat();
        bench.drivebay(&line).expect(0, "").lines()
    };
    let whole = replay(&[]);
    assert_eq!(whole.len(), 30);
    assert_eq!(number(&whole[29], "Slot"), 29);
    let part = replay(&["--store", "unit", "--to", "9"]);
    assert_eq!(part[..], whole[..10]);
    assert_eq!(
        replay(&["--store", "unit"]),
        whole,
        "what was kept and what was not make one whole"
    );
    let read = replay(&["--store", "unit", "--dry-run", r#"{"Data":"go"}"#, "--slot", "4"]);
    let (read, sixth) = (&read[30], &whole[5]);
    assert_eq!(number(read, "Slot"), 4);
    assert_eq!(
        read.get("Output"),
        sixth.get("Output"),
        "the state after slot 4 makes the answer of slot 5"
    );
    let shown = bench.drivebay(&["replay", "log.json", "counter.wasm"]).expect(0, "");
    assert!(shown.out.contains("30 results, 0 with an error"), "{}", shown.out);
    assert_eq!(text(&whole[3], "Receipt").len(), 64);
}

#[test]
fn the_store_of_a_replay_is_looked_after() {
    let bench = Bench::new();
    bench.write("log.json", &log(12));
    for to in ["3", "7", "11"] {
        let line = ["replay", "log.json", "counter.wasm", "--store", "unit", "--to", to];
        bench.drivebay(&line).expect(0, "");
    }
    let checked = bench.drivebay(&["store", "check", "unit"]).expect(0, "");
    assert!(checked.out.contains("1 processes, 12 receipts, 3 checkpoints"), "{}", checked.out);
    bench.drivebay(&["store", "backup", "unit", "copy"]).expect(0, "");
    bench.drivebay(&["store", "backup", "unit", "copy"]).expect(2, "copy is there already");
    let swept = bench.drivebay(&["store", "sweep", "unit", "--keep", "1"]).expect(0, "");
    assert!(swept.out.contains("removed 2 checkpoints"), "{}", swept.out);
    let again = ["replay", "log.json", "counter.wasm", "--store", "copy"];
    bench.drivebay(&again).expect(0, "");
    bench.drivebay(&["store", "check", "nowhere"]).expect(2, "there is no store nowhere");
    assert!(!bench.path("nowhere").exists());
}

#[test]
fn what_is_wrong_with_a_log_is_said() {
    let bench = Bench::new();
    for (log, part) in [
        ("{", "the log is no JSON"),
        ("{}", "the log has no env and messages"),
        (r#"{"env":{},"messages":[]}"#, "holds no messages"),
        (r#"{"env":{},"messages":[{}]}"#, "message 0: it has no Nonce"),
        (r#"{"env":{},"messages":[{"Nonce":1}]}"#, "message 0 has Nonce 1, but should have 0"),
    ] {
        bench.write("log.json", log);
        bench.drivebay(&["replay", "log.json", "counter.wasm"]).expect(2, part);
    }
    let gap = log(3).replace("\"Nonce\":1,", "\"Nonce\":7,");
    bench.write("log.json", &gap);
    bench.drivebay(&["replay", "log.json", "counter.wasm"]).expect(2, "message 1 has Nonce 7");
}
