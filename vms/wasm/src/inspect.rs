//! What a module says of itself, for people: its format by its imports, and its parts.

use crate::formats::Rewriting;
use crate::reader::prepare;
use crate::rewrite::{ExportFact, ExportKind, Signature, ValType};
use drivebay_disk::{FormatName, Module, ReadError, Refusal, RefusalCode};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// A module's parts, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// `module.name (params) -> results`, in order.
    pub imports: Vec<String>,
    /// The same of exports.
    pub exports: Vec<String>,
    /// Bytes of memory that it starts with.
    pub memory_min_bytes: u64,
    /// Bytes of memory that it may grow to, if it says.
    pub memory_max_bytes: Option<u64>,
    /// Pointers are 64 bits.
    pub memory64: bool,
    /// Built with Asyncify: its calls can unwind to the host.
    pub asyncify: bool,
    /// It counts the reference's gas.
    pub metered: bool,
    /// Custom sections: name and size in bytes.
    pub custom: Vec<(String, String)>,
}

/// The format that a module's imports and exports point to. Modules are published with their format in a
/// tag; a bare file has none.
pub fn detect_format(bytes: &[u8]) -> Option<FormatName> {
    let traits = Traits::of(bytes)?;
    let wide = traits.memory64;
    let name = if traits.imports_module("a") {
        "wasm32-unknown-emscripten"
    } else if traits.imports("env", "getTempRet0") {
        "wasm32-unknown-emscripten2"
    } else if traits.imports("env", "emscripten_memcpy_js") && !wide {
        "wasm32-unknown-emscripten3"
    } else if traits.imports("env", "_emscripten_memcpy_js") && wide {
        "wasm64-unknown-emscripten-draft_2024_02_15"
    } else if traits.imports("env", "_emscripten_memcpy_js") {
        "wasm32-unknown-emscripten4"
    } else if wide && traits.imports_module("wasi_snapshot_preview1") {
        "wasm64-hyperbeam-1"
    } else if !wide && traits.exports("alloc") && traits.exports("handle") {
        "wasm32-drivebay-1"
    } else {
        return None;
    };
    Some(name.into())
}

/// The parts of a module, or why it is refused.
///
/// # Errors
/// The refusal that reading it would give.
pub fn inspect(module: &Module) -> Result<Inspection, Refusal> {
    let (rules, rewritten) = prepare(module, Rewriting::Full).map_err(|error| match error {
        ReadError::Refused(refusal) => refusal,
        ReadError::Host(error) => Refusal::new(RefusalCode::Malformed, error.to_string()),
    })?;
    let facts = &rewritten.facts;
    let custom = custom_sections(&module.bytes);
    Ok(Inspection {
        imports: facts
            .imports
            .iter()
            .map(|import| format!("{}.{} {}", import.module, import.name, spell(&import.signature)))
            .collect(),
        exports: facts.exports.iter().map(spell_export).collect(),
        memory_min_bytes: facts.memory.min_pages * crate::state::WASM_PAGE,
        memory_max_bytes: facts.memory.max_pages.map(|pages| pages.saturating_mul(65_536)),
        memory64: rules.wide,
        asyncify: facts.function("asyncify_start_unwind").is_some(),
        metered: facts.has_gas,
        custom,
    })
}

/// `(i32, i64) -> f64`.
fn spell(signature: &Signature) -> String {
    let list = |types: &[ValType]| {
        types.iter().map(|ty| format!("{ty:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
    };
    let params = list(&signature.params);
    match signature.results.as_slice() {
        [] => format!("({params})"),
        results => format!("({params}) -> {}", list(results)),
    }
}

fn spell_export(export: &ExportFact) -> String {
    let kind = match &export.kind {
        ExportKind::Func(signature) => spell(signature),
        ExportKind::Memory => "memory".to_owned(),
        ExportKind::Table => "table".to_owned(),
        ExportKind::Global { ty, mutable } => {
            let kind = if *mutable { "mutable" } else { "constant" };
            format!("{kind} {}", format!("{ty:?}").to_lowercase())
        }
        ExportKind::Tag => "tag".to_owned(),
    };
    format!("{} {kind}", export.name)
}

fn custom_sections(bytes: &[u8]) -> Vec<(String, String)> {
    let payloads = Parser::new(0).parse_all(bytes).filter_map(Result::ok);
    payloads
        .filter_map(|payload| match payload {
            Payload::CustomSection(section) => {
                Some((section.name().to_owned(), format!("{} bytes", section.data().len())))
            }
            _ => None,
        })
        .collect()
}

#[derive(Default)]
struct Traits {
    imports: Vec<(String, String)>,
    exports: Vec<String>,
    memory64: bool,
}

impl Traits {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut traits = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.ok()? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.ok()?;
                        if matches!(import.ty, TypeRef::Func(_)) {
                            traits.imports.push((import.module.into(), import.name.into()));
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    traits.memory64 = section.into_iter().next()?.ok()?.memory64;
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.ok()?;
                        if export.kind == ExternalKind::Func {
                            traits.exports.push(export.name.into());
                        }
                    }
                }
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        Some(traits)
    }

    fn imports(&self, module: &str, name: &str) -> bool {
        self.imports.iter().any(|(home, field)| home == module && field == name)
    }

    fn imports_module(&self, module: &str) -> bool {
        self.imports.iter().any(|(home, _)| home == module)
    }

    fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export == name)
    }
}
