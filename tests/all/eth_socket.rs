//! `eth_subscribe` over a real WebSocket: heads and logs, told as they come.

use crate::eth::{PID, Stage, home, stage, staged};
use alloy_primitives::B256;
use drivebay::{eth::Eth, item::Id};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Connects to the stage's router, which from now on listens on a port of its own.
    async fn new(stage: &Stage) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = stage.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}{}", stage.path);
        Self(tokio_tungstenite::client_async(url, stream).await.unwrap().0)
    }

    async fn say(&mut self, method: &str, params: Value) {
        let text = json!({ "jsonrpc": "2.0", "id": 5, "method": method, "params": params });
        self.0.send(Message::text(text.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let message = message.expect("nothing came").expect("it was closed").unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.say(method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], 5, "{answer}");
        answer
    }

    async fn subscribe(&mut self, params: Value) -> String {
        self.ask("eth_subscribe", params).await["result"].as_str().unwrap().to_owned()
    }

    /// What a subscription is told next.
    async fn told(&mut self, id: &str) -> Value {
        let told = self.next().await;
        assert_eq!(told["method"], "eth_subscription", "{told}");
        assert_eq!(told["params"]["subscription"], id, "{told}");
        told["params"]["result"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_told_in_order() {
    let stage = stage();
    let mut socket = Socket::new(&stage).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    for nonce in 0..3u64 {
        let (raw, _) = stage.signed(nonce).await;
        stage.ask("eth_sendRawTransaction", json!([raw])).await;
        let head = socket.told(&id).await;
        let block = stage.ask("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!(head["number"], json!(format!("{:#x}", nonce + 2)));
        for key in ["hash", "parentHash", "stateRoot", "timestamp", "gasUsed"] {
            assert_eq!(head[key], block[key], "{key}");
        }
    }
    assert_eq!(socket.ask("eth_unsubscribe", json!([id])).await["result"], true);
    let (raw, _) = stage.signed(3).await;
    stage.ask("eth_sendRawTransaction", json!([raw])).await;
    // Had it been told still, that would stand before this answer.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(socket.ask("eth_blockNumber", json!([])).await["result"], "0x5");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_told_to_whom_they_are_for() {
    let stage = stage();
    let mut socket = Socket::new(&stage).await;
    let topic = B256::with_last_byte(42);
    let none = socket.subscribe(json!(["logs", { "topics": [B256::ZERO] }])).await;
    let id = socket.subscribe(json!(["logs", { "address": home(), "topics": [topic] }])).await;
    assert_ne!(none, id);
    for nonce in 0..2u64 {
        let (raw, hash) = stage.signed(nonce).await;
        stage.ask("eth_sendRawTransaction", json!([raw])).await;
        let log = socket.told(&id).await;
        assert_eq!(log["transactionHash"], json!(hash));
        assert_eq!(log["topics"], json!([topic]));
        let found = stage.ask("eth_getLogs", json!([{}])).await;
        assert_eq!(found, json!([log]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_be_told_is_refused() {
    let stage = stage();
    let mut socket = Socket::new(&stage).await;
    for params in [json!(["newPendingTransactions"]), json!([]), json!(["logs", { "topics": 7 }])] {
        let answer = socket.ask("eth_subscribe", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    // The same socket takes what HTTP takes.
    assert_eq!(
        socket.ask("eth_chainId", json!([])).await["result"],
        stage.ask("eth_chainId", json!([])).await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_chain_tells_of_its_own_blocks() {
    let stage = staged(Eth::with_private_chains).at("/dev/x");
    let mut socket = Socket::new(&stage).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    let snapshot = stage.ask("evm_snapshot", json!([])).await;
    for number in ["0x2", "0x3"] {
        // Not by the socket, on which the news may come before the answer.
        assert_eq!(stage.ask("evm_mine", json!([])).await, "0x0");
        assert_eq!(socket.told(&id).await["number"], number);
    }
    // The process's own messages are nothing to it.
    stage.script.message(PID, &Id::of(b"second").to_string(), "");
    stage.ask("evm_revert", json!([snapshot])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.ask("evm_mine", json!([])).await;
    let head = socket.told(&id).await;
    assert_eq!(head["number"], "0x2", "it went back, and on");
    let block = stage.ask("eth_getBlockByNumber", json!(["0x2", false])).await;
    assert_eq!(head["hash"], block["hash"]);
}
