//! The metering of formats named `-metering`: `wasm-metering` 0.2.2, byte for byte.
//!
//! The type `(T) -> ()` and the import `metering.usegas` come last in their sections; T is `i32`, and `i64`
//! with 64-bit memories. Bodies are cut into segments that end with an operator that may branch. A segment
//! whose operators cost anything is preceded by `T.const (cost + 91)` and a call of the import. Everything
//! is written anew with the shortest numbers, custom sections included.
//!
//! The tool knows WebAssembly 1.0 and sign extension alone. On anything else it fails or writes nonsense,
//! and the module is refused here.

use super::{costs, limits};
use drivebay_disk::{Refusal, RefusalCode};
use std::{borrow::Cow, convert::Infallible, ops::Range};
use wasm_encoder::{
    self as enc, Encode, InstructionSink,
    reencode::{self, Reencode},
};
use wasmparser::{
    CustomSectionReader, FunctionBody, ImportSectionReader, Operator, Parser, Payload,
    TypeSectionReader, Validator, WasmFeatures,
};

/// Cost of the two operators that count a segment.
const OVERHEAD: u64 = costs::CONST + costs::CALL;
const MODULE: &str = "metering";
const NAME: &str = "usegas";
/// The tool reads offsets as doubles and fails on larger ones.
const LARGEST_OFFSET: u64 = 1 << 53;

/// Meters a module; `wasm64` says how large the parameter of `usegas` is.
///
/// Refuses modules that the tool cannot meter, and those that import `metering.usegas` already.
pub(crate) fn meter(bytes: &[u8], wasm64: bool) -> Result<Vec<u8>, Refusal> {
    if bytes.len() > limits::MODULE_BYTES {
        return Err(too_big("the module"));
    }
    let mut features =
        WasmFeatures::WASM1 | WasmFeatures::SIGN_EXTENSION | WasmFeatures::BULK_MEMORY;
    features.set(WasmFeatures::MEMORY64, wasm64);
    Validator::new_with_features(features).validate_all(bytes).map_err(|e| unreadable(&e))?;
    let mut meter = Meter::new(bytes, wasm64);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(bytes) {
        meter.section(payload.map_err(|e| unreadable(&e))?)?;
    }
    Ok(meter.out.finish())
}

fn refuse(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::NotAllowed, text.into())
}

fn unreadable(error: &wasmparser::Error) -> Refusal {
    refuse(format!("the module cannot be metered: {error}"))
}

fn unwritable(error: &reencode::Error) -> Refusal {
    refuse(format!("the module cannot be metered: {error}"))
}

fn too_big(what: &str) -> Refusal {
    let text = format!("{what} is longer than {} bytes", limits::MODULE_BYTES);
    Refusal::new(RefusalCode::TooBig, text)
}

/// Moves the module's own functions past the new import.
#[derive(Default)]
struct Shift {
    /// Functions that the module imports: the index of the new one.
    imported: u32,
    /// An offset was seen that the tool cannot read.
    far: bool,
}

impl Reencode for Shift {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error> {
        Ok(if index < self.imported { index } else { index.saturating_add(1) })
    }

    fn mem_arg(&mut self, arg: wasmparser::MemArg) -> Result<enc::MemArg, reencode::Error> {
        self.far |= arg.offset >= LARGEST_OFFSET;
        reencode::utils::mem_arg(self, arg)
    }
}

struct Meter<'a> {
    bytes: &'a [u8],
    out: enc::Module,
    /// Type of the parameter of `usegas`.
    unit: enc::ValType,
    shift: Shift,
    /// Index of the type of `usegas`: how many types the module has.
    types: u32,
    /// The section of types is written; that of imports.
    written: (bool, bool),
    code: enc::CodeSection,
    /// Bodies until the section of code ends.
    bodies_left: u32,
}

