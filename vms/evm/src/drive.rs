//! A process's state, live; and at rest, which is the same tables with what was gathered since.

use crate::{
    disk::EvmDisk,
    run,
    state::{Kept, State},
};
use drivebay_disk::{Call, Drive, Frozen, Host, HostError, HostFailure, Image, Limits, Mode, Ran};
use std::sync::Arc;

/// Bytes that a drive itself takes, about; what its state takes follows from its rows.
const BASE_BYTES: u64 = 16 << 10;
/// Bytes that a row of a table takes, about: measured at a million accounts.
const ROW_BYTES: u64 = 240;

pub(crate) struct EvmDrive {
    disk: Arc<EvmDisk>,
    state: State,
}

struct EvmFrozen {
    disk: Arc<EvmDisk>,
    kept: Kept,
}

impl EvmDrive {
    pub(crate) fn new(disk: Arc<EvmDisk>, state: State) -> Self {
        Self { disk, state: state.gathering() }
    }
}

impl Drive for EvmDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let is_dry = call.mode == Mode::DryRun;
        let ran = run::run(&self.disk, &mut self.state, (call, limits, !is_dry), host);
        let run::End { fault, reply, cost: meter } = match ran {
            Err(error) => return Err(HostFailure { error, drive: Some(self) }),
            Ok(end) => end,
        };
        Ok(match (is_dry, fault) {
            (true, fault) => Ran::Dry { drive: Some(self), fault, reply, meter },
            (false, None) => Ran::Done { drive: self, reply, meter },
            (false, Some(fault)) => Ran::Faulted { drive: Some(self), fault, reply, meter },
        })
    }

    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Ok(Arc::new(EvmFrozen { disk: self.disk.clone(), kept: self.state.keep() }))
    }

    /// Accounts, without their storage: how many slots they have is not counted anywhere.
    fn resident_bytes(&self) -> u64 {
        let world = &self.state.world;
        let recent = self.state.recent.as_ref().map_or(0, |recent| recent.bytes());
        BASE_BYTES + ROW_BYTES * (world.accounts.len() + world.codes.len()) + recent
    }
}

impl Frozen for EvmFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(EvmDrive::new(self.disk.clone(), self.kept.state()?)))
    }

    fn image(&self) -> Result<Image, HostError> {
        let image = self.kept.state()?.image(&self.disk.header());
        image.map_err(|error| drivebay_disk::bug!("imaging: {error}"))
    }

    fn held_bytes(&self) -> u64 {
        BASE_BYTES
    }
}
