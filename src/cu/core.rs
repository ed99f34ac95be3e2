//! The unit's parts, and how a turn on a lane goes.

use super::{
    AskedMax, Bay, CuError, CuOptions, CuStatus, DryMessage, DryRun, Entry, Position, Progress,
    Readers, Source, StoredResult, Until, Window,
    cache::DryRuns,
    call,
    checkpoints::Checkpoints,
    floor::{Floor, SLOW_CPU, is_slow},
    lane::{Lane, Loaded, Plan, Seat, Turn, Want, follows},
    ledger::{Ledger, Quarantine},
    lock,
    receipt::Verdict,
    shelf::Shelf,
    store::Store,
    unit::rate,
    witness::Witness,
};
use crate::disk::{Host, Slot};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a lane works before others have their turn.
const SLICE: Duration = Duration::from_millis(20);
/// Where fewer entries wait, more are fetched, while these are evaluated.
const AHEAD_MIN: usize = 200;

/// Everything behind the handle.
pub(crate) struct Core {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) ledger: Ledger,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) floor: Floor,
    pub(crate) desk: Floor,
    pub(crate) fetchers: Floor,
    pub(crate) shelf: Shelf,
    dry_runs: DryRuns,
    pub(crate) lanes: Mutex<HashMap<String, Arc<Lane>>>,
    pub(crate) options: Limits,
    /// Bytes that all processes in memory hold.
    pub(crate) live_bytes: AtomicU64,
    /// How often one was taken out of memory.
    pub(crate) evicted: AtomicU64,
    clock: AtomicU64,
    is_stopped: AtomicBool,
}

pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    page: usize,
    pub(crate) asked_max: AskedMax,
    pub(crate) pause: Duration,
}

/// How many lanes there may be before those of unknown processes are swept.
const LANES_SWEPT: usize = 1024;

/// Whether a lane is held by somebody, or its process is known. Under the lock of the map nobody new gets hold
/// of a lane, so that one which only the map has can go, and there are never two of a process.
fn is_in_use(lane: &Arc<Lane>) -> bool {
    Arc::strong_count(lane) > 1 || lock(&lane.state).loaded.is_some()
}

impl Core {
    pub(crate) fn start(
        options: CuOptions,
        readers: Readers,
        store: Arc<dyn Store>,
        source: Arc<dyn Source>,
    ) -> Result<Arc<Self>, CuError> {
        let CuOptions { memory_bytes, page, waiting_max, asked_max, pause, .. } = options;
        Ok(Arc::new(Self {
            source,
            ledger: Ledger::new(Arc::clone(&store)),
            checkpoints: Checkpoints::new(store),
            floor: Floor::start_watched("worker", options.workers.max(1), usize::MAX)?,
            desk: Floor::start_watched("reader", options.readers.max(1), waiting_max)?,
            fetchers: Floor::start("fetcher", options.fetchers.max(1), waiting_max)?,
            shelf: Shelf::new(readers, options.artifacts),
            dry_runs: DryRuns::default(),
            lanes: Mutex::default(),
            options: Limits { memory_bytes, page: page.max(1), asked_max, pause },
            live_bytes: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
        }))
    }

    pub(crate) fn lane(&self, process: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(process) {
            return Arc::clone(lane);
        }
        // Anybody may ask for ids that nobody knows: what they leave is swept whenever the map has doubled.
        if lanes.len() >= LANES_SWEPT && lanes.len().is_power_of_two() {
            lanes.retain(|_, lane| is_in_use(lane));
        }
        let lane = Lane::new(process);
        lanes.insert(process.to_owned(), Arc::clone(&lane));
        lane
    }

    pub(crate) fn known_lane(&self, process: &str) -> Option<Arc<Lane>> {
        lock(&self.lanes).get(process).cloned()
    }

    /// What is recorded, durably, at a slot.
    pub(crate) fn recorded(
        &self,
        process: &str,
        slot: Slot,
    ) -> Result<Option<StoredResult>, CuError> {
        let found = self.ledger.get(process, slot)?;
        if found.is_some() {
            self.ledger.settle()?;
        }
        Ok(found)
    }

