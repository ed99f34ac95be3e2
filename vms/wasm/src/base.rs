//! Where thawed drives get their memory: a copy of a state, written once and mapped by all who start near it.
//!
//! A base is never written again, so that nothing a process does later can show in a drive that was thawed
//! before: no page of a private mapping is torn. What a state has of its own is laid over the mapping. When
//! that becomes much, a new base is written; when every new state needs a new base (each message writes most of
//! the memory), none is, and thawing copies.

use crate::linear::Base;
use drivebay_disk::Pages;
use std::sync::{Arc, Mutex, PoisonError};

/// A base is as good as new while a state differs from it in no more than one page of so many.
const NEAR: u64 = 16;
/// Pages that may differ, however small the memory.
const LEAST: u64 = 1024;
/// Bases written in a row of which none served a second state.
const WASTED: u32 = 2;

/// A base, and the pages in which a state differs from it.
pub(crate) struct Start {
    pub(crate) base: Arc<Base>,
    pub(crate) own: Vec<u64>,
}

/// The base of a process's latest states.
#[derive(Default)]
pub(crate) struct Bases(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    base: Option<Arc<Base>>,
    wasted: u32,
}

impl Bases {
    /// A start for `memory`, if mapping is worth it and this system can.
    pub(crate) fn start(&self, memory: &Pages) -> Option<Start> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        slot.base = Base::write(memory).map(Arc::new);
        Some(Start { base: Arc::clone(slot.base.as_ref()?), own: Vec::new() })
    }
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
        let Some(first) = bases.start(&near) else { return };
        near.write(5000, &[9; 10]).unwrap();
        let second = bases.start(&near).unwrap();
        assert!(Arc::ptr_eq(&first.base, &second.base));
        assert_eq!(second.own, [1]);
        assert!(bases.start(&memory(2)).is_some());
        assert!(bases.start(&memory(3)).is_some());
        assert!(bases.start(&memory(4)).is_none(), "a third base in a row that nobody shared");
    }
}
