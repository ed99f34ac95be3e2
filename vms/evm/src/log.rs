//! What a kept state has beside the tables that it shares: the rows that were changed since.
//!
//! Many states are kept of a drive, most of them for one message only. So they share one log, and each has the rows
//! up to where the log ended when it was kept.

use crate::{
    rows::{Change, apply},
    version::Version,
    world::World,
};
use drivebay_disk::HostError;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows that were changed, in the order in which they were: later ones go over earlier ones.
#[derive(Default)]
pub(crate) struct Log(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    changes: Vec<Change>,
    /// For each of them, whether a later one goes over it.
    is_over: Vec<bool>,
    /// The tables with the first so many, once somebody asked for these: of those asked for, the most.
    settled: Option<(usize, World)>,
}

impl Log {
    /// A panic elsewhere leaves it whole: each lock is for one step.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(&self, changes: &mut Vec<Change>) {
        let mut inner = self.inner();
        inner.changes.append(changes);
        let len = inner.changes.len();
        inner.is_over.resize(len, false);
    }

    /// A change goes over the one at a place, if that is of the same row.
    pub(crate) fn go_over(&self, at: usize, change: &Change) {
        let mut inner = self.inner();
        let is_same = inner.changes.get(at).is_some_and(|before| before.is_of_row(change));
        if let Some(is_over) = inner.is_over.get_mut(at).filter(|_| is_same) {
            *is_over = true;
        }
    }

    /// Gives all of it, and those after it; without those that a later one goes over, as far as that was said.
    pub(crate) fn with<R>(
        &self,
        after: &[Change],
        give: impl FnOnce(&mut dyn Iterator<Item = Change>) -> R,
    ) -> R {
        let inner = self.inner();
        let changes = inner.changes.iter().zip(&inner.is_over).filter(|(_, is_over)| !**is_over);
        give(&mut changes.map(|(change, _)| change).chain(after).copied())
    }

    /// The tables with the first so many rows, if somebody asked for these.
    pub(crate) fn settled(&self, len: usize) -> Option<World> {
        self.inner()
            .settled
            .as_ref()
            .filter(|(most, _)| *most == len)
            .map(|(_, world)| world.clone())
    }

    /// Nobody else has it: it is begun anew.
    pub(crate) fn clear(&mut self) {
        let inner = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        inner.changes.clear();
        inner.is_over.clear();
        inner.settled = None;
    }

    /// The tables with the first so many rows, which are of `base`.
    pub(crate) fn over(&self, len: usize, base: &Version) -> Result<World, HostError> {
        let (start, rows) = {
            let inner = self.inner();
            let start = inner.settled.clone().filter(|(before, _)| *before <= len);
            let first = start.as_ref().map_or(0, |(before, _)| *before);
            (start, inner.changes.get(first..len).unwrap_or_default().to_vec())
        };
        let mut world = start.map_or_else(|| base.world(), |(_, world)| Ok(world))?;
        apply(&mut world, rows.into_iter(), None);
        let mut inner = self.inner();
        if inner.settled.as_ref().is_none_or(|(before, _)| *before < len) {
            inner.settled = Some((len, world.clone()));
        }
        Ok(world)
    }
}