    /// Gives the lane a turn, unless it has one.
    pub(crate) fn wake(self: &Arc<Self>, lane: &Arc<Lane>) -> Result<(), CuError> {
        if self.is_stopped.load(Ordering::SeqCst) {
            return Err(CuError::Stopped);
        }
        let mut state = lock(&lane.state);
        match state.turn {
            Turn::Idle => state.turn = Turn::Queued,
            Turn::Queued => return Ok(()),
            Turn::Running => {
                state.again = true;
                return Ok(());
            }
        }
        let slow = state.is_slow;
        drop(state);
        self.queue(lane, slow)
    }

    fn queue(self: &Arc<Self>, lane: &Arc<Lane>, slow: bool) -> Result<(), CuError> {
        let (core, lane) = (Arc::clone(self), Arc::clone(lane));
        let turn = Box::new(move || core.turn(&lane));
        if slow { self.floor.submit_slow(turn) } else { self.floor.submit(turn) }
    }

    /// Works on a lane until nothing is wanted, something is waited for, or others wait.
    fn turn(self: &Arc<Self>, lane: &Arc<Lane>) {
        let mut seat = {
            let mut state = lock(&lane.state);
            state.turn = Turn::Running;
            state.used = self.clock.fetch_add(1, Ordering::Relaxed);
            state.seat.take()
        };
        let (started, was_slow) = (Instant::now(), is_slow());
        let mut goes_on = true;
        while goes_on && started.elapsed() < SLICE && is_slow() == was_slow {
            goes_on = self.step(lane, &mut seat);
        }
        let mut state = lock(&lane.state);
        let window = lock(&lane.window).as_ref().map_or(0, |window| window.held_bytes());
        let held = window + seat.as_ref().map_or(0, |seat| seat.bay.resident_bytes());
        let before = std::mem::replace(&mut state.bytes, held);
        state.last_bytes = held.max(state.last_bytes / 2);
        state.seat = seat;
        // What was slow once is quick again when a turn of it was.
        state.is_slow = is_slow() && (!was_slow || started.elapsed() >= SLOW_CPU);
        let slow = state.is_slow;
        let goes_on = (goes_on || state.again) && !self.is_stopped.load(Ordering::SeqCst);
        state.turn = if goes_on { Turn::Queued } else { Turn::Idle };
        drop(state);
        if goes_on && self.queue(lane, slow).is_err() {
            lock(&lane.state).turn = Turn::Idle;
        }
        self.account(before, held);
        self.make_room(0);
    }

    /// One step. False if there is nothing to do now.
    fn step(self: &Arc<Self>, lane: &Arc<Lane>, seat: &mut Option<Seat>) -> bool {
        match lane.plan(seat.as_ref()) {
            Plan::Park => return false,
            Plan::Load => {
                let (core, lane) = (Arc::clone(self), Arc::clone(lane));
                self.send_out(&Arc::clone(&lane), Box::new(move || core.load(&lane)));
                return false;
            }
            Plan::Fetch(loaded, after, until) => {
                self.fetch(lane, loaded, after, until);
                return false;
            }
            Plan::Answer(wants) => self.answer(lane, wants),
            Plan::Fail(wants, error) => fail(wants, &error),
            Plan::Freeze => self.freeze(lane, seat),
            Plan::Mount(loaded) => {
                if let Err(error) = self.mount(lane, &loaded, seat) {
                    self.trouble(lane, error);
                }
            }
            Plan::Run(loaded, entry) => {
                self.read_ahead(lane, &loaded, &entry.at);
                self.run(lane, &loaded, seat, *entry);
            }
        }
        true
    }

    /// Fetches what comes after the queue, while its entries are evaluated.
    fn read_ahead(self: &Arc<Self>, lane: &Arc<Lane>, loaded: &Arc<Loaded>, at: &Position) {
        let mut state = lock(&lane.state);
        if state.queue.len() >= AHEAD_MIN || state.is_fetching || state.ended.is_some() {
            return;
        }
        let last = state.queue.back().map_or(at, |entry| &entry.at).clone();
        let plan = state.fetch(Arc::clone(loaded), Some(last));
        drop(state);
        if let Plan::Fetch(loaded, after, until) = plan {
            self.fetch(lane, loaded, after, until);
        }
    }

