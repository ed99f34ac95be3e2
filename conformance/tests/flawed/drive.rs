//! Drives with flaws.

use super::{Flaw, after_go};
use drivebay_disk::{
    Call, Data, Drive, Fault, FaultCode, Frozen, Fuel, Host, HostError, HostFailure, Image, Limits,
    Mode, Output, Ran, Reply, Resource, bug,
};
use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// A drive that does everything well but one thing.
pub(crate) struct FlawedDrive {
    drive: Box<dyn Drive>,
    flaw: Flaw,
    runs: u64,
    freezes: u64,
    faults: u64,
    host: Option<Arc<dyn Host>>,
}

impl FlawedDrive {
    pub(crate) fn new(drive: Box<dyn Drive>, flaw: Flaw) -> Self {
        Self { drive, flaw, runs: 0, freezes: 0, faults: 0, host: None }
    }

    /// What it allows itself.
    fn allowed(&self, limits: &Limits) -> Limits {
        let mut limits = *limits;
        match self.flaw {
            Flaw::OneFuelMore => limits.fuel.0 += 1,
            Flaw::OneFuelLess => limits.fuel.0 = limits.fuel.0.saturating_sub(1),
            Flaw::OutputNearly => limits.output_bytes = limits.output_bytes.next_multiple_of(64),
            Flaw::OutputWarmly => limits.output_bytes += self.faults as u32,
            Flaw::MemoryNearly => {
                let thread = thread::current().name().map_or(1, str::len) as u64;
                let calls = CALLS.fetch_add(thread, Ordering::Relaxed);
                limits.memory_bytes += calls % 5 * 4096;
            }
            Flaw::MemoryNever => limits.memory_bytes = u64::MAX,
            Flaw::DepthFixed => limits.depth = limits.depth.min(20),
            _ => {}
        }
        limits
    }

    /// What it says besides.
    fn muttered(&self) -> Option<u8> {
        match self.flaw {
            Flaw::GlobalCounter => Some(CALLS.fetch_add(1, Ordering::Relaxed) as u8),
            Flaw::ThreadsName => {
                let id = format!("{:?}", thread::current().id());
                Some(id.bytes().fold(0, u8::wrapping_add))
            }
            Flaw::FreezeIsSeen => Some(self.freezes as u8),
            Flaw::ForgetsInImage => Some(self.runs as u8),
            Flaw::FaultsLeakUnseen => Some(self.faults as u8),
            _ => None,
        }
    }
}

impl Drive for FlawedDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        assert!(self.flaw != Flaw::PanicsInRun || call.slot.nonce < 2, "as it must");
        if self.flaw == Flaw::KeepsHost {
            self.host = Some(host.clone());
        }
        let kept = (self.flaw == Flaw::KeepsHostAfterErrors).then(|| host.clone());
        let host: Arc<dyn Host> = match self.flaw {
            Flaw::CatchesHost => Arc::new(Soft(host)),
            _ => host,
        };
        let dry = call.mode == Mode::DryRun;
        let call = match self.flaw {
            Flaw::DryRunsAreDone => Arc::new(Call { mode: Mode::Scheduled, ..(*call).clone() }),
            _ => call,
        };
        let allowed = self.allowed(limits);
        let Self { drive, flaw, .. } = *self;
        let mut next = Self { drive: Box::new(Gone), ..*self };
        let muttered = next.muttered();
        match drive.run(call, &allowed, host) {
            Ok(ran) => Ok(next.ended(ran, limits, dry, muttered)),
            Err(failure) => {
                next.host = kept;
                let error = match flaw {
                    Flaw::HostErrorsTurn => bug!("{}", failure.error),
                    _ => failure.error,
                };
                let drive = failure.drive.map(|drive| match flaw {
                    Flaw::HostErrorsLeak => after_go(drive, *limits).unwrap(),
                    _ => drive,
                });
                let drive = drive.filter(|_| flaw != Flaw::SpentByFaults);
                Err(HostFailure { error, drive: drive.map(|drive| next.on(drive)) })
            }
        }
    }

    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        self.freezes += 1;
        let frozen = self.drive.freeze()?;
        let (flaw, runs, faults) = (self.flaw, self.runs, self.faults);
        Ok(Arc::new(FlawedFrozen { frozen, flaw, runs, faults, thaws: AtomicU64::new(0) }))
    }

    fn resident_bytes(&self) -> u64 {
        self.drive.resident_bytes()
    }
}

impl FlawedDrive {
    fn on(mut self, drive: Box<dyn Drive>) -> Box<dyn Drive> {
        self.drive = drive;
        Box::new(self)
    }

