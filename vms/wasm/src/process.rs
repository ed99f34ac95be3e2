//! A process in memory: its guest, and the committed state that it goes back to.
//!
//! Committing costs what was written, and some processes write most of their memory each time. So where it is dear it
//! is put off for a few messages: the process then stands in the committed state *and* in what came after, as calls.
//! Whoever looks at a state has it committed first. If the process has gone on since, or a run must be undone, the
//! calls are evaluated again, which gives the same: they were told nothing but what is in them.

use crate::base::{Bases, Shared, Start, held};
use crate::disk::WasmDisk;
use crate::engine::RUN_STACK_BYTES;
use crate::linear::Base;
use crate::live::{End, Ended, Live};
use crate::state::State;
use drivebay_disk::{
    Call, Data, Fault, Fuel, Host, HostError, Limits, Meter, Mode, PAGE, Pages, Reply, Resource,
    bug,
};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The most calls that wait for a commit. Odd, since a collector's marks may mean the opposite after each run of it:
/// after an even number, pages that are written every time would look as if they were not.
const LATE: usize = 7;
/// The most fuel that they took in all: so much,
const LATE_FUEL: u64 = 1 << 27;
/// and so much for each page that a commit has to bring up.
const LATE_FUEL_A_PAGE: u64 = 1 << 13;

/// A call that was evaluated and not committed yet.
#[derive(Clone)]
pub(crate) struct Redo {
    call: Arc<Call>,
    limits: Limits,
    fuel: Fuel,
}

impl Redo {
    /// What is evaluated.
    pub(crate) fn parts(&self) -> (Arc<Call>, &Limits) {
        (Arc::clone(&self.call), &self.limits)
    }

    /// Evaluates it on a guest that stands where it was evaluated first.
    fn on(&self, live: &mut Live) -> Result<(), HostError> {
        let ended = evaluate(live, &self.call, &self.limits, Arc::new(Silent))?;
        if matches!(ended.end, End::Commit) && ended.meter.fuel == self.fuel {
            return Ok(());
        }
        Err(bug!("evaluated again, a call took {:?}, not {:?}", ended.meter.fuel, self.fuel))
    }

    /// What it took.
    pub(crate) fn fuel(&self) -> Fuel {
        self.fuel
    }
}

/// A committed state, and the calls that lead on from it.
pub(crate) type Stand = (State, Vec<Redo>);

/// What a run came to.
pub(crate) struct Came {
    pub(crate) fault: Option<Fault>,
    pub(crate) reply: Reply,
    pub(crate) meter: Meter,
    /// The process stands where it should then. Otherwise nobody knows where.
    pub(crate) stands: bool,
}

/// A process in memory.
pub(crate) struct Process {
    pub(crate) disk: Arc<WasmDisk>,
    /// The guest. `None` after a run that could not be undone in place: it is made again when it is needed.
    live: Option<Live>,
    /// The state to go back to.
    base: Shared,
    /// What was evaluated since `base`.
    late: Vec<Redo>,
    /// Pages that the last commit had to bring up.
    dirty: usize,
    /// `late` must not wait: the host told a call something, or `base` was not brought up in whole.
    due: bool,
    /// It only comes to a state that others stood in: nothing is committed on the way.
    again: bool,
    /// Calls evaluated, so that a frozen state knows whether this is still it.
    pub(crate) turn: u64,
    /// What thawed drives of this process are mapped from.
    pub(crate) bases: Arc<Bases>,
    /// The base that `live` lies on, or lay.
    under: Weak<Base>,
    /// Pages that the process writes nearly every time, and so whoever is thawed in its state.
    hot: Arc<[u64]>,
    /// `live` is mapped from one of `bases`, and so made again cheaply.
    thawed: bool,
    /// Where `base` stands, if that is where the process was thawed, and that was on a base.
    start: Option<Start>,
    /// `live` stands in `base` and `late`.
    clean: bool,
}

impl Process {
    pub(crate) fn new(disk: Arc<WasmDisk>, state: State) -> Result<Self, HostError> {
        let live = disk.revive(&state, None)?;
        let base = Arc::new(Mutex::new(state));
        let bases = Bases::of(&base);
        let mut process = Self::bare(disk, base, bases);
        process.live = Some(live);
        Ok(process)
    }

