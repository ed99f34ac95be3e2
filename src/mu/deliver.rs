//! One try of one task.

use super::{
    Mu,
    crank::crank_task,
    locate::{Lost, Place},
    outbox::{Ended, Kind, Task, Waiting},
};
use crate::{
    item::{DataItem, Id, from_b64url},
    net::{Request, Response},
};
use bytes::Bytes;

/// What a scheduler made of something.
pub(super) enum Sent {
    /// It has its place, under this id.
    Placed(Id),
    /// Another item with the same content has, and somebody else cares for that one.
    Elsewhere,
    /// Refused; the same would be refused again.
    Refused(String),
    /// Not now.
    Later(String),
}

impl Mu {
    pub(super) async fn attempt(&self, waiting: &Waiting) -> Ended {
        match waiting.task.kind {
            Kind::Push => self.push(waiting).await,
            Kind::Spawn => self.spawn(waiting).await,
            Kind::Crank => self.crank(waiting).await,
            Kind::Assign => self.assign_existing(waiting).await,
            Kind::Note => Ended::Never { why: "there is nothing to do".to_owned() },
        }
    }

    async fn push(&self, waiting: &Waiting) -> Ended {
        let Task { process, item, bytes, chain, depth, .. } = &waiting.task;
        let bytes = bytes.clone().unwrap_or_default();
        match self.directory.place(process).await {
            Err(Lost(why)) => self.again(waiting, why),
            Ok(Place::Process(place)) => match self.send(&place.url, process, *item, bytes).await {
                Sent::Placed(id) => Ended::Done(vec![crank_task(*process, id, *chain, *depth)]),
                Sent::Elsewhere => Ended::Done(Vec::new()),
                Sent::Refused(why) => Ended::Never { why },
                Sent::Later(why) => self.again(waiting, why),
            },
            Ok(Place::Wallet) => self.upload(waiting, bytes).await,
            Ok(Place::Other) => {
                Ended::Never { why: format!("{process} is neither a process nor a wallet") }
            }
        }
    }

    async fn spawn(&self, waiting: &Waiting) -> Ended {
        let Task { process: scheduler, item, bytes, chain, depth, extra, .. } = &waiting.task;
        let url = match self.directory.scheduler(scheduler).await {
            Ok(Some(url)) => url,
            Ok(None) => {
                let why = format!("nobody says where the scheduler {scheduler} is");
                return self.again(waiting, why);
            }
            Err(Lost(why)) => return self.again(waiting, why),
        };
        let bytes = bytes.clone().unwrap_or_default();
        match self.send(&url, item, *item, bytes.clone()).await {
            Sent::Placed(id) => {
                self.directory.learn(&id, &url, &bytes);
                let mut next = vec![crank_task(id, id, *chain, *depth)];
                next.extend(notice_task(&waiting.task, extra));
                next.extend(shown_task(&waiting.task));
                Ended::Done(next)
            }
            Sent::Elsewhere => Ended::Done(Vec::new()),
            Sent::Refused(why) => Ended::Never { why },
            Sent::Later(why) => self.again(waiting, why),
        }
    }

    async fn assign_existing(&self, waiting: &Waiting) -> Ended {
        let Task { process, item, extra, chain, depth, .. } = &waiting.task;
        match self.send_assign(process, item, extra).await {
            Sent::Placed(id) => {
                let chain = chain.or(Some(id));
                Ended::Done(vec![crank_task(*process, id, chain, *depth)])
            }
            Sent::Elsewhere => Ended::Done(Vec::new()),
            // The item may be on its way to where the scheduler looks for it.
            Sent::Refused(why) | Sent::Later(why) => self.again(waiting, why),
        }
    }

    /// Asks the scheduler of `process` to give `item` a place there.
    pub(super) async fn send_assign(&self, process: &Id, item: &Id, query: &str) -> Sent {
        let url = match self.directory.place(process).await {
            Err(Lost(why)) => return Sent::Later(why),
            Ok(Place::Process(place)) => place.url.clone(),
            Ok(_) => return Sent::Refused(format!("{process} is no process that is known here")),
        };
        let url = format!("{url}/?process-id={process}&assign={item}{query}");
        let request = Request::post(url, Bytes::new()).traced(&item.to_string());
        match self.options.transport.call(request).await {
            Err(error) => Sent::Later(error.to_string()),
            Ok(response) if response.is_success() => match placed_id(&response) {
                Some(id) => Sent::Placed(id),
                None => Sent::Later(format!("the scheduler's answer: {}", response.text())),
            },
            Ok(response) => refused(&response),
        }
    }

