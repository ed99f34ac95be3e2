//! Which virtual machine reads which format. The only place where the machines are named.

use super::CuError;
use crate::disk::{DiskReader, Format, FormatName, HostError, Module, Refusal, RefusalCode};
use drivebay_conformance::Proof;
use std::{collections::BTreeMap, path::Path, sync::Arc};

pub use drivebay_wasm::Inspection;

pub use drivebay_evm::{Abi, NamedFunction, lab, statetest, view as evm};

/// The format that a compiler's bytecode is run in unless another is asked for.
pub const EVM_FORMAT: &str = "evm-bytecode-osaka-1";
/// What Solidity's bytecode begins with: it puts the free memory's pointer where it belongs.
const SOLIDITY: &[u8] = &[0x60, 0x80, 0x60, 0x40, 0x52];

/// A contract's ABI, from JSON to lines that fit in a tag.
pub fn abi_lines(json: &str) -> Result<String, String> {
    Abi::parse(json).map(|abi| abi.to_lines()).map_err(|error| error.to_string())
}

/// The guest of a WebAssembly module with nothing around it: what whole messages are measured against.
pub fn bare(engine: Engine, module: &Module) -> Result<drivebay_wasm::Bare, CuError> {
    if !module.bytes.starts_with(b"\0asm") {
        let why = "only WebAssembly is run bare";
        return Err(CuError::Refused(Refusal::new(RefusalCode::Unsupported, why)));
    }
    let reader = drivebay_wasm::WasmReader::new(engine.kind())?;
    Ok(reader.bare(module)?)
}

/// Readers that a config may name though a program is built without them.
const STOCK: [&str; 3] = ["wasm", "evm", "lua"];

/// How wasm is made to run. Changes how fast a result comes, never the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Compiled to machine code, optimised.
    #[default]
    Speed,
    /// Compiled to machine code, as plainly as possible: an oracle for the optimiser.
    Plain,
    /// Interpreted: an oracle for the compiler, and for machines that it does not know.
    Pulley,
}

impl Engine {
    fn kind(self) -> drivebay_wasm::EngineKind {
        match self {
            Self::Speed => drivebay_wasm::EngineKind::Speed,
            Self::Plain => drivebay_wasm::EngineKind::Plain,
            Self::Pulley => drivebay_wasm::EngineKind::Pulley,
        }
    }
}

/// The readers of this program, by format.
#[derive(Clone, Default)]
pub struct Readers {
    readers: Vec<(Arc<dyn DiskReader>, Option<Proof>)>,
    by_format: BTreeMap<FormatName, usize>,
    /// Formats whose reader an operator turned off, with the setting that did.
    off: BTreeMap<FormatName, String>,
}

/// Why this set of readers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ReadersError {
    /// Two readers, one format: which rules would hold?
    #[error("format {format} is read by both {first} and {second}; leave one of them out")]
    Twice {
        /// The format.
        format: FormatName,
        /// Who had it.
        first: &'static str,
        /// Who wanted it too.
        second: &'static str,
    },
    /// A machine could not be made.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A setting names no reader.
    #[error("readers.{name} names no reader of this program; its readers are {known}")]
    Unknown {
        /// What the setting names.
        name: String,
        /// The readers.
        known: String,
    },
}

impl Readers {
    /// The readers that Drivebay ships.
    pub fn stock(engine: Engine) -> Result<Self, ReadersError> {
        let kind = engine.kind();
        Ok(Self::default()
            .with(Arc::new(drivebay_wasm::WasmReader::new(kind)?))?
            .proved(crate::certify::WASM)
            .with(Arc::new(drivebay_evm::EvmReader::default()))?
            .proved(crate::certify::EVM)
            .with(Arc::new(drivebay_lua::LuaReader::default()))?
            .proved(crate::certify::LUA))
    }

    /// These and one more. Refused if it claims a format that another reader has.
    pub fn with(mut self, reader: Arc<dyn DiskReader>) -> Result<Self, ReadersError> {
        for format in reader.formats() {
            if let Some(first) = self.get(&format.name) {
                return Err(ReadersError::Twice {
                    format: format.name.clone(),
                    first: first.id().name,
                    second: reader.id().name,
                });
            }
        }
        let index = self.readers.len();
        let names = reader.formats().iter().map(|format| (format.name.clone(), index));
        self.by_format.extend(names);
        self.readers.push((reader, None));
        Ok(self)
    }

    /// Says what the reader added last brings to be certified: `drivebay certify` then covers it.
    pub fn proved(mut self, proof: Proof) -> Self {
        if let Some((_, last)) = self.readers.last_mut() {
            *last = Some(proof);
        }
        self
    }

