//! Running a case on a reader.

use super::{
    Case, Difference, Expected, Field, Named, Report,
    compare::{Got, compare},
    index::sha256_of,
    memory, world,
};
use bytes::Bytes;
use drivebay_disk::{
    ArtifactStore, Call, Disk, DiskReader, Drive, Fault, Frozen, Host, HostError, Image,
    ImageLimits, Limits, Meter, Module, MountError, Process, Ran, Refusal, RefusalCode, Reply, Tag,
};
use std::sync::Arc;

/// The program's path in all recordings; it reaches the guest in some formats, and is a rule of theirs.
const PROGRAM: &str = "/usr/app/src/effects/worker/evaluator/index.js";

/// How a case is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What each message after the first starts from.
    pub start: Start,
    /// Compare memories too. Hashing them takes longer than most messages.
    pub memory: bool,
    /// A memory that differs fails the case, unless named.
    pub strict_memory: bool,
    /// The differences that are meant to be.
    pub named: Named,
}

impl Default for Options {
    /// One warm drive; memories are compared, and fail nothing.
    fn default() -> Self {
        Self { start: Start::Warm, memory: true, strict_memory: false, named: Named::default() }
    }
}

/// What each message after the first starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The drive that the message before left.
    Warm,
    /// A new drive, from the image of that drive, written to bytes and read again.
    Restored,
}

/// Runs a case and compares each answer with the reference's, as values: the order of keys counts, and
/// numbers are doubles. Format and limits are the case's, never what the tags in its environment say.
pub fn run_case(
    reader: &dyn DiskReader,
    module: Bytes,
    case: &Case,
    artifacts: &dyn ArtifactStore,
    options: &Options,
) -> Report {
    let mut report = Report { case: case.name.clone(), ..Report::default() };
    report.skipped = unsupported(reader, case);
    if report.skipped.is_some() {
        return report;
    }
    report.replies = case.messages.len();
    let mut run = Run { case, options, report: &mut report, found: Vec::new() };
    if let Err(difference) = run.all(reader, module, artifacts) {
        run.found.push(difference);
    }
    let found = run.found;
    let finished = found.iter().all(|difference| difference.field != Field::Host);
    report.file(found, &options.named, options.strict_memory);
    if finished {
        report.find_stale(&options.named);
    }
    report
}

fn unsupported(reader: &dyn DiskReader, case: &Case) -> Option<String> {
    if case.this_program.as_deref().is_some_and(|program| program != PROGRAM) {
        return Some("it was recorded under another program path".to_owned());
    }
    if !case.argv_rest.is_empty() {
        return Some("it was recorded with arguments".to_owned());
    }
    if case.time_zone.as_deref().is_some_and(|zone| zone != "UTC") {
        return Some("it was recorded in another time zone than UTC".to_owned());
    }
    let known = reader.formats().iter().any(|format| format.name.as_str() == case.format);
    if known { None } else { Some(format!("the reader does not know format {}", case.format)) }
}

struct Run<'a> {
    case: &'a Case,
    options: &'a Options,
    report: &'a mut Report,
    found: Vec<Difference>,
}

/// What stays the same from message to message.
struct Machine {
    disk: Arc<dyn Disk>,
    limits: Limits,
    process: Arc<Process>,
    host: Arc<dyn Host>,
}

/// The state between two messages.
struct At {
    drive: Box<dyn Drive>,
    /// From which a drive is mounted that a fault has spent.
    rest: Rest,
}

enum Rest {
    Blank,
    Frozen(Arc<dyn Frozen>),
}

/// What a message came to, apart from the drive.
struct Outcome {
    fault: Option<Fault>,
    reply: Reply,
    meter: Meter,
}

