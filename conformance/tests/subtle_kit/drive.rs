//! Its drives.

use super::Oddity;
use drivebay_disk::{
    Call, Data, Digest, Drive, Fault, FaultCode, Frozen, Fuel, Host, HostError, HostFailure, Image,
    Limits, Mode, Output, Ran, Reply, Resource, SectionName, bug,
};
use std::{
    collections::{BTreeSet, HashMap},
    hint::black_box,
    ops::Range,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// What faulted calls had said, whoever they were.
static OUTBOX: Mutex<Vec<u8>> = Mutex::new(Vec::new());

type Known = (Digest, Arc<Mutex<BTreeSet<Digest>>>);

pub(crate) struct OddDrive {
    drive: Option<Box<dyn Drive>>,
    kind: Oddity,
    known: Known,
    /// What is said is put here first.
    buffer: Arc<Mutex<Vec<u8>>>,
    /// Something happened since the last freeze.
    unsettled: bool,
    /// It was mounted from an image that is not the blank one.
    pub(super) was_image: bool,
    thawed: bool,
    runs: u64,
    asked: AtomicU64,
    faults: Arc<AtomicU64>,
}

impl OddDrive {
    pub(crate) fn new(
        drive: Box<dyn Drive>,
        kind: Oddity,
        known: Known,
        buffer: Arc<Mutex<Vec<u8>>>,
    ) -> Self {
        let (asked, faults) = Default::default();
        let (unsettled, was_image, thawed, runs) = (false, false, false, 0);
        Self {
            drive: Some(drive),
            kind,
            known,
            buffer,
            unsettled,
            was_image,
            thawed,
            runs,
            asked,
            faults,
        }
    }

    fn before(&self, call: &Call) {
        let message = &call.message;
        match self.kind {
            Oddity::PanicsWithoutData => assert!(message.data.is_some(), "no data"),
            Oddity::PanicsAtLastSlot => assert!(call.slot.nonce < u64::MAX, "overflow"),
            Oddity::PanicsOnOddText => {
                let text = std::str::from_utf8(message.data.as_deref().unwrap_or_default());
                assert!(text.is_ok(), "no text");
            }
            _ => {}
        }
    }

    fn allowed(&self, limits: &Limits, mode: Mode) -> Limits {
        let mut limits = *limits;
        match self.kind {
            Oddity::DryRunsAreFree if mode == Mode::DryRun => limits.fuel = Fuel(1_000_000),
            Oddity::ShallowWhenThawed if self.thawed => limits.depth -= 1,
            Oddity::FuelFromImages if self.was_image => limits.fuel.0 += 1,
            Oddity::DepthByStack => {
                let place = 0_u8;
                let place = std::ptr::from_ref(black_box(&place)).addr();
                limits.depth -= ((place >> 14) % 8) as u32;
            }
            _ => {}
        }
        limits
    }

    /// What it says besides.
    fn muttered(&self) -> Option<u8> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        match self.kind {
            Oddity::DryRunsUnsettle | Oddity::HostErrorsUnsettle => self.unsettled.then_some(b'!'),
            Oddity::ClockOfSeconds => Some(now.as_secs() as u8),
            Oddity::WearsOut => (self.runs > 64).then_some(b'~'),
            Oddity::SizeIsSeen => Some(self.asked.load(Ordering::Relaxed) as u8),
            Oddity::TwinsShareFaults => Some(self.faults.load(Ordering::Relaxed) as u8),
            _ => None,
        }
    }

    /// Is this the first run of the module in this program?
    fn is_first(&self) -> bool {
        self.known.1.lock().unwrap().insert(self.known.0)
    }

    fn bend(&mut self, reply: &mut Reply, fuel: &mut Fuel, limits: &Limits, took: Duration) {
        let Output::Raw(said) = &mut reply.output else { return };
        match self.kind {
            Oddity::FirstTimeIsDear if self.is_first() => fuel.0 += 1,
            Oddity::TimeIsFuel => fuel.0 += took.as_millis() as u64 / 50,
            Oddity::DryRunsAreFree => *fuel = (*fuel).min(limits.fuel),
            Oddity::SeesItsFuel if limits.fuel.0 > 1 << 30 => said.push(b'$'),
            Oddity::HashOrder if said.len() > 1 => {
                let all: HashMap<_, _> = said.drain(..).enumerate().collect();
                said.extend(all.into_values());
            }
            Oddity::AddressOrder if said.len() > 1 => {
                let mut all: Vec<Box<u8>> = said.drain(..).map(Box::new).collect();
                all.sort_by_key(|byte| std::ptr::from_ref::<u8>(byte).addr());
                said.extend(all.into_iter().map(|byte| *byte));
            }
            Oddity::SharedBuffer => {
                let mut buffer = self.buffer.lock().unwrap();
                // It is emptied before a message that is not empty.
                if !said.is_empty() {
                    buffer.clear();
                }
                buffer.append(said);
                said.clone_from(&buffer);
            }
            _ => {}
        }
        fuel.0 = fuel.0.min(limits.fuel.0);
    }

    fn faulted(&mut self, fault: &mut Fault, reply: &Reply) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        if let (Oddity::OutboxOutlivesFaults, Output::Raw(said)) = (self.kind, &reply.output) {
            OUTBOX.lock().unwrap().extend(said);
        }
        if self.kind == Oddity::PayloadUnbounded && fault.code == FaultCode::Raised {
            fault.payload = b"in frame ".repeat(1000);
        }
        if self.kind == Oddity::TellsItsSource && fault.code == FaultCode::Raised {
            fault.payload = format!("raised at {}:{}", file!(), line!()).into_bytes();
        }
    }

    fn ended(mut self: Box<Self>, ran: Ran, limits: &Limits, took: Duration) -> Ran {
        let muttered = self.muttered();
        let (drive, mut fault, mut reply, mut meter, dry) = match ran {
            Ran::Done { drive, reply, meter } => (Some(drive), None, reply, meter, false),
            Ran::Faulted { drive, fault, reply, meter } => {
                (drive, Some(fault), reply, meter, false)
            }
            Ran::Dry { drive, fault, reply, meter } => (drive, fault, reply, meter, true),
        };
        if let (Output::Raw(said), Some(byte)) = (&mut reply.output, muttered) {
            said.push(byte);
        }
        self.bend(&mut reply, &mut meter.fuel, limits, took);
        if self.kind == Oddity::TimesOut && took > Duration::from_millis(100) {
            (fault, meter.fuel) = (Some(Fault::new(FaultCode::OutOfFuel, "")), limits.fuel);
        }
        match &mut fault {
            Some(fault) if !dry => self.faulted(fault, &reply),
            None if !dry && self.kind == Oddity::OutboxOutlivesFaults => {
                if let Output::Raw(said) = &mut reply.output {
                    said.append(&mut OUTBOX.lock().unwrap());
                }
            }
            _ => {}
        }
        self.runs += u64::from(!dry);
        self.unsettled |= dry && self.kind == Oddity::DryRunsUnsettle;
        self.drive = drive;
        let drive = self.drive.is_some().then_some(self as Box<dyn Drive>);
        match (dry, fault, drive) {
            (true, fault, drive) => Ran::Dry { drive, fault, reply, meter },
            (false, Some(fault), drive) => Ran::Faulted { drive, fault, reply, meter },
            (false, None, Some(drive)) => Ran::Done { drive, reply, meter },
            (false, None, None) => unreachable!("what is done has a drive"),
        }
    }
}

