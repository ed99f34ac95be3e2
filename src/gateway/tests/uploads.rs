//! What is taken, and what is not.

use super::{BORN_MS, Bench, START, item, wallet};
use crate::item::{DataItem, Draft, Tag, write_bundle};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};

/// Row 73 of the checklist.
#[tokio::test]
async fn an_upload_is_answered_and_then_seen_everywhere() {
    let bench = Bench::new().await;
    for (number, path) in
        ["/tx", "/tx/arweave", "/v1/tx", "/v1/tx/arweave", "/id?codec-device=ans104@1.0"]
            .iter()
            .enumerate()
    {
        let item = item(&wallet(1), &[("Type", "Message")], number as u8);
        for _ in 0..2 {
            let answer = bench.post(path, item.bytes().clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            let receipt = answer.json();
            assert_eq!(receipt["id"], item.id().to_string());
            assert_eq!(
                (&receipt["timestamp"], &receipt["block"]),
                (&BORN_MS.into(), &START.into())
            );
        }
        let query =
            format!("{{ transactions(ids: [\"{}\"]) {{ edges {{ node {{ id }} }} }} }}", item.id());
        let found = bench.query(&query, serde_json::json!({})).await;
        assert_eq!(found["data"]["transactions"]["edges"].as_array().unwrap().len(), 1);
        assert_eq!(bench.get(&format!("/raw/{}", item.id())).await.body, item.data());
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_is_kept() {
    let bench = Bench::new().await;
    let good = item(&wallet(1), &[("Type", "Message")], 1);
    let mut bent = good.bytes().to_vec();
    *bent.last_mut().unwrap() ^= 1;
    let cases: [(Vec<u8>, &str); 6] = [
        (bent, "changed after it was signed"),
        (good.bytes()[..40].to_vec(), "ends within its signature"),
        (good.bytes()[..good.bytes().len() - 1].to_vec(), "changed after it was signed"),
        (Vec::new(), "ends within its signature type"),
        (vec![9; 900], "signature type 2313 is not supported"),
        (b"{\"format\":2}".to_vec(), "signed data items"),
    ];
    for (body, said) in cases {
        let answer = bench.post("/tx", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let text = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(text.contains(said), "{text}");
    }
    assert!(bench.gateway.find(&good.id()).await.unwrap().is_none());
    let request = Request::post("/tx").header("content-type", "application/json; charset=utf-8");
    let answer = bench.ask(request.body(Body::from(good.bytes().clone())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_bundle_is_unpacked_and_only_what_is_valid_of_it_is_kept() {
    let bench = Bench::new().await;
    let good = item(&wallet(1), &[("Name", "inner")], 1);
    let mut bent = item(&wallet(2), &[("Name", "inner")], 2).bytes().to_vec();
    *bent.last_mut().unwrap() ^= 1;
    let bent = DataItem::parse(bent).unwrap();
    let tags = vec![Tag::new("Bundle-Format", "binary"), Tag::new("Bundle-Version", "2.0.0")];
    let bundle = write_bundle(&[good.clone(), bent.clone()]);
    let bundle = wallet(3).sign(&Draft::new(None, tags.clone(), bundle)).unwrap();
    bench.put(&bundle).await;
    let query = "query($b: [ID!]) { transactions(bundledIn: $b) { edges { node { id bundledIn { id } } } } }";
    let found = bench.query(query, serde_json::json!({ "b": [bundle.id().to_string()] })).await;
    let edges = found["data"]["transactions"]["edges"].as_array().unwrap().clone();
    assert_eq!(edges.len(), 1);
    assert_eq!(edges[0]["node"]["id"], good.id().to_string());
    assert_eq!(edges[0]["node"]["bundledIn"]["id"], bundle.id().to_string());
    assert!(bench.gateway.find(&bent.id()).await.unwrap().is_none());
    let broken = wallet(3).sign(&Draft::new(None, tags, "no bundle")).unwrap();
    let answer = bench.post("/tx", broken.bytes().clone()).await;
    assert!(answer.json()["error"].as_str().unwrap().contains("bundle cannot be read"));
}

#[tokio::test]
async fn large_uploads_wait_for_a_place_and_small_ones_do_not() {
    let bench = Bench::new().await;
    let large = wallet(1).sign(&Draft::new(None, Vec::new(), vec![7; 2 << 20])).unwrap();
    let all = bench.gateway.large.acquire_many(8).await.unwrap();
    let refused = bench.post("/tx", large.bytes().clone()).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), "2");
    let small = item(&wallet(1), &[], 1);
    assert_eq!(bench.post("/tx", small.bytes().clone()).await.status, StatusCode::OK);
    drop(all);
    assert_eq!(bench.post("/tx", large.bytes().clone()).await.status, StatusCode::OK);
    assert_eq!(bench.get(&format!("/raw/{}", large.id())).await.body, large.data());
}

/// What promises more than it holds, and what holds itself over and over, is told so, and costs nothing.
#[tokio::test]
async fn bombs_of_bundles_are_refused_and_nothing_is_kept() {
    let bench = Bench::new().await;
    let tags = vec![Tag::new("Bundle-Format", "binary"), Tag::new("Bundle-Version", "2.0.0")];
    let holding = |data: Vec<u8>| wallet(3).sign(&Draft::new(None, tags.clone(), data)).unwrap();
    let promise = |count: u64| [&count.to_le_bytes()[..], &[0; 24]].concat();
    let mut deep = item(&wallet(1), &[("Name", "inner")], 1);
    for _ in 0..9 {
        deep = holding(write_bundle(std::slice::from_ref(&deep)).to_vec());
    }
    let long = {
        let mut table = promise(1);
        table.extend([0xff; 8]);
        table.extend([0; 24 + 32]);
        table
    };
    for (bundle, said) in [
        (holding(promise(u64::MAX)), "a count of at most 65536 items"),
        (holding(vec![0xff; 64]), "a count of at most 65536 items"),
        (holding(promise(65_536)), "its table has room for 0"),
        (holding(long), "item 0 is longer than what is left"),
        (deep, "more than 8 bundles in one another"),
    ] {
        let answer = bench.post("/tx", bundle.bytes().clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{said}");
        let text = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(text.contains(said), "{said}: {text}");
        assert!(bench.gateway.find(&bundle.id()).await.unwrap().is_none());
    }
}