    pub(crate) fn thawed(
        disk: Arc<WasmDisk>,
        state: State,
        bases: Arc<Bases>,
        hot: Arc<[u64]>,
    ) -> Result<Self, HostError> {
        let base = Arc::new(Mutex::new(state));
        let mut process = Self::bare(disk, base, bases);
        (process.hot, process.thawed) = (hot, true);
        process.live()?;
        Ok(process)
    }

    fn bare(disk: Arc<WasmDisk>, base: Shared, bases: Arc<Bases>) -> Self {
        Self {
            disk,
            live: None,
            base,
            late: Vec::new(),
            dirty: 0,
            due: false,
            again: false,
            turn: 0,
            bases,
            under: Weak::new(),
            hot: Arc::default(),
            thawed: false,
            start: None,
            clean: true,
        }
    }

    /// From now on it only comes to a state that another stood in.
    pub(crate) fn comes_again(&mut self) {
        self.again = true;
    }

    /// The guest, where the process stands.
    fn live(&mut self) -> Result<&mut Live, HostError> {
        if self.live.is_none() {
            self.live = Some(self.made()?);
            self.redo()?;
        }
        self.live.as_mut().ok_or_else(|| bug!("a guest that was just made is gone"))
    }

    /// A guest that stands in `base`.
    fn made(&mut self) -> Result<Live, HostError> {
        let mut base = held(&self.base);
        // The process's own drive is not thawed, so this state is not the one that bases know.
        self.start = if self.thawed { self.bases.start(&mut base.memory) } else { None };
        let Some(start) = &self.start else { return self.disk.revive(&base, None) };
        if let Some((mut live, pages)) = self.bases.take_spare(start)
            && self.disk.bring(&mut live, &base, &pages)?
        {
            return Ok(live);
        }
        let mut live = self.disk.revive(&base, Some(start))?;
        live.warm(&self.hot);
        Ok(live)
    }

    /// From `base` to where the process stands.
    fn redo(&mut self) -> Result<(), HostError> {
        self.clean = false;
        let Some(live) = &mut self.live else { return Ok(()) };
        let done = self.late.iter().try_for_each(|redo| redo.on(live));
        match done {
            Ok(()) => self.clean = true,
            Err(_) => self.live = None,
        }
        done
    }

    /// Whether the calls that were not committed may wait on.
    fn may_wait(&self) -> bool {
        let fuel = self.late.iter().fold(0, |sum: u64, redo| sum.saturating_add(redo.fuel.0));
        let most = LATE_FUEL + LATE_FUEL_A_PAGE * self.dirty as u64;
        // What has grown counts for the host's budget from its commit on.
        let committed = held(&self.base).memory.len_bytes();
        let has_grown = self.live.as_ref().is_some_and(|live| live.memory_bytes() > committed);
        let is_dear = self.dirty >= self.disk.dear() && !self.thawed && self.bases.is_calm();
        self.again || (is_dear && !has_grown && !self.due && self.late.len() < LATE && fuel <= most)
    }

    /// Brings `base` up to where the process stands.
    pub(crate) fn settle(&mut self) -> Result<(), HostError> {
        let Some(live) = self.live.as_mut().filter(|_| !self.late.is_empty()) else {
            return Ok(());
        };
        let mut base = held(&self.base);
        self.due = true;
        self.dirty = live.capture(&mut base)?;
        self.due = false;
        self.late.clear();
        let start = self.bases.under(&base.memory, &self.under).filter(|_| !self.thawed);
        if let Some(start) = start {
            let lies = live.lie_on(&base, &start);
            self.under = Arc::downgrade(&start.base);
            if lies.is_err() {
                // It is made again when it is needed.
                self.live = None;
            }
        }
        Ok(())
    }

    /// The state that it stands in: what is committed, and the calls since.
    pub(crate) fn freeze(&mut self) -> Result<(Stand, Arc<[u64]>), HostError> {
        if !self.may_wait() {
            self.settle()?;
        }
        let hot = self.live.as_ref().map_or_else(Arc::default, |live| live.hot().into());
        let state = held(&self.base).clone();
        Ok(((state, self.late.clone()), hot))
    }

    /// The memory that is committed.
    pub(crate) fn memory(&self) -> Pages {
        held(&self.base).memory.clone()
    }