impl Drive for OddDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        self.before(&call);
        let (mode, allowed) = (call.mode, self.allowed(limits, call.mode));
        let host: Arc<dyn Host> = match self.kind {
            Oddity::IoIsAbsence => Arc::new(Soft(host)),
            _ => host,
        };
        let mut drive = self.drive.take().ok_or_else(|| HostFailure::from(bug!("no drive")))?;
        let frozen = match (self.kind, mode) {
            (Oddity::TicksAreForgotten, Mode::Cron) => Some(drive.freeze()?),
            _ => None,
        };
        let started = Instant::now();
        match drive.run(call, &allowed, host) {
            Ok(ran) => {
                let took = started.elapsed();
                let ran = match frozen {
                    Some(frozen) => back(ran, &*frozen)?,
                    None => ran,
                };
                Ok(self.ended(ran, limits, took))
            }
            Err(failure) => {
                self.unsettled |= self.kind == Oddity::HostErrorsUnsettle;
                self.drive = failure.drive;
                let drive = self.drive.is_some().then_some(self as Box<dyn Drive>);
                Err(HostFailure { error: failure.error, drive })
            }
        }
    }

    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        self.unsettled = false;
        let drive = self.drive.as_mut().ok_or_else(|| bug!("no drive"))?;
        let (frozen, kind, known) = (drive.freeze()?, self.kind, self.known.clone());
        let (runs, buffer, faults) = (self.runs, self.buffer.clone(), self.faults.clone());
        let asked = self.asked.load(Ordering::Relaxed);
        let imaged = AtomicBool::new(false);
        let was_image = self.was_image;
        let frozen =
            OddFrozen { frozen, kind, known, buffer, runs, asked, faults, imaged, was_image };
        Ok(Arc::new(frozen))
    }

    fn resident_bytes(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed);
        1
    }
}

