//! A process's lane: what is wanted of it, what comes next, and its seat while it is in memory. One worker
//! at a time takes a turn on it, so there is one writer by construction.

use super::{
    Bay, CuError, Entry, Position, ProcessDefinition, StoredResult, Until, Window,
    ledger::Quarantine, lock, shelf::Shelved,
};
use crate::{
    disk::{Digest, Limits, Slot},
    wire::env_json,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The most requests that wait for one process.
pub(crate) const INBOX_MAX: usize = 1024;
/// The longest pause before a process that met an error of ours is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A process, known and compiled.
pub(crate) struct Loaded {
    pub(crate) definition: Arc<ProcessDefinition>,
    pub(crate) shelved: Shelved,
    pub(crate) env: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) rules: Digest,
    pub(crate) reader: Arc<str>,
}

impl Loaded {
    pub(crate) fn new(definition: ProcessDefinition, shelved: Shelved) -> Self {
        let env = env_json(&definition.process, &shelved.info).text();
        let limits = shelved.limits(&definition.process);
        let rules = shelved.disk.format().rules;
        let reader = shelved.reader();
        Self { definition: Arc::new(definition), shelved, env, limits, rules, reader }
    }

    pub(crate) fn id(&self) -> &str {
        &self.definition.process.id
    }
}

/// A process in memory.
pub(crate) struct Seat {
    pub(crate) bay: Bay,
    /// Where the drive stands; `None` before the first message.
    pub(crate) at: Option<Position>,
    /// Where the bay's image stands.
    pub(crate) base: Option<Position>,
    /// What was evaluated since, to be replayed if the drive is lost.
    pub(crate) tail: Vec<Entry>,
    pub(crate) tail_bytes: usize,
    /// What a replay of the tail would cost.
    pub(crate) cost: Duration,
    /// What the last image cost.
    pub(crate) image_cost: Duration,
    /// A machine that cannot go back by itself took the drive with it: once it stands again, an image is
    /// due, or a stream of failing messages would cost a growing replay each.
    pub(crate) is_spent: bool,
}

impl Seat {
    pub(crate) fn new(bay: Bay, base: Option<Position>) -> Self {
        Self {
            bay,
            at: base.clone(),
            base,
            tail: Vec::new(),
            tail_bytes: 0,
            cost: Duration::ZERO,
            image_cost: Duration::ZERO,
            is_spent: false,
        }
    }

    /// Moves on past an entry.
    pub(crate) fn pass(&mut self, entry: Entry) {
        self.at = Some(entry.at.clone());
        self.tail_bytes += entry.bytes();
        self.tail.push(entry);
    }

    /// The state was taken as an image where it stands.
    pub(crate) fn settle(&mut self) {
        self.base = self.at.clone();
        self.tail = Vec::new();
        self.tail_bytes = 0;
        self.cost = Duration::ZERO;
        self.is_spent = false;
    }

    /// Goes back to the image, and gives what has to be replayed.
    pub(crate) fn rewind(&mut self) -> Vec<Entry> {
        self.bay.lose();
        self.at = self.base.clone();
        self.tail_bytes = 0;
        self.cost = Duration::ZERO;
        std::mem::take(&mut self.tail)
    }
}

/// What somebody waits for.
pub(crate) struct Want {
    pub(crate) until: Until,
    /// The state has to be in the window too.
    pub(crate) state: bool,
    pub(crate) reply: oneshot::Sender<Result<Option<StoredResult>, CuError>>,
}

/// An error of ours, and when to try again.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) error: CuError,
    pub(crate) tries: u32,
    retry_at: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    #[default]
    Idle,
    Queued,
    Running,
}