    /// Hands signed bytes to the scheduler at `url`. That it has them already is a success, if it was
    /// these.
    pub(super) async fn send(&self, url: &str, process: &Id, item: Id, bytes: Bytes) -> Sent {
        let request = Request::post(format!("{url}/"), bytes).traced(&item.to_string());
        let response = match self.options.transport.call(request).await {
            Err(error) => return Sent::Later(error.to_string()),
            Ok(response) => response,
        };
        if response.is_success() {
            return Sent::Placed(item);
        }
        let text = response.text();
        if !text.contains("MessageExists") {
            return refused(&response);
        }
        let look = Request::get(format!("{url}/{item}?process-id={process}"));
        match self.options.transport.call(look).await {
            Ok(found) if found.is_success() => Sent::Placed(item),
            Ok(found) if found.status < 500 => Sent::Elsewhere,
            Ok(found) => Sent::Later(found.text()),
            Err(error) => Sent::Later(error.to_string()),
        }
    }

    /// A message for a wallet goes to the gateway: nobody gives it a place, nobody evaluates it.
    async fn upload(&self, waiting: &Waiting, bytes: Bytes) -> Ended {
        let Some(gateway) = &self.options.gateway else {
            return Ended::Never { why: "there is no gateway for messages to wallets".to_owned() };
        };
        let url = format!("{}/tx/arweave", gateway.trim_end_matches('/'));
        match self.options.transport.call(Request::post(url, bytes)).await {
            Err(error) => self.again(waiting, error.to_string()),
            Ok(response) if response.is_success() => Ended::Done(Vec::new()),
            Ok(response) => match refused(&response) {
                Sent::Refused(why) => Ended::Never { why },
                _ => self.again(waiting, response.text()),
            },
        }
    }

    /// To be tried again after a pause, or given up if that was often enough.
    pub(super) fn again(&self, waiting: &Waiting, why: String) -> Ended {
        let tries = waiting.tries.saturating_add(1);
        if tries >= self.options.bounds.tries {
            return Ended::Never { why };
        }
        let due = self.now_ms().saturating_add(self.options.bounds.pause_ms(tries));
        Ended::Again { due, counts: true, why }
    }

    /// To be tried again soon: somebody is at work on it.
    pub(super) fn wait(&self, waiting: &Waiting, why: String) -> Ended {
        let now = self.now_ms();
        if now.saturating_sub(waiting.since) > self.options.bounds.wait_ms_max {
            return Ended::Never { why };
        }
        let due = now.saturating_add(self.options.bounds.pause_ms(3));
        Ended::Again { due, counts: false, why }
    }
}

fn refused(response: &Response) -> Sent {
    let text = format!("{}: {}", response.status, response.text());
    match response.status {
        408 | 425 | 429 | 500.. => Sent::Later(text),
        _ => Sent::Refused(text),
    }
}

fn placed_id(response: &Response) -> Option<Id> {
    let answer: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    answer.get("id")?.as_str()?.parse().ok()
}

/// A process whose item has a target is shown to that target.
fn shown_task(spawn: &Task) -> Option<Task> {
    let target = DataItem::parse(spawn.bytes.clone()?).ok()?.target()?;
    Some(Task {
        key: format!("{}:shown", spawn.key),
        lane: target.to_string(),
        kind: Kind::Assign,
        process: target,
        bytes: None,
        extra: String::new(),
        due: 0,
        ..spawn.clone()
    })
}

/// The task that tells a maker of its new process; its bytes were signed with those of the process.
fn notice_task(spawn: &Task, extra: &str) -> Option<Task> {
    let item = DataItem::parse(from_b64url(extra)?).ok()?;
    let maker = item.target()?;
    Some(Task {
        key: format!("{}:spawned", spawn.key),
        lane: maker.to_string(),
        kind: Kind::Push,
        process: maker,
        item: item.id(),
        bytes: Some(item.bytes().clone()),
        extra: String::new(),
        ..spawn.clone()
    })
}
