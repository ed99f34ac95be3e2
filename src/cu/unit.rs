//! The compute unit: what may be asked of it.

use super::{
    AskedMax, At, Checkpoint, CuError, DryMessage, DryRun, Entry, Mark, Position,
    ProcessDefinition, Readers, Results, ResultsQuery, Scene, Source, StoredResult, Until, Verdict,
    Window, call,
    core::Core,
    floor::{Floor, SLOW_CPU, is_slow},
    lane::{Lane, Want},
    lock,
    store::Store,
};
use crate::disk::{ArtifactStore, Call, Host, Image, Limits, Module, NoArtifacts, Refusal, Slot};
use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What an operator may choose. Nothing here changes a result.
pub struct CuOptions {
    /// Threads that evaluate.
    pub workers: usize,
    /// Threads that evaluate dry-runs and past slots.
    pub readers: usize,
    /// Threads that wait for the network.
    pub fetchers: usize,
    /// Bytes of memory for processes that are live. The least recently used give way.
    pub memory_bytes: u64,
    /// How many requests may wait for a thread.
    pub waiting_max: usize,
    /// How many entries are fetched at a time.
    pub page: usize,
    /// The most that a process may ask for by its tags.
    pub asked_max: AskedMax,
    /// The pause after an error of ours, before a process is tried again. It grows with each.
    pub pause: Duration,
    /// Where compiled modules are kept.
    pub artifacts: Box<dyn ArtifactStore>,
}

impl Default for CuOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers: cores,
            readers: cores,
            fetchers: 16,
            memory_bytes: 4 << 30,
            waiting_max: 10_000,
            page: 1000,
            asked_max: AskedMax::default(),
            pause: Duration::from_millis(100),
            artifacts: Box::new(NoArtifacts),
        }
    }
}

/// A compute unit: evaluates the messages of many processes, each in its order. A handle; clones are the
/// same unit.
///
/// Its functions are async and its work is not: each queues a job on threads of the unit, and waits.
#[derive(Clone)]
pub struct Cu {
    core: Arc<Core>,
    /// Stops the threads when the last handle goes.
    _guard: Arc<Guard>,
}

struct Guard(Arc<Core>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// One evaluation, with all that it hangs on.
pub struct Case {
    /// The process's module.
    pub module: Module,
    /// The process's limits.
    pub limits: Limits,
    /// The state before it.
    pub image: Image,
    /// The call.
    pub call: Arc<Call>,
    /// What it may ask.
    pub host: Arc<dyn Host>,
}

/// What a unit is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CuStatus {
    /// The processes that are known to this run of the program, by id.
    pub processes: Vec<Progress>,
    /// How many of them are in memory.
    pub live: usize,
    /// Bytes of memory that they hold.
    pub live_bytes: u64,
    /// How often one was taken out of memory for others.
    pub evicted: u64,
    /// Bytes that they may hold.
    pub budget_bytes: u64,
    /// Modules that are compiled.
    pub modules: usize,
    /// Workers whose run takes long; others have taken their places.
    pub slow: usize,
    /// Jobs that wait for a worker.
    pub waiting: usize,
    /// Dry-runs and past slots that wait for a reader.
    pub reads_waiting: usize,
}

/// How far a process is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The process.
    pub process: String,
    /// The last slot that is recorded.
    pub head: Option<Slot>,
    /// How far somebody wants it, if anybody waits.
    pub target: Option<Until>,
    /// It is in memory, and holds so many bytes.
    pub bytes: Option<u64>,
    /// Messages evaluated since it came into memory first.
    pub evaluated: u64,
    /// Messages a second of its own time.
    pub rate: Option<f64>,
    /// Seconds until it reaches its target, where that is a slot.
    pub estimate_s: Option<f64>,
    /// Why it does not get on, and how often it was tried.
    pub trouble: Option<(String, u32)>,
    /// Why it is in quarantine, if it is.
    pub quarantine: Option<String>,
}

impl Cu {
    /// A unit that keeps its receipts and images in `store`, reads modules with `readers`, and gets
    /// everything else from `source`.
    pub fn open(
        options: CuOptions,
        readers: Readers,
        store: Arc<dyn Store>,
        source: Arc<dyn Source>,
    ) -> Result<Self, CuError> {
        let core = Core::start(options, readers, store, source)?;
        let guard = Arc::new(Guard(Arc::clone(&core)));
        Ok(Self { core, _guard: guard })
    }

