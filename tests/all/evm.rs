//! Contracts on the command line: a compiler's artifact, calls of functions, and state tests.

use crate::kit::{Bench, text};
use drivebay::disk::json::Value;

/// An artifact of Hardhat's form.
fn artifact() -> String {
    let code: String = assembled().iter().map(|byte| format!("{byte:02x}")).collect();
    let abi = r#"[{"type":"function","name":"step","inputs":[{"name":"by","type":"uint256"}],"outputs":[{"name":"","type":"uint256"}],"stateMutability":"nonpayable"}]"#;
    format!(r#"{{"contractName":"Steps","abi":{abi},"bytecode":"0x{code}"}}"#)
}

/// Init code that returns: SLOAD 0, plus the argument, SSTORE 0, return it; reverts without calldata.
fn assembled() -> Vec<u8> {
    let runtime = [
        0x36, 0x60, 0x08, 0x57, 0x5f, 0x5f, 0xfd, 0x00, // no calldata: revert
        0x5b, 0x5f, 0x54, 0x60, 0x04, 0x35, 0x01, 0x80, // sum of slot 0 and the argument
        0x5f, 0x55, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, // kept, and returned
    ];
    let mut init = vec![0x60, 24, 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3];
    init.extend(runtime);
    init
}

#[test]
fn an_artifact_runs_and_keeps_its_state() {
    let bench = Bench::new();
    bench.write("Steps.json", &artifact());
    let run = |more: &[&str]| bench.drivebay(&[&["run", "Steps.json", "--json"], more].concat());
    let first = run(&["--call", "step", "5", "--call", "step(uint256)", "2"]).expect(0, "").lines();
    let data = |line: &Value| text(line.get("Output").unwrap(), "data").to_owned();
    assert_eq!([data(&first[1]), data(&first[2])], ["5", "7"]);
    let second = run(&["--call", "step", "1"]).expect(0, "").lines();
    assert_eq!(data(&second[0]), "8");
    let reverted = run(&["--message", r#"{"Data":""}"#]).expect(1, "").lines();
    assert_eq!(text(&reverted[0], "Error"), "execution reverted");
    let wrong = run(&["--call", "step", "many"]).expect(1, "").lines();
    assert!(text(&wrong[0], "Error").contains("argument by: `many` is none; expected uint256"));
}

#[test]
fn inspect_shows_the_abi_and_names_the_choice() {
    let bench = Bench::new();
    bench.write("Steps.json", &artifact());
    let shown = bench.drivebay(&["inspect", "Steps.json"]).expect(0, "");
    assert!(shown.out.contains("function step(uint256 by)"), "{}", shown.out);
    assert!(shown.out.contains("evm-bytecode-osaka-1"), "{}", shown.out);
    let two = r#"{"a.sol":{"A":{"bin":"6000"},"B":{"bin":"6001"}}}"#;
    bench.write("two.json", two);
    bench.drivebay(&["inspect", "two.json"]).expect(2, "name one with --contract: A, B");
    bench.drivebay(&["inspect", "two.json", "--contract", "A"]).expect(0, "");
    bench.write("none.json", "{}");
    bench.drivebay(&["inspect", "none.json"]).expect(2, "no bytecode");
}

#[test]
fn state_tests_are_told_apart() {
    let bench = Bench::new();
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/evm/cases");
    let ended = bench.drivebay(&["certify", "statetest", cases]).expect(0, "");
    assert!(ended.out.contains("200 passed, 0 failed, 0 skipped"), "{}", ended.out);
    let whole = std::fs::read_to_string(format!("{cases}/000000.json")).unwrap();
    let at = whole.find("\"hash\":\"0x").unwrap() + 10;
    let (before, after) = whole.split_at(at);
    let digit = if after.starts_with('7') { "8" } else { "7" };
    bench.write("bent.json", &[before, digit, &after[1..]].concat());
    bench.drivebay(&["certify", "statetest", "bent.json"]).expect(1, "");
    bench.write("other.json", "[]");
    bench.drivebay(&["certify", "statetest", "other.json"]).expect(1, "");
    bench.drivebay(&["certify", "statetest", "nowhere"]).expect(2, "no .json file");
}