/// The state is the one from before.
fn back(ran: Ran, frozen: &dyn Frozen) -> Result<Ran, HostError> {
    Ok(match ran {
        Ran::Done { reply, meter, .. } => Ran::Done { drive: frozen.thaw()?, reply, meter },
        other => other,
    })
}

struct OddFrozen {
    frozen: Arc<dyn Frozen>,
    kind: Oddity,
    known: Known,
    buffer: Arc<Mutex<Vec<u8>>>,
    runs: u64,
    asked: u64,
    faults: Arc<AtomicU64>,
    imaged: AtomicBool,
    was_image: bool,
}

impl Frozen for OddFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        let drive = self.frozen.thaw()?;
        let mut drive = OddDrive::new(drive, self.kind, self.known.clone(), self.buffer.clone());
        (drive.runs, drive.asked) = (self.runs, AtomicU64::new(self.asked));
        drive.faults = self.faults.clone();
        (drive.was_image, drive.thawed) = (self.was_image, true);
        Ok(Box::new(drive))
    }
    fn image(&self) -> Result<Image, HostError> {
        let image = self.frozen.image()?;
        match self.kind {
            Oddity::ImagesOnce if self.imaged.swap(true, Ordering::Relaxed) => {
                with_cell(image, 9, 9)
            }
            Oddity::DeletionsAreLost => {
                let mut cell = [0];
                pages(&image).read(1, &mut cell).unwrap();
                // Only where there was something once.
                if cell == [0] && self.runs > 0 { with_cell(image, 1, 255) } else { Ok(image) }
            }
            _ => Ok(image),
        }
    }
    fn held_bytes(&self) -> u64 {
        self.frozen.held_bytes()
    }
}

const TAPE: SectionName = SectionName::new("tape");

fn pages(image: &Image) -> &drivebay_disk::Pages {
    image.pages(&TAPE).unwrap()
}

fn with_cell(image: Image, at: u64, byte: u8) -> Result<Image, HostError> {
    let mut pages = pages(&image).clone();
    pages.write(at, &[byte]).unwrap();
    Ok(image.with(TAPE, pages))
}

/// Says that there is nothing where reading failed.
struct Soft(Arc<dyn Host>);

impl Host for Soft {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        match self.0.read(what, range) {
            Err(HostError::Io { .. }) => Ok(None),
            other => other,
        }
    }
    fn log(&self, _: &str) {}
}

type One = Mutex<Option<Box<dyn Drive>>>;

/// Drives that are one.
pub(crate) struct Twins(Weak<One>);

struct Twin(Arc<One>);

impl Twins {
    pub(crate) fn new(drive: Box<dyn Drive>) -> (Box<dyn Drive>, Self) {
        let one = Arc::new(Mutex::new(Some(drive)));
        let twins = Self(Arc::downgrade(&one));
        (Box::new(Twin(one)), twins)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(crate) fn drive(&self) -> Box<dyn Drive> {
        Box::new(Twin(self.0.upgrade().unwrap()))
    }
}

impl Drive for Twin {
    fn run(
        self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let one = self.0.clone();
        let mut shared = one.lock().unwrap();
        let drive = shared.take().ok_or_else(|| HostFailure::from(bug!("no drive")))?;
        let put = |drive: Box<dyn Drive>| -> Box<dyn Drive> {
            *shared = Some(drive);
            Box::new(Self(self.0.clone()))
        };
        Ok(drive.run(call, limits, host)?.map_drive(put))
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        self.0.lock().unwrap().as_mut().ok_or_else(|| bug!("no drive"))?.freeze()
    }
    fn resident_bytes(&self) -> u64 {
        0
    }
}
