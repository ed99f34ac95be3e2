//! Schedules from HyperBEAM, of which this unit is the delegated compute: a slot comes with the request to
//! evaluate it; what lies before it is asked of the node.

use super::{Network, defined, lock, number_of_slot, refused};
use crate::{
    cu::{
        At, Batch, CuError, DryMessage, Entry, Position, ProcessDefinition, PublishedModule,
        Source, Until,
    },
    disk::{Host, Slot},
    net::{Request, Transport},
    wire::{
        aos2,
        schedule::{Pair, Spawned},
    },
};
use reqwest::Url;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use tokio::runtime::Handle;

/// Slots that are kept of those that came with requests, by process, and processes of which any are.
const SLOTS_KEPT: usize = 1000;
const PROCESSES_KEPT: usize = 1000;
/// The most slots that are asked of the node at once.
const PAGE_MAX: u64 = 100;

/// A [`Source`] of what a HyperBEAM node orders. Modules are from the gateways of `network`.
pub struct Hyperbeam {
    network: Network,
    runtime: Handle,
    transport: Arc<dyn Transport>,
    /// The node, if it can be asked.
    node: Option<Url>,
    pushed: Mutex<HashMap<String, BTreeMap<u64, Pair>>>,
}

impl Hyperbeam {
    /// A source that asks the node at `node`, or knows only what is pushed.
    pub fn new(network: Network, node: Option<&str>) -> Result<Self, CuError> {
        let (runtime, transport) = (network.runtime.clone(), Arc::clone(&network.transport));
        let node = node.map(|node| {
            Url::parse(node)
                .map_err(|error| refused(format!("{node:?} is no URL of a node: {error}")))
        });
        let pushed = Mutex::default();
        Ok(Self { network, runtime, transport, node: node.transpose()?, pushed })
    }

    /// Keeps a slot that came with a request.
    pub fn push(&self, pair: Pair) {
        let mut pushed = lock(&self.pushed);
        let process = pair.assignment.process.clone();
        if pushed.len() >= PROCESSES_KEPT && !pushed.contains_key(&process) {
            pushed.clear();
        }
        let slots = pushed.entry(process).or_default();
        slots.insert(pair.assignment.nonce, pair);
        while slots.len() > SLOTS_KEPT {
            slots.pop_first();
        }
    }

    /// Whether slots that did not come with a request can be had.
    pub fn has_node(&self) -> bool {
        self.node.is_some()
    }

    fn kept(&self, process: &str, slot: u64) -> Option<Pair> {
        lock(&self.pushed).get(process)?.get(&slot).cloned()
    }

    /// The slots `from` to `to`, both included, as many as the node gives at once.
    async fn ask(&self, process: &str, from: u64, to: u64) -> Result<Vec<Pair>, CuError> {
        let Some(node) = &self.node else {
            return Err(CuError::Unreachable(format!(
                "slot {from} of process {process} did not come with a request, and no HyperBEAM node is \
                 configured to ask: name it with cu.hyperbeam"
            )));
        };
        let mut url = node.clone();
        url.set_path("/~scheduler@1.0/schedule");
        let to = to.min(from.saturating_add(PAGE_MAX - 1));
        url.query_pairs_mut()
            .append_pair("target", process)
            .append_pair("from", &from.to_string())
            .append_pair("to", &to.to_string())
            .append_pair("limit", &PAGE_MAX.to_string())
            .append_pair("accept", "application/aos-2");
        let lost = |why: String| CuError::Unreachable(format!("the HyperBEAM node: {why}"));
        let answer = self.transport.call(Request::get(url.as_str())).await;
        let answer = answer.map_err(|error| lost(error.to_string()))?;
        if !answer.is_success() {
            return Err(lost(format!("{} {}", answer.status, answer.text())));
        }
        let page = aos2::page(&String::from_utf8_lossy(&answer.body));
        let page = page.map_err(|error| lost(error.to_string()))?;
        let pairs: Vec<Pair> = page.edges.into_iter().map(|(pair, _)| pair).collect();
        let follows = pairs.iter().zip(from..).all(|(pair, slot)| pair.assignment.nonce == slot);
        match follows && !pairs.is_empty() {
            true => Ok(pairs),
            false => Err(lost(format!("it does not give slot {from} of process {process}"))),
        }
    }

