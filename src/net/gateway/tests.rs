//! The client against the embedded gateway, and against gateways in trouble.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{
    gateway::{Gateway, GatewayOptions, router},
    item::Wallet,
    net::{InProcess, TransportError},
};
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Bench {
    _dir: tempfile::TempDir,
    transport: InProcess,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::open(dir.path(), GatewayOptions::default()).await.unwrap();
    let transport = InProcess::default().with("http://gw", router(Arc::new(gateway)));
    Bench { _dir: dir, transport }
}

fn client(urls: &[&str], transport: impl Transport + 'static) -> GatewayClient {
    GatewayClient::new(urls.iter().copied(), Arc::new(transport)).with_rounds(1)
}

fn item(tags: &[(&str, &str)], data: &'static str) -> DataItem {
    let wallet = Wallet::from_ethereum_key(&[1; 32]).unwrap();
    let tags = tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect();
    wallet.sign(&Draft { anchor: Some([1; 32]), ..Draft::new(None, tags, data) }).unwrap()
}

#[tokio::test]
async fn what_is_uploaded_is_found() {
    let bench = bench().await;
    let client = client(&["http://gw/"], bench.transport.clone());
    let module = item(&[("Type", "Module"), ("Data-Protocol", "ao")], "0123456789");
    assert_eq!(client.upload(module.bytes().clone()).await.unwrap(), module.id());
    let id = module.id().to_string();
    assert_eq!(client.data(&id, None).await.unwrap().unwrap(), "0123456789");
    assert_eq!(client.data(&id, Some(2..5)).await.unwrap().unwrap(), "234");
    assert_eq!(client.data(&id, Some(8..50)).await.unwrap().unwrap(), "89");
    assert_eq!(client.size(&id).await.unwrap(), Some(10));
    let published = client.item(&id).await.unwrap().unwrap();
    assert_eq!(published.assembled(&module.data_bytes()), Some(module.clone()));
    assert_eq!(published.assembled(&Bytes::from_static(b"another")), None, "a lie is seen");
    let (_, data, signed) = client.signed_item(&id).await.unwrap().unwrap();
    assert_eq!((data, signed), (module.data_bytes(), Some(module.clone())));
    assert_eq!(published.owner_key, crate::item::b64url(module.owner()));
    assert_eq!((published.tag("Type"), published.data_size), (Some("Module"), Some(10)));
    assert_eq!(published.height, Some(client.height().await.unwrap()));
    assert_eq!(client.confirmations(&id).await.unwrap(), Some(20));
    let blocks = client.blocks(published.height.unwrap(), u64::MAX).await.unwrap();
    assert_eq!(blocks.len(), 1, "as far as they are known");
    assert!(client.block(blocks[0].height).await.unwrap().is_some());
    assert!(client.transaction(&id).await.unwrap().is_some());
    let absent = "x".repeat(43);
    assert_eq!(client.item(&absent).await.unwrap(), None);
    assert_eq!(client.data(&absent, None).await.unwrap(), None);
    assert!(!client.exists(&absent).await.unwrap());
}

#[tokio::test]
async fn a_process_leads_to_its_scheduler() {
    let bench = bench().await;
    let client = client(&["http://gw"], bench.transport.clone());
    let owner = Wallet::from_ethereum_key(&[1; 32]).unwrap().address().to_string();
    let process = item(&[("Type", "Process"), ("Scheduler", &owner)], "");
    client.upload(process.bytes().clone()).await.unwrap();
    let process = process.id().to_string();
    assert_eq!(client.locate(&process).await.unwrap(), None);
    let tags = [
        ("Data-Protocol", "ao"),
        ("Type", "Scheduler-Location"),
        ("url", "http://su/"),
        ("Time-To-Live", "5"),
    ];
    client.upload(item(&tags, "").bytes().clone()).await.unwrap();
    let location = SchedulerLocation { url: "http://su".to_owned(), ttl_ms: 5 };
    assert_eq!(client.locate(&process).await.unwrap(), Some(location));
}

/// Answers with a status, and counts.
struct Fixed(u16, Arc<AtomicUsize>);

impl Transport for Fixed {
    fn call(&self, _: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let body = Bytes::from_static(b"{\"error\":\"so it is\"}");
        let response = Response { status: self.0, headers: Default::default(), body };
        Box::pin(async move { Ok(response) })
    }
}

/// The embedded gateway under one URL, trouble under all others.
struct Mixed(InProcess, Fixed);

impl Transport for Mixed {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        match request.url.starts_with("http://gw") {
            true => self.0.call(request),
            false => self.1.call(request),
        }
    }
}

#[tokio::test]
async fn not_there_is_said_only_when_all_say_so() {
    let bench = bench().await;
    let mixed = |status| Mixed(bench.transport.clone(), Fixed(status, Arc::default()));
    let absent = "x".repeat(43);
    for urls in [["http://down", "http://gw"], ["http://gw", "http://down"]] {
        let client_of = |status| client(&urls, mixed(status));
        let known = item(&[("Name", urls[0])], "known");
        client_of(500).upload(known.bytes().clone()).await.unwrap();
        let id = known.id().to_string();
        assert_eq!(client_of(500).data(&id, None).await.unwrap().unwrap(), "known");
        assert!(client_of(503).item(&id).await.unwrap().is_some());
        let unknown = client_of(500).data(&absent, None).await;
        assert!(matches!(unknown, Err(GatewayClientError::Unreachable(_))), "{unknown:?}");
        assert!(client_of(429).item(&absent).await.is_err());
        assert_eq!(client_of(404).data(&absent, None).await.unwrap(), None);
    }
}

#[tokio::test]
async fn trouble_is_retried_a_bounded_number_of_times_and_a_no_is_not() {
    for (status, calls) in [(500, 4), (400, 1), (404, 1)] {
        let count = Arc::new(AtomicUsize::new(0));
        let client = GatewayClient::new(["http://x"], Arc::new(Fixed(status, Arc::clone(&count))))
            .with_pause(Duration::ZERO);
        let answer = client.data("id", None).await;
        assert_eq!(count.load(Ordering::SeqCst), calls, "{status}");
        assert_eq!(answer.is_ok(), status == 404);
    }
    let nobody = GatewayClient::new(Vec::<String>::new(), Arc::new(Fixed(200, Arc::default())));
    assert!(nobody.height().await.unwrap_err().to_string().contains("no gateway is configured"));
}
