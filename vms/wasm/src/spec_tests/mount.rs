//! How a script's module becomes an instance: as it is, or rewritten as a reader does it.

use crate::limits::{DEPTH_UNITS, INITIAL_PAGES};
use crate::rewrite::{self, Facts, Lower, Nan, RewriteError, Rewritten, Rules, ValType};
use drivebay_disk::RefusalCode;
use std::fmt;
use wasmparser::{Parser, Payload, TypeRef};
use wasmtime::{Engine, Extern, Func, Global, Instance, Module, Store, Trap, Val};

/// Why there is no instance, or no result of a call.
#[derive(Clone, Debug)]
pub(super) enum Stopped {
    /// The text, the validator, or the engine's compiler does not take it.
    Invalid(String),
    /// The rewriter does not take it.
    Refused(String),
    /// It needs an instance that is missing for one of these reasons.
    Unreached,
    /// Its imports do not fit.
    Unlinkable(String),
    /// It trapped.
    Trapped(Trap),
    /// The counted depth is used up.
    TooDeep,
    /// It threw.
    Thrown,
    /// Nothing that may happen.
    Broken(String),
}

impl Stopped {
    /// What an error of the engine means, if it came out of guest code.
    pub(super) fn of(error: &wasmtime::Error) -> Option<Self> {
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return Some(Self::Trapped(*trap));
        }
        if error.is::<wasmtime::ThrownException>() {
            return Some(Self::Thrown);
        }
        error.is::<TooDeep>().then_some(Self::TooDeep)
    }

    /// What failed, for a report.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Invalid(why) => format!("not valid: {why}"),
            Self::Refused(why) => format!("refused: {why}"),
            Self::Unlinkable(why) => format!("no link: {why}"),
            Self::Broken(why) => format!("broken: {why}"),
            Self::Unreached | Self::Trapped(_) | Self::TooDeep | Self::Thrown => {
                format!("{self:?}")
            }
        }
    }

    /// What an error of a call means.
    pub(super) fn of_call(error: &wasmtime::Error) -> Self {
        Self::of(error).unwrap_or_else(|| Self::Broken(format!("{error:?}")))
    }
}

/// What the import [`rewrite::TOO_DEEP`] throws.
#[derive(Debug)]
struct TooDeep;

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too deep")
    }
}

impl std::error::Error for TooDeep {}

/// How modules are rewritten: bits of NaNs, exceptions, addresses.
type Way = (Nan, bool, Lower);

/// The way modules are taken.
pub(super) struct Mount {
    engine: Engine,
    /// Rewritten with these NaNs and exceptions; otherwise left as they are.
    rewrite: Option<Way>,
}

/// A module that can be instantiated.
pub(super) struct Prepared {
    module: Module,
    facts: Option<Facts>,
}

impl Mount {
    /// Modules as they are.
    pub(super) fn plain(engine: Engine) -> Self {
        Self { engine, rewrite: None }
    }

    /// Modules rewritten.
    pub(super) fn rewriting(engine: Engine, nan: Nan, lower: Lower) -> Self {
        Self { engine, rewrite: Some((nan, false, lower)) }
    }

    /// The bits that NaNs are held to.
    pub(super) fn nan(&self) -> Option<Nan> {
        self.rewrite.map(|(nan, ..)| nan)
    }

    /// A store with all the fuel there is.
    pub(super) fn store(&self) -> wasmtime::Result<Store<()>> {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX)?;
        Ok(store)
    }

    /// Compiles a module.
    pub(super) fn prepare(&self, bytes: &[u8]) -> Result<Prepared, Stopped> {
        let Some(way) = self.rewrite else {
            let module = Module::new(&self.engine, bytes);
            let module = module.map_err(|error| Stopped::Invalid(format!("{error:?}")))?;
            return Ok(Prepared { module, facts: None });
        };
        let bytes = with_memory(bytes);
        let found = rewritten(&bytes, way);
        if let Err(Stopped::Invalid(why)) = found {
            // Only a proposal that is off may be the reason.
            return Err(match Module::validate(&self.engine, &bytes) {
                Ok(()) => Stopped::Broken(format!("the engine takes it, rewriting: {why}")),
                Err(_) => Stopped::Refused(why),
            });
        }
        let Rewritten { bytes, facts } = found?;
        // What the rewriter wrote, the engine has to take.
        let module = Module::new(&self.engine, &bytes)
            .map_err(|error| Stopped::Broken(format!("rewritten: {error:?}")))?;
        Ok(Prepared { module, facts: Some(facts) })
    }

    /// Has to fail: the module is not valid.
    pub(super) fn reject(&self, bytes: &[u8]) -> Result<(), Stopped> {
        let Some(way) = self.rewrite else { return self.prepare(bytes).map(drop) };
        rewritten(bytes, way).map(drop)
    }

    /// Instantiates a module as far as its start function has run. The new instance's counter of depth
    /// goes into `meters`.
    pub(super) fn instantiate(
        &self,
        store: &mut Store<()>,
        prepared: &Prepared,
        meters: &mut Vec<Global>,
        mut resolve: impl FnMut(&mut Store<()>, &str, &str) -> Result<Option<Extern>, Stopped>,
    ) -> Result<Instance, Stopped> {
        let mut externs = Vec::new();
        for import in prepared.module.imports() {
            let (module, name) = (import.module(), import.name());
            let found = if prepared.facts.is_some() && module == rewrite::IMPORT_MODULE {
                let func =
                    Func::wrap(&mut *store, || -> wasmtime::Result<()> { Err(TooDeep.into()) });
                Some(func.into())
            } else {
                resolve(store, module, name)?
            };
            let missing = || Stopped::Unlinkable(format!("unknown import {module}.{name}"));
            externs.push(found.ok_or_else(missing)?);
        }
        let instance = Instance::new(&mut *store, &prepared.module, &externs).map_err(|error| {
            Stopped::of(&error).unwrap_or_else(|| Stopped::Unlinkable(format!("{error:?}")))
        })?;
        if let Some(facts) = &prepared.facts {
            meters.push(lay(store, instance, facts)?);
            start(store, instance, facts)?;
        }
        Ok(instance)
    }
}

