//! Where items are kept: a table for what is asked about, the head of each item as it was signed, and its
//! payload beside it, in a file of its own if it is large.

use super::GatewayError;
use crate::{
    item::{DataItem, Id},
    store::{Store, StoreOptions},
};
use bytes::Bytes;
use sqlx::{FromRow, Row, sqlite::SqliteRow};
use std::{
    io::SeekFrom,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

/// Payloads above this many bytes are files.
const INLINE_BYTES_MAX: usize = 64 << 10;

const MIGRATIONS: &[&str] = &["\
create table facts (name text primary key, value bigint not null);
create table items (
    seq bigint primary key,
    id bytea not null unique,
    owner text not null,
    recipient text not null,
    height bigint not null,
    received_ms bigint not null,
    bundled_in bytea,
    data_size bigint not null,
    head bytea not null,
    data bytea
);
create index items_by_owner on items (owner, seq);
create index items_by_recipient on items (recipient, seq);
create index items_by_bundle on items (bundled_in, seq);
create index items_by_height on items (height, seq);
create table tags (name text not null, value text not null, seq bigint not null);
create index tags_by_value on tags (name, value, seq);
create index tags_by_item on tags (seq);
"];

/// The columns that a [`Stored`] is read from.
pub(super) const COLUMNS: &str =
    "items.seq, items.height, items.received_ms, items.bundled_in, items.data_size, items.head";

/// An item that is stored, without its payload.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its place among all items.
    pub seq: i64,
    /// The item up to its payload: everything but that can be asked of it.
    pub head: DataItem,
    /// Bytes of its payload.
    pub data_size: u64,
    /// Height of its block.
    pub height: u64,
    /// When it came, in milliseconds since 1970.
    pub received_ms: u64,
    /// The bundle that it came in.
    pub bundled_in: Option<Id>,
}

/// Where and when an item is put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) height: u64,
    pub(super) received_ms: u64,
    pub(super) bundled_in: Option<Id>,
}

/// All items.
pub(super) struct Shelf {
    pub(super) store: Store,
    payloads: PathBuf,
    drafts: AtomicU64,
}

impl FromRow<'_, SqliteRow> for Stored {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let decoded = |why: String| sqlx::Error::Decode(why.into());
        let number = |name: &str| -> Result<u64, sqlx::Error> {
            let value: i64 = row.try_get(name)?;
            u64::try_from(value).map_err(|_| decoded(format!("{name} is {value}")))
        };
        let head: Vec<u8> = row.try_get("head")?;
        let bundle: Option<Vec<u8>> = row.try_get("bundled_in")?;
        Ok(Self {
            seq: row.try_get("seq")?,
            head: DataItem::parse(head).map_err(|error| decoded(error.to_string()))?,
            data_size: number("data_size")?,
            height: number("height")?,
            received_ms: number("received_ms")?,
            bundled_in: bundle.and_then(|bytes| Id::from_slice(&bytes)),
        })
    }
}

impl Shelf {
    pub(super) async fn open(dir: &Path) -> Result<Self, GatewayError> {
        let payloads = dir.join("payloads");
        fs::create_dir_all(&payloads).await.map_err(|error| file_error(&payloads, &error))?;
        let store =
            Store::open(&dir.join("gateway.db"), MIGRATIONS, StoreOptions::default()).await?;
        Ok(Self { store, payloads, drafts: AtomicU64::new(0) })
    }

    /// The number under `name`; `new` if there was none, from now on.
    pub(super) async fn remember(&self, name: &'static str, new: u64) -> Result<u64, GatewayError> {
        let new = to_i64(new);
        let value: i64 = self
            .store
            .write(move |conn| {
                Box::pin(async move {
                    sqlx::query("insert into facts (name, value) values ($1, $2) on conflict (name) do nothing")
                        .bind(name)
                        .bind(new)
                        .execute(&mut *conn)
                        .await?;
                    sqlx::query_scalar("select value from facts where name = $1")
                        .bind(name)
                        .fetch_one(conn)
                        .await
                })
            })
            .await?;
        Ok(u64::try_from(value).unwrap_or_default())
    }

    /// The greatest height of an item.
    pub(super) async fn height(&self) -> Result<u64, GatewayError> {
        let height: i64 = sqlx::query_scalar("select coalesce(max(height), 0) from items")
            .fetch_one(self.store.reader())
            .await?;
        Ok(u64::try_from(height).unwrap_or_default())
    }

    pub(super) async fn find(&self, id: &Id) -> Result<Option<Stored>, GatewayError> {
        let sql = "select items.seq, items.height, items.received_ms, items.bundled_in, items.data_size, items.head from items where id = $1";
        let found = sqlx::query_as(sql).bind(id.as_bytes().as_slice());
        Ok(found.fetch_optional(self.store.reader()).await?)
    }