/// A process's place on the floor.
pub(crate) struct Lane {
    pub(crate) id: String,
    pub(crate) state: Mutex<State>,
    /// The last state that can be read at once, also while a message runs.
    pub(crate) window: Mutex<Option<Arc<Window>>>,
    /// Its last dry-run was long: the next one waits for others like it.
    pub(crate) reads_slowly: AtomicBool,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) turn: Turn,
    /// Something has changed since the running turn looked.
    pub(crate) again: bool,
    pub(crate) wants: Vec<Want>,
    pub(crate) loaded: Option<Arc<Loaded>>,
    pub(crate) is_loading: bool,
    pub(crate) seat: Option<Seat>,
    /// What is recorded up to where.
    pub(crate) head: Option<Position>,
    /// What comes after the seat.
    pub(crate) queue: VecDeque<Entry>,
    pub(crate) is_fetching: bool,
    /// A fetch of an earlier generation tells nothing.
    pub(crate) generation: u64,
    /// Somebody asked after the running fetch had started: what it says of the end may be old.
    pub(crate) is_stale: bool,
    /// There is nothing beyond the queue up to here.
    pub(crate) ended: Option<Until>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) quarantine: Option<Quarantine>,
    /// When it was last of use, on the core's own count.
    pub(crate) used: u64,
    /// Bytes of memory that seat and window hold.
    pub(crate) bytes: u64,
    /// What it is expected to hold when it comes into memory again.
    pub(crate) last_bytes: u64,
    /// Its last turn was long: the next one waits for others like it.
    pub(crate) is_slow: bool,
    /// Messages evaluated since it was loaded, and the time that they took.
    pub(crate) evaluated: u64,
    pub(crate) busy: Duration,
}

/// What a turn does next.
pub(crate) enum Plan {
    Park,
    Load,
    /// Freeze the state, for somebody wants to read it.
    Freeze,
    Answer(Vec<Want>),
    Fail(Vec<Want>, CuError),
    Mount(Arc<Loaded>),
    Run(Arc<Loaded>, Box<Entry>),
    Fetch(Arc<Loaded>, Option<Position>, Until),
}

impl Lane {
    pub(crate) fn new(id: &str) -> Arc<Self> {
        let (state, window) = (Mutex::default(), Mutex::default());
        Arc::new(Self { id: id.to_owned(), state, window, reads_slowly: AtomicBool::default() })
    }

    pub(crate) fn window(&self) -> Option<Arc<Window>> {
        lock(&self.window).clone()
    }

    /// Asks for something. Says whether the lane must be queued.
    pub(crate) fn want(&self, want: Want) -> Result<(), CuError> {
        let mut state = lock(&self.state);
        if state.wants.len() >= INBOX_MAX {
            return Err(CuError::Busy("this process has too many requests that wait"));
        }
        state.wants.push(want);
        state.ended = None;
        state.is_stale = state.is_fetching;
        Ok(())
    }

    /// What to do next, given the seat that the turn holds.
    pub(crate) fn plan(&self, seat: Option<&Seat>) -> Plan {
        let mut state = lock(&self.state);
        state.again = false;
        if state.wants.is_empty() || state.is_loading {
            return Plan::Park;
        }
        let Some(loaded) = state.loaded.clone() else {
            return match state.due_trouble() {
                Some(error) => Plan::Fail(std::mem::take(&mut state.wants), error),
                None => {
                    state.is_loading = true;
                    Plan::Load
                }
            };
        };
        let window = lock(&self.window).as_ref().map(|window| window.at.slot);
        if let Some(plan) = state.serve(seat, window) {
            return plan;
        }
        if let Some(why) = &state.quarantine {
            let error = CuError::Diverged {
                process: self.id.clone(),
                slot: why.slot,
                why: why.why.clone(),
            };
            return Plan::Fail(std::mem::take(&mut state.wants), error);
        }
        if let Some(error) = state.due_trouble() {
            return Plan::Fail(std::mem::take(&mut state.wants), error);
        }
        let Some(seat) = seat.filter(|seat| seat.bay.is_live()) else { return Plan::Mount(loaded) };
        if let Some(entry) = state.queue.pop_front() {
            return Plan::Run(loaded, Box::new(entry));
        }
        if state.is_fetching {
            return Plan::Park;
        }
        let after = seat.at.clone();
        state.fetch(loaded, after)
    }
}

