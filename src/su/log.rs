//! The schedule on disk: append-only, one row a place.

use super::{
    Placed, SuStatus,
    assignment::Assignment,
    page::Cursor,
    sequencer::{Head, Known, New, NewKind},
};
use crate::{
    item::{DataItem, Id},
    store::{Conn, Queued, Store, StoreError},
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::{Row as _, sqlite::SqliteRow};

pub(super) const MIGRATIONS: &[&str] = &["
create table log (
    process blob not null,
    nonce bigint not null,
    timestamp bigint not null,
    message blob not null,
    assignment blob not null,
    link blob not null,
    -- 0: the process's own item, 1: a message, 2: an item that is elsewhere
    kind bigint not null,
    item blob,
    assigned blob not null,
    primary key (process, nonce)
);
create unique index log_assignment on log (assignment);
create unique index log_message on log (message, process);
create unique index log_time on log (process, timestamp);
create table contents (
    process blob not null,
    content blob not null,
    primary key (process, content)
);
create table uploads (
    process blob not null,
    nonce bigint not null,
    tries bigint not null,
    due bigint not null,
    primary key (process, nonce)
);
create index uploads_due on uploads (due);
"];

/// Bytes of items on one page, but for the last of them.
const PAGE_BYTES_MAX: usize = 8 << 20;

const SELECT_BY_TIME: &str = "select nonce, timestamp, kind, item, assigned from log \
    where process = $1 and timestamp > $2 and timestamp <= $3 and nonce >= $4 \
    order by timestamp limit $5";
const SELECT_BY_NONCE: &str = "select nonce, timestamp, kind, item, assigned from log \
    where process = $1 and nonce > $2 and nonce <= $3 and nonce >= $4 \
    order by nonce limit $5";

pub(super) struct Log {
    store: Store,
}

/// A place to be written.
pub(super) struct Row {
    says: Assignment,
    signed: DataItem,
    new: New,
}

/// A place as it was written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub nonce: u64,
    /// Its time in milliseconds.
    pub timestamp_ms: u64,
    /// Whether it is the process's own item.
    pub starts: bool,
    /// The item; none if it is elsewhere.
    pub item: Option<DataItem>,
    /// The assignment.
    pub assignment: DataItem,
}

/// Something to upload.
pub(super) struct Upload {
    pub(super) process: Vec<u8>,
    pub(super) nonce: i64,
    pub(super) tries: i64,
    /// The item, then its assignment.
    pub(super) items: Vec<Bytes>,
}

/// Which part of a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) cursor: Cursor,
    /// Exclusive; none to begin with the process's own item.
    pub(super) from: Option<u64>,
    /// Inclusive.
    pub(super) to: u64,
    pub(super) limit: u32,
}

impl Row {
    pub(super) fn new(says: Assignment, signed: DataItem, new: New) -> Self {
        Self { says, signed, new }
    }

    pub(super) fn placed(&self) -> Placed {
        let Assignment { process, nonce, timestamp_ms, .. } = self.says;
        let (message, assignment) = (self.new.message, self.signed.id());
        Placed { process, nonce, timestamp_ms, message, assignment }
    }

    pub(super) fn head(&self) -> Head {
        let Assignment { nonce, timestamp_ms, link, .. } = self.says;
        Head { nonce, timestamp_ms, assignment: self.signed.id(), link }
    }

    fn kind(&self) -> (i64, Option<&DataItem>) {
        match &self.new.kind {
            NewKind::Process(item) => (0, Some(item)),
            NewKind::Message(item) => (1, Some(item)),
            NewKind::Existing(_) => (2, None),
        }
    }

