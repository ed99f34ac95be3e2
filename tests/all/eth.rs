//! Ethereum's JSON-RPC on a small contract: every method, with a script for a network.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, hex, keccak256};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use drivebay::{
    clock::Clock,
    cu::{
        Admission, Cu, CuOptions, EVM_FORMAT, Engine, Face, MemoryStore, Readers, testing::Script,
    },
    disk::{Message, Module, Tag},
    eth::{Eth, Post, router},
    item::{DataItem, Id, Wallet},
    net::{Request as Outgoing, Response, Transport, TransportError},
};
use futures_util::future::BoxFuture;
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

pub(crate) const PID: &str = "FldvR-L8GBIN3l4y1vvheT4daWMXo4sCfOb06jtxJEY";
/// Without input: adds one to slot 0, logs it under topic 42, returns it. With input: reverts with it.
const COUNTER: &str = "366018575f54600101805f555f52602a60205fa160205ff35b365f5f37365ffd";

/// Messages go straight into the schedule, as a messenger and a scheduler would put them.
struct Direct(Script);

impl Transport for Direct {
    fn call(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        let item = DataItem::parse(request.body.to_vec()).unwrap();
        item.verify().unwrap();
        let data = String::from_utf8(item.data().to_vec()).unwrap();
        let tags = vec![Tag::new("Action", item.tag("Action").unwrap())];
        schedule(&self.0, &item.id().to_string(), &data, tags);
        let (headers, body) = Default::default();
        Box::pin(async move { Ok(Response { status: 202, headers, body }) })
    }
}

fn schedule(script: &Script, id: &str, data: &str, tags: Vec<Tag>) {
    script.message(PID, id, data);
    script.change(PID, |entries| {
        let last = entries.last_mut().unwrap();
        last.message = Arc::new(Message { tags, ..(*last.message).clone() });
    });
}

pub(crate) struct Stage {
    pub(crate) script: Script,
    pub(crate) router: Router,
    key: SigningKey,
    /// Whom its requests go to.
    pub(crate) path: String,
}

/// A process with its spawn and one message on the counter.
pub(crate) fn stage() -> Stage {
    staged(|eth| eth)
}

/// The same, with what serves it changed.
pub(crate) fn staged(change: impl FnOnce(Eth) -> Eth) -> Stage {
    let script = Script::new();
    let code = hex::decode(COUNTER).unwrap();
    let kind = vec![Tag::new("Code-Kind", "runtime")];
    script.module("counter", Module::new(code, EVM_FORMAT, kind));
    script.process(PID, "counter");
    script.message(PID, PID, "");
    script.message(PID, &Id::of(b"first").to_string(), "");
    let options = CuOptions { workers: 1, readers: 1, fetchers: 2, ..CuOptions::default() };
    let (readers, store) = (Readers::stock(Engine::Speed).unwrap(), MemoryStore::default());
    let cu = Cu::open(options, readers, Arc::new(store), Arc::new(script.clone())).unwrap();
    let wallet = Wallet::from_ethereum_key(&[7; 32]).unwrap();
    let (address, clock) = (wallet.address(), Clock::system());
    let face = Face { cu, address, clock, admission: Admission::default(), publisher: None };
    let transport = Arc::new(Direct(script.clone()));
    let post = Post { wallet, url: "http://mu".to_owned(), transport };
    let router = router(Arc::new(change(Eth::new(Arc::new(face), Some(post))))).unwrap();
    let (key, path) = (SigningKey::from_bytes(&[9; 32].into()).unwrap(), format!("/eth/{PID}"));
    Stage { script, router, key, path }
}

impl Stage {
    /// The same unit, asked at another path of the process.
    pub(crate) fn at(&self, path: &str) -> Self {
        let (script, router) = (self.script.clone(), self.router.clone());
        Self { script, router, key: self.key.clone(), path: format!("/eth/{PID}{path}") }
    }

