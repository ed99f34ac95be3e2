//! From a module's bytes to a disk: metered, rewritten, checked, compiled.

use crate::bare::Bare;
use crate::disk::WasmDisk;
use crate::engine::{self, EngineKind};
use crate::formats::{Abi, FORMATS, Rewriting, Rules};
use crate::posix::Flavor;
use crate::rewrite::{self, RewriteError, Rewritten};
use crate::{abi, artifact, host, limits};
use drivebay_disk::{
    ArtifactStore, Disk, DiskReader, Format, HostError, Limits, Module, Process, ReadError,
    ReaderId, Refusal, RefusalCode, bug,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::Engine;

/// Reads every ao WebAssembly format.
pub struct WasmReader {
    kind: EngineKind,
    rewriting: Rewriting,
    engine: Engine,
    /// The same engine with exceptions, for the format whose modules use them.
    engine_exceptions: Engine,
    formats: Vec<Format>,
    /// Pages that a commit has to bring up from which on it may be put off.
    dear: usize,
}

/// Below, a commit costs less than what putting it off can.
const DEAR: usize = 512;

impl WasmReader {
    /// A reader on that kind of engine. The kind never shows in a result.
    ///
    /// # Errors
    /// A [`HostError::Bug`] if this build of the engine does not know its own options.
    pub fn new(kind: EngineKind) -> Result<Self, HostError> {
        Self::rewriting(kind, Rewriting::Full)
    }

    /// A reader that leaves out what makes modules faster and nothing else: an oracle for rewriting. Replies
    /// and gas are the same. Fuel is not, so its formats have other digests: it cannot take part in a network.
    ///
    /// # Errors
    /// As [`WasmReader::new`].
    pub fn unrewritten(kind: EngineKind) -> Result<Self, HostError> {
        Self::rewriting(kind, Rewriting::Least)
    }

    /// A reader whose drives put off every commit that they may, not only dear ones: so that small programs can show
    /// that nobody sees it.
    #[doc(hidden)]
    #[must_use]
    pub fn late(self) -> Self {
        Self { dear: 0, ..self }
    }

    /// A guest of a module for benches, with nothing around it.
    ///
    /// # Errors
    /// As reading and mounting the module.
    #[doc(hidden)]
    pub fn bare(&self, module: &Module) -> Result<Bare, ReadError> {
        Ok(Bare::new(&self.disk(module, &drivebay_disk::NoArtifacts)?)?)
    }

    fn disk(&self, module: &Module, artifacts: &dyn ArtifactStore) -> Result<WasmDisk, ReadError> {
        let (rules, rewritten) = prepare(module, self.rewriting)?;
        let engine = if rules.exceptions { &self.engine_exceptions } else { &self.engine };
        let compiled = artifact::compile(engine, self.kind, &rewritten.bytes, artifacts)?;
        let pre = host::link(rules, &compiled)
            .and_then(|linker| linker.instantiate_pre(&compiled))
            .map_err(|error| bug!("checked imports do not link: {error}"))?;
        let format = rules.format(self.rewriting);
        Ok(WasmDisk::new(module, (rules, format), rewritten.facts, pre, self.dear)?)
    }

    fn rewriting(kind: EngineKind, rewriting: Rewriting) -> Result<Self, HostError> {
        Ok(Self {
            kind,
            rewriting,
            engine: engine::engine(kind, false)?,
            engine_exceptions: engine::engine(kind, true)?,
            formats: FORMATS.iter().map(|rules| rules.format(rewriting)).collect(),
            dear: DEAR,
        })
    }
}

impl DiskReader for WasmReader {
    fn id(&self) -> ReaderId {
        let version = format!(
            "{} (wasmtime {}, {})",
            env!("CARGO_PKG_VERSION"),
            crate::ENGINE_VERSION,
            self.kind.name()
        );
        let name = if self.dear == 0 { "drivebay-wasm, late" } else { "drivebay-wasm" };
        ReaderId { name, version }
    }

    fn formats(&self) -> &[Format] {
        &self.formats
    }

    fn read(
        &self,
        module: &Module,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Arc<dyn Disk>, ReadError> {
        Ok(Arc::new(self.disk(module, artifacts)?))
    }

    fn limits(&self, module: &Module, process: &Process) -> Limits {
        match Rules::of(module.format.as_str()) {
            Some(rules) => {
                limits::limits(rules.limit_row(), module, process, imports_meter(&module.bytes))
            }
            None => limits::limits(limits::LimitRow::Clean, module, process, false),
        }
    }
}

/// The rules of a module and its rewritten form, or why it is refused. Runs nothing, compiles nothing.
pub(crate) fn prepare(
    module: &Module,
    rewriting: Rewriting,
) -> Result<(&'static Rules, Rewritten), ReadError> {
    let name = module.format.as_str();
    let Some(rules) = Rules::of(name) else {
        let known: Vec<&str> = FORMATS.iter().map(|rules| rules.name).collect();
        let why = format!("unknown format {name}; this reader knows {}", known.join(", "));
        return Err(Refusal::new(RefusalCode::UnknownFormat, why).into());
    };
    let bytes = if rules.metering {
        Cow::Owned(rewrite::meter(&module.bytes, rules.wide)?)
    } else {
        Cow::Borrowed(&*module.bytes)
    };
    let rewritten =
        rewrite::rewrite(&bytes, &rewrite_rules(rules, rewriting)).map_err(read_error)?;
    check_imports(rules, &rewritten)?;
    check_exports(rules, &rewritten)?;
    Ok((rules, rewritten))
}

fn rewrite_rules(rules: &Rules, rewriting: Rewriting) -> rewrite::Rules {
    let full = rewriting == Rewriting::Full;
    let loader = matches!(rules.abi, Abi::Loader(_));
    let waits = matches!(rules.abi, Abi::Loader(Flavor::Fmt4 | Flavor::Wasm64));
    rewrite::Rules {
        nan: rules.nan(),
        allow_legacy_eh: rules.exceptions,
        memory64: rules.wide,
        gas: loader,
        max_initial_pages: limits::INITIAL_PAGES,
        direct_waits: full && waits,
        lower: if full { rewrite::Lower::Bounded } else { rewrite::Lower::Never },
        copies: if full && loader { host::COPIES } else { &[] },
    }
}

fn read_error(error: RewriteError) -> ReadError {
    match error {
        RewriteError::Refused(refusal) => refusal.into(),
        RewriteError::Bug(message) => ReadError::Host(bug!("{message}")),
    }
}

fn check_imports(rules: &Rules, rewritten: &Rewritten) -> Result<(), Refusal> {
    let mut types = BTreeMap::new();
    for import in &rewritten.facts.imports {
        let ty = host::signature_of(&import.signature);
        let before = types.insert((&import.module, &import.name), &import.signature);
        if before.is_some_and(|before| *before != import.signature) {
            let why = format!("import {}.{} has two types", import.module, import.name);
            return Err(Refusal::new(RefusalCode::NotAllowed, why));
        }
        if host::answer(rules, &import.module, &import.name, &ty).is_none() {
            let why = format!(
                "import {}.{} ({ty}) is not part of format {}; the module's imports decide its format, \
                 `drivebay inspect` lists them",
                import.module, import.name, rules.name
            );
            return Err(Refusal::new(RefusalCode::NotAllowed, why));
        }
    }
    Ok(())
}

fn check_exports(rules: &Rules, rewritten: &Rewritten) -> Result<(), Refusal> {
    let Some(wanted) = abi::missing(rules, &rewritten.facts.exports) else { return Ok(()) };
    let why = format!("a module of format {} must export {wanted}", rules.name);
    Err(Refusal::new(RefusalCode::Malformed, why))
}

/// Whether the module was metered when it was built: it then reports gas in every format.
fn imports_meter(bytes: &[u8]) -> bool {
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(wasmparser::Payload::ImportSection(section)) => {
                return section
                    .into_imports()
                    .filter_map(Result::ok)
                    .any(|import| import.module == "metering" && import.name == "usegas");
            }
            Ok(wasmparser::Payload::CodeSectionStart { .. }) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    false
}
