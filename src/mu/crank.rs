//! A result becomes tasks: signed here, once, and written down in the same transaction as the end of the
//! crank. A crash before that leaves nothing, and after it everything.

use super::{
    Mu,
    effects::{self, Effect, Sender},
    locate::Lost,
    outbox::{Ended, Kind, Task, Waiting},
};
use crate::{
    disk::json::Value,
    item::{DataItem, Id, Wallet, b64url},
    net::Request,
};
use std::sync::Arc;

/// What was cranked, for what comes of it.
pub(super) struct Cause {
    pub(super) process: Id,
    pub(super) chain: Option<Id>,
    pub(super) depth: u32,
    /// Names the result in the keys of tasks.
    pub(super) origin: String,
}

/// Why there are no tasks yet, or never.
pub(super) enum Stuck {
    Again(String),
    Never(String),
}

/// An effect with its items signed.
struct Sealed {
    name: String,
    effect: Effect,
    item: Option<DataItem>,
    notice: Option<DataItem>,
}

/// The task that takes the result of `item` in `process`.
pub(super) fn crank_task(process: Id, item: Id, chain: Option<Id>, depth: u32) -> Task {
    Task {
        key: format!("crank:{process}:{item}"),
        lane: format!("crank:{process}"),
        kind: Kind::Crank,
        chain,
        depth,
        process,
        item,
        bytes: None,
        extra: String::new(),
        due: 0,
        why: None,
    }
}

impl Mu {
    pub(super) async fn crank(&self, waiting: &Waiting) -> Ended {
        let Task { process, item, chain, depth, .. } = &waiting.task;
        let cu = self.options.cu.trim_end_matches('/');
        let url = format!("{cu}/result/{item}?process-id={process}&no-busy=1");
        let request = Request::get(url).traced(&item.to_string());
        let response = match self.options.transport.call(request).await {
            Err(error) => return self.again(waiting, error.to_string()),
            Ok(response) => response,
        };
        match response.status {
            200 => {}
            // It works on it, or is about to.
            202 | 425 | 429 | 503 => {
                return self.wait(waiting, format!("{}: {}", response.status, response.text()));
            }
            403 | 413 | 422 => {
                return Ended::Never { why: format!("{}: {}", response.status, response.text()) };
            }
            status => return self.again(waiting, format!("{status}: {}", response.text())),
        }
        let text = String::from_utf8_lossy(&response.body);
        let result = match Value::parse(&text) {
            Ok(result) => result,
            Err(error) => {
                return self.again(waiting, format!("the result is no JSON: {error}"));
            }
        };
        let origin = item.to_string();
        let cause = Cause { process: *process, chain: *chain, depth: *depth, origin };
        match self.tasks(&result, &cause).await {
            Ok(tasks) => Ended::Done(tasks),
            Err(Stuck::Again(why)) => self.again(waiting, why),
            Err(Stuck::Never(why)) => Ended::Never { why },
        }
    }

    /// What `result` asks for, as tasks.
    pub(super) async fn tasks(&self, result: &Value, cause: &Cause) -> Result<Vec<Task>, Stuck> {
        let count = effects::count(result);
        if count == 0 {
            return Ok(Vec::new());
        }
        self.within_bounds(count, cause).await?;
        let maker = match self.directory.process(&cause.process).await {
            Ok(Some(process)) => process,
            Ok(None) => return Err(Stuck::Again("the sender is known nowhere".to_owned())),
            Err(Lost(why)) => return Err(Stuck::Again(why)),
        };
        let sender = Sender {
            process: cause.process,
            module: maker.module.clone(),
            scheduler: maker.scheduler.clone(),
            chain: cause.chain,
            origin: cause.origin.clone(),
        };
        let effects = effects::effects(result, &sender);
        let wallet = self.wallet.clone();
        let process = cause.process;
        let sealed = tokio::task::spawn_blocking(move || {
            effects.into_iter().map(|effect| seal(&wallet, process, effect)).collect::<Vec<_>>()
        });
        let sealed = sealed.await.map_err(|error| Stuck::Again(error.to_string()))?;
        Ok(sealed.into_iter().flat_map(|sealed| write_down(sealed, cause)).collect())
    }

