//! `Tape` with flaws, each of which breaks a law.

mod drive;

use drive::{FlawedDrive, Shared};
use drivebay_conformance::laws::roles::GO;
use drivebay_disk::{
    ArtifactStore, Digest, Disk, DiskId, DiskReader, Drive, Format, Image, Limits, Module,
    MountError, NoArtifacts, Process, Ran, ReadError, ReaderId, Refusal, RefusalCode, bug,
    testing::{MapHost, Tape, call},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Not a flaw: every fault and every host error takes the drive.
    SpentByFaults,
    GlobalCounter,
    ThreadsName,
    FreezeIsSeen,
    PanicsInRun,
    ForgetsInImage,
    WarmIsCheaper,
    SharesFrozen,
    FreezesLate,
    FaultsLeak,
    FaultsLeakUnseen,
    HostErrorsLeak,
    HostErrorsTurn,
    DryRunsLeak,
    DryRunsAnswerOtherwise,
    DryRunsAreDone,
    OneFuelMore,
    OneFuelLess,
    OutOfFuelSaysLess,
    CatchesFuel,
    CatchesHost,
    OutputNearly,
    OutputWarmly,
    MemoryNearly,
    MemoryNever,
    DepthFixed,
    DepthIsMemory,
    PanicsOnModule,
    BugOnModule,
    RefusesAtTimes,
    AnyFormat,
    BelievesArtifacts,
    AnyImage,
    PanicsOnImage,
    MountsOther,
    RunsInRead,
    RunsInMount,
    KeepsHost,
    KeepsHostAfterErrors,
    CostsMore,
}

/// `Tape` with one flaw.
pub(crate) struct Flawed {
    tape: Tape,
    flaw: Flaw,
    reads: AtomicU64,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { tape: Tape::default(), flaw, reads: AtomicU64::new(0) }
    }

    fn bent(&self, module: &Module, artifacts: &dyn ArtifactStore) -> Module {
        let mut module = module.clone();
        if self.flaw == Flaw::AnyFormat {
            module.format = "tape-1".into();
        }
        if self.flaw == Flaw::BelievesArtifacts {
            match artifacts.get(&module.id) {
                Some(kept) => module.bytes = kept,
                None => artifacts.put(&module.id, &module.bytes),
            }
        }
        module
    }
}

impl DiskReader for Flawed {
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
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        let read = self.tape.read(&self.bent(module, artifacts), &NoArtifacts);
        let disk = match (self.flaw, read) {
            (_, Ok(disk)) => disk,
            (Flaw::PanicsOnModule, Err(error)) => panic!("{error}"),
            (Flaw::BugOnModule, Err(error)) => return Err(bug!("{error}").into()),
            (_, Err(error)) => return Err(error),
        };
        if self.flaw == Flaw::RefusesAtTimes && reads % 2 == 1 {
            return Err(Refusal::new(RefusalCode::Malformed, "not today").into());
        }
        if self.flaw == Flaw::RunsInRead
            && ran(&disk, self.limits(module, &Process::default())).is_none()
        {
            return Err(Refusal::new(RefusalCode::Malformed, "its start does not end").into());
        }
        Ok(Arc::new(FlawedDisk { disk, flaw: self.flaw }))
    }
    fn limits(&self, module: &Module, process: &Process) -> Limits {
        self.tape.limits(module, process)
    }
}

/// The drive after a plain call from the blank state, if that ended well.
fn ran(disk: &Arc<dyn Disk>, limits: Limits) -> Option<Box<dyn Drive>> {
    let drive = disk.clone().mount(disk.blank()).unwrap();
    after_go(drive, limits)
}

/// The drive after one more plain call, if that ended well.
fn after_go(drive: Box<dyn Drive>, limits: Limits) -> Option<Box<dyn Drive>> {
    match drive.run(call(0).data(GO).build(), &limits, Arc::new(MapHost::new())) {
        Ok(Ran::Done { drive, .. }) => Some(drive),
        _ => None,
    }
}

struct FlawedDisk {
    disk: Arc<dyn Disk>,
    flaw: Flaw,
}

impl Disk for FlawedDisk {
    fn id(&self) -> DiskId {
        self.disk.id()
    }
    fn format(&self) -> &Format {
        self.disk.format()
    }
    fn blank(&self) -> &Image {
        self.disk.blank()
    }
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let disk = self.disk.clone();
        let mounted = disk.clone().mount(image);
        let drive = match (self.flaw, mounted) {
            (Flaw::AnyImage, Err(_)) => disk.clone().mount(disk.blank())?,
            (Flaw::PanicsOnImage, Ok(_)) if looks_bent(image) => panic!("a bent image"),
            (Flaw::MountsOther, Ok(_)) if looks_bent(image) => disk.clone().mount(disk.blank())?,
            (Flaw::RunsInMount, Ok(drive)) => {
                let limits = Tape::default().limits(&common_module(), &Process::default());
                match after_go(drive, limits) {
                    Some(drive) => drive,
                    None => disk.clone().mount(image)?,
                }
            }
            (_, mounted) => mounted?,
        };
        Ok(match self.flaw {
            Flaw::SharesFrozen => Box::new(Shared::new(drive)),
            flaw => Box::new(FlawedDrive::new(drive, flaw)),
        })
    }
}

fn common_module() -> Module {
    Module::new(Vec::new(), "tape-1", Vec::new())
}

/// No role writes so far from the start of the tape without being told to take memory.
fn looks_bent(image: &Image) -> bool {
    let (_, section) = image.sections().next().unwrap();
    let drivebay_disk::Section::Pages(pages) = section else { return true };
    let mut first = [0; 4096];
    pages.read(0, &mut first).unwrap();
    Digest::of(&first[8..]) != Digest::of(&[0; 4088])
}