    /// Whether it was written: not if it does not follow `head`, which is then not there.
    async fn write(self, head: Option<Head>, conn: &mut Conn) -> Result<bool, sqlx::Error> {
        let (kind, item) = self.kind();
        let process = self.says.process.as_bytes().as_slice();
        let before = head.map(|head| head.assignment.as_bytes().to_vec());
        let done = sqlx::query(
            "insert into log (process, nonce, timestamp, message, assignment, link, kind, item, assigned) \
             select $1, $2, $3, $4, $5, $6, $7, $8, $9 where coalesce( \
                (select assignment from log where process = $1 order by nonce desc limit 1), \
                $11) = coalesce($10, $11)",
        )
        .bind(process)
        .bind(signed(self.says.nonce))
        .bind(signed(self.says.timestamp_ms))
        .bind(self.new.message.as_bytes().as_slice())
        .bind(self.signed.id().as_bytes().as_slice())
        .bind(self.says.link.as_bytes().as_slice())
        .bind(kind)
        .bind(item.map(|item| item.bytes().to_vec()))
        .bind(self.signed.bytes().to_vec())
        .bind(before)
        .bind([0_u8; 32].as_slice())
        .execute(&mut *conn)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(content) = &self.new.content {
            sqlx::query("insert into contents (process, content) values ($1, $2)")
                .bind(process)
                .bind(content.as_slice())
                .execute(&mut *conn)
                .await?;
        }
        sqlx::query("insert into uploads (process, nonce, tries, due) values ($1, $2, 0, 0)")
            .bind(process)
            .bind(signed(self.says.nonce))
            .execute(conn)
            .await?;
        Ok(true)
    }
}

impl Log {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Puts `row` into the queue, to be written if it still follows `head` then.
    pub(super) async fn append(
        &self,
        row: Row,
        head: Option<Head>,
    ) -> Result<Queued<bool>, StoreError> {
        self.store.enqueue(move |conn| Box::pin(row.write(head, conn))).await
    }

    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        self.store.settled().await
    }

    pub(super) async fn head(&self, process: &Id) -> Result<Option<Head>, sqlx::Error> {
        let row = sqlx::query(
            "select nonce, timestamp, assignment, link from log where process = $1 \
             order by nonce desc limit 1",
        )
        .bind(process.as_bytes().as_slice())
        .fetch_optional(self.store.reader())
        .await?;
        row.map(|row| {
            Ok(Head {
                nonce: unsigned(row.try_get(0)?),
                timestamp_ms: unsigned(row.try_get(1)?),
                assignment: id(&row, 2)?,
                link: id(&row, 3)?,
            })
        })
        .transpose()
    }

    pub(super) async fn known(
        &self,
        process: &Id,
        new: &New,
    ) -> Result<Option<Known>, sqlx::Error> {
        let row = sqlx::query(
            "select nonce, timestamp, message, assignment from log where message = $1 and process = $2",
        )
        .bind(new.message.as_bytes().as_slice())
        .bind(process.as_bytes().as_slice())
        .fetch_optional(self.store.reader())
        .await?;
        if let Some(row) = row {
            return Ok(Some(Known::Message(Placed {
                process: *process,
                nonce: unsigned(row.try_get(0)?),
                timestamp_ms: unsigned(row.try_get(1)?),
                message: id(&row, 2)?,
                assignment: id(&row, 3)?,
            })));
        }
        let Some(content) = &new.content else { return Ok(None) };
        let found = sqlx::query("select 1 from contents where process = $1 and content = $2")
            .bind(process.as_bytes().as_slice())
            .bind(content.as_slice())
            .fetch_optional(self.store.reader())
            .await?;
        Ok(found.map(|_| Known::Content))
    }

    /// The entry whose message or assignment is `id`, of `process` if that is named.
    pub(super) async fn entry(
        &self,
        id: &Id,
        process: Option<&Id>,
    ) -> Result<Option<Entry>, sqlx::Error> {
        let row = sqlx::query(
            "select nonce, timestamp, kind, item, assigned from log \
             where (message = $1 or assignment = $1) and ($2 is null or process = $2) \
             order by timestamp limit 1",
        )
        .bind(id.as_bytes().as_slice())
        .bind(process.map(|process| process.as_bytes().as_slice()))
        .fetch_optional(self.store.reader())
        .await?;
        row.map(|row| entry(&row)).transpose()
    }

    pub(super) async fn start(&self, process: &Id) -> Result<Option<Entry>, sqlx::Error> {
        let row = sqlx::query(
            "select nonce, timestamp, kind, item, assigned from log where process = $1 and nonce = 0",
        )
        .bind(process.as_bytes().as_slice())
        .fetch_optional(self.store.reader())
        .await?;
        row.map(|row| entry(&row)).transpose()
    }

    pub(super) async fn latest(&self, process: &Id) -> Result<Option<Entry>, sqlx::Error> {
        let row = sqlx::query(
            "select nonce, timestamp, kind, item, assigned from log \
             where process = $1 and nonce > 0 order by nonce desc limit 1",
        )
        .bind(process.as_bytes().as_slice())
        .fetch_optional(self.store.reader())
        .await?;
        row.map(|row| entry(&row)).transpose()
    }

    /// A part of a schedule in order, and whether there is more. A page ends early where it grows too
    /// large, so that memory stays bounded.
    pub(super) async fn page(
        &self,
        process: &Id,
        range: Range,
    ) -> Result<(Vec<Entry>, bool), sqlx::Error> {
        let sql = match range.cursor {
            Cursor::Time => SELECT_BY_TIME,
            Cursor::Nonce => SELECT_BY_NONCE,
        };
        let mut rows = sqlx::query(sql)
            .bind(process.as_bytes().as_slice())
            .bind(range.from.map_or(-1, signed))
            .bind(signed(range.to))
            .bind(i64::from(range.from.is_some()))
            .bind(i64::from(range.limit) + 1)
            .fetch(self.store.reader());
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        while let Some(row) = rows.try_next().await? {
            if entries.len() >= range.limit as usize || bytes > PAGE_BYTES_MAX {
                return Ok((entries, true));
            }
            let entry = entry(&row)?;
            bytes += entry.item.as_ref().map_or(0, |item| item.bytes().len());
            bytes += entry.assignment.bytes().len();
            entries.push(entry);
        }
        Ok((entries, false))
    }

    pub(super) async fn status(&self) -> Result<SuStatus, sqlx::Error> {
        let row = sqlx::query(
            "select (select count(*) from log where nonce = 0), (select count(*) from log), \
             (select count(*) from uploads)",
        )
        .fetch_one(self.store.reader())
        .await?;
        Ok(SuStatus {
            processes: unsigned(row.try_get(0)?),
            places: unsigned(row.try_get(1)?),
            uploads: unsigned(row.try_get(2)?),
        })
    }

    /// What is due for uploading, and when the next is, if none is.
    pub(super) async fn uploads(&self, now: u64, limit: u32) -> Result<Vec<Upload>, sqlx::Error> {
        let rows = sqlx::query(
            "select u.process, u.nonce, u.tries, l.item, l.assigned from uploads u \
             join log l on l.process = u.process and l.nonce = u.nonce \
             where u.due <= $1 order by u.due, u.nonce limit $2",
        )
        .bind(signed(now))
        .bind(i64::from(limit))
        .fetch_all(self.store.reader())
        .await?;
        rows.iter()
            .map(|row| {
                let items: [Option<Vec<u8>>; 2] = [row.try_get(3)?, row.try_get(4)?];
                Ok(Upload {
                    process: row.try_get(0)?,
                    nonce: row.try_get(1)?,
                    tries: row.try_get(2)?,
                    items: items.into_iter().flatten().map(Bytes::from).collect(),
                })
            })
            .collect()
    }

    /// Notes which uploads are done, and when the others are due.
    pub(super) async fn uploaded(
        &self,
        ended: Vec<(Vec<u8>, i64, Option<u64>)>,
    ) -> Result<(), StoreError> {
        self.store.write(move |conn| Box::pin(note_uploads(ended, conn))).await
    }
}