    async fn pair(&self, process: &str, slot: u64) -> Result<Pair, CuError> {
        match self.kept(process, slot) {
            Some(pair) => Ok(pair),
            None => self.ask(process, slot, slot).await?.into_iter().next().ok_or_else(|| {
                CuError::Unreachable(format!("slot {slot} of process {process} is not there"))
            }),
        }
    }

    async fn read(
        &self,
        process: &str,
        after: Option<&Position>,
        until: Until,
        limit: usize,
    ) -> Result<Batch, CuError> {
        let mut next = after.map_or(0, |at| at.slot.nonce + 1);
        let last = match until {
            Until::Slot(slot) => slot.nonce,
            // What nobody has asked for yet is not evaluated ahead.
            Until::Now => {
                match lock(&self.pushed).get(process).and_then(|slots| slots.last_key_value()) {
                    Some((last, _)) => *last,
                    None => return Ok(Batch { entries: Vec::new(), is_last: true }),
                }
            }
        };
        let mut entries = Vec::new();
        while next <= last && entries.len() < limit {
            let pairs = match self.kept(process, next) {
                Some(pair) => vec![pair],
                None => self.ask(process, next, last).await?,
            };
            for pair in pairs {
                entries.push(entry(&pair));
                next += 1;
            }
        }
        entries.truncate(limit);
        let is_last = next > last;
        Ok(Batch { entries, is_last })
    }
}

fn entry(pair: &Pair) -> Entry {
    let assignment = &pair.assignment;
    let slot = Slot { epoch: assignment.epoch, nonce: assignment.nonce, tick: 0 };
    let mut entry = Entry::new(slot, &pair.fields().unwrap_or_default());
    entry.assignment.clone_from(&assignment.id);
    entry.is_skipped = assignment.is_skipped;
    entry
}

impl Source for Hyperbeam {
    fn process(&self, id: &str) -> Result<ProcessDefinition, CuError> {
        let pair = self.runtime.block_on(self.pair(id, 0))?;
        let Some(mut item) = pair.message else { return Err(super::unknown_process(id)) };
        id.clone_into(&mut item.id);
        let (timestamp_ms, block_height) =
            (pair.assignment.timestamp_ms, pair.assignment.block_height);
        defined(Spawned { item, timestamp_ms, block_height })
    }

    fn module(&self, id: &str) -> Result<PublishedModule, CuError> {
        self.network.module(id)
    }

    fn resolve(&self, _: &ProcessDefinition, at: &At) -> Result<Until, CuError> {
        match at {
            At::Slot(slot) => Ok(Until::Slot(*slot)),
            At::Latest | At::Head => Ok(Until::Now),
            // A slot's path may be used as a message's.
            At::Message(text) => number_of_slot(text).map(Until::Slot).ok_or_else(|| {
                CuError::Unknown(format!("{text} was not evaluated here; HyperBEAM asks by slot"))
            }),
        }
    }

    fn entries(
        &self,
        process: &ProcessDefinition,
        after: Option<&Position>,
        until: Until,
        limit: usize,
    ) -> Result<Batch, CuError> {
        self.runtime.block_on(self.read(&process.process.id, after, until, limit))
    }

    fn checkpoint(
        &self,
        process: &ProcessDefinition,
    ) -> Result<Option<crate::cu::Foreign>, CuError> {
        self.network.checkpoint_without_schedule(process)
    }

    fn host(&self, process: &Arc<ProcessDefinition>, entry: &Entry) -> Arc<dyn Host> {
        self.network.host(process, entry)
    }

    fn dry_host(
        &self,
        process: &Arc<ProcessDefinition>,
        at: &Position,
        message: &DryMessage,
    ) -> Arc<dyn Host> {
        self.network.dry_host(process, at, message)
    }
}
