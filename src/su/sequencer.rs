//! One lane a process: whoever is in it composes the next place, and hands it to the store's queue before
//! the next one may enter. Places are composed ahead of the disk; if one of them is not written, those
//! composed on it are not written either, because each insert names the assignment that it follows.

use super::{Placed, Su, SuError, assignment::Assignment, log::Row};
use crate::{
    disk::HostError,
    item::{DataItem, Id},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// Lanes that are kept while nobody is in them.
const IDLE_LANES_MAX: usize = 4096;

/// The newest place of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) nonce: u64,
    pub(super) timestamp_ms: u64,
    pub(super) assignment: Id,
    pub(super) link: Id,
}

/// What wants a place.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) kind: NewKind,
    pub(super) message: Id,
    /// Of an item that a process sent: equal contents are one message.
    pub(super) content: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(super) enum NewKind {
    Process(DataItem),
    Message(DataItem),
    /// An item that is somewhere else already, and which of its fields are left out.
    Existing(Vec<String>),
}

impl New {
    pub(super) fn item(item: DataItem, starts: bool) -> Self {
        let message = item.id();
        let pushed = !starts && item.tag("From-Process").is_some();
        let content = pushed.then(|| item.content_hash().to_vec());
        let kind = if starts { NewKind::Process(item) } else { NewKind::Message(item) };
        Self { kind, message, content }
    }

    fn names(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        [Some(self.message.as_bytes().to_vec()), self.content.clone()].into_iter().flatten()
    }
}

/// What the store says of something that wants a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has one.
    Message(Placed),
    /// Another one with the same content has.
    Content,
}

#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<Id, Arc<Lane>>>,
}

#[derive(Default)]
struct Lane {
    /// None: to be read from the store.
    state: tokio::sync::Mutex<Option<State>>,
    /// What was composed and is not known to be durable.
    under_way: Mutex<HashSet<Vec<u8>>>,
}

#[derive(Clone)]
struct State {
    head: Option<Head>,
}

impl Lanes {
    fn of(&self, process: Id) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() > IDLE_LANES_MAX {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        lanes.entry(process).or_default().clone()
    }
}

impl Lane {
    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Su {
    /// Gives `new` its place in `process`, and returns when that is durable.
    pub(super) async fn place(&self, process: Id, new: New) -> Result<Placed, SuError> {
        let lane = self.lanes.of(process);
        let names: Vec<_> = new.names().collect();
        let mut state = lane.state.lock().await;
        let head = match &*state {
            Some(known) => known.head.clone(),
            None => {
                let head = self.read_head(&process).await?;
                *state = Some(State { head: head.clone() });
                head
            }
        };
        if names.iter().any(|name| lane.under_way().contains(name)) {
            // The same is on its way to the disk, or was: wait until the disk knows.
            self.log.settled().await?;
            names.iter().for_each(|name| _ = lane.under_way().remove(name));
        }
        if let Some(placed) = self.known(&process, &new, head.as_ref()).await? {
            return Ok(placed);
        }
        let row = self.compose(process, new, head.as_ref()).await?;
        let (placed, next) = (row.placed(), row.head());
        lane.under_way().extend(names.iter().cloned());
        let queued = self.log.append(row, head).await?;
        *state = Some(State { head: Some(next) });
        drop(state);
        let written = queued.durable().await;
        names.iter().for_each(|name| _ = lane.under_way().remove(name));
        match written {
            Ok(true) => Ok(placed),
            failed => {
                // What was composed after this cannot be written; what is written, the store knows.
                *lane.state.lock().await = None;
                failed?;
                Err(HostError::Exhausted { what: "writes: the one before this one failed" }.into())
            }
        }
    }

    /// The newest place on disk, after everything on its way there has arrived or failed.
    async fn read_head(&self, process: &Id) -> Result<Option<Head>, SuError> {
        self.log.settled().await?;
        Ok(self.log.head(process).await?)
    }

    /// Whether `new` may have a place; the place that it has, where asking again is no mistake.
    async fn known(
        &self,
        process: &Id,
        new: &New,
        head: Option<&Head>,
    ) -> Result<Option<Placed>, SuError> {
        let starts = matches!(new.kind, NewKind::Process(_));
        if head.is_none() && !starts {
            return Err(SuError::refused("NotFound(\"Process not found\")"));
        }
        match self.log.known(process, new).await? {
            None => Ok(None),
            Some(Known::Message(placed)) if matches!(new.kind, NewKind::Existing(_)) => {
                Ok(Some(placed))
            }
            Some(Known::Message(_)) => {
                Err(SuError::refused("MessageExists(\"Message already exists\")"))
            }
            Some(Known::Content) => {
                Err(SuError::refused("MessageExists(\"Deep hash already exists\")"))
            }
        }
    }

    async fn compose(&self, process: Id, new: New, head: Option<&Head>) -> Result<Row, SuError> {
        let mut assignment = Assignment::after(head, process, self.now_ms(), self.height());
        if !matches!(new.kind, NewKind::Process(_)) {
            assignment.message = Some(new.message);
        }
        if let NewKind::Existing(exclude) = &new.kind {
            assignment.exclude.clone_from(exclude);
        }
        let signed = assignment.sign(&self.wallet).await?;
        Ok(Row::new(assignment, signed, new))
    }
}
