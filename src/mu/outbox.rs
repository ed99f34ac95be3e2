//! What is to be done, on disk. A task is in a lane; of each lane, the first one is tried until it is done
//! or shelved. A task has a key, and no two tasks ever have the same one.

use crate::{
    item::Id,
    store::{Conn, Store, StoreError},
};
use bytes::Bytes;
use sqlx::{Row as _, sqlite::SqliteRow};

pub(super) const MIGRATIONS: &[&str] = &["
create table tasks (
    seq integer primary key,
    key text not null,
    lane text not null,
    kind bigint not null,
    -- 0: waiting, 1: done, 2: shelved
    state bigint not null,
    since bigint not null,
    due bigint not null,
    tries bigint not null,
    chain blob,
    depth bigint not null,
    process blob not null,
    item blob not null,
    bytes blob,
    extra text not null,
    why text not null
);
create unique index tasks_key on tasks (key);
create index tasks_lane on tasks (lane, seq) where state = 0;
create index tasks_due on tasks (due) where state = 0;
create index tasks_shelf on tasks (seq) where state = 2;
create index tasks_done on tasks (since) where state = 1;
create table chains (
    chain blob primary key,
    tasks bigint not null,
    since bigint not null
);
create table monitors (
    process blob primary key,
    cursor text,
    due bigint not null,
    seen bigint not null
);
"];

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Hand `bytes` to whom they are for: the scheduler of the process `process`, or the gateway if that is
    /// a wallet.
    Push = 1,
    /// Hand `bytes`, a process, to the scheduler with the address `process`. `extra` is the signed notice to
    /// its parent, in base64url.
    Spawn = 2,
    /// Take the result of `item` in `process`, and make tasks of what it sends.
    Crank = 3,
    /// Have the existing `item` assigned to `process`; `extra` is the rest of the query.
    Assign = 4,
    /// Nothing: it says why something that a process sent cannot be.
    Note = 5,
}

impl Kind {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Spawn => "spawn",
            Self::Crank => "crank",
            Self::Assign => "assign",
            Self::Note => "note",
        }
    }

    fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Push,
            2 => Self::Spawn,
            3 => Self::Crank,
            4 => Self::Assign,
            _ => Self::Note,
        }
    }
}

/// Something to be done.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Names what is done, not when.
    pub(super) key: String,
    /// What it must stay in order with.
    pub(super) lane: String,
    pub(super) kind: Kind,
    /// The user's item that everything came from, if there was one.
    pub(super) chain: Option<Id>,
    /// Hops from there.
    pub(super) depth: u32,
    pub(super) process: Id,
    pub(super) item: Id,
    pub(super) bytes: Option<Bytes>,
    pub(super) extra: String,
    /// Not before, in milliseconds.
    pub(super) due: u64,
    /// If it is shelved from the start.
    pub(super) why: Option<String>,
}

/// A task that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) seq: i64,
    pub(super) tries: u32,
    pub(super) since: u64,
    pub(super) task: Task,
}

/// How a try ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Done, and these come next.
    Done(Vec<Task>),
    /// To be tried again at `due`.
    Again { due: u64, counts: bool, why: String },
    /// Given up.
    Never { why: String },
    /// Given up, and nobody needs to see it: whoever asked was told.
    Drop,
}

/// A task that was given up.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// Its number.
    pub task: i64,
    /// What it was to do.
    pub kind: &'static str,
    /// What it is called.
    pub key: String,
    /// For whom.
    pub process: Id,
    /// What.
    pub item: Id,
    /// The user's item that everything came from.
    pub chain: Option<Id>,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it was to be done, in milliseconds.
    pub since_ms: u64,
    /// What went wrong the last time.
    pub why: String,
}

/// How full an outbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tasks to be done.
    pub waiting: u64,
    /// Tasks that were given up.
    pub shelved: u64,
    /// Processes that are monitored.
    pub monitored: u64,
}

pub(super) struct Outbox {
    pub(super) store: Store,
}

const COLUMNS: &str =
    "seq, tries, since, key, lane, kind, chain, depth, process, item, bytes, extra";

impl Outbox {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds tasks whose keys are new, all or none, and says how many were.
    pub(super) async fn add(&self, tasks: Vec<Task>, now: u64) -> Result<u64, StoreError> {
        self.store.write(move |conn| Box::pin(insert_all(tasks, now, conn))).await
    }

