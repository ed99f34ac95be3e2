//! The source on a scheduler and a gateway in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{
    item::{Id, first_link, next_link},
    net::{Request, Response, TransportError},
    wire::schedule::Item,
};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use reqwest::Url;
use std::{collections::BTreeMap, ops::Range};

const PID: &str = "FldvR-L8GBIN3l4y1vvheT4daWMXo4sCfOb06jtxJEY";
const T0: u64 = 1_700_000_000_500;
const H0: u64 = 1_500_000;

/// A scheduler of one process: a list of (milliseconds, height), the process's own first.
#[derive(Clone)]
struct Su {
    tags: String,
    places: Vec<(u64, u64)>,
    now: (u64, u64),
    /// The place whose link is bent.
    bent: Option<usize>,
}

fn named(nonce: usize) -> String {
    Id::of(format!("message {nonce}").as_bytes()).to_string()
}

impl Su {
    fn new(tags: &[(&str, &str)], places: &[(u64, u64)], now: (u64, u64)) -> Self {
        let always = [("Data-Protocol", "ao"), ("Type", "Process"), ("Module", "m")];
        let tag =
            |(name, value): &(&str, &str)| format!(r#"{{"name":"{name}","value":"{value}"}}"#);
        let tags: Vec<String> = always.iter().chain(tags).map(tag).collect();
        Self { tags: tags.join(","), places: places.to_vec(), now, bent: None }
    }

    fn process(&self) -> String {
        format!(
            r#"{{"process_id":"{PID}","id":"{PID}","block":"{:012}","owner":{{"address":"owner","key":"AAAA"}},
            "tags":[{}],"timestamp":{},"data":" ","anchor":null,"signature":"s","target":null}}"#,
            self.places[0].1, self.tags, self.places[0].0
        )
    }

    fn pair(&self, nonce: usize) -> String {
        let mut link = first_link(&PID.parse().unwrap());
        let assigned = |nonce: usize| Id::of(format!("assignment {nonce}").as_bytes());
        for before in 0..nonce {
            link = next_link(&assigned(before), &link);
        }
        if self.bent == Some(nonce) {
            link = assigned(nonce);
        }
        let (id, (time, height)) = (assigned(nonce), self.places[nonce]);
        let (message, named) = match nonce {
            0 => (self.process(), String::new()),
            _ => (
                format!(
                    r#"{{"id":"{0}","owner":{{"address":"a","key":"AAAA"}},"data":"{nonce}","tags":[],"signature":"s","anchor":null,"target":"{PID}"}}"#,
                    named(nonce)
                ),
                format!(r#",{{"name":"Message","value":"{}"}}"#, named(nonce)),
            ),
        };
        format!(
            r#"{{"message":{message},"assignment":{{"id":"{id}","owner":{{"address":"su","key":"k"}},"signature":"s","tags":[
            {{"name":"Process","value":"{PID}"}},{{"name":"Epoch","value":"0"}},{{"name":"Nonce","value":"{nonce}"}},
            {{"name":"Hash-Chain","value":"{link}"}},{{"name":"Block-Height","value":"{height:012}"}},
            {{"name":"Timestamp","value":"{time}"}}{named}]}}}}"#
        )
    }

    fn page(&self, query: &BTreeMap<String, String>) -> String {
        let number = |key: &str| query.get(key).map(|text| text.parse::<u64>().unwrap());
        let after = |n: &usize| match (number("from"), number("from-nonce")) {
            (_, Some(nonce)) => *n as u64 > nonce,
            (Some(time), None) => self.places[*n].0 > time,
            (None, None) => true,
        };
        let all: Vec<usize> = (0..self.places.len()).filter(after).collect();
        let limit = number("limit").unwrap() as usize;
        let edge =
            |n: &usize| format!(r#"{{"cursor":"{}","node":{}}}"#, self.places[*n].0, self.pair(*n));
        let edges: Vec<String> = all.iter().take(limit).map(edge).collect();
        let more = all.len() > limit;
        format!(r#"{{"page_info":{{"has_next_page":{more}}},"edges":[{}]}}"#, edges.join(","))
    }
}

impl Transport for Su {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let url = Url::parse(&request.url).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let (status, body) = match url.path() {
            "/timestamp" => {
                let (time, height) = self.now;
                (200, format!(r#"{{"timestamp":"{time}","block_height":"{height:012}"}}"#))
            }
            path if path.starts_with("/processes/") => (200, self.process()),
            path if path == format!("/{PID}") => (200, self.page(&query)),
            path => match (1..self.places.len()).find(|n| path == format!("/{}", named(*n))) {
                Some(nonce) => (200, self.pair(nonce)),
                None => (400, r#"{"error":"Message or Process not found"}"#.to_owned()),
            },
        };
        async move { Ok(Response { status, headers: Default::default(), body: body.into() }) }
            .boxed()
    }
}

/// A block every seven seconds.
struct Blocks {
    known: u64,
}

impl Archive for Blocks {
    fn item<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Item>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn data<'a>(
        &'a self,
        _: &'a str,
        _: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn size<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<u64>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn transaction<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn block(&self, _: u64) -> BoxFuture<'_, Result<Option<Bytes>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn scheduler_url<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ArchiveError>> {
        async { Ok(None) }.boxed()
    }
    fn blocks(&self, from: u64, to: u64) -> BoxFuture<'_, Result<Vec<Point>, ArchiveError>> {
        let block = |height: u64| Point {
            timestamp_ms: 1_700_000_000_000 + 7000 * (height - H0),
            block_height: height,
        };
        let found = (from..=to.min(self.known)).map(block).collect();
        async move { Ok(found) }.boxed()
    }
}

struct World {
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn network(&self, su: &Su, known: u64) -> Network {
        let archive = Arc::new(Blocks { known });
        let runtime = self.runtime.handle().clone();
        Network::new(runtime, Arc::new(su.clone()), archive, Some("http://su/")).unwrap()
    }

    /// Everything up to `until`, in batches of at most `limit`, with nothing kept in between.
    fn all(&self, su: &Su, until: Until, limit: usize) -> Result<Vec<Entry>, CuError> {
        let process = self.network(su, u64::MAX).process(PID)?;
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let network = self.network(su, u64::MAX);
            let after = found.last().map(|entry| entry.at.clone());
            let batch = network.entries(&process, after.as_ref(), until, limit)?;
            assert!(batch.entries.len() <= limit);
            found.extend(batch.entries);
            if batch.is_last {
                return Ok(found);
            }
        }
    }
}