    async fn post(&self, body: String) -> Value {
        let request = Request::post(&self.path).body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    pub(crate) async fn answer(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer = self.post(body.to_string()).await;
        assert_eq!(answer["id"], 7, "{answer}");
        answer
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    pub(crate) async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, params).await;
        let code = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method}: {answer}"));
        (code, answer["error"]["message"].as_str().unwrap().to_owned())
    }

    pub(crate) fn from(&self) -> Address {
        Address::from_public_key(self.key.verifying_key())
    }

    pub(crate) async fn signed(&self, nonce: u64) -> (String, B256) {
        let chain: U256 =
            self.ask("eth_chainId", json!([])).await.as_str().unwrap().parse().unwrap();
        let tx = TxEip1559 {
            chain_id: chain.to(),
            nonce,
            gas_limit: 100_000,
            to: TxKind::Call(home()),
            ..TxEip1559::default()
        };
        let hash = tx.signature_hash();
        let (signature, recovery) = self.key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        let signature = Signature::from_signature_and_parity(signature, recovery.is_y_odd());
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        let mut bytes = Vec::new();
        alloy_eips::eip2718::Encodable2718::encode_2718(&envelope, &mut bytes);
        (hex::encode_prefixed(bytes), *envelope.tx_hash())
    }
}

pub(crate) fn home() -> Address {
    Address::from_word(keccak256(PID.parse::<Id>().unwrap().as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_and_where() {
    let stage = stage();
    let chain = stage.ask("eth_chainId", json!([])).await;
    let number: U256 = chain.as_str().unwrap().parse().unwrap();
    assert_eq!(stage.ask("net_version", json!([])).await, json!(number.to_string()));
    let version = stage.ask("web3_clientVersion", json!([])).await;
    assert!(version.as_str().unwrap().starts_with("drivebay/"));
    assert_eq!(stage.ask("eth_blockNumber", json!([])).await, "0x1");
    assert_eq!(stage.ask("eth_gasPrice", json!([])).await, "0x0");
    assert_eq!(stage.ask("eth_maxPriorityFeePerGas", json!([])).await, "0x0");
    assert_eq!(stage.ask("eth_accounts", json!([])).await, json!([]));
    assert_eq!(stage.ask("eth_syncing", json!([])).await, json!(false));
    let fees = stage.ask("eth_feeHistory", json!(["0x5", "latest", [25, 75]])).await;
    assert_eq!(fees["oldestBlock"], "0x0");
    assert_eq!(fees["baseFeePerGas"], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(fees["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"]]));
    assert!(fees["gasUsedRatio"][1].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_read_at_any_block() {
    let stage = stage();
    let word = |n: u8| json!(B256::with_last_byte(n));
    let slot =
        async |block: Value| stage.ask("eth_getStorageAt", json!([home(), "0x0", block])).await;
    assert_eq!(slot(json!("latest")).await, word(1));
    assert_eq!(slot(json!("earliest")).await, word(0));
    assert_eq!(slot(json!({ "blockNumber": "0x1" })).await, word(1));
    let code = stage.ask("eth_getCode", json!([home(), "latest"])).await;
    assert_eq!(code, json!(format!("0x{COUNTER}")));
    assert_eq!(stage.ask("eth_getBalance", json!([home()])).await, "0x0");
    assert_eq!(stage.ask("eth_getTransactionCount", json!([stage.from(), "pending"])).await, "0x0");
    let block = stage.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    let proof = stage.ask("eth_getProof", json!([home(), ["0x0"], "latest"])).await;
    let node = |node: &Value| keccak256(hex::decode(node.as_str().unwrap()).unwrap());
    assert_eq!(json!(node(&proof["accountProof"][0])), block["stateRoot"]);
    assert_eq!(json!(node(&proof["storageProof"][0]["proof"][0])), proof["storageHash"]);
    assert_eq!(proof["storageProof"][0]["value"], "0x1");
    let (code, text) = stage.error("eth_getBalance", json!([home(), "0x99"])).await;
    assert_eq!((code, text.as_str()), (-32000, "there is no such block"));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_leave_no_mark_and_reverts_say_why() {
    let stage = stage();
    for _ in 0..2 {
        let said = stage.ask("eth_call", json!([{ "to": home() }, "latest"])).await;
        assert_eq!(said, json!(B256::with_last_byte(2)));
    }
    let before = stage.ask("eth_call", json!([{ "to": home() }, "0x0"])).await;
    assert_eq!(before, json!(B256::with_last_byte(1)));
    let gas = stage.ask("eth_estimateGas", json!([{ "to": home() }])).await;
    let gas: U256 = gas.as_str().unwrap().parse().unwrap();
    assert!(gas > U256::from(21_000) && gas < U256::from(100_000), "{gas}");
    for method in ["eth_call", "eth_estimateGas"] {
        let answer = stage.answer(method, json!([{ "to": home(), "data": "0xc0ffee" }])).await;
        assert_eq!(answer["error"]["code"], 3, "{answer}");
        assert_eq!(answer["error"]["data"], "0xc0ffee");
    }
    let poor = json!([{ "from": stage.from(), "to": home(), "value": "0x1" }]);
    let (code, text) = stage.error("eth_call", poor).await;
    assert!(code == -32000 && text.contains("insufficient funds"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_transaction_goes_all_the_way() {
    let stage = stage();
    let (raw, hash) = stage.signed(0).await;
    assert_eq!(stage.ask("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    assert_eq!(stage.ask("eth_sendRawTransaction", json!([raw])).await, json!(hash));
    let receipt = stage.ask("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(receipt["from"], json!(stage.from()));
    assert_eq!(receipt["to"], json!(home()));
    assert_eq!((&receipt["type"], &receipt["blockNumber"]), (&json!("0x2"), &json!("0x2")));
    assert_eq!(receipt["logs"][0]["data"], json!(B256::with_last_byte(2)));
    let transaction = stage.ask("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(transaction["hash"], json!(hash));
    assert_eq!(transaction["from"], json!(stage.from()));
    assert_eq!(transaction["gas"], "0x186a0");
    assert!(transaction["r"].as_str().unwrap().len() > 10, "{transaction}");
    let block = stage.ask("eth_getBlockByHash", json!([receipt["blockHash"], true])).await;
    assert_eq!(block["transactions"], json!([transaction]));
    let parent = stage.ask("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(block["parentHash"], parent["hash"]);
    assert_eq!(parent["transactions"], json!([B256::from(Id::of(b"first").0)]));
    let receipts = stage.ask("eth_getBlockReceipts", json!(["latest"])).await;
    assert_eq!(receipts, json!([receipt]));
    assert_eq!(stage.ask("eth_getTransactionCount", json!([stage.from()])).await, "0x1");
    let (code, text) = stage.error("eth_sendRawTransaction", json!([raw])).await;
    assert!(code == -32000 && text.contains("nonce too low"), "{text}");
    let (_, text) = stage.error("eth_sendRawTransaction", json!(["0xc0ffee"])).await;
    assert!(text.contains("no signed Ethereum transaction"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_found_by_block_address_and_topic() {
    let stage = stage();
    let (raw, _) = stage.signed(0).await;
    stage.ask("eth_sendRawTransaction", json!([raw])).await;
    let topic = B256::with_last_byte(42);
    let count = async |filter: Value| {
        stage.ask("eth_getLogs", json!([filter])).await.as_array().unwrap().len()
    };
    assert_eq!(count(json!({ "fromBlock": "0x0" })).await, 2);
    assert_eq!(count(json!({})).await, 1);
    assert_eq!(count(json!({ "fromBlock": "0x0", "toBlock": "0x1", "topics": [topic] })).await, 1);
    assert_eq!(count(json!({ "fromBlock": "0x0", "topics": [[B256::ZERO, topic]] })).await, 2);
    assert_eq!(count(json!({ "fromBlock": "0x0", "topics": [B256::ZERO] })).await, 0);
    assert_eq!(count(json!({ "fromBlock": "0x0", "topics": [null, topic] })).await, 0);
    assert_eq!(count(json!({ "fromBlock": "0x0", "address": [home()] })).await, 2);
    assert_eq!(count(json!({ "fromBlock": "0x0", "address": stage.from() })).await, 0);
    let block = stage.ask("eth_getBlockByNumber", json!(["0x1", false])).await;
    let found = stage.ask("eth_getLogs", json!([{ "blockHash": block["hash"] }])).await;
    assert_eq!(found[0]["blockNumber"], "0x1");
    assert_eq!(found[0]["logIndex"], "0x0");
    // What is scheduled again has logged nothing again.
    stage.script.message(PID, &Id::of(b"first").to_string(), "");
    assert_eq!(stage.ask("eth_blockNumber", json!([])).await, "0x3");
    assert_eq!(count(json!({ "fromBlock": "0x0" })).await, 2);
    let hash = json!([B256::from(Id::of(b"first").0)]);
    let first = stage.ask("eth_getTransactionReceipt", hash).await;
    assert_eq!((&first["blockNumber"], &first["status"]), (&json!("0x1"), &json!("0x1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_cannot_be_are_refused() {
    let stage = stage();
    let block = stage.ask("eth_getBlockByNumber", json!(["0x1", false])).await;
    for filter in [
        json!({ "fromBlock": "0x1", "toBlock": "0x0" }),
        json!({ "fromBlock": "0x0", "toBlock": "0x2" }),
        json!({ "fromBlock": "0x0", "blockHash": block["hash"] }),
    ] {
        assert_eq!(stage.error("eth_getLogs", json!([filter])).await.0, -32602, "{filter}");
    }
    // Who polls asks from the block after the newest one on.
    assert_eq!(stage.ask("eth_getLogs", json!([{ "fromBlock": "0x2" }])).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_transactions_are_given_as_they_are() {
    let stage = stage();
    let (home_key, other) = (format!("{:?}", home()), format!("{:?}", stage.from()));
    let wanted = json!([{ &home_key: ["0x0", "0x7"], &other: ["0x0"] }, "latest"]);
    let word = |n: u8| json!(B256::with_last_byte(n));
    let values = stage.ask("eth_getStorageValues", wanted).await;
    assert_eq!(values, json!({ &home_key: [word(1), word(0)], &other: [word(0)] }));
    for wrong in [json!([{}]), json!([{ "me": [] }]), json!([{ &other: ["zero"] }])] {
        assert_eq!(stage.error("eth_getStorageValues", wrong).await.0, -32602);
    }
    let long = format!("0x{}", "0".repeat(65));
    assert_eq!(stage.error("eth_getStorageAt", json!([home(), long])).await.0, -32602);
    let (raw, hash) = stage.signed(0).await;
    stage.ask("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(stage.ask("debug_getRawTransaction", json!([hash])).await, json!(raw));
    let message = json!([B256::from(Id::of(b"first").0)]);
    let (_, text) = stage.error("debug_getRawTransaction", message).await;
    assert!(text.contains("no signed Ethereum transaction"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_says_everything_once() {
    let stage = stage();
    let topics = json!([{ "topics": [B256::with_last_byte(42)] }]);
    let logs = stage.ask("eth_newFilter", topics).await;
    let blocks = stage.ask("eth_newBlockFilter", json!([])).await;
    let changes = async |filter: &Value| {
        stage.ask("eth_getFilterChanges", json!([filter])).await.as_array().unwrap().clone()
    };
    assert!(changes(&logs).await.is_empty() && changes(&blocks).await.is_empty());
    let (raw, hash) = stage.signed(0).await;
    stage.ask("eth_sendRawTransaction", json!([raw])).await;
    let news = changes(&logs).await;
    assert_eq!((news.len(), &news[0]["transactionHash"]), (1, &json!(hash)));
    let block = stage.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(changes(&blocks).await, [block["hash"].clone()]);
    // A tick behind the message: more of a block that has been seen.
    stage.script.tick(PID, "");
    let news = changes(&logs).await;
    assert_eq!((news.len(), &news[0]["logIndex"]), (1, &json!("0x1")));
    assert!(changes(&logs).await.is_empty() && changes(&blocks).await.is_empty());
    let all = stage.ask("eth_getFilterLogs", json!([logs])).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(stage.ask("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(stage.ask("eth_uninstallFilter", json!([logs])).await, false);
    let (code, text) = stage.error("eth_getFilterChanges", json!([logs])).await;
    assert_eq!((code, text.as_str()), (-32000, "filter not found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_answered_in_order_and_bad_requests_by_name() {
    let stage = stage();
    let request = |id: u32, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method });
    let batch = json!([request(1, "eth_blockNumber"), request(2, "eth_nothing"), 3]);
    let answers = stage.post(batch.to_string()).await;
    assert_eq!(answers[0]["result"], "0x1");
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[2]["error"]["code"], -32600);
    let many = Value::from(vec![request(1, "eth_chainId"); 101]);
    assert_eq!(stage.post(many.to_string()).await["error"]["code"], -32010);
    assert_eq!(stage.post("[]".to_owned()).await["error"]["code"], -32600);
    assert_eq!(stage.post("{".to_owned()).await["error"]["code"], -32700);
    for (method, params) in [
        ("eth_getBalance", json!(["0x12"])),
        ("eth_getBalance", json!([home(), "soon"])),
        ("eth_call", json!([])),
        ("eth_getLogs", json!([{ "topics": "all" }])),
        ("eth_getProof", json!([home(), vec!["0x0"; 257]])),
        ("eth_call", json!([{ "to": home() }, "latest", { "0x00": {} }])),
        ("eth_call", json!([{ "to": home(), "value": "much" }])),
        ("debug_traceCall", json!([{ "to": home() }, "latest", { "tracer": 7 }])),
        ("debug_traceCall", json!([{ "to": home() }, "latest", { "tracer": "{ step() {} }" }])),
    ] {
        assert_eq!(stage.error(method, params).await.0, -32602, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_tried_on_a_state_that_never_was() {
    let stage = stage();
    let call = async |wish: Value, state: Value, block: Value| {
        stage.ask("eth_call", json!([wish, "latest", state, block])).await
    };
    let (word, to) = (B256::with_last_byte, home().to_string());
    let slots = json!({ &to: { "stateDiff": { word(0).to_string(): word(41) } } });
    assert_eq!(call(json!({ "to": to }), slots, json!({})).await, json!(word(42)));
    let none = json!({ &to: { "state": {} } });
    assert_eq!(call(json!({ "to": to }), none, json!({})).await, json!(word(1)));
    // NUMBER, TIMESTAMP + NUMBER, and the value that came with the call.
    let code = json!({ &to: { "code": "0x43421034015f5260205ff3" } });
    let poor = json!([{ "to": to, "value": "0x1" }, "latest", code, {}]);
    let (_, text) = stage.error("eth_call", poor).await;
    assert!(text.contains("insufficient funds"), "{text}");
    let rich = json!({
        &to: { "code": "0x43420134015f5260205ff3" },
        Address::ZERO.to_string(): { "balance": "0x5" },
    });
    let block = json!({ "number": "0x64", "time": "0x3e8" });
    let said = call(json!({ "to": to, "value": "0x5" }), rich, block).await;
    assert_eq!(said, json!(B256::from(U256::from(100 + 1000 + 5))));
    // And none of it was.
    assert_eq!(call(json!({ "to": to }), json!({}), json!({})).await, json!(word(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_enough_and_little_less_is_not() {
    let stage = stage();
    let to = home().to_string();
    let zero = json!({ &to: { "state": {} } });
    // Gives a callee all but a 64th, and clears a slot: what is used is less than what is needed.
    let code = "0x5f5f5f5f5f73000000000000000000000000000000000000beef5af1505f5f5500";
    let callee = json!({ "code": "0x60016001555f5ffd" });
    let slot = json!({ B256::ZERO.to_string(): B256::with_last_byte(1) });
    let nested = json!({
        &to: { "code": code, "state": slot },
        "0x000000000000000000000000000000000000beef": callee,
    });
    for overrides in [json!({}), zero, nested] {
        let ask = json!([{ "to": to }, "latest", overrides]);
        let gas = stage.ask("eth_estimateGas", ask).await;
        let gas = u64::from_str_radix(&gas.as_str().unwrap()[2..], 16).unwrap();
        let with = |gas: u64| json!([{ "to": to, "gas": format!("{gas:#x}") }, "latest", overrides.clone()]);
        stage.ask("eth_call", with(gas)).await;
        let (_, text) = stage.error("eth_call", with(gas - gas / 50)).await;
        assert!(text.contains("gas"), "{text}");
    }
    let plain = json!([{ "to": Address::with_last_byte(1 << 7) }]);
    assert_eq!(stage.ask("eth_estimateGas", plain).await, "0x5208");
    let (_, text) = stage.error("eth_estimateGas", json!([{ "to": to, "gas": "0x5300" }])).await;
    assert!(text.contains("gas"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_list_names_what_is_touched() {
    let stage = stage();
    let list = stage.ask("eth_createAccessList", json!([{ "to": home() }, "latest"])).await;
    let expected = json!([{ "address": home(), "storageKeys": [B256::ZERO] }]);
    assert_eq!(list["accessList"], expected);
    let with = json!([{ "to": home(), "accessList": expected }]);
    let again = stage.ask("eth_createAccessList", with).await;
    assert_eq!((&again, list.get("error")), (&list, None));
    let reverts = json!([{ "to": home(), "input": "0xc0ffee" }]);
    let list = stage.ask("eth_createAccessList", reverts).await;
    assert!(list["error"].as_str().unwrap().contains("reverted"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_happened_is_traced() {
    let stage = stage();
    let (raw, hash) = stage.signed(0).await;
    stage.ask("eth_sendRawTransaction", json!([raw])).await;
    let receipt = stage.ask("eth_getTransactionReceipt", json!([hash])).await;
    let trace = async |hash: Value, options: Value| {
        stage.ask("debug_traceTransaction", json!([hash, options])).await
    };
    let steps = trace(json!(hash), json!({})).await;
    assert_eq!(
        (&steps["failed"], &steps["structLogs"][0]["op"]),
        (&json!(false), &json!("CALLDATASIZE"))
    );
    assert_eq!(json!(format!("{:#x}", steps["gas"].as_u64().unwrap())), receipt["gasUsed"]);
    let calls = trace(json!(hash), json!({ "tracer": "callTracer" })).await;
    assert_eq!((&calls["type"], &calls["gasUsed"]), (&json!("CALL"), &receipt["gasUsed"]));
    assert_eq!((&calls["from"], &calls["to"]), (&receipt["from"], &receipt["to"]));
    assert_eq!(calls["output"], json!(B256::with_last_byte(2)));
    // Before it, the slot was one; and it is, again and again.
    let prestate = json!({ "tracer": "prestateTracer" });
    let before = trace(json!(hash), prestate).await;
    let key = format!("{:?}", home());
    assert_eq!(before[&key]["storage"][B256::ZERO.to_string()], json!(B256::with_last_byte(1)));
    let block = json!([receipt["blockNumber"], { "tracer": "callTracer" }]);
    let all = stage.ask("debug_traceBlockByNumber", block).await;
    assert_eq!(all, json!([{ "txHash": hash, "result": calls }]));
    let spawn = B256::from(PID.parse::<Id>().unwrap().0);
    let birth = trace(json!(spawn), json!({ "tracer": "callTracer" })).await;
    assert_eq!((&birth["type"], &birth["to"]), (&json!("CREATE"), &json!(key)));
    let (code, _) = stage.error("debug_traceTransaction", json!([B256::ZERO])).await;
    assert_eq!(code, -32000);
    stage.script.message(PID, &Id::of(b"first").to_string(), "");
    let again = stage.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    let (_, text) = stage.error("debug_traceTransaction", json!([again["transactions"][0]])).await;
    assert!(text.contains("evaluated before"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_has_an_end() {
    let stage = stage();
    let wish = json!({ "to": home(), "from": stage.from() });
    let called = async |options: Value| {
        stage.answer("debug_traceCall", json!([wish, "latest", options])).await
    };
    let calls = called(json!({ "tracer": "callTracer" })).await;
    assert_eq!(calls["result"]["output"], json!(B256::with_last_byte(2)));
    // Without end; and calls itself without end. The one is told step by step, the other frame by frame.
    for (code, tracer) in [("0x5b5f56", ""), ("0x5b5f5f5f5f5f305af1505f56", "callTracer")] {
        let state = json!({ home().to_string(): { "code": code } });
        let options = json!({ "tracer": tracer, "stateOverrides": state });
        let answer = called(options).await;
        let text = answer["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{code}: {}", &answer.to_string()[..200]));
        assert!(text.contains("room for the trace"), "{code}: {text}");
    }
}