async fn note_uploads(
    ended: Vec<(Vec<u8>, i64, Option<u64>)>,
    conn: &mut Conn,
) -> Result<(), sqlx::Error> {
    for (process, nonce, due) in ended {
        let query = match due {
            None => sqlx::query("delete from uploads where process = $1 and nonce = $2"),
            Some(_) => sqlx::query(
                "update uploads set tries = tries + 1, due = $3 where process = $1 and nonce = $2",
            ),
        };
        let query = query.bind(process).bind(nonce);
        let query = match due {
            None => query,
            Some(due) => query.bind(signed(due)),
        };
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let item: Option<Vec<u8>> = row.try_get(3)?;
    let parsed = |bytes: Vec<u8>| {
        DataItem::parse(bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    Ok(Entry {
        nonce: unsigned(row.try_get(0)?),
        timestamp_ms: unsigned(row.try_get(1)?),
        starts: row.try_get::<i64, _>(2)? == 0,
        item: item.map(parsed).transpose()?,
        assignment: parsed(row.try_get(4)?)?,
    })
}

fn id(row: &SqliteRow, at: usize) -> Result<Id, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(at)?;
    Id::from_slice(&bytes).ok_or_else(|| sqlx::Error::Decode("an id has 32 bytes".into()))
}

/// Numbers of the protocol as SQL has them. None of ours comes near the end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
