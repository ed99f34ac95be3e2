//! Payloads, heads, blocks.

use super::{BORN_MS, Bench, START, addressed, item, wallet};
use crate::item::{Draft, Id, Tag};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};

async fn ranged(bench: &Bench, id: Id, range: &str) -> super::Answer {
    let request = Request::get(format!("/raw/{id}")).header("range", range);
    bench.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn small_and_large_payloads_come_whole_and_in_ranges_also_after_a_new_start() {
    let bench = Bench::new().await;
    let large: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let mut ids = Vec::new();
    for data in [Vec::new(), b"hello".to_vec(), large] {
        let item = addressed(&wallet(1), Id([3; 32]), data);
        bench.put(&item).await;
        ids.push(item);
    }
    let bench = bench.again().await;
    for item in ids {
        let (id, data) = (item.id(), item.data());
        let whole = bench.get(&format!("/raw/{id}")).await;
        assert_eq!((whole.status, whole.body.as_ref()), (StatusCode::OK, data));
        assert_eq!(whole.header("content-length"), data.len().to_string());
        assert_eq!(bench.gateway.get(&id).await.unwrap().unwrap(), item, "as it was signed");
        if data.is_empty() {
            assert_eq!(ranged(&bench, id, "bytes=0-").await.status.as_u16(), 416);
            continue;
        }
        let part = ranged(&bench, id, "bytes=1-3").await;
        assert_eq!((part.status.as_u16(), part.body.as_ref()), (206, &data[1..4]));
        assert_eq!(part.header("content-range"), format!("bytes 1-3/{}", data.len()));
        let tail = ranged(&bench, id, "bytes=-2").await;
        assert_eq!(tail.body.as_ref(), &data[data.len() - 2..]);
        let beyond = ranged(&bench, id, "bytes=900000-").await;
        assert_eq!(beyond.status.as_u16(), 416);
        assert_eq!(beyond.header("content-range"), format!("bytes */{}", data.len()));
    }
}

/// Row 72 of the checklist: an item is there, a wallet is not.
#[tokio::test]
async fn a_head_tells_items_from_wallets_and_carries_tags() {
    let bench = Bench::new().await;
    let wallet = wallet(1);
    let tags = [("Type", "Process"), ("Module", "m"), ("Set-Cookie", "a=b"), ("Type", "Other")];
    let item = item(&wallet, &tags, 1);
    bench.put(&item).await;
    let head = |name: String| {
        let request = Request::head(format!("/{name}")).body(Body::empty()).unwrap();
        bench.ask(request)
    };
    let answer = head(item.id().to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-length"), item.data().len().to_string());
    assert_eq!((answer.header("type"), answer.header("module")), ("Process", "m"));
    assert_eq!(answer.header("set-cookie"), "", "no tag speaks for this server");
    assert_eq!(answer.header("content-security-policy"), "sandbox");
    assert!(answer.body.is_empty());
    for absent in [wallet.address().to_string(), "favicon.ico".to_owned(), "x".repeat(43)] {
        assert_eq!(head(absent).await.status, StatusCode::NOT_FOUND);
    }
    let gone = bench.get(&format!("/raw/{}", wallet.address())).await;
    assert!(gone.json()["error"].as_str().unwrap().contains("nobody has uploaded it"));
}

#[tokio::test]
async fn an_unchanged_payload_is_not_sent_again() {
    let bench = Bench::new().await;
    let tags = vec![Tag::new("Content-Type", "text/plain")];
    let item = wallet(1).sign(&Draft::new(None, tags, "x")).unwrap();
    bench.put(&item).await;
    let first = bench.get(&format!("/{}", item.id())).await;
    assert_eq!(first.header("content-type"), "text/plain");
    let request = Request::get(format!("/{}", item.id()))
        .header("if-none-match", first.header("etag"))
        .body(Body::empty());
    assert_eq!(bench.ask(request.unwrap()).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn blocks_are_a_clock_that_survives_and_never_falls() {
    let bench = Bench::new().await;
    let info = bench.get("/info").await.json();
    assert_eq!((&info["height"], &info["blocks"]), (&START.into(), &(START + 1).into()));
    bench.pass(150_000);
    let current = bench.get("/block/current").await.json();
    assert_eq!(current["height"], START + 2);
    assert_eq!(current["timestamp"], BORN_MS / 1000 + 120);
    let by_height = bench.get(&format!("/block/height/{}", START + 2)).await.json();
    let id = current["indep_hash"].as_str().unwrap().to_owned();
    assert_eq!((by_height, id.len()), (current.clone(), 64));
    assert_eq!(bench.get(&format!("/block/hash/{id}")).await.json(), current);
    let before = bench.get(&format!("/block/height/{}", START + 1)).await.json();
    assert_eq!(before["indep_hash"], current["previous_block"]);
    for path in [START - 1, START + 3].map(|height| format!("/block/height/{height}")) {
        let answer = bench.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.json()["error"].as_str().unwrap().contains("blocks are 1500000 to"));
    }
    assert_eq!(bench.get("/block/height/x").await.status, StatusCode::BAD_REQUEST);
    bench.put(&item(&wallet(1), &[], 1)).await;
    // Back to the beginning: the clock was set, and the program started anew.
    bench.now_ms.store(BORN_MS - 1, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(bench.gateway.height(), START + 2);
    let bench = bench.again().await;
    assert_eq!(bench.gateway.height(), START + 2);
    assert_eq!(bench.get(&format!("/block/hash/{id}")).await.json(), current);
}

#[tokio::test]
async fn a_transaction_tells_its_header_and_how_deep_it_lies() {
    let bench = Bench::new().await;
    let item = item(&wallet(1), &[("Type", "Module")], 1);
    bench.put(&item).await;
    bench.pass(60_000);
    let header = bench.get(&format!("/tx/{}", item.id())).await.json();
    assert_eq!(header["owner"], crate::item::b64url(item.owner()));
    assert_eq!(header["tags"][0]["name"], crate::item::b64url(b"Type"));
    assert_eq!(header["last_tx"], crate::item::b64url(&[1; 32]));
    let status = bench.get(&format!("/tx/{}/status", item.id())).await.json();
    assert_eq!(status["block_height"], START);
    assert_eq!(status["number_of_confirmations"], 21, "20 from the start, and one block");
    assert_eq!(bench.get(&format!("/tx/{}/data", item.id())).await.body, item.data());
    assert_eq!(bench.get(&format!("/tx/{}", Id([0; 32]))).await.status, StatusCode::NOT_FOUND);
}
