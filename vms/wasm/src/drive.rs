//! A process, live. Its last committed state is kept as data, so that whatever a call leaves behind can
//! be thrown away with the whole guest.

use crate::disk::WasmDisk;
use crate::engine::RUN_STACK_BYTES;
use crate::live::{End, Ended, Live};
use crate::state::State;
use drivebay_disk::{
    Call, Drive, Fault, Frozen, Host, HostError, HostFailure, Image, Limits, Mode, Ran,
};
use std::sync::Arc;

/// A drive of a WebAssembly module.
pub(crate) struct WasmDrive {
    disk: Arc<WasmDisk>,
    live: Live,
    /// The state to go back to.
    base: State,
    /// `live` has advanced past `base`.
    ahead: bool,
}

impl WasmDrive {
    pub(crate) fn new(disk: Arc<WasmDisk>, state: State) -> Result<Self, HostError> {
        let live = disk.revive(&state)?;
        Ok(Self { disk, live, base: state, ahead: false })
    }

    /// Brings `base` up to `live`.
    fn settle(&mut self) -> Result<(), HostError> {
        if self.ahead {
            self.base = self.live.capture(&self.base)?;
            self.ahead = false;
        }
        Ok(())
    }

    /// Back to `base`.
    fn roll_back(mut self: Box<Self>) -> Option<Box<dyn Drive>> {
        self.disk.put_back(&mut self.live, &self.base).ok()?;
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
                self.ahead = true;
                Ran::Done { drive: self, reply, meter }
            }
            End::Keep => {
                // Done means that the drive stands in the state after: without it nothing is recorded.
                self.disk.put_back(&mut self.live, &self.base)?;
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
        let live = &mut self.live;
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
        Ok(Arc::new(WasmFrozen { disk: Arc::clone(&self.disk), state: self.base.clone() }))
    }

    fn resident_bytes(&self) -> u64 {
        self.live.memory_bytes() + self.live.store.data().posix.held_bytes()
    }
}

/// A state at rest.
struct WasmFrozen {
    disk: Arc<WasmDisk>,
    state: State,
}

impl Frozen for WasmFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(WasmDrive::new(Arc::clone(&self.disk), self.state.clone())?))
    }

    fn image(&self) -> Result<Image, HostError> {
        Ok(self.disk.image(&self.state))
    }

    fn held_bytes(&self) -> u64 {
        self.state.memory.len_bytes() + self.state.posix.held_bytes()
    }
}
