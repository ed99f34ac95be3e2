//! `Tape` with a defect that shows seldom: under some call, after some time, to somebody who looks twice.

mod drive;

use drive::{OddDrive, Twins};
use drivebay_disk::{
    ArtifactStore, Digest, Disk, DiskId, DiskReader, Drive, Format, Image, Limits, Module,
    MountError, Process, ReadError, ReaderId, Refusal, RefusalCode, Root, testing::Tape,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A cron tick is evaluated, and its state thrown away.
    TicksAreForgotten,
    /// A dry-run is seen by the next call, unless somebody freezes in between.
    DryRunsUnsettle,
    /// The same of what a host could not do.
    HostErrorsUnsettle,
    /// A host's failure to read is told to the guest as "there is none".
    IoIsAbsence,
    /// It looks at a clock of seconds.
    ClockOfSeconds,
    /// A run that takes long is out of fuel.
    TimesOut,
    /// A run that takes long costs more.
    TimeIsFuel,
    /// It unwraps the message's data.
    PanicsWithoutData,
    /// It adds one to the slot.
    PanicsAtLastSlot,
    /// It slices text at a byte.
    PanicsOnOddText,
    /// After so many calls something is tidied away that no image has.
    WearsOut,
    /// The first run of a module in this program costs more: it is compiled then.
    FirstTimeIsDear,
    /// Compiled modules are kept by their length.
    CodeByLength,
    /// One bent module, and no module is read any more.
    PoisonedByBent,
    /// The ids of disks say the format, and not the module.
    IdsWithoutModule,
    /// Drives of one image are one drive.
    OneDriveAnImage,
    /// The second image of a frozen state is another.
    ImagesOnce,
    /// A cell that is 0 again keeps in the image what it had.
    DeletionsAreLost,
    /// What a faulted call had said is said by the next one, on whatever drive that is.
    OutboxOutlivesFaults,
    /// Whoever asks for its size changes what it says.
    SizeIsSeen,
    /// A dry-run has all the fuel in the world.
    DryRunsAreFree,
    /// How deep it goes hangs on the host's stack.
    DepthByStack,
    /// What the guest raised comes with all of a backtrace.
    PayloadUnbounded,
    /// A tag that is no number is a panic.
    PanicsOnTags,
    /// It knows who asks: with more fuel than it needs it says more.
    SeesItsFuel,
    /// A twin's fault is the writer's.
    TwinsShareFaults,
    /// The order of what it says is that of a hash map's keys.
    HashOrder,
    /// Two drives of a disk share the buffer of what is said.
    SharedBuffer,
    /// It says what it has to say in the order of addresses.
    AddressOrder,
    /// An error tells where in the program it was made.
    TellsItsSource,
    /// A thawed drive has one unit of depth less.
    ShallowWhenThawed,
    /// A process that was an image has one fuel more.
    FuelFromImages,
}

/// `Tape` with an oddity.
pub(crate) struct Odd {
    tape: Tape,
    kind: Oddity,
    by_length: Mutex<BTreeMap<usize, Arc<dyn Disk>>>,
    poisoned: Mutex<bool>,
    known: Arc<Mutex<BTreeSet<Digest>>>,
}

impl Odd {
    pub(crate) fn new(kind: Oddity) -> Self {
        let (by_length, poisoned, known) = Default::default();
        Self { tape: Tape::default(), kind, by_length, poisoned, known }
    }

    fn disk(
        &self,
        module: &Module,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Arc<dyn Disk>, ReadError> {
        if self.kind != Oddity::CodeByLength || module.format.as_str() != "tape-1" {
            return self.tape.read(module, artifacts);
        }
        let mut kept = self.by_length.lock().unwrap();
        if let Some(disk) = kept.get(&module.bytes.len()) {
            return Ok(disk.clone());
        }
        let disk = self.tape.read(module, artifacts)?;
        kept.insert(module.bytes.len(), disk.clone());
        Ok(disk)
    }
}

impl DiskReader for Odd {
    fn id(&self) -> ReaderId {
        self.tape.id()
    }
    fn formats(&self) -> &[Format] {
        self.tape.formats()
    }
    fn read(
        &self,
        module: &Module,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Arc<dyn Disk>, ReadError> {
        if self.kind == Oddity::PoisonedByBent && *self.poisoned.lock().unwrap() {
            return Err(Refusal::new(RefusalCode::Malformed, "no more").into());
        }
        let disk = self.disk(module, artifacts);
        if self.kind == Oddity::PoisonedByBent && disk.is_err() {
            *self.poisoned.lock().unwrap() = true;
        }
        let (kind, known, twins) = (self.kind, self.known.clone(), Mutex::default());
        Ok(Arc::new(OddDisk { disk: disk?, kind, known, twins, buffer: Arc::default() }))
    }
    fn limits(&self, module: &Module, process: &Process) -> Limits {
        if self.kind == Oddity::PanicsOnTags {
            let tag = drivebay_disk::Tag::last(&process.tags, "Compute-Limit");
            tag.map(|tag| tag.parse::<u64>().unwrap());
        }
        self.tape.limits(module, process)
    }
}

struct OddDisk {
    disk: Arc<dyn Disk>,
    kind: Oddity,
    known: Arc<Mutex<BTreeSet<Digest>>>,
    twins: Mutex<Vec<(Root, Twins)>>,
    buffer: Arc<Mutex<Vec<u8>>>,
}

impl Disk for OddDisk {
    fn id(&self) -> DiskId {
        match self.kind {
            Oddity::IdsWithoutModule => DiskId(self.disk.format().rules),
            _ => self.disk.id(),
        }
    }
    fn format(&self) -> &Format {
        self.disk.format()
    }
    fn blank(&self) -> &Image {
        self.disk.blank()
    }
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let drive = self.disk.clone().mount(image)?;
        if self.kind == Oddity::OneDriveAnImage {
            let mut twins = self.twins.lock().unwrap();
            twins.retain(|(_, twins)| twins.is_alive());
            if let Some((_, known)) = twins.iter().find(|(root, _)| *root == image.root()) {
                return Ok(known.drive());
            }
            let (drive, known) = Twins::new(drive);
            twins.push((image.root(), known));
            return Ok(drive);
        }
        let module = self.disk.blank().header().module;
        let known = (module, self.known.clone());
        let was_image = image.root() != self.disk.blank().root();
        let buffer = self.buffer.clone();
        let mut drive = OddDrive::new(drive, self.kind, known, buffer);
        drive.was_image = was_image;
        Ok(Box::new(drive))
    }
}
