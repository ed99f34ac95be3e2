//! Tables as states that are kept see them, while a drive goes on to change its own in place.
//!
//! To share a table is to copy the path of each row that is changed, and each branch on it counts up all of its
//! children, which lie anywhere in memory. So the newest state has the tables to itself, and a state that is kept has
//! the rows that were changed since, as they were. Whoever looks at it puts them into a copy of its own.

use crate::{
    rows::{Old, undo},
    world::World,
};
use drivebay_disk::{HostError, bug};
use std::sync::{Arc, Mutex, Weak};

/// Rows that may lie between a state that is kept and the tables, about as many as a read should wait for; then the
/// tables are shared once.
const ROWS: usize = if cfg!(test) { 150 } else { 8192 };
/// Rows that a step between two versions counts for, so that there are not too many of these either.
const STEP: usize = 64;

/// The tables of states that are kept.
pub(crate) struct Version {
    /// `None` while the drive changes its tables from this version to the next.
    seen: Mutex<Option<Seen>>,
    /// The version before, whose rows lead here.
    before: Weak<Version>,
    /// Rows from the oldest version to this one, steps included.
    rows: usize,
}

enum Seen {
    Whole(World),
    /// The rows that the next version has changed, as they were.
    Changed(Arc<[Old]>, Arc<Version>),
}

impl Version {
    pub(crate) fn new(world: World) -> Self {
        Self::after(Weak::new(), world, 0)
    }

    fn after(before: Weak<Self>, world: World, rows: usize) -> Self {
        Self { seen: Mutex::new(Some(Seen::Whole(world))), before, rows }
    }

    /// Changes a drive's tables, of which this is the version; says which one they are of then, if a state is kept of
    /// this one that needs the rows between.
    pub(crate) fn change(
        self: Arc<Self>,
        world: &mut World,
        change: impl FnOnce(&mut World, Option<&mut Vec<Old>>),
    ) -> Option<Arc<Self>> {
        let rows = if self.before.strong_count() > 0 { self.rows } else { 0 };
        let is_kept = Arc::strong_count(&self) > 1;
        let Some(mut seen) = self.seen.lock().ok().filter(|_| is_kept && rows < ROWS) else {
            // If nobody has it, the tables are the drive's alone; else paths of them are copied.
            drop(self);
            change(world, None);
            return None;
        };
        // Its own hold on the tables goes first, so that nobody shares them.
        *seen = None;
        let mut old = Vec::new();
        change(world, Some(&mut old));
        let rows = rows + old.len() + STEP;
        let next = Arc::new(Self::after(Arc::downgrade(&self), world.clone(), rows));
        *seen = Some(Seen::Changed(old.into(), next.clone()));
        drop(seen);
        Some(next)
    }

    /// The tables of this version.
    ///
    /// # Errors
    /// If a drive was lost on the way to the next version.
    pub(crate) fn world(&self) -> Result<World, HostError> {
        let (mut steps, mut next) = match self.seen()? {
            Seen::Whole(world) => return Ok(world),
            Seen::Changed(old, next) => (vec![old], next),
        };
        let mut world = loop {
            next = match next.seen()? {
                Seen::Whole(world) => break world,
                Seen::Changed(old, next) => {
                    steps.push(old);
                    next
                }
            };
        };
        steps.iter().rev().for_each(|old| undo(&mut world, old));
        // The next one who looks finds them, and versions that nobody else has go.
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(Seen::Whole(world.clone()));
        }
        Ok(world)
    }

    fn seen(&self) -> Result<Seen, HostError> {
        let seen = self.seen.lock().ok();
        let seen = seen.as_ref().and_then(|seen| seen.as_ref());
        match seen {
            Some(Seen::Whole(world)) => Ok(Seen::Whole(world.clone())),
            Some(Seen::Changed(old, next)) => Ok(Seen::Changed(old.clone(), next.clone())),
            None => Err(bug!("a kept state was lost with its drive")),
        }
    }
}
