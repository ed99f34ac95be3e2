//! Reads modules: init code or runtime code, as bytes or as hexadecimal digits.

use crate::{
    abi::Abi,
    disk::{EvmDisk, Kind},
    formats::{self, RULES},
    message::hex_bytes,
    state::State,
};
use drivebay_disk::{
    ArtifactStore, Disk, DiskReader, Format, Header, Limits, Module, Process, ReadError, ReaderId,
    Refusal, RefusalCode,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Longest init code (EIP-3860), and so longest module, in bytes.
const INIT_MAX: usize = 2 * CODE_MAX;
/// Longest code of a contract (EIP-170), in bytes.
const CODE_MAX: usize = 24_576;

/// The reader of EVM modules.
pub struct EvmReader {
    formats: Vec<Format>,
    stop: Arc<AtomicBool>,
}

impl Default for EvmReader {
    fn default() -> Self {
        let formats = RULES.iter().map(formats::Rules::format).collect();
        Self { formats, stop: Arc::default() }
    }
}

impl EvmReader {
    /// While it is set, calls on this reader's disks end with a host error at their next jump, and can be
    /// tried again.
    pub fn stop(&self, stop: bool) {
        self.stop.store(stop, Ordering::Relaxed);
    }
}

fn refused(code: RefusalCode, note: impl Into<String>) -> Refusal {
    Refusal::new(code, note.into())
}

/// Whether it is a compiler's artifact, and not code that starts with the brace's instruction (PUSH28).
fn is_json(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{') && serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}

/// The code of a module.
fn code_of(module: &Module, kind: Kind) -> Result<Vec<u8>, Refusal> {
    let is_hex = module.bytes.trim_ascii().starts_with(b"0x");
    let code = match hex_bytes(&module.bytes) {
        Some(code) => code,
        None if is_hex => {
            let note = "the module starts with 0x, but hexadecimal digits do not follow; \
                        if libraries are to be linked, link them first";
            return Err(refused(RefusalCode::Malformed, note));
        }
        None if is_json(&module.bytes) => {
            let note = "the module is JSON, not bytecode; a compiler's artifact must be taken apart \
                        first, as `drivebay run` and `drivebay spawn` do";
            return Err(refused(RefusalCode::Malformed, note));
        }
        None => module.bytes.to_vec(),
    };
    let max = if kind == Kind::Init { INIT_MAX } else { CODE_MAX };
    if code.is_empty() || code.len() > max {
        let note =
            format!("the code has {} bytes; expected 1 to {max} (EIP-170, EIP-3860)", code.len());
        return Err(refused(RefusalCode::TooBig, note));
    }
    if kind == Kind::Runtime && code.first() == Some(&0xef) {
        return Err(refused(RefusalCode::NotAllowed, "code must not start with 0xef (EIP-3541)"));
    }
    Ok(code)
}

impl DiskReader for EvmReader {
    fn id(&self) -> ReaderId {
        ReaderId {
            name: "drivebay-evm",
            version: concat!(env!("CARGO_PKG_VERSION"), " (revm 43.0.3)").into(),
        }
    }

    fn formats(&self) -> &[Format] {
        &self.formats
    }

    fn read(
        &self,
        module: &Module,
        _artifacts: &dyn ArtifactStore,
    ) -> Result<Arc<dyn Disk>, ReadError> {
        Ok(Arc::new(self.disk(module, self.stop.clone())?))
    }

    fn limits(&self, module: &Module, process: &Process) -> Limits {
        formats::limits(module, process)
    }
}

impl EvmReader {
    /// The disk of a module, whose calls end when `stop` is set.
    pub(crate) fn disk(
        &self,
        module: &Module,
        stop: Arc<AtomicBool>,
    ) -> Result<EvmDisk, ReadError> {
        let known = self.formats.iter().zip(&RULES);
        let Some((format, rules)) = known.into_iter().find(|(f, _)| f.name == module.format) else {
            let names = RULES.map(|rules| rules.name).join(", ");
            let note = format!("format {} is not known; expected one of {names}", module.format);
            return Err(refused(RefusalCode::UnknownFormat, note).into());
        };
        let kind = match module.tag("Code-Kind") {
            None | Some("init") => Kind::Init,
            Some("runtime") => Kind::Runtime,
            Some(other) => {
                let note = format!("Code-Kind `{other}` is not known; expected init or runtime");
                return Err(refused(RefusalCode::Malformed, note).into());
            }
        };
        let abi = match module.tag("ABI") {
            None => Abi::default(),
            Some(text) => Abi::parse(text).map_err(|why| refused(RefusalCode::Malformed, why.0))?,
        };
        let code = code_of(module, kind)?;
        let header = Header { module: module.id, state: format.name.clone() };
        let blank = State::default().image(&header);
        let blank = blank.map_err(|error| drivebay_disk::bug!("a blank image: {error}"))?;
        let (format, spec) = (format.clone(), rules.spec);
        Ok(EvmDisk { format, spec, kind, code, abi, blank, stop })
    }
}