    fn ended(mut self, ran: Ran, limits: &Limits, dry: bool, muttered: Option<u8>) -> Ran {
        let flaw = self.flaw;
        let (mut drive, mut fault, mut reply, mut meter, was_dry) = match ran {
            Ran::Done { drive, reply, meter } => (Some(drive), None, reply, meter, false),
            Ran::Faulted { drive, fault, reply, meter } => {
                (drive, Some(fault), reply, meter, false)
            }
            Ran::Dry { drive, fault, reply, meter } => (drive, fault, reply, meter, true),
        };
        mutter(&mut reply, muttered);
        let warm = self.runs > 0;
        if !was_dry && fault.is_none() {
            self.runs += 1;
        }
        self.faults += u64::from(fault.is_some() && !was_dry);
        let out_of_fuel = fault.as_ref().is_some_and(|fault| fault.code == FaultCode::OutOfFuel);
        match flaw {
            Flaw::WarmIsCheaper if !warm => meter.fuel.0 = (meter.fuel.0 + 1).min(limits.fuel.0),
            Flaw::CostsMore => meter.fuel.0 = (meter.fuel.0 + 1).min(limits.fuel.0),
            Flaw::OneFuelMore | Flaw::OneFuelLess => meter.fuel = meter.fuel.min(limits.fuel),
            Flaw::OutOfFuelSaysLess if out_of_fuel => {
                meter.fuel = Fuel(meter.fuel.0.saturating_sub(1));
            }
            Flaw::CatchesFuel if out_of_fuel => fault = None,
            Flaw::DepthIsMemory if fault == Some(Fault::new(FaultCode::TooDeep, "")) => {
                fault = Some(Fault::new(FaultCode::OutOfMemory, ""));
            }
            Flaw::FaultsLeak if fault.is_some() && !was_dry => {
                drive = drive.and_then(|drive| after_go(drive, roomy(limits)));
            }
            Flaw::SpentByFaults if fault.is_some() => drive = None,
            Flaw::DryRunsLeak if was_dry => {
                drive = drive.and_then(|drive| after_go(drive, roomy(limits)));
            }
            Flaw::DryRunsAnswerOtherwise if dry => mutter(&mut reply, Some(b'?')),
            _ => {}
        }
        let drive = drive.map(|drive| self.on(drive));
        match (was_dry, fault, drive) {
            (true, fault, drive) => Ran::Dry { drive, fault, reply, meter },
            (false, Some(fault), drive) => Ran::Faulted { drive, fault, reply, meter },
            (false, None, Some(drive)) => Ran::Done { drive, reply, meter },
            (false, None, None) => unreachable!("what is done has a drive"),
        }
    }
}

fn roomy(limits: &Limits) -> Limits {
    Limits { fuel: Fuel(1_000_000), memory_bytes: 1 << 24, output_bytes: 4096, ..*limits }
}

fn mutter(reply: &mut Reply, byte: Option<u8>) {
    if let (Output::Raw(said), Some(byte)) = (&mut reply.output, byte) {
        said.push(byte);
    }
}

struct FlawedFrozen {
    frozen: Arc<dyn Frozen>,
    flaw: Flaw,
    runs: u64,
    faults: u64,
    thaws: AtomicU64,
}

impl Frozen for FlawedFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        let mut drive = self.frozen.thaw()?;
        // Whoever thaws later than others gets a later state.
        if self.flaw == Flaw::FreezesLate && self.thaws.fetch_add(1, Ordering::Relaxed) > 2 {
            let limits = Limits { gas: None, depth: 100, ..roomy(&LIMITS) };
            if let Some(later) = after_go(drive, limits) {
                drive = later;
            } else {
                drive = self.frozen.thaw()?;
            }
        }
        let (flaw, runs, faults) = (self.flaw, self.runs, self.faults);
        Ok(Box::new(FlawedDrive { runs, faults, ..FlawedDrive::new(drive, flaw) }))
    }
    fn image(&self) -> Result<Image, HostError> {
        self.frozen.image()
    }
    fn held_bytes(&self) -> u64 {
        self.frozen.held_bytes()
    }
}

const LIMITS: Limits =
    Limits { fuel: Fuel(0), gas: None, memory_bytes: 0, output_bytes: 0, depth: 0 };

/// Stands in the place of a drive that is running.
struct Gone;

impl Drive for Gone {
    fn run(
        self: Box<Self>,
        _: Arc<Call>,
        _: &Limits,
        _: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        Err(bug!("it is running").into())
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Err(bug!("it is running"))
    }
    fn resident_bytes(&self) -> u64 {
        0
    }
}

/// Says that there is no such data, when it should say that it cannot know.
struct Soft(Arc<dyn Host>);

impl Host for Soft {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        Ok(self.0.read(what, range).unwrap_or(None))
    }
    fn log(&self, _: &str) {}
}

/// A drive that shares its state with whatever was frozen of it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Box<dyn Drive>>>);

impl Shared {
    pub(crate) fn new(drive: Box<dyn Drive>) -> Self {
        Self(Arc::new(Mutex::new(drive)))
    }
}

impl Drive for Shared {
    fn run(
        self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let mut shared = self.0.lock().unwrap();
        let drive = std::mem::replace(&mut *shared, Box::new(Gone));
        let put = |drive: Box<dyn Drive>| -> Box<dyn Drive> {
            *shared = drive;
            self.clone()
        };
        Ok(drive.run(call, limits, host)?.map_drive(put))
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Ok(Arc::new(self.clone()))
    }
    fn resident_bytes(&self) -> u64 {
        0
    }
}

impl Frozen for Shared {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(self.clone()))
    }
    fn image(&self) -> Result<Image, HostError> {
        self.0.lock().unwrap().freeze()?.image()
    }
    fn held_bytes(&self) -> u64 {
        0
    }
}