    /// A job for the threads that wait for the network.
    fn send_out(&self, lane: &Arc<Lane>, job: super::floor::Job) {
        if let Err(error) = self.fetchers.submit(job) {
            let mut state = lock(&lane.state);
            state.is_loading = false;
            state.is_fetching = false;
            let wants = std::mem::take(&mut state.wants);
            drop(state);
            fail(wants, &error);
        }
    }

    /// Gets what comes next, on a thread that may wait.
    fn fetch(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        loaded: Arc<Loaded>,
        after: Option<Position>,
        until: Until,
    ) {
        let generation = lock(&lane.state).generation;
        let (core, held) = (Arc::clone(self), Arc::clone(lane));
        let job = move || {
            let limit = core.options.page;
            let batch = core.source.entries(&loaded.definition, after.as_ref(), until, limit);
            let mut state = lock(&held.state);
            if state.generation != generation {
                return;
            }
            state.is_fetching = false;
            let is_stale = std::mem::take(&mut state.is_stale);
            let short = after.as_ref().map(|at| at.slot) < state.head.as_ref().map(|at| at.slot);
            let failed = match batch {
                Ok(batch) if batch.entries.is_empty() && (short || !batch.is_last) => {
                    let text = "the scheduler does not give again what it gave before".to_owned();
                    Some(CuError::Unreachable(text))
                }
                Ok(batch) => {
                    state.ended = (batch.is_last && !is_stale).then_some(until);
                    state.queue.extend(batch.entries);
                    None
                }
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                let wants = state.fail(error.clone(), core.options.pause);
                drop(state);
                fail(wants, &error);
            } else {
                drop(state);
            }
            let _ = core.wake(&held);
        };
        self.send_out(lane, Box::new(job));
    }

    fn answer(&self, lane: &Lane, wants: Vec<Want>) {
        let head = lock(&lane.state).head.as_ref().map(|head| head.slot);
        let found = match head {
            None => Ok(None),
            Some(head) => self.recorded(&lane.id, head),
        };
        for want in wants {
            let _ = want.reply.send(found.clone());
        }
    }

    /// Puts the state where others can read it. If that fails, reads start from the last image.
    fn freeze(&self, lane: &Lane, seat: &mut Option<Seat>) {
        let loaded = lock(&lane.state).loaded.clone();
        let Some((loaded, seat)) = loaded.zip(seat.as_mut()) else { return };
        let Some(at) = seat.at.clone() else { return };
        // Whoever reads in the old window goes on. Without it, what it shares with the drive is written over, and not
        // copied.
        *lock(&lane.window) = None;
        match seat.bay.freeze() {
            Ok(frozen) => {
                *lock(&lane.window) = Some(Arc::new(Window::new(loaded, at, frozen)));
            }
            Err(error) => self.trouble(lane, error.into()),
        }
    }

    fn mount(
        self: &Arc<Self>,
        lane: &Lane,
        loaded: &Arc<Loaded>,
        seat: &mut Option<Seat>,
    ) -> Result<(), CuError> {
        match seat {
            Some(seat) => {
                let replay = seat.rewind();
                lock(&lane.state).put_back(replay);
                seat.bay.mount()
            }
            None => {
                let (need, head) = {
                    let mut state = lock(&lane.state);
                    state.restart();
                    (state.last_bytes, state.head.as_ref().map(|head| head.slot))
                };
                self.make_room(need);
                let (bay, base) = self.open_bay(loaded, head)?;
                *seat = Some(Seat::new(bay, base));
                Ok(())
            }
        }
    }

