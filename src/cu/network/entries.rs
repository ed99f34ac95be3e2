//! The next entries of a schedule: messages as the scheduler ordered them, ticks between them.

use super::{Network, lock, of_su, origin, refused, unknown_process};
use crate::{
    cu::{
        Batch, CuError, Entry, Position, ProcessDefinition, Until,
        cron::{Crons, Point, Tick},
        schedule::{Chain, ChainError, Link},
    },
    disk::{Digest, Slot},
    net::SuClient,
    wire::{
        Fields, number,
        schedule::{Pair, from_process},
        tags_value,
    },
};
use std::{collections::VecDeque, sync::Arc};

/// The most places asked for at once.
const PAGE_MAX: usize = 1000;

/// One call of `entries`.
pub(super) struct Reading<'a> {
    network: &'a Network,
    process: &'a ProcessDefinition,
    crons: Crons,
    limit: usize,
    found: Vec<Entry>,
}

/// How a step of the reading ended.
enum Flow {
    /// More may follow.
    On,
    /// The limit is reached.
    Full,
    /// What was asked for is there.
    There,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        network: &'a Network,
        process: &'a ProcessDefinition,
        crons: Crons,
        limit: usize,
    ) -> Self {
        Self { network, process, crons, limit: limit.max(1), found: Vec::new() }
    }

    /// The entries after `after`, up to `until`.
    pub(super) async fn read(
        mut self,
        after: Option<&Position>,
        until: Until,
    ) -> Result<Batch, CuError> {
        let id = self.process.process.id.clone();
        let su = self.network.scheduler(&id).await?;
        let mut left = match after {
            None => None,
            Some(at) => Some(self.network.link(&su, &id, at).await?),
        };
        // Ticks after `left` that were handed on before.
        let mut passed = after.map_or(0, |at| at.slot.tick);
        if let (Until::Slot(slot), Some(link)) = (until, &left)
            && (slot.nonce, slot.tick) <= (link.nonce, passed)
        {
            return Ok(Batch { entries: Vec::new(), is_last: true });
        }
        loop {
            let mut page = self.page(&su, left.as_ref(), until).await?;
            while let Some(pair) = page.pairs.pop_front() {
                match self.step(&pair, &mut left, &mut passed, until).await {
                    Ok(Flow::On) => {}
                    Ok(Flow::Full) => return Ok(self.batch(&id, left, false)),
                    Ok(Flow::There) => return Ok(self.batch(&id, left, true)),
                    // What stands before it is sound, and is evaluated first.
                    Err(_) if !self.found.is_empty() => return Ok(self.batch(&id, left, false)),
                    Err(error) => return Err(error),
                }
            }
            if !page.more {
                break;
            }
        }
        let Some(link) = &left else { return Err(unknown_process(&id)) };
        match until {
            Until::Slot(slot) if slot.nonce > link.nonce => Err(CuError::Unreachable(format!(
                "the scheduler of process {id} does not have slot {} any more: its last is {}",
                slot.nonce, link.nonce
            ))),
            _ => {
                let done = self.until_now(&su, link, passed, until).await?;
                Ok(self.batch(&id, left, done))
            }
        }
    }

    fn batch(self, id: &str, left: Option<Link>, is_last: bool) -> Batch {
        if let Some(link) = left {
            super::keep(&self.network.links, id, link);
        }
        Batch { entries: self.found, is_last }
    }

    /// The places after `left`.
    async fn page(
        &self,
        su: &SuClient,
        left: Option<&Link>,
        until: Until,
    ) -> Result<Pairs, CuError> {
        let left_nonce = left.map(|link| link.nonce);
        let mut wanted = self.limit - self.found.len();
        if let Until::Slot(slot) = until {
            let next = left_nonce.map_or(0, |nonce| nonce + 1);
            let ahead = (slot.nonce + 1).saturating_sub(next).max(1);
            wanted = wanted.min(usize::try_from(ahead).unwrap_or(usize::MAX));
        }
        let limit = u32::try_from(wanted.clamp(1, PAGE_MAX)).unwrap_or(1);
        let from_ms = left.map(|link| link.timestamp_ms);
        let id = &self.process.process.id;
        let page = su.page(id, from_ms, limit).await.map_err(of_su)?;
        let next = left_nonce.map_or(0, |nonce| nonce + 1);
        let fresh = |pair: &Pair| left_nonce.is_none_or(|nonce| pair.assignment.nonce > nonce);
        let (empty, more) = (page.edges.is_empty(), page.more);
        let mut pairs: VecDeque<Pair> =
            page.edges.into_iter().map(|(pair, _)| pair).filter(fresh).collect();
        // Of two messages of one millisecond, paging by time leaves out the second.
        let skips = pairs.front().is_some_and(|pair| pair.assignment.nonce > next);
        if (skips || (pairs.is_empty() && !self.is_behind(left_nonce, until)))
            && let Some(pair) = su.at_nonce(id, next).await.map_err(of_su)?
        {
            return Ok(Pairs { pairs: VecDeque::from([pair]), more: true });
        }
        if skips {
            pairs.truncate(1);
        }
        Ok(Pairs { pairs, more: more && !empty })
    }

    /// Whether nothing after `left` is asked for by number.
    fn is_behind(&self, left: Option<u64>, until: Until) -> bool {
        match until {
            Until::Slot(slot) => left.is_some_and(|nonce| nonce >= slot.nonce),
            Until::Now => false,
        }
    }

    /// Hands on the ticks before a message, and the message.
    async fn step(
        &mut self,
        pair: &Pair,
        left: &mut Option<Link>,
        passed: &mut u32,
        until: Until,
    ) -> Result<Flow, CuError> {
        let height = self.process.block_height;
        let mut chain = match left.clone() {
            None => Chain::start(height),
            Some(link) => Chain::after(height, link),
        };
        chain.advance(&pair.assignment).map_err(of_chain)?;
        if let Some(link) = left.as_ref().filter(|_| !self.crons.is_empty()) {
            let right = (pair.assignment.timestamp_ms, pair.assignment.block_height);
            match self.ticks(link, *passed, right, until).await? {
                Flow::On => {}
                stop => return Ok(stop),
            }
        }
        let entry = self.entry(pair).await?;
        let slot = entry.at.slot;
        self.found.push(entry);
        *left = Some(Link {
            nonce: slot.nonce,
            timestamp_ms: pair.assignment.timestamp_ms,
            block_height: pair.assignment.block_height,
            assignment: pair.assignment.id.clone(),
            hash_chain: pair.assignment.hash_chain.clone(),
        });
        *passed = 0;
        Ok(self.flow(slot, until))
    }

    fn flow(&self, slot: Slot, until: Until) -> Flow {
        match until {
            Until::Slot(end) if (end.nonce, end.tick) <= (slot.nonce, slot.tick) => Flow::There,
            _ if self.found.len() >= self.limit => Flow::Full,
            _ => Flow::On,
        }
    }

    /// Hands on the ticks from the message at `link` to `right` (time and height), without those that
    /// were handed on before.
    async fn ticks(
        &mut self,
        link: &Link,
        passed: u32,
        right: (u64, u64),
        until: Until,
    ) -> Result<Flow, CuError> {
        let blocks = self.network.blocks(link.block_height, right.1).await?;
        let left = Point { timestamp_ms: link.timestamp_ms, block_height: link.block_height };
        let crons = std::mem::take(&mut self.crons);
        let ticks = crons.ticks(origin(self.process), left, right.0, &blocks);
        let mut flow = Flow::On;
        for (tick, number) in ticks.zip(1_u32..).skip(passed as usize) {
            let entry = self.tick(link, &tick, number);
            let slot = entry.at.slot;
            self.found.push(entry);
            flow = self.flow(slot, until);
            if !matches!(flow, Flow::On) {
                break;
            }
        }
        self.crons = crons;
        Ok(flow)
    }

    /// After the last message: ticks up to the scheduler's time, as far as the blocks are known that they
    /// carry. Whether that is all that was asked for.
    async fn until_now(
        &mut self,
        su: &SuClient,
        link: &Link,
        passed: u32,
        until: Until,
    ) -> Result<bool, CuError> {
        if self.crons.is_empty() {
            return Ok(true);
        }
        let now = su.time(&self.process.process.id).await.map_err(of_su)?;
        let blocks = self.network.blocks(link.block_height, now.block_height).await?;
        // A block that nobody knows yet may still come in the newest one's second or later, and change what
        // ticks there: those ticks wait for it.
        let newest = blocks.iter().map(|block| block.timestamp_ms).max().unwrap_or_default();
        let right_ms = now.timestamp_ms.min(newest) / 1000 * 1000;
        if right_ms / 1000 <= link.timestamp_ms / 1000 {
            return Ok(true);
        }
        let flow = self.ticks(link, passed, (right_ms, now.block_height), until).await?;
        Ok(!matches!(flow, Flow::Full))
    }

    async fn entry(&self, pair: &Pair) -> Result<Entry, CuError> {
        let assignment = &pair.assignment;
        let slot = Slot { epoch: assignment.epoch, nonce: assignment.nonce, tick: 0 };
        let (fields, deep_hash) = match pair.fields() {
            Some(fields) => {
                let hash = deep_hash(&fields);
                (fields, hash)
            }
            None => {
                let hash =
                    Digest::of_parts("drivebay assigned v1", &[assignment.message.as_bytes()]);
                (self.transaction(pair).await?, Some(hash))
            }
        };
        let mut entry = Entry::new(slot, &fields);
        entry.assignment.clone_from(&assignment.id);
        entry.deep_hash = deep_hash;
        Ok(entry)
    }

    /// The message of an assignment that names something of the network.
    async fn transaction(&self, pair: &Pair) -> Result<Fields, CuError> {
        let id = &pair.assignment.message;
        let archive = &self.network.archive;
        let missing = || {
            CuError::Unreachable(format!(
                "the gateway does not have {id}, which is assigned at slot {}",
                pair.assignment.nonce
            ))
        };
        let mut item = archive.item(id).await?.ok_or_else(missing)?;
        if !pair.assignment.exclude.iter().any(|field| field == "Data") {
            let data = archive.data(id, None).await?.ok_or_else(missing)?;
            item.data = String::from_utf8_lossy(&data).into_owned().into();
        }
        Ok(pair.fields_of_transaction(&item))
    }

    fn tick(&self, link: &Link, tick: &Tick<'_>, number_of_tick: u32) -> Entry {
        let process = &self.process.process;
        let mut fields = Fields::default();
        fields.set("Owner", process.owner.as_str());
        fields.set("Target", process.id.as_str());
        fields.set("From", process.owner.as_str());
        fields.set("Tags", tags_value(tick.tags));
        fields.set("Timestamp", number(tick.at.timestamp_ms));
        fields.set("Block-Height", number(tick.at.block_height));
        fields.set("Cron", true);
        fields.set("Read-Only", false);
        let mut entry =
            Entry::new(Slot { epoch: 0, nonce: link.nonce, tick: number_of_tick }, &fields);
        entry.at.hash_chain = link.hash_chain.as_deref().unwrap_or_default().into();
        entry.cron = Some(Arc::from(tick.cron));
        entry
    }
}

