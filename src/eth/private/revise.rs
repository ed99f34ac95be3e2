//! Going back: snapshots.

use super::chain::{Chain, Next, Rules};
use super::{pool::Pool, time::Time};
use crate::cu::lab::Kept;

/// Snapshots of a chain. Each keeps what a state kept anyway; the oldest gives way.
const SNAPSHOTS_MAX: usize = 1024;

/// A chain as it was. Who may send without a signature is not a part of it.
pub(super) struct Snapshot {
    id: u64,
    blocks: usize,
    state: Kept,
    pool: Pool,
    time: Time,
    next: Next,
    rules: Rules,
    bytes: u64,
}

impl Chain {
    /// Remembers all as it is, by an id.
    pub(super) fn snapshot(&mut self) -> Option<u64> {
        let (id, head) = (self.snapshot, self.blocks.last()?);
        let snapshot = Snapshot {
            id,
            blocks: self.blocks.len(),
            state: head.state.clone(),
            pool: self.pool.clone(),
            time: self.time,
            next: self.next,
            rules: self.rules,
            bytes: self.bytes,
        };
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            self.snapshots.remove(0);
        }
        self.snapshots.push(snapshot);
        self.snapshot += 1;
        Some(id)
    }

    /// Goes back to a snapshot, which is then gone with all that came after it. `false` if there is no such
    /// snapshot any more.
    pub(super) fn revert(&mut self, id: u64) -> bool {
        let Some(at) = self.snapshots.iter().position(|snapshot| snapshot.id == id) else {
            return false;
        };
        let Some(snapshot) = self.snapshots.drain(at..).next() else { return false };
        for sealed in self.blocks.drain(snapshot.blocks..) {
            self.numbers.remove(&sealed.block.hash);
            sealed.block.runs.iter().for_each(|run| _ = self.transactions.remove(&run.hash));
        }
        if let Some(head) = self.blocks.last_mut() {
            head.state = snapshot.state;
        }
        let Snapshot { pool, time, next, rules, bytes, .. } = snapshot;
        (self.pool, self.time, self.next) = (pool, time, next);
        (self.rules, self.bytes) = (rules, bytes);
        true
    }
}
