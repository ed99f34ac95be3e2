//! A unit's HTTP face as bad clients meet it: over a real socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use axum::{Router, routing::get};
use std::{future::pending, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

fn small() -> Limits {
    Limits {
        body_bytes: 1000,
        connections: 2,
        head: Duration::from_millis(300),
        pause: Duration::from_millis(300),
        answer: Duration::from_millis(1500),
        ..Limits::default()
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello").post(async |body: Body| body.0.len().to_string()))
        .route("/panic", get(async || panicking()))
        .route("/never", get(async || pending::<()>().await))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_millis(400)).await))
        .route("/number", get(async |params: Params| params.number::<u32>("n").map(|_| ())))
}

fn panicking() {
    panic!("a bug of ours");
}

async fn start() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let limits = small();
    let router = dressed(router(), "test", &limits);
    let served = tokio::spawn(async move {
        let stop = async { _ = stopped.await };
        serve(listener, router, &limits, stop).await.unwrap();
    });
    (address, stop, served)
}

/// Sends `text` as it is and reads until the other side has nothing more to say.
async fn raw(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has said no need not read the rest.
    _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(address: SocketAddr, line: &str, rest: &str) -> String {
    raw(address, &format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{rest}")).await
}

#[tokio::test]
async fn every_mistake_gets_its_status_and_a_body_that_says_what_was_wrong() {
    let (address, _stop, _) = start().await;
    let big = format!("content-length: 2000\r\n\r\n{}", "x".repeat(2000));
    let long = format!("GET /?{}", "x".repeat(20_000));
    for (line, rest, status, part) in [
        ("GET /", "\r\n", "200", "hello"),
        ("GET /nowhere", "\r\n", "404", "no such route: GET /nowhere"),
        ("PATCH /", "\r\n", "405", "does not answer to PATCH"),
        ("GET /panic", "\r\n", "500", "its log has more under"),
        ("GET /never", "\r\n", "503", "ask again"),
        ("GET /number?n=x", "\r\n", "400", "n should be a number"),
        (&long, "\r\n", "400", "of at most 16384"),
        ("POST /", &big, "413", "send less"),
        ("POST /", "content-length: 3\r\n\r\nabc", "200", "3"),
        ("OPTIONS /", "origin: http://x\r\n\r\n", "204", "access-control-allow-origin: *"),
    ] {
        let answer = ask(address, line, rest).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
        assert!(answer.contains(part), "{line}: {answer}");
        assert!(
            answer.contains("x-request-id: ") && answer.contains("allow-origin: *"),
            "{answer}"
        );
        let json = answer.contains("{\"error\":");
        assert_eq!(json, !answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let own = ask(address, "GET /", "x-request-id: mine\r\n\r\n").await;
    assert!(own.contains("x-request-id: mine"), "{own}");
    assert!(prometheus().contains("drivebay_http_requests_total{"), "{}", prometheus());
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_keep_nobody_out_for_long() {
    let (address, _stop, _) = start().await;
    // Two that say nothing take all places; a third gets one when they are cut off.
    let mute = [TcpStream::connect(address).await, TcpStream::connect(address).await];
    let answer = ask(address, "GET /", "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(mute);
    // One that sends half of its body, and waits.
    let mut half = TcpStream::connect(address).await.unwrap();
    let text = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
    half.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    _ = half.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    for junk in ["\0\0\0\0\r\n\r\n", "GET / HTTP/9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\njunk"]
    {
        assert!(!raw(address, junk).await.starts_with("HTTP/1.1 2"));
    }
}

#[tokio::test]
async fn who_is_under_way_at_the_end_gets_an_answer() {
    let (address, stop, served) = start().await;
    let slow = tokio::spawn(async move { ask(address, "GET /slow", "\r\n").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    assert!(slow.await.unwrap().starts_with("HTTP/1.1 200"));
    served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_has_asked_nothing_is_not_waited_for_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { drain: Duration::from_secs(60), ..small() };
    let limits = Limits { head: Duration::from_secs(60), connections: 10, ..limits };
    let (stop, stopped) = oneshot::channel::<()>();
    let router = dressed(router(), "test", &limits);
    let served = tokio::spawn(async move {
        serve(listener, router, &limits, async { _ = stopped.await }).await.unwrap();
    });
    let _mute = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    kept.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), served).await.unwrap().unwrap();
}