    /// The state after `turn` calls, committed, if that is where it stands.
    pub(crate) fn settled_at(&mut self, turn: u64) -> Result<Option<State>, HostError> {
        if self.turn != turn || !self.clean {
            return Ok(None);
        }
        self.settle()?;
        Ok(self.late.is_empty().then(|| held(&self.base).clone()))
    }

    /// Back to where it stood before the last run, which is not in `late`.
    fn go_back(&mut self) -> Result<(), HostError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let is_back = self.disk.put_back(live, &held(&self.base))?;
        if !is_back {
            self.live = None;
        }
        if self.late.is_empty() {
            self.clean = is_back;
            return Ok(());
        }
        self.bases.be_wary();
        if is_back { self.redo() } else { self.live().map(drop) }
    }

    /// Evaluates a call. An error says whether the process stands where it stood.
    pub(crate) fn run(
        &mut self,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Came, (HostError, bool)> {
        if !self.may_wait() {
            self.settle().map_err(|error| (error, true))?;
        }
        self.live().map_err(|error| (error, true))?;
        self.clean = false;
        let Some(live) = &mut self.live else { return Err((bug!("no guest"), false)) };
        let host = Arc::new(Telling { host, told: AtomicBool::new(false) });
        match evaluate(live, &call, limits, Arc::clone(&host) as Arc<dyn Host>) {
            Ok(ended) => {
                self.due |= host.told.load(Ordering::Relaxed);
                self.finish(ended, call, limits)
            }
            Err(error) => Err((error, self.go_back().is_ok())),
        }
    }

    fn finish(
        &mut self,
        ended: Ended,
        call: Arc<Call>,
        limits: &Limits,
    ) -> Result<Came, (HostError, bool)> {
        let Ended { end, reply, meter } = ended;
        let (fault, stands) = match end {
            End::Fault(fault) => (Some(fault), self.go_back().is_ok()),
            End::Commit if call.mode != Mode::DryRun => {
                self.late.push(Redo { call, limits: *limits, fuel: meter.fuel });
                (self.start, self.clean) = (None, true);
                self.turn += 1;
                self.bases.gone_on();
                (None, true)
            }
            End::Keep if call.mode != Mode::DryRun => {
                // Done means that the drive stands in the state after: without it nothing is recorded.
                self.go_back().map_err(|error| (error, false))?;
                (None, true)
            }
            End::Commit | End::Keep => (None, self.go_back().is_ok()),
        };
        Ok(Came { fault, reply, meter, stands })
    }

    /// Pages that were never written take no room; those of the guest's memory lie in the committed state, too.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let committed = held(&self.base).memory.census();
        let live = self.live.as_ref();
        let guest = live
            .map_or(0, |live| committed.pages * PAGE as u64 + live.store.data().posix.held_bytes());
        // What waits for the next reader counts once: for the process's own drive.
        let spare = if self.thawed { 0 } else { self.bases.spare_bytes() };
        guest + committed.held * PAGE as u64 + spare
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let start = self.start.take().filter(|_| self.clean);
        if let Some((live, start)) = self.live.take().zip(start) {
            self.bases.keep_spare(live, start);
        }
    }
}

fn evaluate(
    live: &mut Live,
    call: &Arc<Call>,
    limits: &Limits,
    host: Arc<dyn Host>,
) -> Result<Ended, HostError> {
    // Guests may nest as deep as the counted limit, whatever thread the caller is on.
    stacker::maybe_grow(RUN_STACK_BYTES, RUN_STACK_BYTES + (1 << 20), || {
        live.evaluate(call, limits, host)
    })
}

/// A host that remembers whether it was asked.
struct Telling {
    host: Arc<dyn Host>,
    told: AtomicBool,
}

impl Host for Telling {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        self.told.store(true, Ordering::Relaxed);
        self.host.read(what, range)
    }

    fn log(&self, line: &str) {
        self.host.log(line);
    }
}

/// The host of what is evaluated again: it was asked nothing, and heard every line before.
pub(crate) struct Silent;

impl Host for Silent {
    fn read(&self, what: &Resource, _: Range<u64>) -> Result<Option<Data>, HostError> {
        Err(bug!("evaluated again, a call asks for {what}"))
    }

    fn log(&self, _: &str) {}
}
