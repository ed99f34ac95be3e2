//! One process, played call by call.

use super::{
    Broken,
    broken::{At, must},
    receipt::{Entry, Receipt, Verdict, Witness, same_entry},
    script::Step,
};
use drivebay_disk::{
    Call, Disk, Drive, Frozen, Host, HostFailure, Image, ImageLimits, Meter, Mode, Output, Ran,
    Reply, Root,
};
use std::{
    sync::{Arc, OnceLock},
    thread,
};

/// Bytes of stack of every thread that runs a guest.
pub(super) const STACK_BYTES: usize = 64 << 20;

/// A process and its last image. After every call its state is frozen and imaged.
pub(super) struct Player {
    disk: Arc<dyn Disk>,
    drive: Option<Box<dyn Drive>>,
    image: Image,
}

impl Player {
    /// Before the first call.
    pub(super) fn new(disk: &Arc<dyn Disk>) -> Result<Self, Broken> {
        Self::at(disk, disk.blank())
    }

    /// In the state of `image`.
    pub(super) fn at(disk: &Arc<dyn Disk>, image: &Image) -> Result<Self, Broken> {
        let drive = disk.clone().mount(image)?;
        Ok(Self::on(disk, drive, image))
    }

    /// On a drive that stands in the state of `image`.
    pub(super) fn on(disk: &Arc<dyn Disk>, drive: Box<dyn Drive>, image: &Image) -> Self {
        Self { disk: disk.clone(), drive: Some(drive), image: image.clone() }
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    pub(super) fn root(&self) -> Root {
        self.image.root()
    }

    /// The drive. One that a fault took is mounted again from the last image, as a host does.
    pub(super) fn take(&mut self) -> Result<Box<dyn Drive>, Broken> {
        match self.drive.take() {
            Some(drive) => Ok(drive),
            None => Ok(self.disk.clone().mount(&self.image)?),
        }
    }

    pub(super) fn freeze(&mut self) -> Result<Arc<dyn Frozen>, Broken> {
        let mut drive = self.take()?;
        let frozen = drive.freeze()?;
        self.drive = Some(drive);
        Ok(frozen)
    }

    /// Runs one step, and looks at the state after it.
    pub(super) fn play(&mut self, step: &Step) -> Result<Entry, Broken> {
        let (drive, receipt) = run(self.take()?, step)?;
        self.drive = drive;
        if self.drive.is_some() {
            self.image = self.freeze()?.image()?;
        }
        Ok(Entry { receipt, root: self.root() })
    }

    /// Runs the steps, and holds each to what is expected of it.
    pub(super) fn follow(&mut self, steps: &[Step], expected: &[Entry]) -> Result<(), Broken> {
        for (step, expected) in steps.iter().zip(expected) {
            self.play(step).and_then(|found| same_entry(expected, &found)).at(step)?;
        }
        Ok(())
    }

    /// Sends the process to itself: its image as bytes, read and mounted on `disk`.
    pub(super) fn moved(&self, disk: &Arc<dyn Disk>) -> Result<Self, Broken> {
        let bytes = written(&self.image)?;
        let image = Image::read_from(&mut bytes.as_slice(), &ImageLimits::default())?;
        must!(image.root() == self.root(), "the image read has another root than the one written");
        must!(written(&image)? == bytes, "the image read is written differently");
        Self::at(disk, &image)
    }
}

/// The image as a file.
pub(super) fn written(image: &Image) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    image.write_to(&mut bytes)?;
    Ok(bytes)
}

/// All entries of some steps from the blank state.
pub(super) fn play_all(disk: &Arc<dyn Disk>, steps: &[Step]) -> Result<Vec<Entry>, Broken> {
    let mut player = Player::new(disk)?;
    steps.iter().map(|step| player.play(step).at(step)).collect()
}

/// Runs one step on a drive. A host error breaks the law that asked.
pub(super) fn run(
    drive: Box<dyn Drive>,
    step: &Step,
) -> Result<(Option<Box<dyn Drive>>, Receipt), Broken> {
    Ok(try_run(drive, step)??)
}

