//! What strangers send to a unit on an open port: each gets a status and a reason, nothing is written, and
//! others are served meanwhile.

use super::kit::*;
use axum::body::Bytes;
use drivebay::{
    http::{Limits, Rate, Trusted, dressed, rated, serve},
    item::{Draft, write_bundle},
    net::{Http, Request, Response, Transport},
};
use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const BODY_BYTES: usize = 100_000;

async fn open(net: &Net) -> [SocketAddr; 2] {
    let limits = Limits {
        body_bytes: BODY_BYTES,
        head: Duration::from_secs(2),
        pause: Duration::from_millis(500),
        ..Limits::default()
    };
    let mut addresses = Vec::new();
    for router in [net.su_router.clone(), net.mu_router.clone()] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let (router, limits) = (dressed(router, "test", &limits), limits.clone());
        tokio::spawn(async move { serve(listener, router, &limits, pending()).await });
    }
    addresses.try_into().unwrap()
}

async fn post(http: &Http, to: SocketAddr, path: &str, body: impl Into<Bytes>) -> Response {
    http.call(Request::post(format!("http://{to}{path}"), body.into())).await.unwrap()
}

#[tokio::test]
async fn bent_items_are_refused_with_a_reason_and_leave_nothing() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let units = open(&net).await;
    let http = Http::new(Duration::from_secs(10)).unwrap();
    let start = process(&wallet(3), net.su.address(), "a");
    let item = message(&wallet(3), start.id(), &[("Action", "x")]);
    assert_eq!(post(&http, units[0], "/", start.bytes().clone()).await.status, 200);
    let (whole, mut seed) = (item.bytes().to_vec(), 1_u64);
    for round in 0..120 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = (seed >> 33) as usize % whole.len();
        let mut bent = whole.clone();
        match round % 3 {
            0 => bent.truncate(at),
            1 => bent[at] ^= 1 << (seed % 8),
            _ => bent.insert(at, seed as u8),
        }
        for unit in units {
            let answer = post(&http, unit, "/", bent.clone()).await;
            assert_eq!(answer.status, 400, "{round}: {}", answer.text());
            assert!(answer.text().starts_with("{\"error\":\""), "{}", answer.text());
        }
    }
    for unit in units {
        assert_eq!(post(&http, unit, "/", vec![0; BODY_BYTES + 1]).await.status, 413);
        for path in ["/?process-id=%ff&assign=x", "/?process-id=x&assign=x", "/?assign=x"] {
            assert_eq!(post(&http, unit, path, Bytes::new()).await.status, 400, "{path}");
        }
        for path in ["/a/b/c/d", "/../../etc/passwd", "/processes/%2f%2f", "/%00"] {
            let answer = http.call(Request::get(format!("http://{unit}{path}"))).await.unwrap();
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        }
    }
    assert_eq!(net.su.status().await.unwrap().places, 1);
    assert_eq!(net.mu.tally().await.unwrap(), Default::default());
}

/// An item whose tag section is `section`, of which the header promises `count` tags in `bytes` bytes. Its
/// signature is noise: what is wrong with tags is to be seen before anything is worked out over them.
fn tagged(count: u64, bytes: u64, section: &[u8]) -> Vec<u8> {
    let mut item = vec![3, 0];
    item.extend([7; 65 + 65]);
    item.extend([0, 0]);
    item.extend(count.to_le_bytes());
    item.extend(bytes.to_le_bytes());
    item.extend(section);
    item.extend(b"data");
    item
}

/// A length as the tag section has it.
fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

#[tokio::test]
async fn bombs_in_tags_are_refused_before_they_take_memory() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let units = open(&net).await;
    let http = Http::new(Duration::from_secs(10)).unwrap();
    let huge = [long(1 << 40), b"\0".to_vec()].concat();
    let negative = [long(-(1 << 40)), long(1), b"\0".to_vec()].concat();
    let least = [long(i64::MIN), long(1), b"\0".to_vec()].concat();
    let name = [long(1), long(i64::MAX), b"a".to_vec()].concat();
    let endless = vec![0xff; 64];
    let whole = |section: &[u8], count| tagged(count, section.len() as u64, section);
    // Nothing but tags of no letters: the most of them for their bytes.
    let empties = [long(2000), vec![0; 4000], long(0)].concat();
    let cases = [
        (tagged(u64::MAX, 4, b"\0\0\0\0"), "at most 1024 are read"),
        (tagged(1, u64::MAX, b"\0"), "at most 16384 are read"),
        (tagged(1, 16_000, b"\0"), "ends within its tags"),
        (whole(&huge, 1), "more than 1024"),
        (whole(&negative, 1), "more than 1024"),
        (whole(&least, 1), "more than 1024"),
        (whole(&name, 1), "bytes, and 1 are left"),
        (whole(&endless, 1), "more than 64 bits"),
        (whole(&empties, 1024), "more than 1024"),
    ];
    for unit in units {
        for (item, said) in &cases {
            let answer = post(&http, unit, "/", item.clone()).await;
            assert_eq!(answer.status, 400, "{said}: {}", answer.text());
            assert!(answer.text().contains(said), "{said}: {}", answer.text());
        }
    }
    assert_eq!(net.su.status().await.unwrap().places, 0);
    assert_eq!(net.mu.tally().await.unwrap(), Default::default());
}

