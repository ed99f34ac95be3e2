//! The gateway as its clients meet it: requests into its router, and what comes back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod payloads;
mod queries;
mod uploads;

use super::{BlockOptions, Gateway, GatewayOptions, router};
use crate::{
    clock::Clock,
    item::{DataItem, Draft, Id, Tag, Wallet},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tower::ServiceExt;

const START: u64 = 1_500_000;
const BORN_MS: u64 = 1_700_000_000_000;

/// A gateway in a folder of its own, with a clock that stands still.
pub(super) struct Bench {
    pub(super) gateway: Arc<Gateway>,
    pub(super) router: Router,
    now_ms: Arc<AtomicU64>,
    dir: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now_ms = Arc::new(AtomicU64::new(BORN_MS));
        Self::at(dir, now_ms).await
    }

    async fn at(dir: tempfile::TempDir, now_ms: Arc<AtomicU64>) -> Self {
        let options = GatewayOptions {
            clock: Clock::by_hand(Arc::clone(&now_ms)),
            blocks: BlockOptions { start: START, interval_ms: 60_000 },
            ..GatewayOptions::default()
        };
        let gateway = Arc::new(Gateway::open(dir.path(), options).await.unwrap());
        Self { router: router(Arc::clone(&gateway)), gateway, now_ms, dir }
    }

    /// The same folder, opened anew.
    pub(super) async fn again(self) -> Self {
        let Self { gateway, router, now_ms, dir } = self;
        drop((gateway, router));
        Self::at(dir, now_ms).await
    }

    pub(super) fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 30).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(Request::post(path).body(body.into()).unwrap()).await
    }

    pub(super) async fn query(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = self.post("/graphql", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()
    }

    pub(super) async fn put(&self, item: &DataItem) {
        self.gateway.put_item(item.clone()).await.unwrap();
    }
}

pub(super) fn wallet(number: u8) -> Wallet {
    Wallet::from_ethereum_key(&[number; 32]).unwrap()
}

/// An item with these tags; `number` makes it one of its own.
pub(super) fn item(wallet: &Wallet, tags: &[(&str, &str)], number: u8) -> DataItem {
    let tags = tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect();
    let draft = Draft { anchor: Some([number; 32]), ..Draft::new(None, tags, "hello, gateway") };
    wallet.sign(&draft).unwrap()
}

pub(super) fn addressed(wallet: &Wallet, target: Id, data: Vec<u8>) -> DataItem {
    wallet.sign(&Draft::new(Some(target), Vec::new(), data)).unwrap()
}
