//! Where thawed drives get their memory: a copy of a state, written once and mapped by all who start near it.
//!
//! A base is never written again, so that nothing a process does later can show in a drive that was thawed
//! before: no page of a private mapping is torn. What a state has of its own is laid over the mapping. When
//! that becomes much, a new base is written; when every new state needs a new base (each message writes most of
//! the memory), none is, and thawing copies.

use crate::linear::Base;
use crate::live::Live;
use crate::state::State;
use drivebay_disk::{PAGE, Pages};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A base is as good as new while a state differs from it in no more than one page of so many.
const NEAR: u64 = 16;
/// Pages that may differ, however small the memory.
const LEAST: u64 = 1024;
/// Pages of a base from which on a live memory lies on it too: below, faults cost more than the memory is worth.
const LARGE: u64 = 8192;
/// What was thawed for a reader is large if it has more than one page of its own for so many of its base, and more
/// than `LEAST`. To map and touch it anew would cost the next reader six times as much, so it is kept while readers
/// come, and no longer.
const OWNS: u64 = 4;
/// Bases written in a row of which none served a second state.
const WASTED: u32 = 2;

/// States that a process goes through before what was thawed for its last reader is let go, and before commits are put
/// off again after that was of no use.
const QUIET: u32 = 64;
/// The same, where what was thawed is large.
const QUIET_IF_LARGE: u32 = 2;

/// A base, and the pages in which a state differs from it, in order.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) base: Arc<Base>,
    pub(crate) own: Vec<u64>,
}

/// A state that others may bring to lie elsewhere, its bytes as they are.
pub(crate) type Shared = Arc<Mutex<State>>;

/// The base of a process's latest states.
#[derive(Default)]
pub(crate) struct Bases {
    slot: Mutex<Slot>,
    /// States to go until what is put off may be evaluated again: it was just now, and may be soon.
    wary: AtomicU32,
    /// Pages that the spare guest has for itself.
    spare: AtomicU64,
}

#[derive(Default)]
struct Slot {
    base: Option<Arc<Base>>,
    wasted: u32,
    /// The state that the process's own drive goes back to.
    committed: Weak<Mutex<State>>,
    spare: Option<Spare>,
    /// States since the last one that was thawed.
    quiet: u32,
}

/// A guest that was thawed and is needed no more. The next one that starts from the same base takes its place: that
/// costs what differs, not a new mapping and the faults of its first touches.
struct Spare {
    live: Live,
    /// Where it stands.
    start: Start,
    /// The most pages that it has for itself.
    owns: u64,
}

impl Bases {
    /// Of a drive that goes back to `committed`.
    pub(crate) fn of(committed: &Shared) -> Arc<Self> {
        let committed = Arc::downgrade(committed);
        let slot = Mutex::new(Slot { committed, ..Slot::default() });
        Arc::new(Self { slot, ..Self::default() })
    }

    /// The latest base, if a live memory may lie on it rather than keep a copy: if it is large, and near `memory`.
    pub(crate) fn under(&self, memory: &Pages, last: &Weak<Base>) -> Option<Start> {
        // Where one is being written, the process does not wait for it.
        let base = self.slot.try_lock().ok()?.base.clone().filter(|base| base.kept() >= LARGE)?;
        if last.upgrade().is_some_and(|last| Arc::ptr_eq(&last, &base)) {
            return None;
        }
        let own = base.differs(memory);
        (own.len() as u64 <= base.kept() / NEAR).then_some(Start { base, own })
    }

    /// Whether the process's own drive stands on this very memory, so that it takes no room beside the drive.
    pub(crate) fn has_committed(&self, memory: &Pages) -> bool {
        let committed = held(&self.slot).committed.upgrade();
        committed.is_some_and(|committed| held(&committed).memory.is_same(memory))
    }

    /// Bytes of the latest base.
    pub(crate) fn held_bytes(&self) -> u64 {
        held(&self.slot).base.as_ref().map_or(0, |base| base.kept() * PAGE as u64)
    }

    /// A start for `memory`, if mapping is worth it and this system can. Whatever a new base has is no longer kept
    /// a second time: neither in `memory` nor in the committed state.
    pub(crate) fn start(&self, memory: &mut Pages) -> Option<Start> {
        let mut slot = held(&self.slot);
        let known = slot.base.as_ref().map(|base| (Arc::clone(base), base.differs(memory)));
        let near = LEAST.max(memory.page_count() / NEAR);
        if let Some((base, own)) = known.filter(|(_, own)| own.len() as u64 <= near) {
            slot.wasted = 0;
            return Some(Start { base, own });
        }
        if slot.wasted >= WASTED {
            return None;
        }
        slot.wasted += 1;
        // It cannot serve the new base.
        self.hold(&mut slot, None);
        slot.base = Base::write(memory).map(Arc::new);
        let base = Arc::clone(slot.base.as_ref()?);
        let old = std::mem::replace(memory, base.pages().clone());
        let committed = slot.committed.upgrade();
        drop(slot);
        if let Some(committed) = committed {
            held(&committed).memory.follow(&old, base.pages());
        }
        Some(Start { base, own: Vec::new() })
    }

