//! From a place in a schedule to a call.

use super::{DryMessage, Entry, Position};
use crate::disk::{Call, Mode, Process, Slot, WireJson};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The only randomness that a call has: SHA-256 of domain, process, slot, tick and hash chain, each after
/// its length.
pub fn call_seed(process: &str, slot: Slot, hash_chain: &str) -> [u8; 32] {
    let parts: [&[u8]; 6] = [
        b"drivebay call seed v1",
        process.as_bytes(),
        &slot.epoch.to_le_bytes(),
        &slot.nonce.to_le_bytes(),
        &slot.tick.to_le_bytes(),
        hash_chain.as_bytes(),
    ];
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The call of a scheduled message, or of a tick.
pub(crate) fn scheduled(process: &Arc<Process>, env: &Arc<str>, entry: &Entry) -> Arc<Call> {
    Arc::new(Call {
        process: Arc::clone(process),
        message: Arc::clone(&entry.message),
        json: WireJson { message: Arc::clone(&entry.json), env: Arc::clone(env) },
        slot: entry.at.slot,
        timestamp_ms: entry.at.timestamp_ms,
        block_height: entry.at.block_height,
        seed: call_seed(&process.id, entry.at.slot, &entry.at.hash_chain),
        mode: entry.mode(),
    })
}

/// The call of a dry-run at a position.
pub(crate) fn dry(
    process: &Arc<Process>,
    env: &Arc<str>,
    at: &Position,
    message: &DryMessage,
) -> Arc<Call> {
    Arc::new(Call {
        process: Arc::clone(process),
        message: Arc::clone(&message.message),
        json: WireJson { message: Arc::clone(&message.json), env: Arc::clone(env) },
        slot: at.slot,
        timestamp_ms: message.timestamp_ms,
        block_height: message.block_height,
        seed: call_seed(&process.id, at.slot, &at.hash_chain),
        mode: Mode::DryRun,
    })
}
