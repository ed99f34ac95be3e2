//! States that others published: `Checkpoint` items of signers whom the operator trusts.

use super::Network;
use crate::{
    cu::{CuError, Foreign, Position, ProcessDefinition},
    disk::{Slot, Tag},
    item::DataItem,
    wire::schedule::first,
};
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// The most bytes of a memory.
const MEMORY_MAX: u64 = 8 << 30;

impl Network {
    /// The newest state of a process that a trusted signer published, at a place that the scheduler knows.
    pub(super) async fn published_state(
        &self,
        process: &ProcessDefinition,
    ) -> Result<Option<Foreign>, CuError> {
        let Some(mut foreign) = self.trusted_state(process).await? else { return Ok(None) };
        let id = &process.process.id;
        let su = self.scheduler(id).await?;
        let pair = su.at_nonce(id, foreign.at.slot.nonce).await.map_err(super::of_su)?;
        let Some(pair) = pair else { return Ok(None) };
        let placed = pair.assignment;
        let said = &foreign.at.hash_chain;
        let same = |said: &str, found: &str| said.is_empty() || said == found;
        let chain = placed.hash_chain.unwrap_or_default();
        if !same(said, &chain) || !same(&foreign.assignment, &placed.id) {
            tracing::warn!(
                process = id,
                "a checkpoint is of another schedule than the scheduler's"
            );
            return Ok(None);
        }
        foreign.at = Position {
            slot: Slot { epoch: placed.epoch, nonce: placed.nonce, tick: 0 },
            timestamp_ms: placed.timestamp_ms,
            block_height: placed.block_height,
            hash_chain: chain.into(),
        };
        (foreign.message, foreign.assignment) = (placed.message, placed.id);
        Ok(Some(foreign))
    }

    /// The same, at the place that its signer says.
    pub(super) async fn trusted_state(
        &self,
        process: &ProcessDefinition,
    ) -> Result<Option<Foreign>, CuError> {
        if self.trusted.is_empty() {
            return Ok(None);
        }
        let mut found = self.archive.checkpoints(&process.process.id, &self.trusted).await?;
        // Those between two messages stand where a cron ticked, and are of no use to others.
        found.retain(|item| first(&item.tags, "Cron-Interval").is_none_or(str::is_empty));
        let nonce = |tags: &[Tag]| first(tags, "Nonce").and_then(|text| text.parse::<u64>().ok());
        found.sort_by_key(|item| std::cmp::Reverse(nonce(&item.tags)));
        for item in found {
            let Some(signed) = self.archive.signed(&item.id).await? else { continue };
            match self.trusted_item(process, &signed) {
                Ok(foreign) => return Ok(Some(foreign)),
                Err(why) => tracing::warn!(checkpoint = item.id, why, "a checkpoint is not used"),
            }
        }
        Ok(None)
    }

    /// What a signed item says, if it is what it should be.
    fn trusted_item(
        &self,
        process: &ProcessDefinition,
        item: &DataItem,
    ) -> Result<Foreign, &'static str> {
        item.verify().map_err(|_| "its signature does not hold")?;
        let owner = item.owner_address().to_string();
        if !self.trusted.contains(&owner) {
            return Err("its signer is not trusted");
        }
        let tag = |name: &str| item.tag(name);
        let process = &process.process;
        if tag("Process") != Some(&process.id) || tag("Type") != Some("Checkpoint") {
            return Err("it is of another process");
        }
        if tag("Module").is_some_and(|module| module != process.module) {
            return Err("it is of another module");
        }
        let number = |name: &str| tag(name).and_then(|text| text.parse::<u64>().ok());
        let memory = Bytes::copy_from_slice(item.data());
        if tag("SHA-256").is_some_and(|sum| !sum_of(&memory).is_ok_and(|found| found == sum)) {
            return Err("its memory is not the one of its SHA-256");
        }
        let text = |name: &str| tag(name).unwrap_or_default().to_owned();
        Ok(Foreign {
            at: Position {
                slot: Slot { nonce: number("Nonce").ok_or("it has no Nonce")?, ..Slot::default() },
                timestamp_ms: number("Timestamp").unwrap_or_default(),
                block_height: number("Block-Height").unwrap_or_default(),
                hash_chain: text("Hash-Chain").into(),
            },
            message: String::new(),
            assignment: text("Assignment"),
            memory,
        })
    }
}

/// SHA-256 of a memory that may be gzipped, in lower-case hex.
fn sum_of(memory: &Bytes) -> io::Result<String> {
    let mut input: Box<dyn Read + '_> = match memory.starts_with(&[0x1f, 0x8b]) {
        true => Box::new(GzDecoder::new(&memory[..])),
        false => Box::new(&memory[..]),
    };
    let (mut hash, mut buffer, mut bytes) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let read = input.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        bytes += read as u64;
        if bytes > MEMORY_MAX {
            return Err(io::Error::other("the memory is too large"));
        }
        hash.update(piece);
    }
    Ok(data_encoding::HEXLOWER.encode(&hash.finalize()))
}
