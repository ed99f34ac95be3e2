//! `Tape`: a whole virtual machine, to learn from and to test hosts with.
//!
//! Its memory is one long tape of bytes that outlives calls. A call starts with the head on cell 0 and runs
//! the program from its first byte to its last. White space means nothing.
//!
//! | text | does | text | does |
//! |---|---|---|---|
//! | `>` `<` | next cell, previous cell | `[ ]` | repeats while the cell is not 0 |
//! | `)` `(` | 4,096 cells on, or back | `@` | runs the whole program, then goes on |
//! | `+` `-` | adds one, takes one, modulo 256 | `.` `!` | says the cell, raises it as an error |
//! | `'x` | writes the byte x | `,` | takes the next byte of the message, 0 after the last |
//! | `=x` | 1 if the cell holds x, else 0 | `?` | reads the data whose id the message is; 1 if there |
//! | | | | is such data, else 0. From now on `,` takes its bytes |
//!
//! The comments ask, in order, what the author of any machine has to answer.
mod run;

use crate::*;
use run::{Run, Stop};
use std::{slice::from_ref, sync::Arc};

/// The most cells a tape has. Those never written cost nothing.
pub const TAPE_BYTES: u64 = 1 << 30;
/// The most bytes that `?` reads, and the fuel that it costs.
pub const ASK_MAX: u64 = 4096;
/// The longest program, in bytes.
pub const MODULE_MAX: usize = 1 << 20;
const TAPE: SectionName = SectionName::new("tape");

/// The reader of `tape-1` modules.
pub struct Tape(Format);

impl Default for Tape {
    /// What may change a result? That is the rules, and the format's name stands for them for ever.
    fn default() -> Self {
        Self(Format { name: "tape-1".into(), rules: Digest::of(b"tape-1: as the table says") })
    }
}

impl DiskReader for Tape {
    fn id(&self) -> ReaderId {
        ReaderId { name: "tape", version: env!("CARGO_PKG_VERSION").into() }
    }
    fn formats(&self) -> &[Format] {
        from_ref(&self.0)
    }
    /// Which modules are refused? That hangs on the module alone, and nothing of it runs yet.
    fn read(&self, module: &Module, _: &dyn ArtifactStore) -> Result<Arc<dyn Disk>, ReadError> {
        if module.format != self.0.name {
            return Err(Refusal::new(RefusalCode::UnknownFormat, "expected tape-1").into());
        }
        let (text, format) = (module.bytes.iter().copied(), self.0.clone());
        let code: Vec<u8> = text.filter(|byte| !byte.is_ascii_whitespace()).collect();
        let (jumps, state) = (jumps(&code)?, format.name.clone());
        let blank =
            Image::new(Header { module: module.id, state }).with(TAPE, Pages::new(TAPE_BYTES));
        Ok(Arc::new(TapeDisk { format, code, jumps, blank }))
    }
    fn limits(&self, _: &Module, _: &Process) -> Limits {
        let (fuel, output_bytes) = (Fuel(1_000_000), 1 << 16);
        Limits { fuel, gas: None, memory_bytes: 1 << 24, output_bytes, depth: 100 }
    }
}

/// What can be done once for all processes of a module? Here: find where the brackets lead.
fn jumps(code: &[u8]) -> Result<Vec<usize>, Refusal> {
    let malformed = |why| Err(Refusal::new(RefusalCode::Malformed, why));
    if code.len() > MODULE_MAX {
        return Err(Refusal::new(RefusalCode::TooBig, "more than 1 MiB of program"));
    }
    let (mut jumps, mut open) = (vec![0; code.len()], Vec::new());
    let mut bytes = code.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'[' => open.push(at),
            b']' => {
                let Some(start) = open.pop() else { return malformed("] closes nothing") };
                for (from, to) in [(start, at), (at, start)] {
                    jumps.iter_mut().skip(from).take(1).for_each(|jump| *jump = to + 1);
                }
            }
            b'\'' | b'=' if bytes.next().is_none() => return malformed("a byte is missing"),
            _ if b"><)(+-'=.!,@?".contains(byte) => {}
            _ => return malformed("a byte is no instruction"),
        }
    }
    if open.is_empty() { Ok(jumps) } else { malformed("[ is not closed") }
}

struct TapeDisk {
    format: Format,
    code: Vec<u8>,
    jumps: Vec<usize>,
    blank: Image,
}

impl Disk for TapeDisk {
    fn id(&self) -> DiskId {
        let module = self.blank.header().module;
        DiskId(Digest::of_parts("tape disk", &[&module.0, &self.format.rules.0]))
    }
    fn format(&self) -> &Format {
        &self.format
    }
    fn blank(&self) -> &Image {
        &self.blank
    }
    /// Which images are of this disk? Those from which the drive would make the same image again.
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let tape = image.pages(&TAPE).filter(|tape| tape.len_bytes() == TAPE_BYTES).cloned();
        let drive = TapeDrive { disk: self, tape: tape.unwrap_or(Pages::new(TAPE_BYTES)) };
        if drive.image()?.root() != image.root() {
            return Err(Refusal::new(RefusalCode::WrongImage, "not of this module").into());
        }
        Ok(Box::new(drive))
    }
}

/// What is the state? All that one call can leave to the next. Being a value, it freezes by a clone.
#[derive(Clone)]
struct TapeDrive {
    disk: Arc<TapeDisk>,
    tape: Pages,
}

impl Drive for TapeDrive {
    /// How does it go back? The run works on a copy, and what did not succeed is not taken over.
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let (disk, tape, limits) = (self.disk.clone(), self.tape.clone(), *limits);
        let mut run = Run::new((disk, tape), call, limits, host);
        let fault = match run.play() {
            Ok(()) => None,
            Err(Stop::Fault(fault)) => Some(fault),
            Err(Stop::Host(error)) => return Err(HostFailure { error, drive: Some(self) }),
        };
        let reply = Reply { output: Output::Raw(run.said), ..Reply::default() };
        let meter = Meter { fuel: Fuel(run.used), gas: None };
        Ok(match (run.call.mode, fault) {
            (Mode::DryRun, fault) => Ran::Dry { drive: Some(self), fault, reply, meter },
            (_, Some(fault)) => Ran::Faulted { drive: Some(self), fault, reply, meter },
            (_, None) => {
                self.tape = run.tape;
                Ran::Done { drive: self, reply, meter }
            }
        })
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Ok(Arc::new(self.clone()))
    }
    fn resident_bytes(&self) -> u64 {
        let mut pages = 0;
        let counted = self.tape.for_each_hash(|_, _| {
            pages += 1;
            Ok(())
        });
        counted.map_or(0, |()| pages * PAGE as u64)
    }
}

impl Frozen for TapeDrive {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(self.clone()))
    }
    fn image(&self) -> Result<Image, HostError> {
        Ok(self.disk.blank.clone().with(TAPE, self.tape.clone()))
    }
    fn held_bytes(&self) -> u64 {
        self.resident_bytes()
    }
}

#[cfg(test)]
mod tests;
