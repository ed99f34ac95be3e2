//! One embedded, durable store a unit: a SQLite file with one writer and many readers.
//!
//! Whoever writes hands the writer a job. Jobs that wait together share one transaction, and so one
//! fsync; none is answered before that fsync is done. A job that fails is undone alone. Statements keep to
//! what SQLite and PostgreSQL have in common, with `$1` for what is bound.

use crate::disk::HostError;
use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    any::Any,
    io,
    marker::PhantomData,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// The most jobs that share a transaction.
const BATCH_MAX: usize = 256;
/// The most jobs that wait; who comes then, waits for a place.
const QUEUE_MAX: usize = 4096;
const READERS_MAX: u32 = 8;
const BUSY: Duration = Duration::from_secs(10);

/// What a transaction of a store does with a connection.
pub type Conn = SqliteConnection;

/// An open store.
pub struct Store {
    queue: mpsc::Sender<Job>,
    readers: SqlitePool,
}

/// How a store is opened.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// Makes commits fail, for those who want to see what happens then.
    pub faults: Option<Arc<dyn Faults>>,
}

/// A disk that fails on command.
pub trait Faults: Send + Sync {
    /// An error here leaves nothing written.
    fn before_commit(&self) -> io::Result<()>;
    /// An error here leaves everything written, and nobody told.
    fn after_commit(&self) -> io::Result<()>;
}

/// Why a store did not do as it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, or is not one of ours.
    #[error("cannot open the store {path}: {why}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A statement or a commit failed.
    #[error("the store failed: {0}")]
    Failed(Arc<sqlx::Error>),
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<StoreError> for HostError {
    fn from(error: StoreError) -> Self {
        Self::io("using the store", io::Error::other(error.to_string()))
    }
}

/// A job that has its place.
pub struct Queued<T> {
    answered: oneshot::Receiver<Result<Reply, StoreError>>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Send + 'static> Queued<T> {
    /// What the job answered, when that is durable.
    pub async fn durable(self) -> Result<T, StoreError> {
        let reply = self.answered.await.map_err(|_| StoreError::Closed)??;
        reply.downcast::<T>().map(|value| *value).map_err(|_| StoreError::Closed)
    }
}

type Reply = Box<dyn Any + Send>;
type Run =
    Box<dyn for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<Reply, sqlx::Error>> + Send>;

struct Job {
    run: Run,
    answer: oneshot::Sender<Result<Reply, StoreError>>,
}

impl Store {
    /// Opens `path`, or makes it, and brings its tables up to the last of `migrations`.
    pub async fn open(
        path: &Path,
        migrations: &[&'static str],
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| open_error(path, &error))?;
        }
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let writer = connect.clone().create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&writer)
            .await
            .map_err(|error| open_error(path, &error))?;
        migrate(&mut connection, path, migrations).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(connect.read_only(true));
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(serve(connection, jobs, options.faults));
        Ok(Self { queue, readers })
    }

    /// Connections that only read. They see what is durable.
    pub fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// Runs `job` in a transaction, and answers when it is durable. If the job fails, nothing of it
    /// stays; if the commit fails, it may have been done or not.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        self.enqueue(job).await?.durable().await
    }

    /// Like [`Self::write`], but returns when the job has its place in the queue: jobs of one caller run in
    /// the order in which they were enqueued.
    pub async fn enqueue<T, F>(&self, job: F) -> Result<Queued<T>, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        let run: Run = Box::new(move |connection| {
            let done = job(connection);
            Box::pin(async move { Ok(Box::new(done.await?) as Reply) })
        });
        let (answer, answered) = oneshot::channel();
        self.queue.send(Job { run, answer }).await.map_err(|_| StoreError::Closed)?;
        Ok(Queued { answered, kind: PhantomData })
    }

    /// Returns when everything that was asked for before has been done or has failed.
    pub async fn settled(&self) -> Result<(), StoreError> {
        self.write(|_| Box::pin(async { Ok(()) })).await
    }
}

fn open_error(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Open { path: path.to_owned(), why: why.to_string() }
}

