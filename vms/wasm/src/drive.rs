//! Drives and frozen states: a process, as hosts hold it.

use crate::base::{Bases, held};
use crate::disk::WasmDisk;
use crate::linear;
use crate::process::{Came, Process, Silent, Stand};
use crate::state::State;
use drivebay_disk::{
    Call, Drive, Frozen, Host, HostError, HostFailure, Image, Limits, Mode, PAGE, Ran, bug,
};
use std::sync::{Arc, Mutex, Weak};

/// A drive of a WebAssembly module.
pub(crate) struct WasmDrive {
    /// Locked by whoever works on it: a run, or a reader who has its state committed while it rests.
    process: Arc<Mutex<Process>>,
}

impl WasmDrive {
    pub(crate) fn new(disk: Arc<WasmDisk>, state: State) -> Result<Self, HostError> {
        Process::new(disk, state).map(Self::of)
    }

    fn of(process: Process) -> Self {
        Self { process: Arc::new(Mutex::new(process)) }
    }
}

impl Drive for WasmDrive {
    fn run(
        self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let mode = call.mode;
        let came = held(&self.process).run(call, limits, host);
        let drive = |stands: bool| stands.then_some(self as Box<dyn Drive>);
        let Came { fault, reply, meter, stands } = match came {
            Ok(came) => came,
            Err((error, stands)) => return Err(HostFailure { error, drive: drive(stands) }),
        };
        let drive = drive(stands);
        Ok(match (mode, fault, drive) {
            (Mode::DryRun, fault, drive) => Ran::Dry { drive, fault, reply, meter },
            (_, Some(fault), drive) => Ran::Faulted { drive, fault, reply, meter },
            (_, None, Some(drive)) => Ran::Done { drive, reply, meter },
            (_, None, None) => return Err(bug!("evaluated, and nobody knows where it is").into()),
        })
    }

    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        let mut process = held(&self.process);
        let (stand, hot) = process.freeze()?;
        let (disk, bases) = (Arc::clone(&process.disk), Arc::clone(&process.bases));
        let (origin, turn) = (Arc::downgrade(&self.process), process.turn);
        let state = Mutex::new(stand);
        Ok(Arc::new(WasmFrozen { disk, bases, state, origin, turn, hot }))
    }

    fn resident_bytes(&self) -> u64 {
        held(&self.process).resident_bytes()
    }
}

/// Pages of a memory from which on what it leaves behind is given back to the system at once.
const LARGE: u64 = 8192;

/// A state at rest.
struct WasmFrozen {
    disk: Arc<WasmDisk>,
    bases: Arc<Bases>,
    /// A state, and calls that lead from there to this one. It never changes; how it is kept does.
    state: Mutex<Stand>,
    /// The process that was frozen,
    origin: Weak<Mutex<Process>>,
    /// after so many calls.
    turn: u64,
    hot: Arc<[u64]>,
}

impl WasmFrozen {
    /// The state, with no call left to be evaluated.
    fn state(&self) -> Result<State, HostError> {
        let mut state = held(&self.state);
        if !state.1.is_empty() {
            *state = match self.settled()? {
                Some(settled) => (settled, Vec::new()),
                None => (self.evaluated(&state)?, Vec::new()),
            };
        }
        Ok(state.0.clone())
    }

    /// From the process itself, if it rests where it was frozen.
    fn settled(&self) -> Result<Option<State>, HostError> {
        let Some(origin) = self.origin.upgrade() else { return Ok(None) };
        // If it is locked, it is going on.
        origin.try_lock().map_or(Ok(None), |mut process| process.settled_at(self.turn))
    }

    /// By evaluating the calls again.
    fn evaluated(&self, (state, late): &Stand) -> Result<State, HostError> {
        self.bases.be_wary();
        let mut twin = self.thawed(state.clone())?;
        twin.comes_again();
        let twin = WasmDrive::of(twin);
        let process = Arc::clone(&twin.process);
        let mut drive: Box<dyn Drive> = Box::new(twin);
        for redo in late {
            let (call, limits) = redo.parts();
            drive = match drive.run(call, limits, Arc::new(Silent)) {
                Ok(Ran::Done { drive, meter, .. }) if meter.fuel == redo.fuel() => drive,
                Ok(_) => return Err(bug!("evaluated again, a call ended otherwise")),
                Err(failure) => return Err(failure.error),
            };
        }
        let settled = held(&process).settled_at(late.len() as u64)?;
        settled.ok_or_else(|| bug!("calls that were evaluated again are not committed"))
    }

    fn thawed(&self, state: State) -> Result<Process, HostError> {
        let (disk, bases) = (Arc::clone(&self.disk), Arc::clone(&self.bases));
        Process::thawed(disk, state, bases, Arc::clone(&self.hot))
    }
}

impl Frozen for WasmFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        let process = self.thawed(self.state()?)?;
        // If a base was made, the old bytes go.
        let lies = process.memory();
        let lay = std::mem::replace(&mut held(&self.state).0.memory, lies.clone());
        if lay.page_count() >= LARGE && !lay.is_same(&lies) {
            drop(lay);
            linear::give_back();
        }
        Ok(Box::new(WasmDrive::of(process)))
    }

    fn image(&self) -> Result<Image, HostError> {
        Ok(self.disk.image(&self.state()?))
    }

    fn held_bytes(&self) -> u64 {
        let (state, _) = &*held(&self.state);
        let own = match self.bases.has_committed(&state.memory) {
            true => 0,
            false => state.memory.census().held * PAGE as u64 + state.posix.held_bytes(),
        };
        own + self.bases.held_bytes()
    }
}
