//! Tasks are tried as they come due: lanes side by side, each lane one by one.

use super::{
    Mu, MuError,
    outbox::{Ended, Waiting},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// The longest sleep, if nobody rings.
const NAP: Duration = Duration::from_millis(1000);
/// Between sweeps of what was done long ago.
const SWEEP: Duration = Duration::from_secs(3600);

impl Mu {
    /// Tries tasks and looks after monitored processes, for as long as it is polled.
    pub async fn work(self: Arc<Self>) {
        let tasks = self.clone().work_on_tasks();
        let monitors = async {
            loop {
                if let Err(error) = self.look_at_monitored().await {
                    tracing::error!(%error, "looking at monitored processes");
                }
                tokio::time::sleep(NAP).await;
            }
        };
        let sweep = async {
            loop {
                tokio::time::sleep(SWEEP).await;
                let before = self.now_ms().saturating_sub(self.options.bounds.keep_ms);
                if let Err(error) = self.outbox.sweep(before).await {
                    tracing::error!(%error, "sweeping the outbox");
                }
            }
        };
        tokio::join!(tasks, monitors, sweep);
    }

    async fn work_on_tasks(self: Arc<Self>) {
        let mut workers = JoinSet::new();
        loop {
            let room = self.options.bounds.workers.saturating_sub(workers.len());
            let started = match self.claim(room).await {
                Ok(claimed) => {
                    let started = claimed.len();
                    for waiting in claimed {
                        workers.spawn(self.clone().work_on(waiting));
                    }
                    started
                }
                Err(error) => {
                    tracing::error!(%error, "reading the outbox");
                    0
                }
            };
            if started > 0 && started < room {
                continue;
            }
            let nap = self.nap().await;
            tokio::select! {
                Some(_) = workers.join_next() => {}
                () = self.bell.notified() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    async fn nap(&self) -> Duration {
        let now = self.now_ms();
        // What is due and not claimed waits for somebody in its lane, whose end rings.
        let due = self.outbox.next_due(now).await.ok().flatten();
        let wait = due.map_or(u64::MAX, |due| due.saturating_sub(now));
        Duration::from_millis(wait.max(1)).min(NAP)
    }

    /// Due tasks whose lanes nobody works on, and their lanes.
    async fn claim(&self, room: usize) -> Result<Vec<Waiting>, MuError> {
        let mut busy = self.busy.lock().await;
        let due = self.outbox.due(self.now_ms(), room.saturating_add(busy.len())).await?;
        let mut claimed = Vec::new();
        for waiting in due {
            if claimed.len() < room && busy.insert(waiting.task.lane.clone()) {
                claimed.push(waiting);
            }
        }
        Ok(claimed)
    }

    async fn work_on(self: Arc<Self>, waiting: Waiting) {
        if let Err(error) = self.work_through(&waiting).await {
            tracing::error!(%error, task = waiting.seq, "writing to the outbox");
        }
        self.busy.lock().await.remove(&waiting.task.lane);
        self.bell.notify_one();
    }

    async fn work_through(&self, waiting: &Waiting) -> Result<(), MuError> {
        let ended = self.attempt(waiting).await;
        let (kind, how) = (waiting.task.kind.text(), how(&ended));
        metrics::counter!("drivebay_mu_tasks_total", "kind" => kind, "ended" => how).increment(1);
        if let Ended::Never { why } = &ended {
            tracing::warn!(task = waiting.seq, kind, why, "a task is shelved");
        }
        self.outbox.end(waiting.seq, ended, self.now_ms()).await?;
        Ok(())
    }

    /// Tries one due task, the one that `pick` falls on, and says whether there was one. For those who want
    /// to choose the order themselves.
    pub async fn step(&self, pick: u64) -> Result<bool, MuError> {
        let due = self.outbox.due(self.now_ms(), 64).await?;
        let at = pick.checked_rem(due.len() as u64).unwrap_or(0);
        let Some(waiting) = due.get(usize::try_from(at).unwrap_or(0)) else { return Ok(false) };
        self.work_through(waiting).await?;
        Ok(true)
    }
}

fn how(ended: &Ended) -> &'static str {
    match ended {
        Ended::Done(_) => "done",
        Ended::Again { .. } => "again",
        Ended::Never { .. } | Ended::Drop => "shelved",
    }
}