    /// The first tasks of their lanes that are due, oldest first.
    pub(super) async fn due(&self, now: u64, limit: usize) -> Result<Vec<Waiting>, sqlx::Error> {
        let sql = format!(
            "select {COLUMNS} from tasks t where state = 0 and due <= $1 and seq = \
             (select min(seq) from tasks o where o.state = 0 and o.lane = t.lane) \
             order by seq limit $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(signed(now))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.store.reader())
            .await?;
        rows.iter().map(waiting).collect()
    }

    /// When the next task comes due after `now`, if there is one.
    pub(super) async fn next_due(&self, now: u64) -> Result<Option<u64>, sqlx::Error> {
        let sql = "select min(due) from tasks where state = 0 and due > $1";
        let due: Option<i64> =
            sqlx::query_scalar(sql).bind(signed(now)).fetch_one(self.store.reader()).await?;
        Ok(due.map(unsigned))
    }

    pub(super) async fn by_key(&self, key: &str) -> Result<Option<(Waiting, i64)>, sqlx::Error> {
        let sql = format!("select {COLUMNS}, state from tasks where key = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(key.to_owned())
            .fetch_optional(self.store.reader())
            .await?;
        row.map(|row| Ok((waiting(&row)?, row.try_get(12)?))).transpose()
    }

    /// Writes down how a try ended, with what comes next, in one transaction.
    pub(super) async fn end(&self, seq: i64, ended: Ended, now: u64) -> Result<(), StoreError> {
        self.store.write(move |conn| Box::pin(end(seq, ended, now, conn))).await
    }

    /// How many items the chain has caused.
    pub(super) async fn chain(&self, chain: &Id) -> Result<u64, sqlx::Error> {
        let count: Option<i64> = sqlx::query_scalar("select tasks from chains where chain = $1")
            .bind(chain.as_bytes().as_slice())
            .fetch_optional(self.store.reader())
            .await?;
        Ok(count.map_or(0, unsigned))
    }

    pub(super) async fn tally(&self) -> Result<Tally, sqlx::Error> {
        let row = sqlx::query(
            "select (select count(*) from tasks where state = 0), \
             (select count(*) from tasks where state = 2), (select count(*) from monitors)",
        )
        .fetch_one(self.store.reader())
        .await?;
        Ok(Tally {
            waiting: unsigned(row.try_get(0)?),
            shelved: unsigned(row.try_get(1)?),
            monitored: unsigned(row.try_get(2)?),
        })
    }

    pub(super) async fn shelf(&self, after: i64, limit: u32) -> Result<Vec<Shelved>, sqlx::Error> {
        let sql = format!(
            "select {COLUMNS}, why from tasks where state = 2 and seq > $1 order by seq limit $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.store.reader())
            .await?;
        rows.iter()
            .map(|row| {
                let Waiting { seq, tries, since, task } = waiting(row)?;
                Ok(Shelved {
                    task: seq,
                    kind: task.kind.text(),
                    key: task.key,
                    process: task.process,
                    item: task.item,
                    chain: task.chain,
                    tries,
                    since_ms: since,
                    why: row.try_get(12)?,
                })
            })
            .collect()
    }

    pub(super) async fn replay(&self, seq: i64, now: u64) -> Result<bool, StoreError> {
        let sql = "update tasks set state = 0, tries = 0, due = $2, since = $2 \
                   where seq = $1 and state = 2 and kind <> 5";
        self.change(seq, Some(now), sql).await
    }

    pub(super) async fn forget(&self, seq: i64) -> Result<bool, StoreError> {
        let sql = "update tasks set state = 1, bytes = null where seq = $1 and state = 2";
        self.change(seq, None, sql).await
    }

    /// Removes what was done long ago.
    pub(super) async fn sweep(&self, before: u64) -> Result<(), StoreError> {
        self.store
            .write(move |conn| {
                Box::pin(async move {
                    for sql in [
                        "delete from tasks where state = 1 and since < $1",
                        "delete from chains where since < $1",
                    ] {
                        sqlx::query(sql).bind(signed(before)).execute(&mut *conn).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn change(
        &self,
        seq: i64,
        now: Option<u64>,
        sql: &'static str,
    ) -> Result<bool, StoreError> {
        self.store
            .write(move |conn| {
                Box::pin(async move {
                    let query = sqlx::query(sql).bind(seq);
                    let query = match now {
                        Some(now) => query.bind(signed(now)),
                        None => query,
                    };
                    Ok(query.execute(conn).await?.rows_affected() > 0)
                })
            })
            .await
    }
}

pub(super) async fn insert_all(
    tasks: Vec<Task>,
    now: u64,
    conn: &mut Conn,
) -> Result<u64, sqlx::Error> {
    let mut added = 0;
    for task in tasks {
        added += insert(task, now, conn).await?;
    }
    Ok(added)
}

async fn insert(task: Task, now: u64, conn: &mut Conn) -> Result<u64, sqlx::Error> {
    let chain = task.chain.map(|id| id.as_bytes().to_vec());
    let done = sqlx::query(
        "insert into tasks (key, lane, kind, state, since, due, tries, chain, depth, process, item, \
         bytes, extra, why) values ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12, $13) \
         on conflict (key) do nothing",
    )
    .bind(task.key)
    .bind(task.lane)
    .bind(task.kind as i64)
    .bind(if task.why.is_some() { 2_i64 } else { 0 })
    .bind(signed(now))
    .bind(signed(task.due))
    .bind(chain.clone())
    .bind(i64::from(task.depth))
    .bind(task.process.as_bytes().to_vec())
    .bind(task.item.as_bytes().to_vec())
    .bind(task.bytes.map(|bytes| bytes.to_vec()))
    .bind(task.extra)
    .bind(task.why.unwrap_or_default())
    .execute(&mut *conn)
    .await?;
    let sends = matches!(task.kind, Kind::Push | Kind::Spawn | Kind::Assign);
    if done.rows_affected() > 0 && sends && chain.is_some() {
        sqlx::query(
            "insert into chains (chain, tasks, since) values ($1, 1, $2) \
             on conflict (chain) do update set tasks = chains.tasks + 1",
        )
        .bind(chain)
        .bind(signed(now))
        .execute(conn)
        .await?;
    }
    Ok(done.rows_affected())
}

async fn end(seq: i64, ended: Ended, now: u64, conn: &mut Conn) -> Result<(), sqlx::Error> {
    match ended {
        Ended::Done(next) => {
            sqlx::query("update tasks set state = 1, bytes = null, why = '' where seq = $1")
                .bind(seq)
                .execute(&mut *conn)
                .await?;
            insert_all(next, now, conn).await?;
        }
        Ended::Again { due, counts, why } => {
            sqlx::query(
                "update tasks set due = $2, tries = tries + $3, why = $4 \
                 where seq = $1 and state = 0",
            )
            .bind(seq)
            .bind(signed(due))
            .bind(i64::from(counts))
            .bind(why)
            .execute(conn)
            .await?;
        }
        Ended::Never { why } => {
            sqlx::query(
                "update tasks set state = 2, tries = tries + 1, why = $2 \
                 where seq = $1 and state = 0",
            )
            .bind(seq)
            .bind(why)
            .execute(conn)
            .await?;
        }
        Ended::Drop => {
            sqlx::query("delete from tasks where seq = $1 and state = 0")
                .bind(seq)
                .execute(conn)
                .await?;
        }
    }
    Ok(())
}

fn waiting(row: &SqliteRow) -> Result<Waiting, sqlx::Error> {
    let chain: Option<Vec<u8>> = row.try_get(6)?;
    let bytes: Option<Vec<u8>> = row.try_get(10)?;
    Ok(Waiting {
        seq: row.try_get(0)?,
        tries: u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(u32::MAX),
        since: unsigned(row.try_get(2)?),
        task: Task {
            key: row.try_get(3)?,
            lane: row.try_get(4)?,
            kind: Kind::from_number(row.try_get(5)?),
            chain: chain.map(|bytes| id(&bytes)).transpose()?,
            depth: u32::try_from(row.try_get::<i64, _>(7)?).unwrap_or(u32::MAX),
            process: id(&row.try_get::<Vec<u8>, _>(8)?)?,
            item: id(&row.try_get::<Vec<u8>, _>(9)?)?,
            bytes: bytes.map(Bytes::from),
            extra: row.try_get(11)?,
            due: 0,
            why: None,
        },
    })
}

pub(super) fn id(bytes: &[u8]) -> Result<Id, sqlx::Error> {
    Id::from_slice(bytes).ok_or_else(|| sqlx::Error::Decode("an id has 32 bytes".into()))
}

/// Numbers of ours as SQL has them. None comes near the end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
