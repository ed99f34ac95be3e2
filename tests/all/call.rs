//! `drivebay call` on a whole ao: views, messages, events and reverts of a contract.

use crate::{
    kit::{Bench, text},
    up::{Ao, bench},
};
use alloy_primitives::{hex, keccak256};

/// What the contract below answers to, in the words of its author.
const ABI: &str = r#"[
{"type":"function","name":"step","inputs":[{"name":"by","type":"uint256"}],"outputs":[{"name":"","type":"uint256"}],"stateMutability":"nonpayable"},
{"type":"function","name":"after_step","inputs":[{"name":"by","type":"uint256"}],"outputs":[{"name":"","type":"uint256"}],"stateMutability":"view"},
{"type":"function","name":"Poor","inputs":[{"name":"has","type":"uint256"},{"name":"needs","type":"uint256"}],"outputs":[],"stateMutability":"nonpayable"},
{"type":"error","name":"Poor","inputs":[{"name":"has","type":"uint256"},{"name":"needs","type":"uint256"}]},
{"type":"event","name":"Stepped","inputs":[{"name":"sum","type":"uint256","indexed":false}],"anonymous":false}]"#;

/// With one word behind the selector: adds it to slot 0, logs `Stepped`, returns the sum. With anything else: reverts with it.
fn artifact(abi: &str) -> String {
    let topic = hex::encode(keccak256("Stepped(uint256)"));
    let runtime =
        format!("36602414600e57365f5f37365ffd5b5f5460043501805f555f527f{topic}60205fa160205ff3");
    let length = runtime.len() / 2;
    format!(
        r#"{{"contractName":"Steps","abi":{abi},"bytecode":"0x60{length:02x}8060095f395ff3{runtime}"}}"#
    )
}

struct Contract {
    bench: Bench,
    ao: Ao,
    pid: String,
}

impl Contract {
    fn new(abi: &str) -> Self {
        let bench = bench();
        bench.write("Steps.json", &artifact(abi));
        let ao = Ao::up(&bench, &[]);
        let gateway = ao.text("/gateway");
        let run = |args: &[&str]| {
            let ended = bench.drivebay(&[args, &["--gateway", &gateway]].concat()).expect(0, "");
            ended.out.lines().last().unwrap().trim().to_owned()
        };
        let module = run(&["publish", "Steps.json"]);
        let pid = run(&["spawn", &module]);
        Self { bench, ao, pid }
    }

    fn call(&self, args: &[&str]) -> crate::kit::Ended {
        let gateway = self.ao.text("/gateway");
        self.bench.drivebay(&[&["call", "--url", &gateway, &self.pid], args].concat())
    }
}

#[test]
fn a_view_is_asked_and_anything_else_is_sent() {
    let contract = Contract::new(ABI);
    let call = |args: &[&str]| contract.call(args);
    let listed = call(&[]).expect(0, "").out;
    let (views, others) = listed.split_once("change the state").unwrap();
    assert!(views.contains("after_step(uint256 by) view returns (uint256)"), "{listed}");
    assert!(others.contains("step(uint256 by) returns (uint256)"), "{listed}");

    for _ in 0..2 {
        let asked = call(&["after_step", "5"]).expect(0, "").out;
        assert!(asked.starts_with("5\n") && asked.contains("Stepped  sum=5"), "{asked}");
    }
    let sent = call(&["step(uint256)", "5"]).expect(0, "").out;
    let lines: Vec<&str> = sent.lines().collect();
    assert_eq!((lines[0].len(), lines[1], lines[2]), (43, "5", "event → Stepped  sum=5"), "{sent}");
    // What came of it is kept under its id.
    let gateway = contract.ao.text("/gateway");
    let result = ["result", &contract.pid, lines[0], "--gateway", &gateway, "--json"];
    let kept = contract.bench.drivebay(&result).expect(0, "").lines();
    assert_eq!(text(kept[0].get("Output").unwrap(), "data"), "5");

    let data = |args: &[&str]| {
        let lines = call(&[args, &["--json"]].concat()).expect(0, "").lines();
        text(lines[0].get("Output").unwrap(), "data").to_owned()
    };
    assert_eq!(data(&["step", "2", "--dry-run"]), "7");
    assert_eq!(data(&["step", "3", "--dry-run"]), "8");
    assert_eq!(data(&["after_step", "4", "--send"]), "9");
    assert_eq!(data(&["step", "1"]), "10");
}

#[test]
fn a_revert_is_told_in_the_contracts_words() {
    let contract = Contract::new(ABI);
    let said = contract.call(&["Poor", "3", "7"]).expect(1, "").out;
    assert!(said.contains("error execution reverted: Poor(3, 7)"), "{said}");
    let asked = contract.call(&["Poor", "3", "8", "--dry-run", "--json"]).expect(1, "").lines();
    assert_eq!(text(&asked[0], "Error"), "execution reverted: Poor(3, 8)");
}

#[test]
fn what_cannot_be_meant_is_not_sent() {
    let contract = Contract::new(ABI);
    let no = |args: &[&str], why: &str| drop(contract.call(args).expect(2, why));
    no(
        &["stop"],
        "the ABI has no function stop; it has Poor(uint256 has, uint256 needs); after_step",
    );
    no(&["step", "many"], "argument by: `many` is none; expected uint256");
    no(&["step"], "0 arguments were given; expected 1");
    no(&["step", "1", "--from", "me"], "leave --from out, or add --dry-run");
    no(&["step", "1", "--abi", "nowhere.json"], "nowhere.json");
    let sum = contract.call(&["after_step", "0", "--json"]).expect(0, "").lines();
    assert_eq!(text(sum[0].get("Output").unwrap(), "data"), "0");
}

#[test]
fn a_contract_without_an_abi_is_called_by_signature_or_with_a_file() {
    let contract = Contract::new("[]");
    contract.call(&["step", "1"]).expect(2, "it has ");
    let asked = contract.call(&["after_step(uint256) view returns (uint256)", "6"]);
    assert!(asked.expect(0, "").out.starts_with("6\n"));
    contract.bench.write("abi.json", ABI);
    let abi = ["--abi", "abi.json", "--json"];
    let sent = contract.call(&[&["step", "6"], &abi[..]].concat()).expect(0, "").lines();
    let output = sent[0].get("Output").unwrap();
    let log = &output.get("logs").unwrap().as_array().unwrap()[0];
    assert_eq!((text(output, "data"), text(log, "event")), ("6", "Stepped"));
    assert_eq!(text(log.get("args").unwrap(), "sum"), "6");
    let poor = contract.call(&[&["Poor", "1", "2"], &abi[..]].concat()).expect(1, "").lines();
    assert_eq!(text(&poor[0], "Error"), "execution reverted: Poor(1, 2)");
}
