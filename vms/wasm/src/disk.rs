//! A module that was read: compiled code, the blank state, and what is needed to mount.

use crate::base::Start;
use crate::drive::WasmDrive;
use crate::formats::{Abi, Rules};
use crate::host::World;
use crate::live::Live;
use crate::rewrite::Facts;
use crate::state::{self, Stage, State};
use drivebay_disk::{
    Digest, Disk, DiskId, Drive, Format, Header, HostError, Image, ImageLimits, Module, MountError,
    Pages, Refusal, RefusalCode,
};
use std::io::Read;
use std::sync::Arc;
use wasmtime::InstancePre;

/// A compiled module of one format.
pub(crate) struct WasmDisk {
    id: DiskId,
    format: Format,
    rules: &'static Rules,
    header: Header,
    facts: Facts,
    pre: InstancePre<World>,
    blank: State,
    blank_image: Image,
    /// Pages that a commit has to bring up from which on it may be put off.
    dear: usize,
}

impl WasmDisk {
    pub(crate) fn new(
        module: &Module,
        (rules, format): (&'static Rules, Format),
        facts: Facts,
        pre: InstancePre<World>,
        dear: usize,
    ) -> Result<Self, HostError> {
        let header = Header { module: module.id, state: format.name.clone() };
        let blank = State::blank(rules, &facts)?;
        let blank_image = blank.to_image(header.clone());
        let name = format.name.as_str().as_bytes();
        let parts: [&[u8]; 3] = [&module.id.0, name, &format.rules.0];
        let id = DiskId(Digest::of_parts("drivebay-wasm disk", &parts));
        Ok(Self { id, format, rules, header, facts, pre, blank, blank_image, dear })
    }

    /// Pages that a commit has to bring up from which on it may be put off.
    pub(crate) fn dear(&self) -> usize {
        self.dear
    }

    /// A guest in memory that stands in `state`.
    pub(crate) fn revive(&self, state: &State, start: Option<&Start>) -> Result<Live, HostError> {
        Live::new(&self.pre, &self.facts, self.rules, (state, &self.blank), start)
    }

    /// A guest in which nothing ran yet.
    pub(crate) fn blank_guest(&self) -> Result<Live, HostError> {
        self.revive(&self.blank, None)
    }

    /// Puts `live` back in `state`, if that can be done in place.
    pub(crate) fn put_back(&self, live: &mut Live, state: &State) -> Result<bool, HostError> {
        live.go_back(state, &self.facts)
    }

    /// Puts `live`, whose memory differs from `state` in no more than `pages`, in `state`, if that can be done.
    pub(crate) fn bring(
        &self,
        live: &mut Live,
        state: &State,
        pages: &[u64],
    ) -> Result<bool, HostError> {
        live.stand_in(state, &self.facts, pages)
    }

    /// `state` as an image of this disk.
    pub(crate) fn image(&self, state: &State) -> Image {
        state.to_image(self.header.clone())
    }

    /// Our own format has no checkpoints but images: a memory alone would lose its globals.
    fn has_checkpoints(&self) -> Result<(), Refusal> {
        if self.rules.abi != Abi::Clean {
            return Ok(());
        }
        let why = format!("format {} has no foreign checkpoints; use an image", self.format.name);
        Err(Refusal::new(RefusalCode::Unsupported, why))
    }

    fn state_of(&self, image: &Image) -> Result<State, MountError> {
        let state = State::from_image(image, &self.header, self.rules, &self.facts)?;
        let blank = |memory| State { stage: state.stage, memory, ..self.blank.clone() };
        let made = match state.stage {
            Stage::Booted => return Ok(state),
            Stage::Blank => self.image(&blank(self.blank.memory.clone())),
            Stage::Adopted => {
                self.has_checkpoints()?;
                self.image(&blank(state.memory.clone()))
            }
        };
        // Before anything ran there is one state, but for the memory of a foreign checkpoint.
        if made.root() == image.root() {
            return Ok(state);
        }
        let why = "nothing ran yet, and all the same the state is not the first one";
        Err(Refusal::new(RefusalCode::WrongImage, why).into())
    }
}

impl Disk for WasmDisk {
    fn id(&self) -> DiskId {
        self.id
    }

    fn format(&self) -> &Format {
        &self.format
    }

    fn blank(&self) -> &Image {
        &self.blank_image
    }

    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let state = self.state_of(image)?;
        Ok(Box::new(WasmDrive::new(self, state)?))
    }

    /// The reference's checkpoint is the whole linear memory, as bytes.
    fn adopt(&self, checkpoint: &mut dyn Read, max: &ImageLimits) -> Result<Image, MountError> {
        self.has_checkpoints()?;
        let memory = read_memory(checkpoint, max)?;
        state::check_memory(memory.len_bytes(), &self.facts)?;
        let adopted = State { stage: Stage::Adopted, memory, ..self.blank.clone() };
        Ok(self.image(&adopted))
    }

    fn disown(&self, image: &Image) -> Result<Vec<u8>, MountError> {
        self.has_checkpoints()?;
        let state = self.state_of(image)?;
        if state.stage == Stage::Blank {
            let why = "nothing ran yet: a process has a checkpoint after its first message";
            return Err(Refusal::new(RefusalCode::WrongImage, why).into());
        }
        let len = state.memory.len_bytes();
        Ok(state.memory.to_vec(len)?)
    }
}

/// Reads a memory page by page: zeros cost nothing, and no claim about the length is believed.
fn read_memory(input: &mut dyn Read, max: &ImageLimits) -> Result<Pages, MountError> {
    const CHUNK: usize = 1 << 20;
    let mut pages = Pages::new(0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let mut filled = 0;
        while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match input.read(rest).map_err(|error| HostError::io("reading a checkpoint", error))? {
                0 => break,
                more => filled += more,
            }
        }
        let Some(bytes) = chunk.get(..filled).filter(|bytes| !bytes.is_empty()) else {
            return Ok(pages);
        };
        let at = pages.len_bytes();
        let len = at + filled as u64;
        if len > max.memory_bytes {
            let why = format!("a checkpoint of more than {} bytes", max.memory_bytes);
            return Err(Refusal::new(RefusalCode::TooBig, why).into());
        }
        pages.resize(len)?;
        if bytes.iter().any(|byte| *byte != 0) {
            pages.write(at, bytes)?;
        }
    }
}