fn slots(entries: &[Entry]) -> Vec<(u64, u32)> {
    entries.iter().map(|entry| (entry.at.slot.nonce, entry.at.slot.tick)).collect()
}

fn slot(nonce: u64, tick: u32) -> Until {
    Until::Slot(Slot { epoch: 0, nonce, tick })
}

/// The process and two messages; crons of ten seconds and of two blocks; the recorded fixture.
fn cron_su() -> Su {
    let tags = [
        ("Cron-Interval", "10-seconds"),
        ("Cron-Tag-function", "hello"),
        ("Cron-Tag-Action", "Tick"),
        ("Cron-Interval", "2-blocks"),
        ("Cron-Tag-function", "world"),
    ];
    Su::new(&tags, &[(T0, H0), (T0 + 24_000, H0 + 3)], (T0 + 45_000, H0 + 6))
}

#[test]
fn messages_come_in_order_whatever_the_batch() {
    let places: Vec<(u64, u64)> = (0..7).map(|n| (T0 + n, H0)).collect();
    let su = Su::new(&[], &places, (T0 + 9, H0));
    let world = World::new();
    for limit in 1..9 {
        assert_eq!(world.all(&su, Until::Now, limit).unwrap().len(), 7);
        let some = world.all(&su, slot(4, 0), limit).unwrap();
        assert_eq!(slots(&some), (0..5).map(|n| (n, 0)).collect::<Vec<_>>());
    }
    let last = &world.all(&su, Until::Now, 3).unwrap()[6];
    assert_eq!(last.id, named(6));
    assert_eq!(last.assignment, Id::of(b"assignment 6").to_string());
}