impl State {
    /// Those wants that can be answered, or that never will be.
    fn serve(&mut self, seat: Option<&Seat>, window: Option<Slot>) -> Option<Plan> {
        let head = self.head.as_ref().map(|head| head.slot);
        let live = seat.filter(|seat| seat.bay.is_live());
        let stands = live.is_some_and(|seat| seat.at == self.head) && head.is_some();
        let has_ended =
            |until: Until| self.queue.is_empty() && self.ended.is_some_and(|ended| ended >= until);
        let is_reached = |want: &Want| match want.until {
            Until::Slot(slot) => head.is_some_and(|head| head >= slot),
            Until::Now => has_ended(Until::Now) && (stands || head.is_none()),
        };
        let reached: Vec<bool> = self
            .wants
            .iter()
            .map(|want| is_reached(want) && (!want.state || stands || window == head))
            .collect();
        if reached.contains(&true) {
            // Whoever hears of a result may read its state next.
            if stands && window != head {
                return Some(Plan::Freeze);
            }
            let mut reached = reached.into_iter();
            let (ready, rest) = std::mem::take(&mut self.wants)
                .into_iter()
                .partition(|_| reached.next().unwrap_or_default());
            self.wants = rest;
            return Some(Plan::Answer(ready));
        }
        let is_current = live.is_some_and(|seat| seat.at == self.head);
        let is_lost = |want: &Want| !is_reached(want) && has_ended(want.until) && is_current;
        let lost: Vec<bool> = self.wants.iter().map(is_lost).collect();
        if lost.contains(&true) {
            let mut lost = lost.into_iter();
            let (gone, rest): (Vec<Want>, _) = std::mem::take(&mut self.wants)
                .into_iter()
                .partition(|_| lost.next().unwrap_or_default());
            self.wants = rest;
            let text = "the scheduler of this process has no such slot yet".to_owned();
            return Some(Plan::Fail(gone, CuError::Unknown(text)));
        }
        None
    }

    /// Asks for what comes after a position, as far as anybody wants and at least to the head.
    pub(crate) fn fetch(&mut self, loaded: Arc<Loaded>, after: Option<Position>) -> Plan {
        let wanted = self.wants.iter().map(|want| want.until).max().unwrap_or(Until::Now);
        let head = self.head.as_ref().map(|head| Until::Slot(head.slot));
        let until = head.map_or(wanted, |head| head.max(wanted));
        self.is_fetching = true;
        Plan::Fetch(loaded, after, until)
    }

    /// The error that is not to be tried again yet.
    fn due_trouble(&self) -> Option<CuError> {
        let trouble = self.trouble.as_ref()?;
        (Instant::now() < trouble.retry_at).then(|| trouble.error.clone())
    }

    /// Notes an error of ours; the pause before the next try grows.
    pub(crate) fn fail(&mut self, error: CuError, pause: Duration) -> Vec<Want> {
        let tries = self.trouble.as_ref().map_or(0, |trouble| trouble.tries).saturating_add(1);
        let is_ours = !matches!(error, CuError::Unknown(_) | CuError::Refused(_));
        let pause = pause.saturating_mul(1 << tries.min(10).saturating_sub(1)).min(PAUSE_MAX);
        let retry_at = Instant::now() + if is_ours { pause } else { Duration::ZERO };
        self.trouble = Some(Trouble { error, tries, retry_at });
        std::mem::take(&mut self.wants)
    }

    /// Starts anew what lies after the seat, which is another one.
    pub(crate) fn restart(&mut self) {
        self.queue.clear();
        self.ended = None;
        self.generation += 1;
        self.is_fetching = false;
    }

    /// Puts back what has to be evaluated again.
    pub(crate) fn put_back(&mut self, entries: Vec<Entry>) {
        for entry in entries.into_iter().rev() {
            self.queue.push_front(entry);
        }
    }
}

/// Whether a schedule may go from one slot to the other.
pub(crate) fn follows(last: Option<Slot>, next: Slot) -> bool {
    match last {
        None => next == Slot::default(),
        Some(last) => {
            let ticks = Slot { tick: last.tick.saturating_add(1), ..last };
            let message = Slot { epoch: last.epoch, nonce: last.nonce.saturating_add(1), tick: 0 };
            let epoch = next.epoch > last.epoch && next.tick == 0;
            next == ticks || next == message || epoch
        }
    }
}