/// To a scheduler a bundle is data like any other: it is carried, and never opened.
#[tokio::test]
async fn a_message_of_bundles_in_bundles_is_carried_as_it_is() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let [su, _] = open(&net).await;
    let http = Http::new(Duration::from_secs(10)).unwrap();
    let (owner, start) = (wallet(3), process(&wallet(3), net.su.address(), "a"));
    assert_eq!(post(&http, su, "/", start.bytes().clone()).await.status, 200);
    let format = [("Bundle-Format", "binary"), ("Bundle-Version", "2.0.0")];
    let mut data = Bytes::from_static(b"the innermost");
    for _ in 0..40 {
        let holder = owner.sign(&Draft::new(None, tags(&format), data.clone())).unwrap();
        data = write_bundle(&[holder]);
    }
    let all = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message")];
    let all = [&all[..], &format].concat();
    let item = owner.sign(&Draft::new(Some(start.id()), tags(&all), data)).unwrap();
    let answer = post(&http, su, "/", item.bytes().clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(net.su.status().await.unwrap().places, 2);
    let nodes = net.schedule(start.id()).await;
    assert_eq!(nodes[1]["message"]["id"], item.id().to_string());
}

#[tokio::test]
async fn others_are_served_while_a_thousand_connections_say_nothing() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let [su, _] = open(&net).await;
    let mut idle = Vec::new();
    for _ in 0..800 {
        idle.push(TcpStream::connect(su).await.unwrap());
    }
    let http = Http::new(Duration::from_secs(10)).unwrap();
    let start = process(&wallet(3), net.su.address(), "a");
    assert_eq!(post(&http, su, "/", start.bytes().clone()).await.status, 200);
    // One that begins an item and waits is told so, or cut off; either way it writes nothing.
    let mut slow = TcpStream::connect(su).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // And those that said nothing are gone after a while.
    let mut mute = idle.pop().unwrap();
    assert_eq!(mute.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(net.su.status().await.unwrap().places, 1);
}

/// Each caller has a minute's share of posts, whom a proxy of the operator's own speaks for told apart; a
/// stranger's word on who he is counts for nothing.
#[tokio::test]
async fn a_caller_who_posts_too_often_is_told_to_wait() {
    let net = Net::new(Cu::new(|_, _| (200, empty()))).await;
    let trusted = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
        Limits { trusted: Trusted::parse(&list).unwrap(), ..Limits::default() }
    };
    for (limits, forwarded, status) in [
        // Behind a proxy that is believed, others are served on.
        (
            trusted(&["127.0.0.1"]),
            ["9.9.9.9", "9.9.9.9", "9.9.9.9", "8.8.8.8"],
            [400, 400, 429, 400],
        ),
        // Without, all are the one who is connected.
        (trusted(&[]), ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], [400, 400, 429, 429]),
    ] {
        for router in [net.su_router.clone(), net.mu_router.clone()] {
            let router = dressed(rated(router, Arc::new(Rate::new(2))), "test", &limits);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let limits = limits.clone();
            tokio::spawn(async move { serve(listener, router, &limits, pending()).await });
            let http = Http::new(Duration::from_secs(10)).unwrap();
            for (caller, status) in forwarded.iter().zip(status) {
                let request = Request::post(format!("http://{address}/"), "no item".into());
                let name = "x-forwarded-for".parse().unwrap();
                let request = request.with(name, caller.parse().unwrap());
                let answer = http.call(request).await.unwrap();
                assert_eq!(answer.status, status, "{caller}: {}", answer.text());
                let said = answer.text().contains("Rate limit exceeded: 2 a minute");
                assert_eq!(said, status == 429, "{}", answer.text());
                assert_eq!(answer.headers.contains_key("retry-after"), status == 429);
            }
            // Who only reads is not counted.
            let read = http.call(Request::get(format!("http://{address}/health"))).await.unwrap();
            assert_eq!(read.status, 200);
        }
    }
    assert_eq!(net.su.status().await.unwrap().places, 0);
}