impl Run<'_> {
    fn all(
        &mut self,
        reader: &dyn DiskReader,
        module: Bytes,
        artifacts: &dyn ArtifactStore,
    ) -> Result<(), Difference> {
        let machine = self.machine(reader, module, artifacts)?;
        let drive =
            machine.disk.clone().mount(machine.disk.blank()).map_err(|e| broken(None, &e))?;
        let mut at = At { drive, rest: Rest::Blank };
        for (message, want) in self.case.results.iter().enumerate() {
            let call = world::call(self.case, message, machine.process.clone());
            let (next, outcome) = machine.step(at, call).map_err(|e| broken(Some(message), &e))?;
            at = next;
            self.judge(message, want, &outcome);
            let done = outcome.fault.is_none();
            at = self.between(&machine, at, want, message, done)?;
        }
        Ok(())
    }

    fn machine(
        &self,
        reader: &dyn DiskReader,
        bytes: Bytes,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Machine, Difference> {
        if sha256_of(&bytes) != self.case.module_sha256 {
            return Err(broken(None, &"the module is not the one that the case names"));
        }
        let limit =
            self.case.compute_limit.map(|limit| Tag::new("Compute-Limit", limit.to_string()));
        let module = Module::new(bytes, self.case.format.as_str(), limit.into_iter().collect());
        let disk = reader.read(&module, artifacts).map_err(|e| broken(None, &e))?;
        Ok(Machine {
            disk,
            limits: reader.limits(&module, &Process::default()),
            process: Arc::new(world::process(&self.case.env)),
            host: Arc::new(world::Gateway::of(self.case)),
        })
    }

    fn judge(&mut self, message: usize, want: &Expected, outcome: &Outcome) {
        let Outcome { fault, reply, meter } = outcome;
        let found = compare(message, &want.answer, &Got { fault: fault.as_ref(), reply, meter });
        self.report.replies_equal += usize::from(found.is_empty());
        self.found.extend(found);
    }

    /// Compares the memory, and makes the drive for the next message.
    fn between(
        &mut self,
        machine: &Machine,
        mut at: At,
        want: &Expected,
        message: usize,
        done: bool,
    ) -> Result<At, Difference> {
        let host = |error: HostError| broken(Some(message), &error);
        let frozen = at.drive.freeze().map_err(host)?;
        let wanted = want.memory.as_ref().filter(|_| self.options.memory && done);
        if wanted.is_none() && self.options.start == Start::Warm {
            return Ok(At { rest: Rest::Frozen(frozen), ..at });
        }
        let image = frozen.image().map_err(host)?;
        if let Some(wanted) = wanted {
            self.compare_memory(machine, &image, wanted, message)?;
        }
        if self.options.start == Start::Restored {
            at.drive = restored(machine, &image).map_err(|e| broken(Some(message), &e))?;
        }
        Ok(At { rest: Rest::Frozen(frozen), ..at })
    }

    fn compare_memory(
        &mut self,
        machine: &Machine,
        image: &Image,
        wanted: &super::Memory,
        message: usize,
    ) -> Result<(), Difference> {
        let bytes = match machine.disk.disown(image) {
            Ok(bytes) => bytes,
            // A format without foreign checkpoints has no such memory.
            Err(MountError::Refused(Refusal { code: RefusalCode::Unsupported, .. })) => {
                return Ok(());
            }
            Err(error) => return Err(broken(Some(message), &error)),
        };
        self.report.memories += 1;
        match memory::differs(wanted, &bytes) {
            None => self.report.memories_equal += 1,
            Some(text) => {
                let message = Some(message);
                self.found.push(Difference { message, field: Field::Memory, text });
            }
        }
        Ok(())
    }
}

impl Machine {
    /// Evaluates one call. The state after a fault is the one before.
    fn step(&self, at: At, call: Call) -> Result<(At, Outcome), MountError> {
        let At { drive, rest } = at;
        let ran = drive.run(Arc::new(call), &self.limits, self.host.clone());
        let (drive, fault, reply, meter) = match ran.map_err(|failure| failure.error)? {
            Ran::Done { drive, reply, meter } => (Some(drive), None, reply, meter),
            Ran::Faulted { drive, fault, reply, meter } => (drive, Some(fault), reply, meter),
            Ran::Dry { .. } => {
                return Err(drivebay_disk::bug!("a scheduled call was run dry").into());
            }
        };
        let drive = match drive {
            Some(drive) => drive,
            None => self.disk.clone().mount(&rest.image(self)?)?,
        };
        Ok((At { drive, rest }, Outcome { fault, reply, meter }))
    }
}

impl Rest {
    fn image(&self, machine: &Machine) -> Result<Image, HostError> {
        match self {
            Self::Blank => Ok(machine.disk.blank().clone()),
            Self::Frozen(frozen) => frozen.image(),
        }
    }
}

/// A drive from the image's bytes, as after a restart of the host.
fn restored(machine: &Machine, image: &Image) -> Result<Box<dyn Drive>, MountError> {
    let mut bytes = Vec::new();
    image.write_to(&mut bytes)?;
    let image = Image::read_from(&mut bytes.as_slice(), &ImageLimits::default())?;
    machine.disk.clone().mount(&image)
}

fn broken(message: Option<usize>, error: &dyn std::fmt::Display) -> Difference {
    Difference { message, field: Field::Host, text: error.to_string() }
}