/// Each migration runs once, in order, in a transaction of its own.
async fn migrate(
    connection: &mut Conn,
    path: &Path,
    migrations: &[&'static str],
) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| open_error(path, &error);
    sqlx::query("create table if not exists migrations (version bigint primary key)")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let done: i64 = sqlx::query_scalar("select coalesce(max(version), 0) from migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if done > migrations.len() {
        let why = format!(
            "it has version {done}, and this program knows versions up to {}; use a newer program",
            migrations.len()
        );
        return Err(open_error(path, &why));
    }
    for (at, sql) in migrations.iter().enumerate().skip(done) {
        let mut transaction = connection.begin().await.map_err(failed)?;
        sqlx::raw_sql(*sql).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query("insert into migrations (version) values ($1)")
            .bind(i64::try_from(at + 1).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

async fn serve(
    mut connection: Conn,
    mut jobs: mpsc::Receiver<Job>,
    faults: Option<Arc<dyn Faults>>,
) {
    while let Some(first) = jobs.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        run(&mut connection, batch, faults.as_deref()).await;
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "closing a store");
    }
}

/// One transaction for all jobs, then all answers.
async fn run(connection: &mut Conn, batch: Vec<Job>, faults: Option<&dyn Faults>) {
    metrics::counter!("drivebay_store_commits_total").increment(1);
    metrics::counter!("drivebay_store_jobs_total").increment(batch.len() as u64);
    let mut answers = Vec::with_capacity(batch.len());
    let mut begun = execute(connection, "begin immediate").await;
    for job in batch {
        let reply = match &begun {
            Ok(()) => run_one(connection, job.run).await,
            Err(error) => Err(error.clone()),
        };
        answers.push((job.answer, reply));
    }
    if begun.is_ok() {
        begun = commit(connection, faults).await;
    }
    for (answer, reply) in answers {
        // Who asked may be gone; what it asked for is done all the same.
        _ = answer.send(match &begun {
            Ok(()) => reply,
            Err(error) => Err(error.clone()),
        });
    }
}

async fn run_one(connection: &mut Conn, run: Run) -> Result<Reply, StoreError> {
    execute(connection, "savepoint job").await?;
    let reply = AssertUnwindSafe(run(connection)).catch_unwind().await;
    let reply = reply.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed));
    if reply.is_err() {
        execute(connection, "rollback to job").await?;
    }
    execute(connection, "release job").await?;
    Ok(reply?)
}

async fn commit(connection: &mut Conn, faults: Option<&dyn Faults>) -> Result<(), StoreError> {
    let ended = match faults.map_or(Ok(()), Faults::before_commit) {
        Ok(()) => execute(connection, "commit").await,
        Err(error) => Err(sqlx::Error::Io(error).into()),
    };
    if ended.is_err() {
        // The first error says more than this one's would.
        _ = execute(connection, "rollback").await;
        return ended;
    }
    faults.map_or(Ok(()), Faults::after_commit).map_err(|error| sqlx::Error::Io(error).into())
}

async fn execute(connection: &mut Conn, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    const TABLES: &[&str] = &["create table numbers (number bigint primary key)"];

    async fn open(dir: &tempfile::TempDir) -> Store {
        Store::open(&dir.path().join("a.db"), TABLES, StoreOptions::default()).await.unwrap()
    }

    async fn put(store: &Store, number: i64) -> Result<(), StoreError> {
        store
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("insert into numbers (number) values ($1)")
                        .bind(number)
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    async fn count(store: &Store) -> i64 {
        sqlx::query_scalar("select count(*) from numbers").fetch_one(store.reader()).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_answered_is_there_after_a_new_start_and_a_job_fails_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir).await;
        let all = futures_util::future::join_all((0..100).map(|n| put(&store, n % 90)));
        let failed = all.await.iter().filter(|done| done.is_err()).count();
        assert_eq!((failed, count(&store).await), (10, 90));
        drop(store);
        assert_eq!(count(&open(&dir).await).await, 90);
    }

    #[tokio::test]
    async fn a_job_that_panics_is_undone_and_the_next_one_runs() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir).await;
        let crash: Result<(), _> = store.write(|_| Box::pin(async { panic!("a bug") })).await;
        assert!(crash.is_err());
        put(&store, 1).await.unwrap();
        assert_eq!(count(&store).await, 1);
    }

    #[tokio::test]
    async fn a_store_of_a_newer_program_is_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir).await);
        let path = dir.path().join("a.db");
        let error = Store::open(&path, &[], StoreOptions::default()).await.err().unwrap();
        assert!(error.to_string().contains("use a newer program"), "{error}");
    }

    /// 1 fails before the commit, 2 after it.
    struct Failing(AtomicU8);

    impl Failing {
        fn fails(&self, point: u8) -> io::Result<()> {
            match self.0.load(Ordering::SeqCst) == point {
                true => Err(io::Error::other("no space")),
                false => Ok(()),
            }
        }
    }

    impl Faults for Failing {
        fn before_commit(&self) -> io::Result<()> {
            self.fails(1)
        }
        fn after_commit(&self) -> io::Result<()> {
            self.fails(2)
        }
    }

    #[tokio::test]
    async fn a_failed_commit_is_an_error_whether_or_not_it_was_done() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Failing(AtomicU8::new(1)));
        let options = StoreOptions { faults: Some(faults.clone()) };
        let store = Store::open(&dir.path().join("a.db"), TABLES, options).await.unwrap();
        put(&store, 1).await.unwrap_err();
        assert_eq!(count(&store).await, 0);
        faults.0.store(2, Ordering::SeqCst);
        put(&store, 1).await.unwrap_err();
        faults.0.store(0, Ordering::SeqCst);
        put(&store, 2).await.unwrap();
        assert_eq!(count(&store).await, 2);
    }
}
