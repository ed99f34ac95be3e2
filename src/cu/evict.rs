//! Which processes are in memory: images when they are due, and who gives way when memory is short.

use super::{
    Bay, CuError, Position,
    core::Core,
    lane::{Lane, Loaded, Seat, Turn},
    lock,
};
use crate::disk::{HostError, Slot};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// What a replay from the last image may cost: at least this time, and this many times the image.
const REPLAY_MIN: Duration = Duration::from_secs(2);
const REPLAY_FACTOR: u32 = 10;
/// And at most so many entries, and bytes of them.
const TAIL_MAX: usize = 10_000;
const TAIL_BYTES_MAX: usize = 64 << 20;

/// Whether trying again is of no use.
fn is_damage(error: &CuError) -> bool {
    match error {
        CuError::Refused(_) | CuError::Host(HostError::Bug { .. }) => true,
        CuError::Host(HostError::Io { source, .. }) => source.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

impl Core {
    /// Whether replaying what came since the last image costs more than an image is worth.
    pub(crate) fn is_image_due(&self, lane: &Lane, seat: &Seat) -> bool {
        let stands = seat.bay.is_live() && seat.at == lock(&lane.state).head;
        let is_long = seat.cost >= REPLAY_MIN.max(seat.image_cost * REPLAY_FACTOR)
            || seat.tail.len() >= TAIL_MAX
            || seat.tail_bytes >= TAIL_BYTES_MAX;
        stands && (is_long || seat.is_spent)
    }

    /// Keeps the state as an image, to which the process goes back from now on.
    pub(crate) fn take_image(&self, lane: &Lane, seat: &mut Seat) -> Result<(), HostError> {
        let Some(at) = seat.at.clone().filter(|_| seat.at != seat.base) else { return Ok(()) };
        let started = Instant::now();
        let image = seat.bay.freeze()?.image()?;
        // The blank was never kept, so what is as in the blank is not in the store yet.
        let known = seat.base.as_ref().map(|base| (base, seat.bay.image()));
        let kept = self.checkpoints.save(&lane.id, &at, &image, known)?;
        seat.bay.rebase(kept);
        seat.settle();
        seat.image_cost = started.elapsed();
        Ok(())
    }

    /// A bay that stands in the last image at or before `slot` that can be mounted, else in the blank.
    pub(crate) fn open_bay(
        &self,
        loaded: &Loaded,
        slot: Option<Slot>,
    ) -> Result<(Bay, Option<Position>), CuError> {
        let disk = &loaded.shelved.disk;
        let mut slot = slot;
        while let Some(last) = slot {
            let Some(record) = self.checkpoints.nearest(loaded.id(), last)? else { break };
            let opened = match self.checkpoints.image(&record) {
                Ok(image) => Bay::open(Arc::clone(disk), loaded.limits, image),
                Err(error) => Err(error.into()),
            };
            match opened {
                Ok(bay) => return Ok((bay, Some(record.at))),
                // A damaged image, or one of another layout, costs a longer replay, and nothing else.
                Err(error) if is_damage(&error) => {
                    slot = super::ledger::before(record.at.slot);
                }
                Err(other) => return Err(other),
            }
        }
        let blank = disk.blank().clone();
        Ok((Bay::open(Arc::clone(disk), loaded.limits, blank)?, None))
    }

    /// Notes what a lane holds now.
    pub(crate) fn account(&self, before: u64, now: u64) {
        if now >= before {
            self.live_bytes.fetch_add(now - before, Ordering::SeqCst);
        } else {
            self.live_bytes.fetch_sub(before - now, Ordering::SeqCst);
        }
    }

    /// Has the least recently used give way until `need` more bytes fit, or nobody is idle.
    pub(crate) fn make_room(self: &Arc<Self>, need: u64) {
        let budget = self.options.memory_bytes;
        while self.live_bytes.load(Ordering::SeqCst).saturating_add(need) > budget {
            if !self.least_used().is_some_and(|lane| self.evict(&lane)) {
                return;
            }
        }
    }

    fn least_used(&self) -> Option<Arc<Lane>> {
        let lanes = lock(&self.lanes);
        let idle = lanes.values().filter_map(|lane| {
            let state = lock(&lane.state);
            let is_idle = state.turn == Turn::Idle && state.seat.is_some();
            is_idle.then_some((state.used, lane))
        });
        idle.min_by_key(|(used, _)| *used).map(|(_, lane)| Arc::clone(lane))
    }

    /// Takes a process out of memory, its state kept as an image. False if it is at work again.
    fn evict(self: &Arc<Self>, lane: &Arc<Lane>) -> bool {
        let mut seat = {
            let mut state = lock(&lane.state);
            if state.turn != Turn::Idle {
                return false;
            }
            let Some(seat) = state.seat.take() else { return false };
            state.turn = Turn::Running;
            seat
        };
        if seat.bay.is_live() {
            // Where the image cannot be kept, the next time costs a replay: nothing is lost.
            let _ = self.take_image(lane, &mut seat);
        }
        drop(seat);
        *lock(&lane.window) = None;
        let mut state = lock(&lane.state);
        state.restart();
        state.turn = Turn::Idle;
        let held = std::mem::take(&mut state.bytes);
        let again = state.again || !state.wants.is_empty();
        drop(state);
        self.account(held, 0);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        if again {
            let _ = self.wake(lane);
        }
        true
    }

    /// Keeps the state of every process that is in memory. For the end: nothing else runs any more.
    pub(crate) fn keep_all(&self) -> Result<(), HostError> {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        for lane in lanes {
            let seat = lock(&lane.state).seat.take();
            *lock(&lane.window) = None;
            if let Some(mut seat) = seat.filter(|seat| seat.bay.is_live()) {
                self.take_image(&lane, &mut seat)?;
            }
        }
        self.ledger.settle()
    }
}