/// A module through the rewriter, with the width of address that it has.
fn rewritten(bytes: &[u8], (nan, allow_legacy_eh, lower): Way) -> Result<Rewritten, Stopped> {
    let rules = Rules {
        nan,
        allow_legacy_eh,
        memory64: wide(bytes),
        gas: false,
        max_initial_pages: INITIAL_PAGES,
        direct_waits: false,
        lower,
        copies: &[],
    };
    match rewrite::rewrite(bytes, &rules) {
        Ok(rewritten) => Ok(rewritten),
        Err(RewriteError::Refused(refusal)) if refusal.code == RefusalCode::Malformed => {
            Err(Stopped::Invalid(refusal.to_string()))
        }
        Err(RewriteError::Refused(refusal)) => Err(Stopped::Refused(refusal.to_string())),
        Err(RewriteError::Bug(what)) => Err(Stopped::Broken(format!("rewriter: {what}"))),
    }
}

/// Whether the module defines a memory of 64-bit addresses.
fn wide(bytes: &[u8]) -> bool {
    let memory = |payload| match payload {
        Ok(Payload::MemorySection(section)) => section.into_iter().next()?.ok(),
        _ => None,
    };
    Parser::new(0).parse_all(bytes).find_map(memory).is_some_and(|memory| memory.memory64)
}

/// The module with an empty memory, if it has none: most of the scripts are about operators that need no
/// memory, and the rewriter asks for one.
fn with_memory(bytes: &[u8]) -> Vec<u8> {
    const SECTION: [u8; 5] = [5, 3, 1, 0, 0];
    let mut before = bytes.len();
    for payload in Parser::new(0).parse_all(bytes) {
        let range = match payload {
            Ok(Payload::MemorySection(_)) | Err(_) => return bytes.to_vec(),
            Ok(Payload::ImportSection(section)) => {
                let mut imports = section.into_imports().flatten();
                if imports.any(|import| matches!(import.ty, TypeRef::Memory(_))) {
                    return bytes.to_vec();
                }
                continue;
            }
            // Sections that come after the memory.
            Ok(Payload::TagSection(section)) => section.range(),
            Ok(Payload::GlobalSection(section)) => section.range(),
            Ok(Payload::ExportSection(section)) => section.range(),
            Ok(Payload::StartSection { range, .. }) => range,
            Ok(Payload::ElementSection(section)) => section.range(),
            Ok(Payload::DataCountSection { range, .. }) => range,
            Ok(Payload::CodeSectionStart { range, .. }) => range,
            Ok(Payload::DataSection(section)) => section.range(),
            _ => continue,
        };
        before = before.min(header(bytes, range.start));
    }
    [&bytes[..before], &SECTION, &bytes[before..]].concat()
}

/// Where the section starts whose contents start at `contents`: before its id and its length.
fn header(bytes: &[u8], contents: usize) -> usize {
    let mut at = contents - 1;
    while bytes[at - 1] & 0x80 != 0 {
        at -= 1;
    }
    at - 1
}

/// Lays memory and globals as a drive does, and sets the limit of depth; the counter of depth.
fn lay(store: &mut Store<()>, instance: Instance, facts: &Facts) -> Result<Global, Stopped> {
    let broken = |what: &str| Stopped::Broken(format!("rewritten module: {what}"));
    let memory =
        instance.get_memory(&mut *store, rewrite::MEMORY).ok_or_else(|| broken("memory"))?;
    for (at, bytes) in &facts.data {
        let at = usize::try_from(*at).map_err(|_| broken("data"))?;
        memory.write(&mut *store, at, bytes).map_err(|_| broken("data outside the memory"))?;
    }
    let mut set = |name: &str, value: Val| {
        let global = instance.get_global(&mut *store, name).ok_or_else(|| broken(name))?;
        global.set(&mut *store, value).map_err(|_| broken(name))?;
        Ok(global)
    };
    for fact in &facts.globals {
        set(&fact.export, value(fact.ty, fact.bits))?;
    }
    set(rewrite::DEPTH_LIMIT, Val::I32(DEPTH_UNITS.cast_signed()))?;
    set(rewrite::DEPTH, Val::I32(0))
}

fn value(ty: ValType, bits: u128) -> Val {
    match ty {
        ValType::I32 => Val::I32((bits as u32).cast_signed()),
        ValType::I64 => Val::I64((bits as u64).cast_signed()),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits as u64),
        ValType::V128 => Val::V128(bits.into()),
    }
}

fn start(store: &mut Store<()>, instance: Instance, facts: &Facts) -> Result<(), Stopped> {
    if !facts.start {
        return Ok(());
    }
    let start = instance.get_func(&mut *store, rewrite::START);
    let start =
        start.ok_or_else(|| Stopped::Broken("rewritten module without its start".into()))?;
    start.call(&mut *store, &[], &mut []).map_err(|error| Stopped::of_call(&error))
}