/// The same, for laws about host errors.
#[expect(clippy::type_complexity, reason = "two ways to fail, apart")]
pub(super) fn try_run(
    drive: Box<dyn Drive>,
    step: &Step,
) -> Result<Result<(Option<Box<dyn Drive>>, Receipt), HostFailure>, Broken> {
    let witness = Arc::new(Witness::new(step.host.clone()));
    let host: Arc<dyn Host> = witness.clone();
    let ran = match drive.run(step.call.clone(), &step.limits, host) {
        Ok(ran) => ran,
        Err(failure) => return Ok(Err(failure)),
    };
    let (drive, verdict, reply, meter) = taken_apart(ran, &step.call)?;
    must!(meter.fuel <= step.limits.fuel, "it used {} fuel of {}", meter.fuel, step.limits.fuel);
    bounded(&verdict, &reply, step.limits.output_bytes)?;
    let reply = Reply { printed: Vec::new(), ..reply };
    Ok(Ok((drive, Receipt { verdict, reply, meter, reads: witness.reads() })))
}

/// Reply, payload and printed text are bounded together, however the run ended; and none of them tells of the
/// machine that it ran on.
fn bounded(verdict: &Verdict, reply: &Reply, limit: u32) -> Result<(), Broken> {
    let said = said(verdict, reply);
    let bytes: usize = said.iter().map(|part| part.len()).sum();
    must!(bytes as u64 <= u64::from(limit), "{bytes} bytes are said, over the limit of {limit}");
    for word in own_words() {
        let tells = |part: &&&[u8]| part.windows(word.len()).any(|bytes| bytes == word.as_bytes());
        let found = said.iter().find(tells).map(|part| String::from_utf8_lossy(part));
        must!(found.is_none(), "what it says tells of this machine ({word}): {found:?}");
    }
    Ok(())
}

/// All bytes of it.
fn said<'a>(verdict: &'a Verdict, reply: &'a Reply) -> Vec<&'a [u8]> {
    let Reply { output, messages, spawns, assignments, patches, error, printed } = reply;
    let sent = messages.iter().chain(spawns).map(|sent| &sent.json);
    let sent = sent.chain(assignments.iter().map(|sent| &sent.json));
    let sent = sent.chain(patches.iter().map(|patch| &patch.json)).chain(error);
    let mut said: Vec<&[u8]> = sent.map(|json| json.as_str().as_bytes()).collect();
    said.extend(printed.iter().map(|line| line.as_bytes()));
    said.push(match output {
        Output::Absent => b"",
        Output::Json(json) => json.as_str().as_bytes(),
        Output::Text(text) => text.as_bytes(),
        Output::Raw(bytes) => bytes,
    });
    if let Verdict::Faulted(_, payload) = verdict {
        said.push(payload);
    }
    said
}

/// What no guest can know: where this program is, and the lines of its source.
fn own_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let places = [std::env::current_dir(), std::env::current_exe()];
        let places = places.into_iter().flatten().map(|place| place.to_string_lossy().into_owned());
        let long = places.filter(|place| place.len() > 8);
        long.chain([".rs:".to_owned()]).collect()
    })
}

type Parts = (Option<Box<dyn Drive>>, Verdict, Reply, Meter);

fn taken_apart(ran: Ran, call: &Call) -> Result<Parts, Broken> {
    let dry = matches!(ran, Ran::Dry { .. });
    must!(dry == (call.mode == Mode::DryRun), "a dry-run is Ran::Dry, and nothing else is");
    let faulted = |fault: drivebay_disk::Fault| Verdict::Faulted(fault.code, fault.payload);
    Ok(match ran {
        Ran::Done { drive, reply, meter } => (Some(drive), Verdict::Done, reply, meter),
        Ran::Faulted { drive, fault, reply, meter } => (drive, faulted(fault), reply, meter),
        Ran::Dry { drive, fault, reply, meter } => {
            (drive, fault.map_or(Verdict::Done, faulted), reply, meter)
        }
    })
}

/// Runs `work` on a thread of its own, with the stack that guests need, and waits for it.
pub(super) fn elsewhere<T: Send>(
    work: impl FnOnce() -> Result<T, Broken> + Send,
) -> Result<T, Broken> {
    thread::scope(|scope| join(spawn(scope, work)?))
}

/// A thread of its own for `work`, within `scope`.
pub(super) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> Result<T, Broken> + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, Result<T, Broken>>, Broken> {
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn_scoped(scope, work).map_err(|error| Broken::new(format!("no thread: {error}")))
}

/// What the thread found. Its panic is a finding too.
pub(super) fn join<T>(
    thread: thread::ScopedJoinHandle<'_, Result<T, Broken>>,
) -> Result<T, Broken> {
    thread.join().unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// A panic, as a finding.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Broken {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Broken::new(format!("panicked: {text}"))
}