    /// Evaluates the next entry, or finds that it was.
    fn run(&self, lane: &Lane, loaded: &Loaded, seat: &mut Option<Seat>, entry: Entry) {
        let Some(seat) = seat.as_mut() else { return };
        let head = lock(&lane.state).head.as_ref().map(|head| head.slot);
        let last = seat.at.as_ref().map(|at| at.slot);
        let started = Instant::now();
        let done = if !follows(last, entry.at.slot) {
            let text = format!("the scheduler gave slot {:?} after {last:?}", entry.at.slot);
            Err(CuError::Unreachable(text))
        } else if let Err(skipped) = self.ledger.none_skipped(loaded.id(), last, entry.at.slot) {
            Err(skipped)
        } else if head.is_some_and(|head| head >= entry.at.slot) {
            self.replay_into(loaded, &mut seat.bay, &entry)
        } else {
            self.evaluate(loaded, seat, &entry).map(|stored| {
                lock(&lane.state).head = Some(stored.at);
            })
        };
        let took = started.elapsed();
        match done {
            Ok(()) => {
                seat.cost += took;
                seat.pass(entry);
                seat.is_spent |= !seat.bay.is_live();
                if self.is_image_due(lane, seat) {
                    // If it cannot be kept, the process goes back further: nothing is lost.
                    let _ = self.take_image(lane, seat);
                }
                let mut state = lock(&lane.state);
                state.trouble = None;
                state.evaluated += 1;
                state.busy += took;
            }
            Err(CuError::Diverged { slot, why, .. }) => {
                let why = Quarantine { slot, why };
                seat.bay.lose();
                // If that cannot be kept, the next start finds it again.
                let _ = self.ledger.set_quarantine(&lane.id, Some(&why));
                lock(&lane.state).quarantine = Some(why);
            }
            Err(error) => {
                lock(&lane.state).put_back(vec![entry]);
                self.trouble(lane, error);
            }
        }
    }

    /// Evaluates what is not recorded yet, and records it.
    fn evaluate(
        &self,
        loaded: &Loaded,
        seat: &mut Seat,
        entry: &Entry,
    ) -> Result<StoredResult, CuError> {
        let id = loaded.id();
        let first = match self.ledger.first(id, entry)? {
            Some(first) => self.ledger.get(id, first)?,
            None => None,
        };
        let stored = match first {
            _ if entry.is_skipped => StoredResult::skipped(entry, loaded.rules),
            Some(first) => first.again(entry),
            None => self.call(loaded, &mut seat.bay, entry)?,
        };
        if let Err(error) = self.ledger.append(id, entry, &stored) {
            // The drive is ahead of the ledger, and the ledger wins.
            seat.bay.lose();
            return Err(error.into());
        }
        Ok(stored)
    }

    /// Evaluates what is recorded, and compares. What left no mark is passed over.
    pub(crate) fn replay_into(
        &self,
        loaded: &Loaded,
        bay: &mut Bay,
        entry: &Entry,
    ) -> Result<(), CuError> {
        let diverged = |why: String| CuError::Diverged {
            process: loaded.id().to_owned(),
            slot: entry.at.slot,
            why,
        };
        let Some(recorded) = self.ledger.get(loaded.id(), entry.at.slot)? else {
            return Err(diverged("it was not recorded".to_owned()));
        };
        if recorded.receipt.verdict != Verdict::Done {
            let (was, is) = (&recorded.receipt.message, &entry.id);
            let same = was == is;
            return if same {
                Ok(())
            } else {
                Err(diverged(format!("it was {was}, and is {is} now")))
            };
        }
        let again = self.call(loaded, bay, entry)?;
        match recorded.receipt.difference(&again.receipt) {
            None => Ok(()),
            Some(why) => Err(diverged(why)),
        }
    }

    fn call(&self, loaded: &Loaded, bay: &mut Bay, entry: &Entry) -> Result<StoredResult, CuError> {
        let call = call::scheduled(&loaded.definition.process, &loaded.env, entry);
        let witness = Witness::new(self.source.host(&loaded.definition, entry));
        let host: Arc<dyn Host> = Arc::clone(&witness) as Arc<dyn Host>;
        let done = bay.step(call, host)?;
        let mut stored = StoredResult::new(entry, &done, loaded.rules, witness.digest());
        stored.reader = Arc::clone(&loaded.reader);
        Ok(stored)
    }

