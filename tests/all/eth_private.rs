//! Private chains that fork a process: moved on, gone back with, changed, bounded; and the process as it was.

use crate::eth::{PID, Stage, home, stage, staged};
use alloy_primitives::{Address, B256, U256, address};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use drivebay::{eth::Eth, item::Id};
use serde_json::{Value, json};
use tower::ServiceExt;

const FIRST: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const SECOND: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

/// The counter's process, at slot 1 with a one in it, and a private chain of it.
fn forked(name: &str) -> Stage {
    let mut stage = staged(Eth::with_private_chains);
    stage.path = format!("/eth/{PID}/dev/{name}");
    stage
}

impl Stage {
    async fn count(&self) -> U256 {
        number(&self.ask("eth_getStorageAt", json!([home(), "0x0"])).await)
    }

    async fn height(&self) -> U256 {
        number(&self.ask("eth_blockNumber", json!([])).await)
    }

    /// Sends a message to the counter, and gives its receipt.
    async fn poke(&self, from: Address) -> Value {
        let hash = self.ask("eth_sendTransaction", json!([{ "from": from, "to": home() }])).await;
        self.ask("eth_getTransactionReceipt", json!([hash])).await
    }
}

fn number(value: &Value) -> U256 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_go_on_from_the_process_and_leave_it_as_it_was() {
    let stage = forked("x");
    let process = stage.at("");
    let before = process.ask("eth_getBlockByNumber", json!(["latest", true])).await;
    let accounts = stage.ask("eth_accounts", json!([])).await;
    assert_eq!((accounts.as_array().unwrap().len(), &accounts[0]), (10, &json!(FIRST)));
    assert_eq!(stage.ask("eth_blockNumber", json!([])).await, "0x1");
    let receipt = stage.poke(FIRST).await;
    assert_eq!((&receipt["status"], &receipt["blockNumber"]), (&json!("0x1"), &json!("0x2")));
    assert_eq!((&receipt["from"], &receipt["to"]), (&json!(FIRST), &json!(home())));
    assert_eq!(receipt["logs"][0]["data"], json!(B256::with_last_byte(2)));
    assert_eq!(stage.count().await, U256::from(2));
    let block = stage.ask("eth_getBlockByNumber", json!(["latest", true])).await;
    assert_eq!((&block["hash"], &block["parentHash"]), (&receipt["blockHash"], &before["hash"]));
    assert_eq!(block["transactions"][0]["hash"], receipt["transactionHash"]);
    assert_eq!(stage.ask("eth_getBlockByNumber", json!(["0x0", false])).await["number"], "0x0");
    let logs = stage.ask("eth_getLogs", json!([{ "fromBlock": "0x0" }])).await;
    assert_eq!(logs.as_array().unwrap().len(), 2, "one of the process, one of the chain");
    let proof = stage.ask("eth_getProof", json!([home(), ["0x0"], "latest"])).await;
    assert_eq!(proof["storageProof"][0]["value"], "0x2");
    assert_eq!(number(&stage.ask("eth_call", json!([{ "to": home() }])).await), U256::from(3));
    let trace = json!([receipt["transactionHash"], { "tracer": "callTracer" }]);
    let trace = stage.ask("debug_traceTransaction", trace).await;
    assert_eq!(trace["output"], json!(B256::with_last_byte(2)), "{trace}");

    assert_eq!(process.count().await, U256::from(1));
    assert_eq!(process.ask("eth_getBlockByNumber", json!(["latest", true])).await, before);
    let unknown = json!([receipt["transactionHash"]]);
    assert_eq!(process.ask("eth_getTransactionReceipt", unknown).await, Value::Null);
    stage.script.change(PID, |entries| assert_eq!(entries.len(), 2));
    // The process goes on, and the chain stays where it was.
    process.script.message(PID, &Id::of(b"second").to_string(), "");
    assert_eq!((process.height().await, stage.height().await), (U256::from(2), U256::from(2)));
    assert_eq!(stage.ask("eth_getBlockByNumber", json!(["0x2", true])).await, block);
    let hash = process.ask("eth_getBlockByNumber", json!(["0x2", false])).await["hash"].clone();
    assert_eq!(stage.ask("eth_getBlockByHash", json!([hash, false])).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_gone_back_to_once() {
    let stage = forked("x");
    let first = stage.ask("evm_snapshot", json!([])).await;
    stage.poke(FIRST).await;
    let second = stage.ask("evm_snapshot", json!([])).await;
    let gone = stage.poke(FIRST).await;
    assert_eq!(stage.count().await, U256::from(3));
    let filter = stage.ask("eth_newFilter", json!([{}])).await;
    assert_eq!(stage.ask("evm_revert", json!([second])).await, true);
    assert_eq!((stage.count().await, stage.height().await), (U256::from(2), U256::from(2)));
    let receipt = json!([gone["transactionHash"]]);
    assert_eq!(stage.ask("eth_getTransactionReceipt", receipt).await, Value::Null);
    let again = stage.poke(FIRST).await;
    assert_eq!(again["transactionHash"], gone["transactionHash"]);
    assert_ne!(again["blockHash"], gone["blockHash"]);
    let news = stage.ask("eth_getFilterChanges", json!([filter])).await;
    assert_eq!(news[0]["blockHash"], again["blockHash"], "what came after is new to a filter");
    assert_eq!(stage.ask("evm_revert", json!([second])).await, false);
    assert_eq!(stage.ask("evm_revert", json!([first])).await, true);
    assert_eq!((stage.count().await, stage.height().await), (U256::from(1), U256::from(1)));
    assert_eq!(stage.ask("evm_revert", json!([first])).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_changed_and_lent() {
    let stage = forked("x");
    let who = Address::repeat_byte(0x42);
    let unknown = json!([{ "from": who, "to": home() }]);
    let (code, text) = stage.error("eth_sendTransaction", unknown.clone()).await;
    assert!(code == -32000 && text.contains("anvil_impersonateAccount"), "{text}");
    stage.ask("hardhat_impersonateAccount", json!([who])).await;
    assert_eq!(stage.poke(who).await["from"], json!(who));
    stage.ask("anvil_stopImpersonatingAccount", json!([who])).await;
    assert_eq!(stage.error("eth_sendTransaction", unknown).await.0, -32000);
    // A contract sends, too.
    stage.ask("anvil_impersonateAccount", json!([home()])).await;
    assert_eq!(stage.poke(home()).await["status"], "0x1");
    stage.ask("hardhat_setBalance", json!([who, "0x64"])).await;
    assert_eq!(stage.ask("eth_getBalance", json!([who])).await, "0x64");
    stage.ask("anvil_setNonce", json!([who, "0x7"])).await;
    assert_eq!(stage.ask("eth_getTransactionCount", json!([who])).await, "0x7");
    stage.ask("anvil_setCode", json!([who, "0x5f5f5260205ff3"])).await;
    assert_eq!(number(&stage.ask("eth_call", json!([{ "to": who }])).await), U256::ZERO);
    let slot = json!([home(), "0x0", B256::with_last_byte(99)]);
    assert_eq!(stage.ask("anvil_setStorageAt", slot).await, true);
    assert_eq!(stage.count().await, U256::from(99));
    let at = json!([home(), "0x0", "0x1"]);
    let once = stage.ask("eth_getStorageAt", at).await;
    assert_eq!(number(&once), U256::from(1), "an older block is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_made_when_wanted_and_at_the_time_wanted() {
    let stage = forked("x");
    let time = async |block: &str| {
        number(&stage.ask("eth_getBlockByNumber", json!([block, false])).await["timestamp"])
    };
    stage.ask("evm_setAutomine", json!([false])).await;
    let poke = json!([{ "from": FIRST, "to": home() }]);
    let first = stage.ask("eth_sendTransaction", poke.clone()).await;
    let second = stage.ask("eth_sendTransaction", poke).await;
    let third = json!([{ "from": FIRST, "to": home(), "nonce": "0x9" }]);
    let third = stage.ask("eth_sendTransaction", third).await;
    assert_eq!(stage.ask("eth_getTransactionCount", json!([FIRST, "latest"])).await, "0x0");
    assert_eq!(stage.ask("eth_getTransactionCount", json!([FIRST, "pending"])).await, "0x2");
    let waits = stage.ask("eth_getTransactionByHash", json!([second])).await;
    assert_eq!((&waits["hash"], &waits["blockHash"]), (&second, &Value::Null));
    assert_eq!(stage.ask("evm_mine", json!([])).await, "0x0");
    let block = stage.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["transactions"], json!([first, second]));
    let receipt = stage.ask("eth_getTransactionReceipt", json!([second])).await;
    assert_eq!(
        (&receipt["transactionIndex"], &receipt["logs"][0]["logIndex"]),
        (&json!("0x1"), &json!("0x1"))
    );
    assert_eq!(stage.ask("eth_getTransactionReceipt", json!([third])).await, Value::Null);
    let trace = json!([second, { "tracer": "callTracer" }]);
    let trace = stage.ask("debug_traceTransaction", trace).await;
    assert_eq!(trace["output"], json!(B256::with_last_byte(3)), "after the one before it");

    stage.ask("anvil_mine", json!(["0x3e8", "0xa"])).await;
    assert_eq!(stage.height().await, U256::from(1002));
    let last = time("latest").await;
    assert_eq!(last - time("0x3e9").await, U256::from(10));
    stage.ask("evm_setNextBlockTimestamp", json!([last + U256::from(500)])).await;
    stage.ask("evm_mine", json!([])).await;
    assert_eq!(time("latest").await, last + U256::from(500));
    let (code, text) = stage.error("evm_setNextBlockTimestamp", json!(["0x1"])).await;
    assert!(code == -32602 && text.contains("timestamp"), "{text}");
    let (_, text) = stage.error("hardhat_mine", json!(["0xffffffff"])).await;
    assert!(text.contains("100000 blocks"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_transactions_are_checked_as_on_a_chain() {
    let stage = forked("x");
    let (raw, hash) = stage.signed(0).await;
    assert_eq!(stage.ask("eth_sendRawTransaction", json!([raw])).await, json!(hash));
    assert_eq!(stage.ask("debug_getRawTransaction", json!([hash])).await, json!(raw));
    assert_eq!(stage.count().await, U256::from(2));
    let (code, text) = stage.error("eth_sendRawTransaction", json!([raw])).await;
    assert!(code == -32000 && text.contains("nonce too low"), "{text}");
    // One whose turn has not come waits, and comes with the one before it.
    let (early, _) = stage.signed(2).await;
    stage.ask("eth_sendRawTransaction", json!([early])).await;
    assert_eq!((stage.count().await, stage.height().await), (U256::from(2), U256::from(2)));
    let (next, _) = stage.signed(1).await;
    stage.ask("eth_sendRawTransaction", json!([next])).await;
    assert_eq!((stage.count().await, stage.height().await), (U256::from(4), U256::from(3)));
    let poor = json!([{ "from": FIRST, "to": SECOND, "value": "0xffffffffffffffffffff", "gas": "0x5208" }]);
    let (_, text) = stage.error("eth_sendTransaction", poor).await;
    assert!(text.contains("insufficient funds"), "{text}");
    let thirsty = json!([{ "from": FIRST, "to": home(), "gas": "0x5208" }]);
    let hash = stage.ask("eth_sendTransaction", thirsty).await;
    let receipt = stage.ask("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x0", "out of gas is a receipt");
    let low = json!([{ "from": FIRST, "to": home(), "gas": "0x5207" }]);
    let (_, text) = stage.error("eth_sendTransaction", low).await;
    assert!(text.contains("intrinsic gas too low"), "{text}");
    assert_eq!(stage.height().await, U256::from(4), "what is not valid makes no block");
    let revert = json!([{ "from": FIRST, "to": home(), "data": "0xc0ffee" }]);
    let hash = stage.ask("eth_sendTransaction", revert).await;
    let receipt = stage.ask("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x0", "so is a revert, where nobody says how much gas");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_begins_anew_where_the_process_is() {
    let stage = forked("x");
    stage.poke(FIRST).await;
    stage.script.message(PID, &Id::of(b"second").to_string(), "");
    stage.ask("anvil_reset", json!([])).await;
    assert_eq!((stage.count().await, stage.height().await), (U256::from(2), U256::from(2)));
    assert_eq!(stage.ask("eth_getTransactionCount", json!([FIRST])).await, "0x0");
    stage.ask("hardhat_reset", json!([{ "forking": { "blockNumber": 1 } }])).await;
    assert_eq!((stage.count().await, stage.height().await), (U256::from(1), U256::from(1)));
    assert_eq!(stage.poke(SECOND).await["blockNumber"], "0x2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_keeps_eight_chains_and_the_least_recently_used_goes() {
    let stage = forked("0");
    stage.poke(FIRST).await;
    for name in 1..8 {
        stage.at(&format!("/dev/{name}")).poke(FIRST).await;
    }
    assert_eq!(stage.count().await, U256::from(2), "still there");
    assert_eq!(stage.at("/dev").count().await, U256::from(1), "a ninth, without a name");
    assert_eq!(stage.at("/dev/1").count().await, U256::from(1), "it was new");
    assert_eq!(stage.count().await, U256::from(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_full_says_what_to_do() {
    let stage = forked("x");
    let id = stage.ask("evm_snapshot", json!([])).await;
    stage.ask("anvil_mine", json!(["0x186a0"])).await;
    let (code, text) = stage.error("anvil_mine", json!(["0x186a0"])).await;
    assert!(code == -32000 && text.contains("full") && text.contains("evm_revert"), "{text}");
    assert_eq!(stage.error("hardhat_setNonce", json!([FIRST, "0x1"])).await.0, -32000);
    assert_eq!(stage.ask("evm_revert", json!([id])).await, true);
    assert_eq!(stage.poke(FIRST).await["blockNumber"], "0x2");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_off_the_answer_says_how_to_turn_it_on() {
    let stage = stage();
    let ask = async |path: String| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber" }).to_string();
        let request = Request::post(path).body(Body::from(body)).unwrap();
        let answer = stage.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let (status, text) = ask(format!("/eth/{PID}/dev/x")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("cu.eth_dev=on"), "{text}");
    let (code, text) = stage.error("evm_snapshot", json!([])).await;
    assert!(code == -32601 && text.contains("/dev"), "{text}");
    assert_eq!(stage.error("hardhat_setBalance", json!([FIRST, "0x1"])).await.0, -32601);
    let on = forked("x");
    assert_eq!(on.error("evm_nothing", json!([])).await.0, -32601);
    let named = on.at("/dev/what%20a%20name");
    let request = Request::post(&named.path).body(Body::from("{}")).unwrap();
    let answer = named.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}
