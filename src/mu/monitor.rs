//! Monitored processes: their cron results are asked for, and what those send is carried on.

use super::{
    Mu, MuError,
    crank::{Cause, Stuck},
    outbox::{Task, id, insert_all, signed},
    verified,
};
use crate::{
    disk::json::Value,
    item::Id,
    net::{Request, Response},
    store::StoreError,
};
use bytes::Bytes;
use sqlx::Row as _;

/// Results that are asked for at a time.
const PAGE: u32 = 50;
/// Cursors older than this are dropped, in milliseconds.
const STALE_MS: u64 = 24 * 3_600_000;

struct Monitored {
    process: Id,
    cursor: Option<String>,
    seen: u64,
}

impl Mu {
    /// Begins to monitor the process that a signed item names as its target.
    pub async fn monitor(&self, process: Id, bytes: Bytes) -> Result<(), MuError> {
        self.names_process(process, bytes).await?;
        if self.tally().await?.monitored >= u64::from(self.options.bounds.monitors) {
            return Err(MuError::Later("this messenger monitors as many as it may".to_owned()));
        }
        let now = self.now_ms();
        let added = self.change_monitor(process, Some(now)).await?;
        self.bell.notify_one();
        added.then_some(()).ok_or_else(|| MuError::refused("Process already being monitored"))
    }

    /// Ends that.
    pub async fn unmonitor(&self, process: Id, bytes: Bytes) -> Result<(), MuError> {
        self.names_process(process, bytes).await?;
        let removed = self.change_monitor(process, None).await?;
        removed.then_some(()).ok_or_else(|| MuError::refused("Process monitor not found"))
    }

    async fn names_process(&self, process: Id, bytes: Bytes) -> Result<(), MuError> {
        if bytes.is_empty() {
            return Err(MuError::refused("Signed data item is required"));
        }
        let item = verified(bytes).await?;
        match item.target() == Some(process) {
            true => Ok(()),
            false => Err(MuError::refused("the item's target must be the process of the path")),
        }
    }

    async fn change_monitor(&self, process: Id, add: Option<u64>) -> Result<bool, StoreError> {
        let job = self.outbox.store.write(move |conn| {
            Box::pin(async move {
                let query = match add {
                    Some(_) => sqlx::query(
                        "insert into monitors (process, due, seen) values ($1, $2, $2) \
                         on conflict (process) do nothing",
                    ),
                    None => sqlx::query("delete from monitors where process = $1"),
                };
                let query = query.bind(process.as_bytes().to_vec());
                let query = match add {
                    Some(now) => query.bind(signed(now)),
                    None => query,
                };
                Ok(query.execute(conn).await?.rows_affected() > 0)
            })
        });
        job.await
    }

    /// Looks at the monitored processes that are due, once, and says how many that were.
    pub async fn look_at_monitored(&self) -> Result<usize, MuError> {
        let now = self.now_ms();
        let rows = sqlx::query(
            "select process, cursor, seen from monitors where due <= $1 order by due limit 64",
        )
        .bind(signed(now))
        .fetch_all(self.outbox.store.reader())
        .await?;
        for row in &rows {
            let monitored = Monitored {
                process: id(&row.try_get::<Vec<u8>, _>(0)?)?,
                cursor: row.try_get(1)?,
                seen: u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0),
            };
            let process = monitored.process;
            if let Err(why) = self.look_at(monitored, now).await {
                tracing::warn!(%process, why, "a monitored process");
                self.seen(process, None, Vec::new()).await?;
            }
        }
        Ok(rows.len())
    }

    async fn look_at(&self, monitored: Monitored, now: u64) -> Result<(), String> {
        let Monitored { process, cursor, seen } = monitored;
        let fresh = cursor.filter(|_| now.saturating_sub(seen) < STALE_MS);
        let from = match fresh {
            Some(cursor) => Some(cursor),
            None => self.newest_cursor(&process).await?,
        };
        let cu = self.options.cu.trim_end_matches('/');
        let query = from.as_deref().map(query_of).unwrap_or_default();
        let url = format!("{cu}/cron/{process}{query}");
        let page = self.read(Request::get(url)).await?;
        let edges = page.get("edges").and_then(Value::as_array).ok_or("no edges")?;
        let (mut tasks, mut last) = (Vec::new(), from);
        for edge in edges {
            let cursor = edge.get("cursor").and_then(Value::as_str).ok_or("no cursor")?;
            let result = edge.get("node").ok_or("no node")?;
            // A cursor holds the time, the slot and the cron: it names the result.
            let origin = format!("cron-{cursor}");
            let cause = Cause { process, chain: None, depth: 0, origin };
            match self.tasks(result, &cause).await {
                Ok(more) => tasks.extend(more),
                Err(Stuck::Never(why)) => tracing::warn!(%process, why, "a cron result"),
                Err(Stuck::Again(why)) => return Err(why),
            }
            last = Some(cursor.to_owned());
        }
        self.seen(process, last, tasks).await.map_err(|error| error.to_string())
    }

    /// Where a process stands that begins to be monitored: what was before is not carried on.
    async fn newest_cursor(&self, process: &Id) -> Result<Option<String>, String> {
        let cu = self.options.cu.trim_end_matches('/');
        let url = format!("{cu}/results/{process}?sort=DESC&limit=1&processId={process}");
        let page = self.read(Request::get(url)).await?;
        let edge = page.get("edges").and_then(Value::as_array).and_then(<[_]>::first);
        Ok(edge.and_then(|edge| edge.get("cursor")?.as_str()).map(str::to_owned))
    }

    async fn read(&self, request: Request) -> Result<Value, String> {
        let response: Result<Response, _> = self.options.transport.call(request).await;
        let response = response.map_err(|error| error.to_string())?;
        if !response.is_success() {
            return Err(format!("{}: {}", response.status, response.text()));
        }
        Value::parse(&String::from_utf8_lossy(&response.body)).map_err(|error| error.to_string())
    }

    /// Writes down what a look gave and where the next one begins, in one transaction.
    async fn seen(
        &self,
        process: Id,
        cursor: Option<String>,
        tasks: Vec<Task>,
    ) -> Result<(), StoreError> {
        let now = self.now_ms();
        let due = now.saturating_add(self.options.bounds.monitor_ms);
        let rings = !tasks.is_empty();
        let job = self.outbox.store.write(move |conn| {
            Box::pin(async move {
                sqlx::query(
                    "update monitors set cursor = coalesce($2, cursor), due = $3, \
                     seen = case when $2 is null then seen else $4 end where process = $1",
                )
                .bind(process.as_bytes().to_vec())
                .bind(cursor)
                .bind(signed(due))
                .bind(signed(now))
                .execute(&mut *conn)
                .await?;
                insert_all(tasks, now, conn).await?;
                Ok(())
            })
        });
        job.await?;
        if rings {
            self.bell.notify_one();
        }
        Ok(())
    }
}

/// Base64 has characters that mean something else in a query.
fn query_of(from: &str) -> String {
    let params = [("from", from.to_owned()), ("limit", PAGE.to_string())];
    let url = reqwest::Url::parse_with_params("http://x", params).ok();
    url.and_then(|url| url.query().map(|query| format!("?{query}"))).unwrap_or_default()
}