    /// The result of a slot or a message, evaluated now if it has not been yet. What has been is answered
    /// from the ledger, whatever the process is doing.
    pub async fn evaluate(&self, process: &str, at: At) -> Result<StoredResult, CuError> {
        let known = match &at {
            At::Slot(slot) => self.recorded(process, *slot).await?,
            At::Message(id) => self.recorded_message(process, id).await?,
            At::Head => self.recorded_head(process).await?,
            At::Latest => None,
        };
        if let Some(known) = known {
            return with_result(known);
        }
        let until = self.until(process, &at).await?;
        let reached = self.want(process, until, false).await?;
        match (until, reached) {
            (Until::Slot(slot), _) => {
                let found = self.recorded(process, slot).await?.ok_or_else(|| {
                    let Slot { nonce, tick, .. } = slot;
                    CuError::Unknown(format!("process {process} has no slot {nonce}.{tick} here"))
                });
                with_result(found?)
            }
            (Until::Now, Some(last)) => with_result(last),
            (Until::Now, None) => Err(nothing_yet(process)),
        }
    }

    /// A page of what has been evaluated here. Evaluates nothing.
    pub async fn results(&self, process: &str, query: ResultsQuery) -> Result<Results, CuError> {
        let (core, process) = (Arc::clone(&self.core), process.to_owned());
        self.desk()
            .ask(move || {
                core.ledger.settle()?;
                core.ledger.list(&process, &query)
            })
            .await?
    }

    /// Evaluates a message on the state at `at`, and leaves no mark. `message` makes it, once it is known
    /// where it will stand.
    ///
    /// [`At::Head`] is answered at once, also while a long message runs: from the state before it.
    pub async fn dry_run(
        &self,
        process: &str,
        at: At,
        message: impl FnOnce(&super::Position) -> Result<DryMessage, Refusal> + Send + 'static,
    ) -> Result<DryRun, CuError> {
        let window = self.window(process, &at).await?;
        let (core, lane) = (Arc::clone(&self.core), self.core.lane(process));
        let slow = lane.reads_slowly.load(Ordering::Relaxed);
        let read = move || {
            let message = message(&window.at).map_err(CuError::Refused)?;
            let started = Instant::now();
            let done = core.dry_run(&window, &message);
            let is_long = is_slow() && started.elapsed() >= SLOW_CPU;
            lane.reads_slowly.store(is_long, Ordering::Relaxed);
            done
        };
        self.desk().ask_at(slow, read).await?
    }

    /// The state at `at`.
    pub async fn image_at(&self, process: &str, at: At) -> Result<Checkpoint, CuError> {
        let window = self.window(process, &at).await?;
        self.desk()
            .ask(move || Ok(Checkpoint { at: window.at.clone(), image: window.image()? }))
            .await?
    }

