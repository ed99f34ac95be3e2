//! A process's state as data: memory, mutable globals, and what the reference keeps outside both.

use crate::formats::{Abi, Rules};
use crate::limits;
use crate::posix::Posix;
use crate::rewrite::{Facts, ValType};
use drivebay_disk::{
    Header, HostError, Image, MountError, Pages, Refusal, RefusalCode, Section, SectionName, bug,
};

const MEMORY: SectionName = SectionName::new("memory");
const GLOBALS: SectionName = SectionName::new("globals");
const HOST: SectionName = SectionName::new("host");

/// Bytes of a WebAssembly page.
pub(crate) const WASM_PAGE: u64 = 65_536;
/// Bytes of one global in its section: enough for a v128, little-endian.
const GLOBAL_BYTES: usize = 16;
/// The most bytes of the host section that a mount reads: files are bounded far below.
const HOST_BYTES_MAX: u64 = 1 << 30;

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing ran yet.
    Blank = 0,
    /// Start function, constructors and `main` have run.
    Booted = 1,
    /// The memory is a foreign checkpoint: it is laid over a booted guest in the next call.
    Adopted = 2,
}

/// What an image of this reader holds.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) stage: Stage,
    pub(crate) memory: Pages,
    /// Mutable globals in order, [`GLOBAL_BYTES`] each.
    pub(crate) globals: Vec<u128>,
    /// Clock, files, open lines.
    pub(crate) posix: Posix,
}

impl State {
    /// The state before the first call.
    pub(crate) fn blank(rules: &Rules, facts: &Facts) -> Result<Self, HostError> {
        let mut memory = Pages::new(facts.memory.min_pages * WASM_PAGE);
        for (at, bytes) in &facts.data {
            memory.write(*at, bytes).map_err(|error| bug!("data segment at {at}: {error}"))?;
        }
        let globals = facts.globals.iter().map(|global| global.bits).collect();
        Ok(Self { stage: Stage::Blank, memory, globals, posix: Posix::new(flavor(rules)) })
    }

    /// As an image of the module and format in `header`.
    pub(crate) fn to_image(&self, header: Header) -> Image {
        let globals: Vec<u8> = self.globals.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let mut host = vec![self.stage as u8];
        host.extend_from_slice(&self.posix.encode());
        Image::new(header)
            .with(MEMORY, Section::Pages(self.memory.clone()))
            .with(GLOBALS, Section::Pages(Pages::from_bytes(&globals)))
            .with(HOST, Section::Pages(Pages::from_bytes(&host)))
    }

    /// From an image, which may come from a stranger.
    pub(crate) fn from_image(
        image: &Image,
        header: &Header,
        rules: &Rules,
        facts: &Facts,
    ) -> Result<Self, MountError> {
        check_header(image.header(), header)?;
        let sections = image.sections().count();
        let (Some(memory), Some(globals), Some(host), 3) =
            (image.pages(&MEMORY), image.pages(&GLOBALS), image.pages(&HOST), sections)
        else {
            return refuse(
                "an image of this format has exactly the sections memory, globals and host",
            );
        };
        check_memory(memory.len_bytes(), facts)?;
        let host = host.to_vec(HOST_BYTES_MAX)?;
        let Some((stage, posix)) = host.split_first() else {
            return refuse("the host section is empty");
        };
        Ok(Self {
            stage: stage_of(*stage)?,
            memory: memory.clone(),
            globals: read_globals(globals, facts)?,
            posix: Posix::decode(posix, flavor(rules)).or_else(|why| refuse(&why))?,
        })
    }
}

fn stage_of(byte: u8) -> Result<Stage, MountError> {
    match byte {
        0 => Ok(Stage::Blank),
        1 => Ok(Stage::Booted),
        2 => Ok(Stage::Adopted),
        other => refuse(&format!("unknown stage {other} in the host section")),
    }
}

pub(crate) fn flavor(rules: &Rules) -> crate::posix::Flavor {
    match rules.abi {
        Abi::Loader(flavor) => flavor,
        // These keep nothing between calls; the smallest world says so.
        Abi::HyperBeam | Abi::Clean => crate::posix::Flavor::Fmt1,
    }
}

fn check_header(found: &Header, own: &Header) -> Result<(), MountError> {
    if found.state != own.state {
        return refuse(&format!("an image of format {}, not {}", found.state, own.state));
    }
    if found.module != own.module {
        let (found, own) = (found.module, own.module);
        return refuse(&format!(
            "an image of module {found}, not of {own}; run it with its own module"
        ));
    }
    Ok(())
}

/// The length of a memory must be one that the module could have.
pub(crate) fn check_memory(len: u64, facts: &Facts) -> Result<(), MountError> {
    let pages = len / WASM_PAGE;
    let most = limits::memory_max(facts.memory.memory64);
    let fits = len <= most && facts.memory.max_pages.is_none_or(|max| pages <= max);
    if !len.is_multiple_of(WASM_PAGE) || pages < facts.memory.min_pages || !fits {
        let (min, max) = (facts.memory.min_pages, facts.memory.max_pages);
        return refuse(&format!(
            "a memory of {len} bytes; this module has {min} to {max:?} pages of {WASM_PAGE} bytes"
        ));
    }
    Ok(())
}

fn read_globals(pages: &Pages, facts: &Facts) -> Result<Vec<u128>, MountError> {
    let expected = (facts.globals.len() * GLOBAL_BYTES) as u64;
    if pages.len_bytes() != expected {
        return refuse("the globals section has another length than the module's globals");
    }
    let bytes = pages.to_vec(expected)?;
    let mut globals = Vec::with_capacity(facts.globals.len());
    for (chunk, fact) in bytes.chunks_exact(GLOBAL_BYTES).zip(&facts.globals) {
        let mut bits = [0; GLOBAL_BYTES];
        bits.copy_from_slice(chunk);
        let bits = u128::from_le_bytes(bits);
        if width_of(fact.ty) < 128 && bits >> width_of(fact.ty) != 0 {
            return refuse("a global holds more bits than its type has");
        }
        globals.push(bits);
    }
    Ok(globals)
}

fn refuse<T>(why: &str) -> Result<T, MountError> {
    Err(Refusal::new(RefusalCode::WrongImage, why).into())
}

/// Bits of a global of that type.
fn width_of(ty: ValType) -> u32 {
    match ty {
        ValType::I32 | ValType::F32 => 32,
        ValType::I64 | ValType::F64 => 64,
        ValType::V128 => 128,
    }
}