    /// The readers that can be certified, with what they brought for it.
    pub fn certifiable(&self) -> impl Iterator<Item = (&Arc<dyn DiskReader>, Option<Proof>)> {
        self.readers.iter().map(|(reader, proof)| (reader, *proof))
    }

    /// These, without the ones that `chosen` turns off, by short name: `wasm` is `drivebay-wasm`. The stock
    /// names may be turned off or on where a program has no such reader.
    pub fn only(mut self, chosen: &BTreeMap<String, bool>) -> Result<Self, ReadersError> {
        for (name, is_on) in chosen {
            let full = format!("drivebay-{name}");
            let is_it = |(reader, _): &(Arc<dyn DiskReader>, Option<Proof>)| {
                [name.as_str(), &full].contains(&reader.id().name)
            };
            let Some(index) = self.readers.iter().position(is_it) else {
                if STOCK.contains(&name.as_str()) {
                    continue;
                }
                let known: Vec<_> =
                    self.readers.iter().map(|(reader, _)| reader.id().name).collect();
                return Err(ReadersError::Unknown { name: name.clone(), known: known.join(", ") });
            };
            if !is_on {
                let off = self.by_format.extract_if(.., |_, at| *at == index);
                let why = format!("{full}, which readers.{name} = false turns off");
                self.off.extend(off.map(|(format, _)| (format, why.clone())));
            }
        }
        Ok(self)
    }

    /// What to tell who asks for a format that no reader here reads.
    pub fn refusal(&self, what: &str, format: &FormatName) -> Refusal {
        let note = match self.off.get(format) {
            Some(why) => format!(
                "{what} has the format {format}. It is read by {why} on this unit: ask its operator, or \
                 another unit"
            ),
            None => {
                let known: Vec<_> = self.by_format.keys().map(FormatName::to_string).collect();
                format!(
                    "{what} has the format {format}, which no reader here knows; the formats are {}",
                    known.join(", ")
                )
            }
        };
        Refusal::new(RefusalCode::UnknownFormat, note)
    }

    /// The reader of a format, by its exact name.
    pub fn get(&self, format: &FormatName) -> Option<&Arc<dyn DiskReader>> {
        self.by_format
            .get(format)
            .and_then(|index| self.readers.get(*index))
            .map(|(reader, _)| reader)
    }

    /// All readers, in the order in which they were added.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn DiskReader>> {
        self.readers.iter().map(|(reader, _)| reader)
    }

    /// All formats, reader by reader.
    pub fn formats(&self) -> impl Iterator<Item = &Format> {
        self.all().flat_map(|reader| reader.formats())
    }

    /// The format that a bare file is of, where its bytes or the end of its name tell.
    pub fn detect(&self, bytes: &[u8], file: &Path) -> Option<FormatName> {
        let by_name = || {
            let is_lua = file.extension().is_some_and(|end| end == "lua") || file.is_dir();
            is_lua.then(Self::lua)
        };
        let evm = || bytes.starts_with(SOLIDITY).then(|| FormatName::from(EVM_FORMAT));
        let found = drivebay_wasm::detect_format(bytes).or_else(evm).or_else(by_name);
        found.filter(|format| self.get(format).is_some())
    }

    /// The format of Lua source.
    pub fn lua() -> FormatName {
        FormatName::from(drivebay_lua::FORMAT)
    }

    /// The module that a folder of Lua files is: names and texts.
    pub fn bundle(files: Vec<(String, String)>) -> String {
        drivebay_lua::bundle(files)
    }

    /// What is in a module, where it is wasm; `None` for other machines' modules.
    pub fn inspect(&self, module: &Module) -> Option<Result<Inspection, Refusal>> {
        module.bytes.starts_with(b"\0asm").then(|| drivebay_wasm::inspect(module))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::disk::testing::Tape;

    #[test]
    fn two_readers_for_one_format_refuse_to_start() {
        let one = Readers::default().with(Arc::new(Tape::default())).unwrap();
        let error = one.with(Arc::new(Tape::default())).err().unwrap().to_string();
        assert!(error.contains("is read by both"), "{error}");
    }

    #[test]
    fn a_format_is_found_by_its_exact_name() {
        let readers = Readers::default().with(Arc::new(Tape::default())).unwrap();
        let name = readers.formats().next().unwrap().name.clone();
        assert!(readers.get(&name).is_some());
        let longer = FormatName::from(format!("{name} ").as_str());
        assert!(readers.get(&longer).is_none());
    }
}
