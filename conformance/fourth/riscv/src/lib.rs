//! RV32IM programs as ao processes: a machine by a stranger, who knows `drivebay-disk` and nothing else.
//!
//! | place | holds |
//! |---|---|
//! | 0 and up | the module: a flat image of code and constants, read only |
//! | [`RAM`] and up | memory, which outlives calls and is the whole state |
//!
//! A call starts at address 0 with all registers 0. `ecall` asks for the service in `a7`:
//!
//! | a7 | service | arguments | answers in a0 |
//! |---|---|---|---|
//! | 0 | ends the call: well if `a0` is 0, else as an error of its own | status | |
//! | 1 | says bytes | address, length | |
//! | 2 | takes the message's data | address, room in bytes | length of the data |
//! | 3 | reads data from the network | id's address and length, address, room in bytes | length, or −1: no such data |
//! | 4 | takes time (8 bytes, ms), block height (8) and seed (32) | address | |
//!
//! Each instruction costs one fuel, and each byte of room one more, before anything is done. Depth is what
//! a return-address stack would hold (the specification's hints: a jump that links to `ra` or `t0` pushes,
//! one through them pops), so endless recursion ends the same everywhere.

pub mod asm;
mod cpu;
mod roles;

pub use roles::{PROOF, roles};

use cpu::{Cpu, Stop};
use drivebay_disk::*;
use std::{slice::from_ref, sync::Arc};

/// Where memory begins.
pub const RAM: u32 = 0x8000_0000;
/// The most bytes of memory.
pub const RAM_BYTES: u64 = 1 << 30;
/// The longest module in bytes.
pub const MODULE_MAX: usize = 1 << 20;
const SECTION: SectionName = SectionName::new("ram");
/// What may change a result, in words: the digest of this text names the rules.
const RULES: &str = "rv32im-flat-1: rom at 0, ram at 2^31, five services, one fuel an instruction";

/// The reader of `rv32im-flat-1` modules.
pub struct Riscv(Format);

impl Default for Riscv {
    fn default() -> Self {
        Self(Format { name: "rv32im-flat-1".into(), rules: Digest::of(RULES.as_bytes()) })
    }
}

impl DiskReader for Riscv {
    fn id(&self) -> ReaderId {
        ReaderId { name: "drivebay-riscv", version: env!("CARGO_PKG_VERSION").into() }
    }
    fn formats(&self) -> &[Format] {
        from_ref(&self.0)
    }
    fn read(&self, module: &Module, _: &dyn ArtifactStore) -> Result<Arc<dyn Disk>, ReadError> {
        if module.format != self.0.name {
            let note = format!("expected the format {}, this is {}", self.0.name, module.format);
            return Err(Refusal::new(RefusalCode::UnknownFormat, note).into());
        }
        let length = module.bytes.len();
        if length > MODULE_MAX {
            let note = format!("the module has {length} bytes; at most {MODULE_MAX} are allowed");
            return Err(Refusal::new(RefusalCode::TooBig, note).into());
        }
        if length == 0 || !length.is_multiple_of(4) {
            let note = format!("the module has {length} bytes; expected words of 4, at least one");
            return Err(Refusal::new(RefusalCode::Malformed, note).into());
        }
        let (format, rom) = (self.0.clone(), module.bytes.to_vec());
        let header = Header { module: module.id, state: format.name.clone() };
        let blank = Image::new(header).with(SECTION, Pages::new(RAM_BYTES));
        Ok(Arc::new(Rom { format, rom, blank }))
    }
    fn limits(&self, _: &Module, _: &Process) -> Limits {
        let (fuel, memory_bytes) = (Fuel(10_000_000), 64 << 20);
        Limits { fuel, gas: None, memory_bytes, output_bytes: 1 << 20, depth: 10_000 }
    }
}

/// A module that was read.
struct Rom {
    format: Format,
    rom: Vec<u8>,
    blank: Image,
}

impl Disk for Rom {
    fn id(&self) -> DiskId {
        let module = self.blank.header().module;
        DiskId(Digest::of_parts("riscv disk", &[&module.0, &self.format.rules.0]))
    }
    fn format(&self) -> &Format {
        &self.format
    }
    fn blank(&self) -> &Image {
        &self.blank
    }
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let ram = image.pages(&SECTION).filter(|ram| ram.len_bytes() == RAM_BYTES).cloned();
        let board = Board { disk: self, ram: ram.unwrap_or(Pages::new(RAM_BYTES)) };
        if board.image()?.root() != image.root() {
            let note = "the image is of another module, format or layout; mount one of this module";
            return Err(Refusal::new(RefusalCode::WrongImage, note).into());
        }
        Ok(Box::new(board))
    }
}

/// A process. Memory is a persistent tree, so that a frozen state is a clone.
#[derive(Clone)]
struct Board {
    disk: Arc<Rom>,
    ram: Pages,
}

impl Drive for Board {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let mut cpu = Cpu::new(&self.disk.rom, self.ram.clone(), (&call, *limits), &*host);
        let fault = match cpu.play() {
            Stop::Done => None,
            Stop::Fault(fault) => Some(fault),
            Stop::Host(error) => return Err(HostFailure { error, drive: Some(self) }),
        };
        let reply = Reply { output: Output::Raw(cpu.said), ..Reply::default() };
        let (ram, meter) = (cpu.ram, Meter { fuel: Fuel(cpu.used), gas: None });
        Ok(match (call.mode, fault) {
            (Mode::DryRun, fault) => Ran::Dry { drive: Some(self), fault, reply, meter },
            (_, Some(fault)) => Ran::Faulted { drive: Some(self), fault, reply, meter },
            (_, None) => {
                self.ram = ram;
                Ran::Done { drive: self, reply, meter }
            }
        })
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Ok(Arc::new(self.clone()))
    }
    fn resident_bytes(&self) -> u64 {
        let mut pages = 0;
        let counted = self.ram.for_each_hash(|_, _| {
            pages += 1;
            Ok(())
        });
        counted.map_or(0, |()| pages * PAGE as u64)
    }
}

impl Frozen for Board {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(self.clone()))
    }
    fn image(&self) -> Result<Image, HostError> {
        Ok(self.disk.blank.clone().with(SECTION, self.ram.clone()))
    }
    fn held_bytes(&self) -> u64 {
        self.resident_bytes()
    }
}
