//! A module that was read.

use crate::{
    abi::{Abi, Args},
    drive::EvmDrive,
    message::{hex_bytes, tag_number},
    state::State,
};
use drivebay_disk::{
    Digest, Disk, DiskId, Drive, Format, Header, Image, MountError, Process, Tag, json::Value,
};
use revm::primitives::{U256, hardfork::SpecId};
use std::sync::{Arc, atomic::AtomicBool};

/// What the bytes of a module are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They run once, in the first call, and return the code.
    Init,
    /// They are the code.
    Runtime,
}

pub(crate) struct EvmDisk {
    pub(crate) format: Format,
    pub(crate) spec: SpecId,
    pub(crate) kind: Kind,
    pub(crate) code: Vec<u8>,
    pub(crate) abi: Abi,
    pub(crate) blank: Image,
    pub(crate) stop: Arc<AtomicBool>,
}

/// Init code with its arguments, and the value that goes with it; or why there is none.
pub(crate) type Birth = Result<(Vec<u8>, U256), String>;

impl EvmDisk {
    pub(crate) fn header(&self) -> Header {
        self.blank.header().clone()
    }

    /// What makes the module's contract in the process's first call.
    pub(crate) fn init_code(&self, process: &Process) -> Option<Birth> {
        Some(self.birth(process))
    }

    fn birth(&self, process: &Process) -> Birth {
        let value = tag_number(&process.tags, "Value")?;
        match self.kind {
            Kind::Runtime => Ok((returning(&self.code), value)),
            Kind::Init => {
                let mut init = self.code.clone();
                init.extend(self.arguments(process)?);
                Ok((init, value))
            }
        }
    }

    /// The constructor's arguments: encoded already, or a JSON array by the module's ABI.
    fn arguments(&self, process: &Process) -> Result<Vec<u8>, String> {
        let Some(text) = Tag::last(&process.tags, "Constructor-Args") else {
            return Ok(Vec::new());
        };
        if let Some(bytes) = hex_bytes(text.as_bytes()) {
            return Ok(bytes);
        }
        let json = Value::parse(text).ok().filter(|json| matches!(json, Value::Array(_)));
        let json = json
            .ok_or("tag Constructor-Args is neither 0x and hexadecimal digits nor a JSON array")?;
        self.abi
            .constructor(&Args::Json(&json))
            .map_err(|why| format!("Constructor-Args: {}", why.0))
    }
}

/// Init code that returns `code` as it is: `PUSH4 len, DUP1, PUSH1 12, PUSH0, CODECOPY, PUSH0, RETURN`.
fn returning(code: &[u8]) -> Vec<u8> {
    let len = (code.len() as u32).to_be_bytes();
    let mut init = vec![0x63];
    init.extend(len);
    init.extend([0x80, 0x60, 12, 0x5f, 0x39, 0x5f, 0xf3]);
    init.extend(code);
    init
}

impl Disk for EvmDisk {
    fn id(&self) -> DiskId {
        let module = self.blank.header().module;
        let (kind, abi) = ([self.kind as u8], self.abi.to_lines());
        let parts: [&[u8]; 4] = [&module.0, &self.format.rules.0, &kind, abi.as_bytes()];
        DiskId(Digest::of_parts("drivebay evm disk v1", &parts))
    }

    fn format(&self) -> &Format {
        &self.format
    }

    fn blank(&self) -> &Image {
        &self.blank
    }

    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        let state = State::from_image(image, self.blank.header())?;
        Ok(Box::new(EvmDrive::new(self, state)))
    }
}