    /// Has a job look at the state at `at`, on a thread for reads.
    pub async fn look<T: Send + 'static>(
        &self,
        process: &str,
        at: At,
        job: impl FnOnce(&Scene) -> Result<T, CuError> + Send + 'static,
    ) -> Result<T, CuError> {
        let window = self.window(process, &at).await?;
        let core = Arc::clone(&self.core);
        self.desk().ask(move || job(&Scene::after(core, window)?)).await?
    }

    /// The state at `at`, for whoever looks at it more than once.
    pub async fn scene(&self, process: &str, at: At) -> Result<Scene, CuError> {
        let window = self.window(process, &at).await?;
        let core = Arc::clone(&self.core);
        self.desk().ask(move || Scene::after(core, window)).await?
    }

    /// Has a job run on a thread for reads.
    pub async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CuError> {
        self.desk().ask(job).await
    }

    /// Has a job look at the state that a slot was evaluated on.
    pub async fn look_before<T: Send + 'static>(
        &self,
        process: &str,
        slot: Slot,
        job: impl FnOnce(&Scene) -> Result<T, CuError> + Send + 'static,
    ) -> Result<T, CuError> {
        if let Some(before) = self.before(process, slot).await? {
            return self.look(process, At::Slot(before.slot), job).await;
        }
        let window = self.window(process, &At::Slot(slot)).await?;
        let core = Arc::clone(&self.core);
        self.desk().ask(move || job(&Scene::blank(core, window))).await?
    }

    /// Where the evaluation before a slot that has been evaluated stands.
    async fn before(&self, process: &str, slot: Slot) -> Result<Option<Position>, CuError> {
        let query = ResultsQuery {
            through: Some(Mark::Slot(slot)),
            newest_first: true,
            limit: 2,
            ..ResultsQuery::default()
        };
        let found = self.results(process, query).await?.results;
        Ok(found.get(1).map(|before| before.at.clone()))
    }

    /// What is scheduled at a slot that has been evaluated here, asked of the source again.
    pub async fn entry(&self, process: &str, slot: Slot) -> Result<Entry, CuError> {
        let before = self.before(process, slot).await?;
        self.entry_after(process, before, slot).await
    }

    async fn entry_after(
        &self,
        process: &str,
        after: Option<Position>,
        slot: Slot,
    ) -> Result<Entry, CuError> {
        let definition = self.process(process).await?;
        let (core, until) = (Arc::clone(&self.core), Until::Slot(slot));
        let read = move || core.source.entries(&definition, after.as_ref(), until, 1);
        let batch = self.fetch().ask(read).await??;
        let entry = batch.entries.into_iter().find(|entry| entry.at.slot == slot);
        entry.ok_or_else(|| {
            let Slot { nonce, tick, .. } = slot;
            CuError::Unknown(format!("process {process} has no slot {nonce}.{tick} here"))
        })
    }

    /// An evaluation that has been made here, taken out of its process: for whoever runs it again elsewhere.
    pub async fn case(&self, process: &str, slot: Slot) -> Result<Case, CuError> {
        let before = self.before(process, slot).await?;
        let entry = self.entry_after(process, before.clone(), slot).await?;
        let before = match before {
            Some(before) => Some(self.image_at(process, At::Slot(before.slot)).await?),
            None => None,
        };
        let loaded = lock(&self.core.lane(process).state).loaded.clone();
        let loaded = loaded.ok_or_else(|| {
            CuError::Unknown(format!("process {process} has not been evaluated by this run"))
        })?;
        let (core, definition) = (Arc::clone(&self.core), Arc::clone(&loaded.definition));
        let module = move || core.source.module(&definition.process.module);
        let module = self.fetch().ask(module).await??.module;
        let blank = || loaded.shelved.disk.blank().clone();
        Ok(Case {
            module,
            limits: loaded.limits,
            image: before.map_or_else(blank, |before| before.image),
            host: self.core.source.host(&loaded.definition, &entry),
            call: call::scheduled(&loaded.definition.process, &loaded.env, &entry),
        })
    }

    /// The process as its source defines it.
    pub async fn process(&self, process: &str) -> Result<Arc<ProcessDefinition>, CuError> {
        let lane = self.core.lane(process);
        if let Some(loaded) = &lock(&lane.state).loaded {
            return Ok(Arc::clone(&loaded.definition));
        }
        let (core, process) = (Arc::clone(&self.core), process.to_owned());
        self.fetch().ask(move || core.source.process(&process).map(Arc::new)).await?
    }

    /// What the unit is doing.
    pub fn status(&self) -> CuStatus {
        self.core.status()
    }

    /// How far a process is; `None` if nobody has asked for it since the program started.
    pub fn progress(&self, process: &str) -> Option<Progress> {
        self.core.known_lane(process).map(|lane| self.core.progress(&lane))
    }

    /// Keeps the state of every live process, so that the next start replays nothing, and ends. What still
    /// waits is answered with [`CuError::Stopped`].
    pub async fn shutdown(self) -> Result<(), CuError> {
        let (done, ended) = oneshot::channel();
        let core = Arc::clone(&self.core);
        let end = move || {
            let _ = done.send(core.shutdown());
        };
        thread::Builder::new()
            .name("shutdown".to_owned())
            .spawn(end)
            .map_err(|error| crate::disk::HostError::io("starting a thread", error))?;
        ended.await.map_err(|_| CuError::Stopped)?
    }

    /// Waits, for a caller without a runtime of its own.
    pub fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CuError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| crate::disk::HostError::io("starting a runtime", error))?;
        Ok(runtime.block_on(work))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn desk(&self) -> &Floor {
        &self.core.desk
    }

    fn fetch(&self) -> &Floor {
        &self.core.fetchers
    }

    async fn recorded(&self, process: &str, slot: Slot) -> Result<Option<StoredResult>, CuError> {
        let (core, process) = (Arc::clone(&self.core), process.to_owned());
        self.desk().ask(move || core.recorded(&process, slot)).await?
    }

    async fn recorded_message(
        &self,
        process: &str,
        id: &str,
    ) -> Result<Option<StoredResult>, CuError> {
        let (core, process, id) = (Arc::clone(&self.core), process.to_owned(), id.to_owned());
        let find = move || match core.ledger.find(&process, &id)? {
            Some(slot) => core.recorded(&process, slot),
            None => Ok(None),
        };
        self.desk().ask(find).await?
    }

    async fn recorded_head(&self, process: &str) -> Result<Option<StoredResult>, CuError> {
        let (core, process) = (Arc::clone(&self.core), process.to_owned());
        let find = move || {
            core.ledger.settle()?;
            Ok(core.ledger.head(&process)?)
        };
        self.desk().ask(find).await?
    }

    /// How far a process has to be evaluated to answer for `at`.
    async fn until(&self, process: &str, at: &At) -> Result<Until, CuError> {
        match at {
            At::Slot(slot) => Ok(Until::Slot(*slot)),
            // A process that has a head was answered from the ledger; the first slot is what others lack.
            At::Head => Ok(Until::Slot(Slot::default())),
            At::Message(_) | At::Latest => {
                let definition = self.process(process).await?;
                let (core, at) = (Arc::clone(&self.core), at.clone());
                self.fetch().ask(move || core.source.resolve(&definition, &at)).await?
            }
        }
    }

    async fn want(
        &self,
        process: &str,
        until: Until,
        state: bool,
    ) -> Result<Option<StoredResult>, CuError> {
        let (reply, answer) = oneshot::channel();
        let lane = self.core.lane(process);
        lane.want(Want { until, state, reply })?;
        self.core.wake(&lane)?;
        answer.await.map_err(|_| CuError::Stopped)?
    }

    /// The state at `at`, to be read.
    pub(crate) async fn window(&self, process: &str, at: &At) -> Result<Arc<Window>, CuError> {
        if *at == At::Head {
            return self.head_window(process).await;
        }
        let slot = match at {
            At::Slot(slot) => *slot,
            _ => self.reach(process, at).await?,
        };
        let lane = self.core.lane(process);
        if let Some(window) = here(&lane, slot) {
            return Ok(window);
        }
        // A process at work on something long answers no wants, and what is recorded needs none.
        let is_loaded = lock(&lane.state).loaded.is_some();
        if !is_loaded || self.recorded(process, slot).await?.is_none() {
            self.want(process, Until::Slot(slot), false).await?;
            if let Some(window) = here(&lane, slot) {
                return Ok(window);
            }
            if self.recorded(process, slot).await?.is_none() {
                let nonce = slot.nonce;
                return Err(CuError::Unknown(format!(
                    "slot {nonce} of process {process} is not known here: this unit began after it"
                )));
            }
        }
        let core = Arc::clone(&self.core);
        self.desk().ask(move || core.past(&lane, slot)).await?
    }

    /// The slot of `at`, evaluated.
    async fn reach(&self, process: &str, at: &At) -> Result<Slot, CuError> {
        let known = match at {
            At::Message(id) => self.recorded_message(process, id).await?,
            _ => None,
        };
        if let Some(known) = known {
            return Ok(known.receipt.slot);
        }
        let until = self.until(process, at).await?;
        let reached = self.want(process, until, false).await?;
        match (until, reached) {
            (Until::Slot(slot), _) => Ok(slot),
            (Until::Now, Some(last)) => Ok(last.receipt.slot),
            (Until::Now, None) => Err(nothing_yet(process)),
        }
    }

    async fn head_window(&self, process: &str) -> Result<Arc<Window>, CuError> {
        let lane = self.core.lane(process);
        for _ in 0..HEAD_TRIES {
            if let Some(window) = lane.window() {
                return Ok(window);
            }
            let head = self.recorded_head(process).await?.map(|stored| stored.receipt.slot);
            self.want(process, Until::Slot(head.unwrap_or_default()), true).await?;
        }
        Err(CuError::Busy("memory is too short to keep this process in it"))
    }
}

/// How often a process is brought into memory for one read, if it is evicted again at once.
const HEAD_TRIES: u32 = 3;

fn nothing_yet(process: &str) -> CuError {
    CuError::Unknown(format!("nothing has been scheduled for process {process} yet"))
}

/// A state that was taken over has a place, and no result that anybody here knows.
fn with_result(stored: StoredResult) -> Result<StoredResult, CuError> {
    if stored.receipt.verdict != Verdict::Adopted {
        return Ok(stored);
    }
    let nonce = stored.receipt.slot.nonce;
    Err(CuError::Unknown(format!(
        "this unit began from a checkpoint at slot {nonce}, and does not know that slot's result; ask \
         another unit"
    )))
}

fn here(lane: &Lane, slot: Slot) -> Option<Arc<Window>> {
    lane.window().filter(|window| window.at.slot == slot)
}

/// The rate of so many in such a time, where both are more than nothing.
pub(crate) fn rate(count: u64, busy: Duration) -> Option<f64> {
    (count > 0 && !busy.is_zero()).then(|| count as f64 / busy.as_secs_f64())
}