    /// A guest that stands somewhere near `start`, and the pages in which it differs from it at most.
    pub(crate) fn take_spare(&self, start: &Start) -> Option<(Live, Vec<u64>)> {
        let mut slot = held(&self.slot);
        slot.quiet = 0;
        let near = |spare: &Spare| Arc::ptr_eq(&spare.start.base, &start.base);
        let spare = self.hold(&mut slot, None).filter(near)?;
        let mut pages = spare.start.own;
        pages.extend(&start.own);
        pages.sort_unstable();
        pages.dedup();
        Some((spare.live, pages))
    }

    /// Keeps a guest that stands at `start` for whoever is thawed next.
    pub(crate) fn keep_spare(&self, mut live: Live, start: Start) {
        let owns = live.owns(most(&start.base));
        let mut slot = held(&self.slot);
        let spare = Spare { live, start, owns };
        // One that lies on an older base is of use to nobody.
        let latest = slot.base.as_ref().is_some_and(|base| Arc::ptr_eq(base, &spare.start.base));
        let old = if latest { self.hold(&mut slot, Some(spare)) } else { Some(spare) };
        drop(slot);
        drop(old);
    }

    /// Has another spare guest, or none. The one that was there is given back.
    fn hold(&self, slot: &mut Slot, spare: Option<Spare>) -> Option<Spare> {
        let owns = spare.as_ref().map_or(0, |spare| spare.owns);
        self.spare.store(owns, Ordering::Relaxed);
        std::mem::replace(&mut slot.spare, spare)
    }

    /// Bytes that the spare guest has for itself.
    pub(crate) fn spare_bytes(&self) -> u64 {
        self.spare.load(Ordering::Relaxed) * PAGE as u64
    }

    /// Calls that were not committed had to be evaluated again.
    pub(crate) fn be_wary(&self) {
        self.wary.store(QUIET, Ordering::Relaxed);
    }

    /// Whether that was not in a while.
    pub(crate) fn is_calm(&self) -> bool {
        self.wary.load(Ordering::Relaxed) == 0
    }

    /// The process has gone on. What nobody has asked for in a while is let go.
    pub(crate) fn gone_on(&self) {
        let less = |wary: u32| wary.checked_sub(1);
        let _ = self.wary.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let Ok(mut slot) = self.slot.try_lock() else { return };
        slot.quiet = slot.quiet.saturating_add(1);
        let large = slot.spare.as_ref().is_some_and(|it| it.owns > most(&it.start.base));
        let quiet = if large { QUIET_IF_LARGE } else { QUIET };
        let old = if slot.quiet > quiet { self.hold(&mut slot, None) } else { None };
        drop(slot);
        drop(old);
    }
}

/// The most pages that a guest may have for itself and not be large.
fn most(base: &Base) -> u64 {
    LEAST.max(base.kept() / OWNS)
}

/// A lock, whoever died with it: what is behind it is whole at any time.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use drivebay_disk::PAGE;

    fn memory(byte: u8) -> Pages {
        Pages::from_bytes(&vec![byte; 3000 * PAGE])
    }

    #[test]
    fn near_states_share_a_base_and_far_ones_stop_making_them() {
        let bases = Bases::default();
        let mut near = memory(1);
        let root = near.root();
        let Some(first) = bases.start(&mut near) else { return };
        assert_eq!(near.root(), root);
        near.write(5000, &[9; 10]).unwrap();
        let second = bases.start(&mut near).unwrap();
        assert!(Arc::ptr_eq(&first.base, &second.base));
        assert_eq!(second.own, [1]);
        assert!(bases.start(&mut memory(2)).is_some());
        assert!(bases.start(&mut memory(3)).is_some());
        assert!(bases.start(&mut memory(4)).is_none(), "a third base in a row that nobody shared");
    }

    /// Runs of pages that are shorter and longer than what is written at once, with gaps.
    #[test]
    fn a_base_has_every_byte_in_its_place() {
        const LEN: usize = 300;
        let mut bytes = vec![0; LEN * PAGE];
        for (page, bytes) in bytes.chunks_exact_mut(PAGE).enumerate() {
            if ![0, 3, 4, 150, 299].contains(&page) {
                bytes.fill(page as u8 | 1);
            }
        }
        let Some(base) = Base::write(&Pages::from_bytes(&bytes)) else { return };
        assert_eq!(base.kept(), LEN as u64 - 5);
        assert!(base.pages().to_vec((LEN * PAGE) as u64).unwrap() == bytes);
    }
}
