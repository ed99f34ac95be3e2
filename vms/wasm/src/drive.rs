//! A process, live. Its last committed state is kept as data, so that whatever a call leaves behind can
//! be thrown away with the whole guest.

use crate::base::{Bases, Shared, Start, held};
use crate::disk::WasmDisk;
use crate::engine::RUN_STACK_BYTES;
use crate::linear::Base;
use crate::live::{End, Ended, Live};
use crate::state::State;
use drivebay_disk::{
    Call, Drive, Fault, Frozen, Host, HostError, HostFailure, Image, Limits, Mode, PAGE, Ran, bug,
};
use std::sync::{Arc, Mutex, Weak};

/// A drive of a WebAssembly module.
pub(crate) struct WasmDrive {
    disk: Arc<WasmDisk>,
    /// The guest. `None` after a run that could not be undone in place: it is made again when it is needed.
    live: Option<Live>,
    /// The state to go back to.
    base: Shared,
    /// What thawed drives of this process are mapped from.
    bases: Arc<Bases>,
    /// The base that `live` lies on, or lay.
    under: Weak<Base>,
    /// Pages that the process writes nearly every time, and so whoever is thawed in its state.
    hot: Arc<[u64]>,
    /// `live` is mapped from one of `bases`, and so made again cheaply.
    thawed: bool,
    /// Where `base` stands, if that is where the drive was thawed, and that was on a base.
    start: Option<Start>,
    /// `live` stands in `base`.
    clean: bool,
    /// `live` has advanced past `base`.
    ahead: bool,
}

impl WasmDrive {
    pub(crate) fn new(disk: Arc<WasmDisk>, state: State) -> Result<Self, HostError> {
        let live = Some(disk.revive(&state, None)?);
        let base = Arc::new(Mutex::new(state));
        let bases = Bases::of(&base);
        let (under, hot) = (Weak::new(), Arc::default());
        let (thawed, start, clean, ahead) = (false, None, true, false);
        Ok(Self { disk, live, base, bases, under, hot, thawed, start, clean, ahead })
    }

    fn thawed(
        disk: Arc<WasmDisk>,
        state: State,
        bases: Arc<Bases>,
        hot: Arc<[u64]>,
    ) -> Result<Self, HostError> {
        let base = Arc::new(Mutex::new(state));
        let (live, under) = (None, Weak::new());
        let (thawed, start, clean, ahead) = (true, None, true, false);
        let mut drive = Self { disk, live, base, bases, under, hot, thawed, start, clean, ahead };
        drive.live()?;
        Ok(drive)
    }

    /// The guest, in its state.
    fn live(&mut self) -> Result<&mut Live, HostError> {
        if self.live.is_none() {
            self.live = Some(self.made()?);
            self.clean = true;
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

    /// Brings `base` up to `live`.
    fn settle(&mut self) -> Result<(), HostError> {
        let Some(live) = self.live.as_mut().filter(|_| self.ahead) else { return Ok(()) };
        let mut base = held(&self.base);
        live.capture(&mut base)?;
        self.ahead = false;
        self.bases.gone_on();
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

    /// Back to `base`. What cannot be put back is thrown away.
    fn go_back(&mut self) -> Result<(), HostError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        if self.disk.put_back(live, &held(&self.base))? {
            self.clean = true;
        } else {
            self.live = None;
        }
        Ok(())
    }

    fn roll_back(mut self: Box<Self>) -> Option<Box<dyn Drive>> {
        self.go_back().ok()?;
        Some(self)
    }

    fn finish(mut self: Box<Self>, ended: Ended, mode: Mode) -> Result<Ran, HostError> {
        let Ended { end, reply, meter } = ended;
        if mode == Mode::DryRun {
            let fault = end.fault();
            return Ok(Ran::Dry { drive: self.roll_back(), fault, reply, meter });
        }
        Ok(match end {
            End::Commit => {
                (self.ahead, self.start) = (true, None);
                Ran::Done { drive: self, reply, meter }
            }
            End::Keep => {
                // Done means that the drive stands in the state after: without it nothing is recorded.
                self.go_back()?;
                Ran::Done { drive: self, reply, meter }
            }
            End::Fault(fault) => Ran::Faulted { drive: self.roll_back(), fault, reply, meter },
        })
    }
}

impl End {
    fn fault(self) -> Option<Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Commit | Self::Keep => None,
        }
    }
}

impl Drive for WasmDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        if let Err(error) = self.settle() {
            return Err(HostFailure { error, drive: Some(self) });
        }
        if let Err(error) = self.live() {
            return Err(HostFailure { error, drive: Some(self) });
        }
        self.clean = false;
        let live = self.live.as_mut().ok_or_else(|| bug!("a guest that was just made is gone"))?;
        // Guests may nest as deep as the counted limit, whatever thread the caller is on.
        let ended = stacker::maybe_grow(RUN_STACK_BYTES, RUN_STACK_BYTES + (1 << 20), || {
            live.evaluate(&call, limits, host)
        });
        match ended {
            Ok(ended) => Ok(self.finish(ended, call.mode)?),
            Err(error) => Err(HostFailure { error, drive: self.roll_back() }),
        }
    }

    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        self.settle()?;
        let (disk, bases) = (Arc::clone(&self.disk), Arc::clone(&self.bases));
        let state = held(&self.base).clone();
        let hot = self.live.as_ref().map_or_else(Arc::default, |live| live.hot().into());
        Ok(Arc::new(WasmFrozen { disk, bases, state: Mutex::new(state), hot }))
    }

    /// Pages that were never written take no room; those of the guest's memory lie in the committed state, too.
    fn resident_bytes(&self) -> u64 {
        let committed = held(&self.base).memory.census();
        let live = self.live.as_ref();
        let guest = live
            .map_or(0, |live| committed.pages * PAGE as u64 + live.store.data().posix.held_bytes());
        guest + committed.held * PAGE as u64
    }
}

impl Drop for WasmDrive {
    fn drop(&mut self) {
        let start = self.start.take().filter(|_| self.clean);
        if let Some((live, start)) = self.live.take().zip(start) {
            self.bases.keep_spare(live, start);
        }
    }
}

/// A state at rest.
struct WasmFrozen {
    disk: Arc<WasmDisk>,
    bases: Arc<Bases>,
    /// It never changes; where its bytes lie does.
    state: Mutex<State>,
    hot: Arc<[u64]>,
}

impl Frozen for WasmFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        let (disk, bases) = (Arc::clone(&self.disk), Arc::clone(&self.bases));
        let mut state = held(&self.state).clone();
        let drive = WasmDrive::thawed(disk, state.clone(), bases, Arc::clone(&self.hot))?;
        // If a base was made, the old bytes go.
        state.memory = held(&drive.base).memory.clone();
        *held(&self.state) = state;
        Ok(Box::new(drive))
    }

    fn image(&self) -> Result<Image, HostError> {
        let state = held(&self.state).clone();
        Ok(self.disk.image(&state))
    }

    fn held_bytes(&self) -> u64 {
        let state = held(&self.state);
        let own = match self.bases.has_committed(&state.memory) {
            true => 0,
            false => state.memory.census().held * PAGE as u64 + state.posix.held_bytes(),
        };
        own + self.bases.held_bytes()
    }
}