#[test]
fn two_messages_of_one_millisecond_are_both_there() {
    let su = Su::new(&[], &[(T0, H0), (T0, H0), (T0, H0), (T0 + 1, H0)], (T0 + 2, H0));
    for limit in 1..5 {
        let all = World::new().all(&su, Until::Now, limit).unwrap();
        assert_eq!(slots(&all), [(0, 0), (1, 0), (2, 0), (3, 0)], "{limit}");
    }
}

#[test]
fn a_bent_link_is_named_and_what_is_before_it_is_handed_on() {
    let mut su = Su::new(&[], &[(T0, H0), (T0 + 1, H0), (T0 + 2, H0)], (T0 + 3, H0));
    su.bent = Some(2);
    let world = World::new();
    assert_eq!(world.all(&su, slot(1, 0), 10).unwrap().len(), 2);
    let error = world.all(&su, slot(2, 0), 10).unwrap_err().to_string();
    assert_eq!(error, format!("HashChain invalid on message {}", named(2)));
    su.places.iter_mut().for_each(|place| place.1 = 1_400_000);
    assert_eq!(world.all(&su, slot(2, 0), 10).unwrap().len(), 3);
}

#[test]
fn ticks_stand_where_the_reference_puts_them() {
    let all = World::new().all(&cron_su(), Until::Now, 100).unwrap();
    let shown: Vec<_> = all
        .iter()
        .map(|entry| {
            (entry.at.timestamp_ms - T0, entry.at.block_height - H0, entry.cron.as_deref())
        })
        .collect();
    let (time, block) = (Some("0-10-seconds"), Some("0-2-blocks"));
    assert_eq!(
        shown,
        [
            (0, 0, None),
            (10_000, 1, time),
            (13_500, 2, block),
            (20_000, 2, time),
            (24_000, 3, None),
            (27_500, 4, block),
            (30_000, 4, time),
            (40_000, 5, time),
        ]
    );
    // The block at 41.5 s is the newest: another one of its second would tick with it.
    let json = r#"{"Owner":"owner","Target":"FldvR-L8GBIN3l4y1vvheT4daWMXo4sCfOb06jtxJEY","From":"owner","Tags":[{"name":"function","value":"hello"},{"name":"Action","value":"Tick"}],"Timestamp":1700000010500,"Block-Height":1500001,"Cron":true,"Read-Only":false}"#;
    assert_eq!(&*all[1].json, json);
}

#[test]
fn ticks_do_not_depend_on_where_somebody_stopped() {
    let (su, world) = (cron_su(), World::new());
    let whole = world.all(&su, Until::Now, 100).unwrap();
    for limit in 1..8 {
        assert_eq!(world.all(&su, Until::Now, limit).unwrap(), whole, "{limit}");
    }
    for (n, entry) in whole.iter().enumerate() {
        let until = Until::Slot(entry.at.slot);
        assert_eq!(world.all(&su, until, 2).unwrap(), whole[..=n], "{n}");
    }
}

#[test]
fn ticks_wait_for_blocks_that_the_gateway_does_not_know() {
    let (su, world) = (cron_su(), World::new());
    let network = world.network(&su, H0 + 1);
    let process = network.process(PID).unwrap();
    let first = network.entries(&process, None, slot(1, 0), 10).unwrap();
    assert_eq!((slots(&first.entries), first.is_last), (vec![(0, 0)], false));
    let after = Some(&first.entries[0].at);
    let error = network.entries(&process, after, slot(1, 0), 10).unwrap_err();
    assert!(matches!(error, CuError::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("knows 1 of the 3 blocks"), "{error}");
}

#[test]
fn what_nobody_knows_is_unknown_and_not_an_error_of_ours() {
    let (su, world) = (cron_su(), World::new());
    let network = world.network(&su, u64::MAX);
    let process = network.process(PID).unwrap();
    let find = |id: &str| network.resolve(&process, &At::Message(id.to_owned()));
    assert_eq!(find(PID).unwrap(), slot(0, 0));
    assert_eq!(find(&named(1)).unwrap(), slot(1, 0));
    assert!(matches!(find("nothing"), Err(CuError::Unknown(_))));
    assert!(matches!(network.module("m"), Err(CuError::Unknown(_))));
}
