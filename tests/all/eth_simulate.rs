//! `eth_simulateV1`: calls one on the other, checked as transactions, and what they move.

use crate::eth::{home, stage};
use alloy_primitives::{Address, B256, U256, hex};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_simulated_one_on_the_other() {
    let stage = stage();
    let to = home().to_string();
    let call = || json!({ "to": to });
    let poor = json!({ "to": to, "input": "0xc0ffee" });
    let slots =
        json!({ &to: { "stateDiff": { B256::ZERO.to_string(): B256::with_last_byte(7) } } });
    let blocks = json!([
        { "calls": [call(), call()] },
        { "stateOverrides": slots, "blockOverrides": { "number": "0x4" }, "calls": [call(), poor] },
    ]);
    let ask = json!([{ "blockStateCalls": blocks }, "latest"]);
    let said = stage.ask("eth_simulateV1", ask.clone()).await;
    assert_eq!(said, stage.ask("eth_simulateV1", ask).await, "it leaves no mark");
    let word = |n: u8| json!(B256::with_last_byte(n));
    let numbers: Vec<&Value> = said.as_array().unwrap().iter().map(|b| &b["number"]).collect();
    assert_eq!(numbers, ["0x2", "0x3", "0x4"], "what nobody described is empty");
    assert_eq!(said[1]["calls"], json!([]));
    let returned = |block: usize, call: usize| &said[block]["calls"][call]["returnData"];
    assert_eq!([returned(0, 0), returned(0, 1), returned(2, 0)], [&word(2), &word(3), &word(8)]);
    let log = &said[0]["calls"][1]["logs"][0];
    assert_eq!(
        (&log["data"], &log["logIndex"], &log["blockHash"]),
        (&word(3), &json!("0x1"), &said[0]["hash"])
    );
    let failed = &said[2]["calls"][1];
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("0x0"), &json!(3)));
    assert_eq!(failed["error"]["data"], "0xc0ffee");
    assert_eq!(said[2]["parentHash"], said[1]["hash"]);
    assert_eq!(stage.ask("eth_blockNumber", json!([])).await, "0x1");
    let block =
        |overrides: Value| json!([{ "blockStateCalls": [{ "blockOverrides": overrides }] }]);
    for (params, code) in [
        (block(json!({ "number": "0x1" })), -38020),
        (block(json!({ "time": "0x1" })), -38021),
        (block(json!({ "number": "0x200" })), -38026),
        (json!([{ "blockStateCalls": [{ "calls": [{ "to": to, "value": "0x1" }] }] }]), -38014),
        (
            json!([{ "blockStateCalls": [{ "calls": [{ "to": to, "gas": "0xffffffff" }] }] }]),
            -38015,
        ),
        (json!([{}]), -32602),
    ] {
        assert_eq!(stage.error("eth_simulateV1", params.clone()).await.0, code, "{params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_calls_are_checked_as_transactions_where_that_is_wanted() {
    let stage = stage();
    let (who, to) = (stage.from(), home());
    let ask = |call: Value, more: Value| {
        let overrides = json!({ who.to_string(): { "balance": "0xffff", "nonce": "0x3" } });
        let fee = json!({ "baseFeePerGas": more });
        let block = json!({ "stateOverrides": overrides, "blockOverrides": fee, "calls": [call] });
        json!([{ "blockStateCalls": [block], "validation": true, "returnFullTransactions": true }])
    };
    for (call, fee, code) in [
        (json!({ "from": who, "to": to, "nonce": "0x2" }), "0x0", -38010),
        (json!({ "from": who, "to": to, "nonce": "0x4" }), "0x0", -38011),
        (json!({ "from": who, "to": to, "maxFeePerGas": "0x1" }), "0x2", -38012),
        (json!({ "from": who, "to": to, "gas": "0x5207" }), "0x0", -38013),
        (json!({ "from": who, "to": to, "maxFeePerGas": "0x2" }), "0x2", -38014),
        (json!({ "from": to, "to": who }), "0x0", -38024),
    ] {
        let params = ask(call, json!(fee));
        assert_eq!(stage.error("eth_simulateV1", params.clone()).await.0, code, "{params}");
    }
    let call = json!({ "from": who, "to": to, "nonce": "0x3", "gas": "0xffff", "gasPrice": "0x0" });
    let said = stage.ask("eth_simulateV1", ask(call, json!("0x0"))).await;
    let transaction = &said[0]["transactions"][0];
    assert_eq!((&transaction["from"], &transaction["nonce"]), (&json!(who), &json!("0x3")));
    assert_eq!(transaction["hash"], said[0]["calls"][0]["logs"][0]["transactionHash"]);
    assert_eq!(
        (&transaction["gas"], &transaction["blockNumber"]),
        (&json!("0xffff"), &json!("0x2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_moves_is_told_as_logs_where_that_is_wanted() {
    let stage = stage();
    let (who, via) = (stage.from(), Address::repeat_byte(0x77));
    let (good, bad) = (Address::with_last_byte(0xaa), Address::with_last_byte(0xbb));
    // Sends 1 to one and 2 to another.
    let send = |value: u8, to: Address| format!("5f5f5f5f60{value:02x}73{}5af150", hex::encode(to));
    let overrides = json!({
        who.to_string(): { "balance": "0xffff" },
        via.to_string(): { "code": format!("0x{}{}", send(1, good), send(2, bad)) },
        bad.to_string(): { "code": "0x5f5ffd" },
    });
    let calls = json!([{ "from": who, "to": via, "value": "0x9" }, { "from": who, "to": bad, "value": "0x9" }]);
    let block = json!({ "stateOverrides": overrides, "calls": calls });
    let ask = json!([{ "blockStateCalls": [block], "traceTransfers": true }]);
    let said = stage.ask("eth_simulateV1", ask).await;
    let log = |log: &Value| {
        assert_eq!(log["address"], json!(Address::repeat_byte(0xee)));
        let who = |at: usize| log["topics"][at].as_str().unwrap()[26..].to_owned();
        (who(1), who(2), log["data"].as_str().unwrap().parse::<U256>().unwrap())
    };
    let logs: Vec<_> = said[0]["calls"][0]["logs"].as_array().unwrap().iter().map(log).collect();
    let moved = |from: Address, to: Address, value: u8| {
        (hex::encode(from), hex::encode(to), U256::from(value))
    };
    assert_eq!(logs, [moved(who, via, 9), moved(via, good, 1)], "what came back is not told");
    let failed = &said[0]["calls"][1];
    assert_eq!((&failed["status"], &failed["logs"]), (&json!("0x0"), &json!([])));
}
