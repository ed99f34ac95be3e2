//! What group commit is worth: the same assignments by one client, and by 64 at a time, on one disk in one
//! run. What is claimed is the ratio; the rates are this machine's.
//!
//! `cargo bench --bench scheduler`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use drivebay::{
    item::{DataItem, Draft, Id, Tag, Wallet},
    net::InProcess,
    su::{Su, SuOptions},
};
use std::{sync::Arc, time::Instant};

const ITEMS: usize = 2000;
const CLIENTS: usize = 64;

fn item(owner: &Wallet, target: Option<Id>, kind: &str) -> DataItem {
    let tags = [("Data-Protocol", "ao"), ("Type", kind), ("Module", "m"), ("Scheduler", "s")];
    let tags = tags.map(|(name, value)| Tag::new(name, value)).to_vec();
    owner.sign(&Draft::new(target, tags, " ").with_random_anchor().unwrap()).unwrap()
}

async fn rate(clients: usize) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let owner = Wallet::from_ethereum_key(&[3; 32]).unwrap();
    let options = SuOptions::new(None, Arc::new(InProcess::default()));
    let wallet = Wallet::from_ethereum_key(&[1; 32]).unwrap();
    let su = Arc::new(Su::open(dir.path(), wallet, options).await.unwrap());
    let mut queues = Vec::new();
    for _ in 0..clients {
        let process = item(&owner, None, "Process");
        su.schedule(process.bytes().clone()).await.unwrap();
        let messages = (0..ITEMS / clients).map(|_| item(&owner, Some(process.id()), "Message"));
        queues.push(messages.collect::<Vec<_>>());
    }
    let started = Instant::now();
    let clients = queues.into_iter().map(|queue| {
        let su = su.clone();
        tokio::spawn(async move {
            for message in queue {
                su.schedule(message.bytes().clone()).await.unwrap();
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    ITEMS as f64 / started.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let (one, many) = (rate(1).await, rate(CLIENTS).await);
    println!("{one:.0} assignments/s by 1 client, {many:.0} by {CLIENTS}: {:.1} times", many / one);
}