    /// The state after a slot that the process has passed: from the nearest image, in a bay of its own.
    pub(crate) fn past(&self, lane: &Lane, slot: Slot) -> Result<Arc<Window>, CuError> {
        let Some(loaded) = lock(&lane.state).loaded.clone() else { return Err(CuError::Stopped) };
        let (mut bay, mut at) = self.open_bay(&loaded, Some(slot))?;
        while at.as_ref().is_none_or(|at| at.slot < slot) {
            let until = Until::Slot(slot);
            let limit = self.options.page;
            let batch = self.source.entries(&loaded.definition, at.as_ref(), until, limit)?;
            if batch.entries.is_empty() {
                return Err(CuError::Unknown(format!(
                    "there is no slot {}.{}",
                    slot.nonce, slot.tick
                )));
            }
            for entry in batch.entries {
                let last = at.as_ref().map(|at| at.slot);
                self.ledger.none_skipped(loaded.id(), last, entry.at.slot)?;
                self.replay_into(&loaded, &mut bay, &entry)?;
                at = Some(entry.at);
            }
        }
        let at = at.unwrap_or_default();
        let frozen = bay.freeze()?;
        Ok(Arc::new(Window::new(Arc::clone(&loaded), at, frozen)))
    }

    pub(crate) fn dry_run(&self, window: &Window, message: &DryMessage) -> Result<DryRun, CuError> {
        let key = window.key(message);
        if let Some(known) = self.dry_runs.get(&key) {
            return Ok(known);
        }
        let done = window.dry_run(&*self.source, message)?;
        self.dry_runs.put(key, done.clone());
        Ok(done)
    }

    /// Something of ours failed: whoever waits hears it, and the next try comes after a pause.
    fn trouble(&self, lane: &Lane, error: CuError) {
        let wants = lock(&lane.state).fail(error.clone(), self.options.pause);
        fail(wants, &error);
    }

    pub(crate) fn status(&self) -> CuStatus {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        let mut processes: Vec<_> = lanes.iter().map(|lane| self.progress(lane)).collect();
        processes.sort_by(|one, two| one.process.cmp(&two.process));
        CuStatus {
            live: processes.iter().filter(|process| process.bytes.is_some()).count(),
            live_bytes: self.live_bytes.load(Ordering::SeqCst),
            evicted: self.evicted.load(Ordering::Relaxed),
            budget_bytes: self.options.memory_bytes,
            modules: self.shelf.len(),
            slow: self.floor.slow(),
            waiting: self.floor.waiting(),
            reads_waiting: self.desk.waiting(),
            processes,
        }
    }

    pub(crate) fn progress(&self, lane: &Lane) -> Progress {
        let state = lock(&lane.state);
        let head = state.head.as_ref().map(|head| head.slot);
        let target = state.wants.iter().map(|want| want.until).max();
        let rate = rate(state.evaluated, state.busy);
        let left = match target {
            Some(Until::Slot(slot)) => {
                Some(slot.nonce.saturating_sub(head.map_or(0, |at| at.nonce)))
            }
            _ => None,
        };
        let is_live = state.seat.is_some() || state.turn == Turn::Running;
        Progress {
            process: lane.id.clone(),
            head,
            target,
            bytes: is_live.then_some(state.bytes),
            evaluated: state.evaluated,
            rate,
            estimate_s: left.zip(rate).map(|(left, rate)| left as f64 / rate),
            trouble: state.trouble.as_ref().map(|it| (it.error.to_string(), it.tries)),
            quarantine: state.quarantine.as_ref().map(|it| it.why.clone()),
        }
    }

    /// No more work is taken, and what waits is told.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        for pool in [&self.floor, &self.desk, &self.fetchers] {
            pool.stop();
        }
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        for lane in lanes {
            fail(std::mem::take(&mut lock(&lane.state).wants), &CuError::Stopped);
        }
    }

    pub(crate) fn shutdown(&self) -> Result<(), CuError> {
        self.stop();
        for pool in [&self.floor, &self.desk, &self.fetchers] {
            pool.join();
        }
        Ok(self.keep_all()?)
    }
}

pub(crate) fn fail(wants: Vec<Want>, error: &CuError) {
    for want in wants {
        // Whoever asked may have gone.
        let _ = want.reply.send(Err(error.clone()));
    }
}
