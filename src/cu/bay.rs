//! One process: a disk, an image to go back to, and the drive that runs.

use crate::{
    cu::{CuError, floor::watched},
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
    /// A state to go back to. Whoever steps on without taking it along replays from there.
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

    /// Back to the state before the first call.
    pub fn reset(&mut self) {
        self.image = self.disk.blank().clone();
        self.drive = None;
    }

    /// Evaluates one call, and takes the image along. An error leaves the process where it was.
    pub fn advance(&mut self, call: Arc<Call>, host: Arc<dyn Host>) -> Result<Evaluated, CuError> {
        let keeps = call.mode != Mode::DryRun;
        self.mount()?;
        let done = self.step(call, host)?;
        if keeps && done.fault.is_none() {
            self.commit()?;
        }
        Ok(done)
    }

    /// Evaluates one call on the drive in hand, which then stands after it, or is gone. The image stays.
    pub(crate) fn step(
        &mut self,
        call: Arc<Call>,
        host: Arc<dyn Host>,
    ) -> Result<Evaluated, CuError> {
        let drive = self.drive.take().ok_or_else(|| bug!("a call without a drive"))?;
        let (done, drive) = run(drive, call, &self.limits, host);
        self.drive = drive;
        done
    }

    /// Whether there is a drive. Without one, the state is that of the image.
    pub(crate) fn is_live(&self) -> bool {
        self.drive.is_some()
    }

    /// Drops the drive: it is ahead of what could be kept.
    pub(crate) fn lose(&mut self) {
        self.drive = None;
    }

    /// Mounts the image, if there is no drive.
    pub(crate) fn mount(&mut self) -> Result<(), CuError> {
        if self.drive.is_none() {
            self.drive = Some(Arc::clone(&self.disk).mount(&self.image)?);
        }
        Ok(())
    }

    /// The state as it stands.
    pub(crate) fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        self.drive.as_mut().ok_or_else(|| bug!("a freeze without a drive"))?.freeze()
    }

    /// From now on, goes back to `image`, in which the drive stands.
    pub(crate) fn rebase(&mut self, image: Image) {
        self.image = image;
    }

    /// Bytes of memory that the drive holds.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.drive.as_ref().map_or(0, |drive| drive.resident_bytes())
    }

    /// Takes the new state. Where it cannot be had, the drive is ahead of us and is dropped.
    fn commit(&mut self) -> Result<(), CuError> {
        match self.freeze().and_then(|frozen| frozen.image()) {
            Ok(image) => {
                self.image = image;
                Ok(())
            }
            Err(error) => {
                self.lose();
                Err(error.into())
            }
        }
    }
}

/// Runs a call on a drive, and gives the drive back if it is whole. A panic in it is our error; the drive
/// moved in and is lost with the panic, so nothing broken is seen afterwards.
pub(crate) fn run(
    drive: Box<dyn Drive>,
    call: Arc<Call>,
    limits: &Limits,
    host: Arc<dyn Host>,
) -> (Result<Evaluated, CuError>, Option<Box<dyn Drive>>) {
    let dry = call.mode == Mode::DryRun;
    let ran = catch_unwind(AssertUnwindSafe(|| watched(|| drive.run(call, limits, host))))
        .unwrap_or_else(|panic| Err(HostFailure::from(panicked(&*panic))));
    match ran {
        Ok(Ran::Done { .. }) if dry => {
            (Err(bug!("a dry-run came back with a new state").into()), None)
        }
        Ok(Ran::Done { drive, reply, meter }) => {
            (Ok(Evaluated { fault: None, reply, meter }), Some(drive))
        }
        Ok(Ran::Faulted { drive, fault, reply, meter }) => {
            (Ok(Evaluated { fault: Some(fault), reply, meter }), drive)
        }
        Ok(Ran::Dry { drive, fault, reply, meter }) => {
            (Ok(Evaluated { fault, reply, meter }), drive)
        }
        Err(HostFailure { error, drive }) => (Err(error.into()), drive),
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