struct Pairs {
    pairs: VecDeque<Pair>,
    more: bool,
}

impl Network {
    /// The message at a position: the one behind which the next must link.
    async fn link(&self, su: &SuClient, id: &str, at: &Position) -> Result<Link, CuError> {
        if let Some(link) = lock(&self.links).get(id).filter(|link| link.nonce == at.slot.nonce) {
            return Ok(link.clone());
        }
        let pair = su.at_nonce(id, at.slot.nonce).await.map_err(of_su)?;
        let Some(pair) = pair else {
            return Err(CuError::Unreachable(format!(
                "the scheduler of process {id} does not have slot {} any more",
                at.slot.nonce
            )));
        };
        let same = pair.assignment.hash_chain.as_deref().unwrap_or_default() == &*at.hash_chain;
        if !same {
            return Err(of_chain(ChainError::Link { message: pair.assignment.message }));
        }
        Ok(Link {
            nonce: pair.assignment.nonce,
            timestamp_ms: pair.assignment.timestamp_ms,
            block_height: pair.assignment.block_height,
            assignment: pair.assignment.id,
            hash_chain: pair.assignment.hash_chain,
        })
    }
}

fn of_chain(error: ChainError) -> CuError {
    refused(error.to_string())
}

/// The digest of what a pushed message says, whoever pushed it and why. A message whose data did not come
/// whole is like no other.
fn deep_hash(fields: &Fields) -> Option<Digest> {
    let mut tags = fields.tags();
    from_process(&tags)?;
    tags.retain(|tag| tag.name != "Pushed-For");
    tags.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
    let data = fields.text("Data").filter(|data| !data.contains('\u{fffd}'))?;
    let (target, anchor) = (fields.text("Target")?, fields.text("Anchor").unwrap_or_default());
    let mut parts = vec![target.as_bytes(), anchor.as_bytes(), data.as_bytes()];
    parts.extend(tags.iter().flat_map(|tag| [tag.name.as_bytes(), tag.value.as_bytes()]));
    Some(Digest::of_parts("drivebay content v1", &parts))
}
