//! What clients send. It is written down before it is passed on, and answered when the scheduler has it:
//! who is answered may ask for the result at once.

use super::{
    Mu, MuError,
    crank::crank_task,
    deliver::Sent,
    effects::assign_query,
    locate::{Lost, Place},
    outbox::{Ended, Kind, Task, Waiting},
    verified,
};
use crate::{
    disk::HostError,
    item::{DataItem, Id},
};
use bytes::Bytes;

/// How long the one who took an item has it for itself, in milliseconds.
const LEASE_MS: u64 = 90_000;

/// An existing item, to be assigned to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignRequest {
    /// To which process.
    pub process: Id,
    /// Which item.
    pub item: Id,
    /// Whether it is a transaction of its own.
    pub base_layer: bool,
    /// Its fields that are left out.
    pub exclude: Vec<String>,
}

impl Mu {
    /// Takes an item of a client, hands it to its scheduler, and says its id. What it causes comes later.
    pub async fn submit(&self, bytes: Bytes) -> Result<Id, MuError> {
        let _place = self.place_for_one()?;
        let item = verified(bytes).await?;
        let task = self.post_task(&item)?;
        let waiting = self.write_down(task).await?;
        let Some(waiting) = waiting else { return Ok(item.id()) };
        let ended = self.attempt(&waiting).await;
        self.conclude(&waiting, ended).await?;
        metrics::counter!("drivebay_mu_items_total").increment(1);
        Ok(item.id())
    }

    /// Has an existing item assigned, and says the assignment's id.
    pub async fn assign(&self, request: AssignRequest) -> Result<Id, MuError> {
        let _place = self.place_for_one()?;
        let query = assign_query(request.base_layer, &request.exclude);
        let AssignRequest { process, item, .. } = request;
        match self.send_assign(&process, &item, &query).await {
            Sent::Placed(id) => {
                let crank = crank_task(process, id, Some(id), 0);
                self.outbox.add(vec![crank], self.now_ms()).await?;
                self.bell.notify_one();
                Ok(id)
            }
            Sent::Elsewhere => Err(MuError::refused("another assignment has the same content")),
            Sent::Refused(why) => Err(MuError::refused(why)),
            Sent::Later(why) => Err(MuError::Later(why)),
        }
    }

    fn place_for_one(&self) -> Result<tokio::sync::SemaphorePermit<'_>, MuError> {
        let busy = || MuError::Later("this messenger is busy; come back in a second".to_owned());
        self.under_way.try_acquire().map_err(|_| busy())
    }

    fn post_task(&self, item: &DataItem) -> Result<Task, MuError> {
        if item.tag("Data-Protocol") != Some("ao") {
            return Err(MuError::refused("the first Data-Protocol tag must be ao"));
        }
        let id = item.id();
        let (kind, process) = match item.tag("Type") {
            Some("Message") => {
                let target = item.target().ok_or_else(|| {
                    MuError::refused("a message needs a target: the id of the process it is for")
                })?;
                (Kind::Push, target)
            }
            Some("Process") => {
                let scheduler = item.tag("Scheduler").unwrap_or_default().parse();
                let scheduler = scheduler.map_err(|error| {
                    MuError::refused(format!("a process needs a Scheduler tag: {error}"))
                })?;
                (Kind::Spawn, scheduler)
            }
            _ => return Err(MuError::refused("the first Type tag must be Process or Message")),
        };
        Ok(Task {
            key: format!("item:{id}"),
            lane: format!("item:{id}"),
            kind,
            chain: Some(id),
            depth: 0,
            process,
            item: id,
            bytes: Some(item.bytes().clone()),
            extra: String::new(),
            due: self.now_ms().saturating_add(LEASE_MS),
            why: None,
        })
    }

    /// The task as it is on disk, or none if it was done before.
    async fn write_down(&self, task: Task) -> Result<Option<Waiting>, MuError> {
        let (key, now) = (task.key.clone(), self.now_ms());
        self.refuse_wallets(&task).await?;
        self.outbox.add(vec![task], now).await?;
        match self.outbox.by_key(&key).await? {
            Some((waiting, 0)) => Ok(Some(waiting)),
            Some((waiting, 2)) => {
                // The client asks again; so the operator need not.
                self.outbox.replay(waiting.seq, now.saturating_add(LEASE_MS)).await?;
                Ok(Some(waiting))
            }
            _ => Ok(None),
        }
    }

    /// A client's message is for a process; only what processes send may be for wallets.
    async fn refuse_wallets(&self, task: &Task) -> Result<(), MuError> {
        if task.kind != Kind::Push {
            return Ok(());
        }
        match self.directory.place(&task.process).await {
            Ok(Place::Process(_)) => Ok(()),
            Ok(_) => {
                Err(MuError::refused(format!("{} is no process that is known here", task.process)))
            }
            Err(Lost(why)) => Err(MuError::Later(why)),
        }
    }

    /// Writes down how the first try ended, and tells the client.
    async fn conclude(&self, waiting: &Waiting, ended: Ended) -> Result<(), MuError> {
        let (ended, answer) = match ended {
            Ended::Done(next) => (Ended::Done(next), Ok(())),
            Ended::Never { why } => (Ended::Drop, Err(MuError::refused(why))),
            Ended::Again { due, counts, why } => {
                let text = format!("{why}; it is kept and will be tried again");
                (Ended::Again { due, counts, why }, Err(MuError::Later(text)))
            }
            Ended::Drop => (Ended::Drop, Err(HostError::Exhausted { what: "tries" }.into())),
        };
        self.outbox.end(waiting.seq, ended, self.now_ms()).await?;
        self.bell.notify_one();
        answer
    }
}
