//! One process: a disk, an image to go back to, and the drive that runs.

use crate::{
    cu::CuError,
    disk::{
        Call, Disk, Drive, Fault, Frozen, Host, HostError, HostFailure, Image, Limits, Meter, Mode,
        Ran, Reply, bug,
    },
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A process at rest between two calls.
pub struct Bay {
    disk: Arc<dyn Disk>,
    limits: Limits,
    /// The committed state. The drive stands in it, or is gone and is mounted from it again.
    image: Image,
    drive: Option<Box<dyn Drive>>,
}

/// A verdict, and what was said and spent on the way to it.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// Set if the state did not advance.
    pub fault: Option<Fault>,
    /// What the guest answered.
    pub reply: Reply,
    /// What it cost.
    pub meter: Meter,
}

impl Evaluated {
    /// Whether the guest did what it was asked: neither a fault nor an error of its own.
    pub fn is_ok(&self) -> bool {
        self.fault.is_none() && self.reply.error.is_none()
    }
}

impl Bay {
    /// A process standing in `image`, which is checked here and not at the first call.
    pub fn open(disk: Arc<dyn Disk>, limits: Limits, image: Image) -> Result<Self, CuError> {
        let drive = Some(Arc::clone(&disk).mount(&image)?);
        Ok(Self { disk, limits, image, drive })
    }

    /// The committed state.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Evaluates one call. An error leaves the process where it was.
    pub fn advance(&mut self, call: Arc<Call>, host: Arc<dyn Host>) -> Result<Evaluated, CuError> {
        let drive = match self.drive.take() {
            Some(drive) => drive,
            None => Arc::clone(&self.disk).mount(&self.image)?,
        };
        let dry = call.mode == Mode::DryRun;
        let limits = self.limits;
        // The drive moved in and is lost with the panic, so nothing broken is seen afterwards.
        let ran = catch_unwind(AssertUnwindSafe(|| drive.run(call, &limits, host)))
            .unwrap_or_else(|panic| Err(HostFailure::from(panicked(&*panic))));
        match ran {
            Ok(Ran::Done { drive, reply, meter }) if !dry => self.commit(drive, reply, meter),
            Ok(Ran::Done { .. }) => Err(bug!("a dry-run came back with a new state").into()),
            Ok(Ran::Faulted { drive, fault, reply, meter }) => {
                self.drive = drive;
                Ok(Evaluated { fault: Some(fault), reply, meter })
            }
            Ok(Ran::Dry { drive, fault, reply, meter }) => {
                self.drive = drive;
                Ok(Evaluated { fault, reply, meter })
            }
            Err(HostFailure { error, drive }) => {
                self.drive = drive;
                Err(error.into())
            }
        }
    }

    /// Takes the new state. Where it cannot be had, the drive is ahead of us and is dropped.
    fn commit(
        &mut self,
        mut drive: Box<dyn Drive>,
        reply: Reply,
        meter: Meter,
    ) -> Result<Evaluated, CuError> {
        let frozen: Arc<dyn Frozen> = drive.freeze()?;
        self.image = frozen.image()?;
        self.drive = Some(drive);
        Ok(Evaluated { fault: None, reply, meter })
    }
}

fn panicked(panic: &(dyn Any + Send)) -> HostError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    bug!("the virtual machine panicked: {text}")
}