    async fn within_bounds(&self, count: usize, cause: &Cause) -> Result<(), Stuck> {
        let bounds = &self.options.bounds;
        if count > bounds.fan_out {
            let why = format!("the result sends {count} things, of at most {}", bounds.fan_out);
            return Err(Stuck::Never(why));
        }
        if cause.depth >= bounds.depth {
            let why = format!("{} hops from the user's item, of at most that many", cause.depth);
            return Err(Stuck::Never(why));
        }
        let Some(chain) = &cause.chain else { return Ok(()) };
        let caused = self.outbox.chain(chain).await.map_err(|why| Stuck::Again(why.to_string()))?;
        if caused >= bounds.chain {
            let why = format!("item {chain} has caused {caused} items, of at most that many");
            return Err(Stuck::Never(why));
        }
        Ok(())
    }
}

fn seal(wallet: &Arc<Wallet>, maker: Id, (name, effect): (String, Effect)) -> Sealed {
    let sealed = (|| match &effect {
        Effect::Push { draft, .. } => Ok((Some(wallet.sign(draft)?), None)),
        Effect::Spawn { draft, notice, .. } => {
            let process = wallet.sign(draft)?;
            let told = effects::notice(maker, notice.clone(), process.id());
            let told = wallet.sign(&told)?;
            Ok((Some(process), Some(told)))
        }
        Effect::Assign { .. } | Effect::Skip { .. } => Ok((None, None)),
    })();
    match sealed {
        Ok((item, notice)) => Sealed { name, effect, item, notice },
        Err(error) => {
            let error: crate::item::WalletError = error;
            let effect = Effect::Skip { why: error.to_string() };
            Sealed { name, effect, item: None, notice: None }
        }
    }
}

fn write_down(sealed: Sealed, cause: &Cause) -> Vec<Task> {
    let Sealed { name, effect, item, notice } = sealed;
    let base = Task {
        key: format!("{}:{}:{name}", cause.process, cause.origin),
        lane: String::new(),
        kind: Kind::Note,
        chain: cause.chain,
        depth: cause.depth.saturating_add(1),
        process: cause.process,
        item: item.as_ref().map_or(cause.process, DataItem::id),
        bytes: item.as_ref().map(|item| item.bytes().clone()),
        extra: String::new(),
        due: 0,
        why: None,
    };
    match effect {
        Effect::Push { target, also, .. } => {
            let lane = target.to_string();
            let pushed = base.item;
            let shown = also.into_iter().map(|process| {
                assign_task(&base, &process.to_string(), process, pushed, String::new())
            });
            let shown: Vec<_> = shown.collect();
            let push = Task { kind: Kind::Push, lane, process: target, ..base };
            [push].into_iter().chain(shown).collect()
        }
        Effect::Spawn { scheduler, .. } => {
            let lane = format!("spawn:{}", cause.process);
            let extra = notice.map(|notice| b64url(notice.bytes())).unwrap_or_default();
            vec![Task { kind: Kind::Spawn, lane, process: scheduler, extra, ..base }]
        }
        Effect::Assign { process, item, query } => {
            vec![Task { key: base.key.clone(), ..assign_task(&base, "", process, item, query) }]
        }
        Effect::Skip { why } => vec![Task { why: Some(why), ..base }],
    }
}

fn assign_task(base: &Task, name: &str, process: Id, item: Id, query: String) -> Task {
    Task {
        key: format!("{}:{name}", base.key),
        lane: process.to_string(),
        kind: Kind::Assign,
        process,
        item,
        bytes: None,
        extra: query,
        ..base.clone()
    }
}