    /// Stores an item, and answers what is stored under its id. The payload is durable before the row is.
    pub(super) async fn insert(
        &self,
        item: &DataItem,
        place: Place,
    ) -> Result<Stored, GatewayError> {
        let data = item.data_bytes();
        let inline = (data.len() <= INLINE_BYTES_MAX).then(|| data.clone());
        if inline.is_none() {
            self.write_payload(&item.id(), &data).await?;
        }
        let row = NewRow { item: item.clone(), place, inline };
        self.store.write(move |conn| Box::pin(row.insert(conn))).await?;
        let stored = self.find(&item.id()).await?;
        stored.ok_or_else(|| GatewayError::Store(sqlx::Error::RowNotFound.into()))
    }

    /// A part of an item's payload; what lies beyond its end is left out.
    pub(super) async fn read(
        &self,
        stored: &Stored,
        range: Range<u64>,
    ) -> Result<Bytes, GatewayError> {
        let end = range.end.min(stored.data_size);
        let length = end.saturating_sub(range.start);
        if let Some(data) = self.inline(stored).await? {
            let from = usize::try_from(range.start).unwrap_or(usize::MAX).min(data.len());
            let upto = usize::try_from(end).unwrap_or(usize::MAX).clamp(from, data.len());
            return Ok(data.slice(from..upto));
        }
        let (path, file) = self.open_payload(stored, range.start).await?;
        let mut out = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        let read = file.take(length).read_to_end(&mut out).await;
        read.map_err(|error| file_error(&path, &error))?;
        if out.len() as u64 == length {
            return Ok(out.into());
        }
        let error = format!("it has {} bytes from {}, not {length}", out.len(), range.start);
        Err(file_error(&path, &error))
    }

    /// The payload, where it is in the table.
    pub(super) async fn inline(&self, stored: &Stored) -> Result<Option<Bytes>, GatewayError> {
        if stored.data_size > INLINE_BYTES_MAX as u64 {
            return Ok(None);
        }
        let data: Option<Vec<u8>> = sqlx::query_scalar("select data from items where seq = $1")
            .bind(stored.seq)
            .fetch_one(self.store.reader())
            .await?;
        Ok(data.map(Bytes::from))
    }

    /// The file of a payload, from `start` on.
    pub(super) async fn open_payload(
        &self,
        stored: &Stored,
        start: u64,
    ) -> Result<(PathBuf, fs::File), GatewayError> {
        let path = self.payload_path(&stored.head.id());
        let opened = async {
            let mut file = fs::File::open(&path).await?;
            file.seek(SeekFrom::Start(start)).await?;
            Ok(file)
        };
        let file = opened.await.map_err(|error: std::io::Error| file_error(&path, &error))?;
        Ok((path, file))
    }

    async fn write_payload(&self, id: &Id, data: &[u8]) -> Result<(), GatewayError> {
        let path = self.payload_path(id);
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = self.payloads.join(format!("draft.{}.{number}", std::process::id()));
        let written = async {
            let folder = path.parent().unwrap_or(&self.payloads);
            fs::create_dir_all(folder).await?;
            let mut file = fs::File::create(&draft).await?;
            file.write_all(data).await?;
            file.sync_all().await?;
            fs::rename(&draft, &path).await?;
            fs::File::open(folder).await?.sync_all().await?;
            fs::File::open(&self.payloads).await?.sync_all().await
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The first error says more than this one's would.
                _ = fs::remove_file(&draft).await;
                Err(file_error(&path, &error))
            }
        }
    }

    /// Ids may begin with a dash, so no name is one alone.
    fn payload_path(&self, id: &Id) -> PathBuf {
        let name = data_encoding::HEXLOWER.encode(id.as_bytes());
        self.payloads.join(name.get(..2).unwrap_or_default()).join(name)
    }
}

struct NewRow {
    item: DataItem,
    place: Place,
    inline: Option<Bytes>,
}

impl NewRow {
    async fn insert(self, conn: &mut crate::store::Conn) -> Result<(), sqlx::Error> {
        let Self { item, place, inline } = self;
        let head = item.bytes().get(..item.data_offset()).unwrap_or_default();
        let recipient = item.target().map(|target| target.to_string()).unwrap_or_default();
        let seq: Option<i64> = sqlx::query_scalar(
            "insert into items (seq, id, owner, recipient, height, received_ms, bundled_in, data_size, head, data) \
             select coalesce(max(seq), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 from items where true \
             on conflict (id) do nothing returning seq",
        )
        .bind(item.id().as_bytes().as_slice())
        .bind(item.owner_address().to_string())
        .bind(recipient)
        .bind(to_i64(place.height))
        .bind(to_i64(place.received_ms))
        .bind(place.bundled_in.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(to_i64(item.data().len() as u64))
        .bind(head)
        .bind(inline.as_deref())
        .fetch_optional(&mut *conn)
        .await?;
        let Some(seq) = seq else { return Ok(()) };
        for tag in item.tags() {
            sqlx::query("insert into tags (name, value, seq) values ($1, $2, $3)")
                .bind(&tag.name)
                .bind(&tag.value)
                .bind(seq)
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }
}

pub(super) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn file_error(path: &Path, why: &dyn std::fmt::Display) -> GatewayError {
    GatewayError::File { path: path.display().to_string(), why: why.to_string() }
}