impl<'a> Meter<'a> {
    fn new(bytes: &'a [u8], wasm64: bool) -> Self {
        Self {
            bytes,
            out: enc::Module::new(),
            unit: if wasm64 { enc::ValType::I64 } else { enc::ValType::I32 },
            shift: Shift::default(),
            types: 0,
            written: (false, false),
            code: enc::CodeSection::new(),
            bodies_left: 0,
        }
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Refusal> {
        self.missing_sections(&payload);
        match payload {
            Payload::TypeSection(section) => return self.types(section),
            Payload::ImportSection(section) => return self.imports(section),
            Payload::CustomSection(section) => return self.custom(&section),
            Payload::CodeSectionStart { count, .. } => {
                self.bodies_left = count;
                self.close_code();
            }
            Payload::CodeSectionEntry(body) => {
                self.body(&body)?;
                self.bodies_left = self.bodies_left.saturating_sub(1);
                self.close_code();
            }
            Payload::StartSection { func, .. } => {
                let function_index = self.shift.function_index(func).map_err(|e| unwritable(&e))?;
                self.out.section(&enc::StartSection { function_index });
            }
            Payload::DataCountSection { count, .. } => {
                self.out.section(&enc::DataCountSection { count });
            }
            other => {
                self.segments(&other)?;
                self.plain(other).map_err(|e| unwritable(&e))?;
            }
        }
        Ok(())
    }

    /// Sections whose entries take at most new indices.
    fn plain(&mut self, payload: Payload<'_>) -> Result<(), reencode::Error> {
        let (out, shift) = (&mut self.out, &mut self.shift);
        match payload {
            Payload::FunctionSection(section) => {
                let mut new = enc::FunctionSection::new();
                shift.parse_function_section(&mut new, section)?;
                out.section(&new);
            }
            Payload::TableSection(section) => {
                let mut new = enc::TableSection::new();
                shift.parse_table_section(&mut new, section)?;
                out.section(&new);
            }
            Payload::MemorySection(section) => {
                let mut new = enc::MemorySection::new();
                shift.parse_memory_section(&mut new, section)?;
                out.section(&new);
            }
            Payload::GlobalSection(section) => {
                let mut new = enc::GlobalSection::new();
                shift.parse_global_section(&mut new, section)?;
                out.section(&new);
            }
            Payload::ExportSection(section) => {
                let mut new = enc::ExportSection::new();
                shift.parse_export_section(&mut new, section)?;
                out.section(&new);
            }
            Payload::ElementSection(section) => {
                let mut new = enc::ElementSection::new();
                shift.parse_element_section(&mut new, section)?;
                out.section(&new);
            }
            Payload::DataSection(section) => {
                let mut new = enc::DataSection::new();
                shift.parse_data_section(&mut new, section)?;
                out.section(&new);
            }
            _ => {}
        }
        Ok(())
    }

    /// The tool takes segments of the oldest kind only, those that start with a zero.
    fn segments(&self, payload: &Payload<'_>) -> Result<(), Refusal> {
        let check = |range: Range<usize>| match self.bytes.get(range.start) {
            Some(0) => Ok(()),
            _ => Err(refuse("only plain active segments can be metered")),
        };
        match payload {
            Payload::ElementSection(section) => {
                for segment in section.clone() {
                    check(segment.map_err(|e| unreadable(&e))?.range)?;
                }
            }
            Payload::DataSection(section) => {
                for segment in section.clone() {
                    check(segment.map_err(|e| unreadable(&e))?.range)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The tool makes the two sections that it adds to, where they are missing: before the first one
    /// that is neither custom nor lower.
    fn missing_sections(&mut self, payload: &Payload<'_>) {
        let id = match payload {
            Payload::TypeSection(_) => 1,
            Payload::ImportSection(_) => 2,
            Payload::Version { .. } | Payload::CustomSection(_) | Payload::End(_) => 0,
            // Bodies come after the start of their section, which has been here.
            _ => 3,
        };
        if id > 1 && !self.written.0 {
            self.finish_types(enc::TypeSection::new());
        }
        if id > 2 && !self.written.1 {
            self.finish_imports(enc::ImportSection::new());
        }
    }

    fn types(&mut self, section: TypeSectionReader<'_>) -> Result<(), Refusal> {
        self.types = section.count();
        let mut new = enc::TypeSection::new();
        self.shift.parse_type_section(&mut new, section).map_err(|e| unwritable(&e))?;
        self.finish_types(new);
        Ok(())
    }

    fn finish_types(&mut self, mut section: enc::TypeSection) {
        section.ty().function([self.unit], []);
        self.out.section(&section);
        self.written.0 = true;
    }

    fn imports(&mut self, section: ImportSectionReader<'_>) -> Result<(), Refusal> {
        for import in section.clone().into_imports() {
            let import = import.map_err(|e| unreadable(&e))?;
            if (import.module, import.name) == (MODULE, NAME) {
                return Err(refuse("importing metering function is not allowed"));
            }
            if !import.module.is_ascii() || !import.name.is_ascii() {
                return Err(refuse("names of imports must be ASCII to be metered"));
            }
            if matches!(import.ty, wasmparser::TypeRef::Func(_)) {
                self.shift.imported += 1;
            }
        }
        let mut new = enc::ImportSection::new();
        self.shift.parse_import_section(&mut new, section).map_err(|e| unwritable(&e))?;
        self.finish_imports(new);
        Ok(())
    }

    fn finish_imports(&mut self, mut section: enc::ImportSection) {
        section.import(MODULE, NAME, enc::EntityType::Function(self.types));
        self.out.section(&section);
        self.written.1 = true;
    }

    fn custom(&mut self, section: &CustomSectionReader<'_>) -> Result<(), Refusal> {
        if !section.name().is_ascii() {
            return Err(refuse("names of custom sections must be ASCII to be metered"));
        }
        let (name, data) = (Cow::Borrowed(section.name()), Cow::Borrowed(section.data()));
        self.out.section(&enc::CustomSection { name, data });
        Ok(())
    }

    fn close_code(&mut self) {
        if self.bodies_left == 0 {
            self.out.section(&std::mem::take(&mut self.code));
        }
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), Refusal> {
        let mut out = Vec::with_capacity(body.range().len() * 2);
        let locals = body.get_locals_reader().map_err(|e| unreadable(&e))?;
        locals.get_count().encode(&mut out);
        for group in locals {
            let (count, ty) = group.map_err(|e| unreadable(&e))?;
            count.encode(&mut out);
            self.shift.val_type(ty).map_err(|e| unwritable(&e))?.encode(&mut out);
        }
        let (mut segment, mut cost) = (Vec::new(), 0u64);
        let mut reader = body.get_operators_reader().map_err(|e| unreadable(&e))?;
        while !reader.eof() {
            let op = reader.read().map_err(|e| unreadable(&e))?;
            cost = cost.saturating_add(known_cost(&op)?);
            let ends = costs::ends_segment(&op);
            let new = self.shift.instruction(op).map_err(|e| unwritable(&e))?;
            new.encode(&mut segment);
            if ends {
                self.count(&mut out, cost)?;
                out.append(&mut segment);
                cost = 0;
            }
        }
        if self.shift.far {
            return Err(refuse("a memory offset is larger than metering can read"));
        }
        if self.code.byte_len().saturating_add(out.len()) > limits::MODULE_BYTES {
            return Err(too_big("the metered module"));
        }
        self.code.raw(&out);
        Ok(())
    }

    /// The call that counts a segment.
    fn count(&self, out: &mut Vec<u8>, cost: u64) -> Result<(), Refusal> {
        if cost == 0 {
            return Ok(());
        }
        let cost = cost.saturating_add(OVERHEAD);
        let most = || refuse("a straight line of code costs more than metering can count");
        let mut code = InstructionSink::new(out);
        match self.unit {
            enc::ValType::I64 => code.i64_const(i64::try_from(cost).map_err(|_| most())?),
            _ => code.i32_const(i32::try_from(cost).map_err(|_| most())?),
        };
        code.call(self.shift.imported);
        Ok(())
    }
}

/// The cost of an operator that the tool can read and write.
fn known_cost(op: &Operator<'_>) -> Result<u64, Refusal> {
    costs::cost(op)
        .ok_or_else(|| refuse(format!("metering does not know this operator: {}", name_of(op))))
}

/// An operator's name, without its immediates.
fn name_of(op: &Operator<'_>) -> String {
    let text = format!("{op:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
