//! A module's sections: validated, bounded, and read into plain lists.

use super::{
    RewriteError, Rules, check,
    facts::{RESERVED, Signature, ValType},
    limits, malformed,
    measure::{self, Body, Shared},
    not_allowed, too_big,
    types::Types,
};
use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, Encoding, ExternalKind, Operator, Parser,
    Payload, SectionLimited, TableInit, TypeRef, ValidPayload, Validator,
};

/// A module, read.
#[derive(Default)]
pub(super) struct Scan<'a> {
    /// Its types.
    pub(super) types: Types,
    /// Imported functions: module, name, type index.
    pub(super) imports: Vec<(&'a str, &'a str, u32)>,
    /// Type index of each defined function.
    pub(super) functions: Vec<u32>,
    /// The table's elements: at the start, at most.
    pub(super) table: Option<(u64, Option<u64>)>,
    /// The memory.
    pub(super) memory: Option<wasmparser::MemoryType>,
    /// Type index of each tag.
    pub(super) tags: Vec<u32>,
    /// Globals with the bits of their initial values.
    pub(super) globals: Vec<Global>,
    /// Exports: name, kind, index.
    pub(super) exports: Vec<(&'a str, ExternalKind, u32)>,
    /// Index of the start function.
    pub(super) start: Option<u32>,
    /// Element segments: offset, functions (`None` is a null).
    pub(super) elements: Vec<(u64, Vec<Option<u32>>)>,
    /// Bodies of the defined functions.
    pub(super) bodies: Vec<Body<'a>>,
    /// Data segments: offset, bytes.
    pub(super) data: Vec<(u64, &'a [u8])>,
}

/// A global.
pub(super) struct Global {
    pub(super) ty: ValType,
    pub(super) mutable: bool,
    pub(super) bits: u128,
}

/// Reads a module, and refuses what the rules do not allow.
pub(super) fn scan<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Scan<'a>, RewriteError> {
    let features = check::features(rules);
    let mut scan = Scan::default();
    let mut validator = Validator::new_with_features(features);
    let mut shared = Shared::default();
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(|e| malformed(&e))?;
        early(&payload)?;
        let valid = validator.payload(&payload).map_err(|e| malformed(&e))?;
        if let ValidPayload::Func(function, source) = valid {
            let body = measure::measure(function, source, rules, &mut shared)?;
            scan.bodies.push(body);
        } else {
            let types = matches!(payload, Payload::TypeSection(_));
            scan.section(payload)?;
            if types {
                shared.vectors = scan.types.iter().any(Signature::hides_vectors);
            }
        }
    }
    scan.finish(rules)?;
    Ok(scan)
}

/// What has to be refused before the validator works on it.
fn early(payload: &Payload<'_>) -> Result<(), RewriteError> {
    let (what, found, most) = match payload {
        Payload::Version { encoding: Encoding::Component, .. } => {
            return Err(not_allowed("this is a component, not a module"));
        }
        Payload::TypeSection(s) => ("types", s.count(), limits::TYPES),
        Payload::ImportSection(s) => ("imports", s.count(), limits::IMPORTS),
        Payload::FunctionSection(s) => ("functions", s.count(), limits::FUNCTIONS),
        Payload::TableSection(s) => ("tables", s.count(), 1),
        Payload::MemorySection(s) => ("memories", s.count(), 1),
        Payload::TagSection(s) => ("exception tags", s.count(), limits::TAGS),
        Payload::GlobalSection(s) => ("globals", s.count(), limits::GLOBALS),
        Payload::ExportSection(s) => ("exports", s.count(), limits::EXPORTS),
        Payload::ElementSection(s) => ("element segments", s.count(), limits::ELEMENT_SEGMENTS),
        Payload::DataSection(s) => ("data segments", s.count(), limits::DATA_SEGMENTS),
        _ => return Ok(()),
    };
    if found > most {
        return Err(too_big(what, u64::from(found), u64::from(most)));
    }
    Ok(())
}

/// The items of a section, with positions forgotten.
fn items<'a, T: wasmparser::FromReader<'a>>(
    section: SectionLimited<'a, T>,
) -> impl Iterator<Item = Result<T, RewriteError>> {
    section.into_iter().map(|item| item.map_err(|e| malformed(&e)))
}

impl<'a> Scan<'a> {
    fn section(&mut self, payload: Payload<'a>) -> Result<(), RewriteError> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    self.types.push(Signature::read(&ty.map_err(|e| malformed(&e))?)?);
                }
            }
            Payload::ImportSection(section) => self.imports(section)?,
            Payload::FunctionSection(section) => {
                self.functions = items(section).collect::<Result<_, _>>()?;
            }
            Payload::TableSection(section) => self.tables(section)?,
            Payload::MemorySection(section) => self.memory = items(section).next().transpose()?,
            Payload::TagSection(section) => {
                for tag in items(section) {
                    self.tags.push(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(section) => self.globals(section)?,
            Payload::ExportSection(section) => self.exports(section)?,
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(section) => self.elements(section)?,
            Payload::DataSection(section) => self.data(section)?,
            _ => {}
        }
        Ok(())
    }

    fn imports(
        &mut self,
        section: wasmparser::ImportSectionReader<'a>,
    ) -> Result<(), RewriteError> {
        for import in section.into_imports() {
            let import = import.map_err(|e| malformed(&e))?;
            let (module, name) = (import.module, import.name);
            let what = match import.ty {
                TypeRef::Func(ty) => {
                    self.imports.push((module, name, ty));
                    continue;
                }
                TypeRef::Memory(_) => "memory",
                TypeRef::Table(_) => "table",
                TypeRef::Global(_) => "global",
                TypeRef::Tag(_) => "exception tag",
                TypeRef::FuncExact(_) => "exact function",
            };
            return Err(not_allowed(format!(
                "only functions may be imported: {module}.{name} is a {what}"
            )));
        }
        Ok(())
    }

    fn tables(&mut self, section: wasmparser::TableSectionReader<'a>) -> Result<(), RewriteError> {
        let Some(table) = items(section).next().transpose()? else { return Ok(()) };
        if !matches!(table.init, TableInit::RefNull) {
            return Err(not_allowed("a table with an initial value is not allowed"));
        }
        if table.ty.element_type != wasmparser::RefType::FUNCREF {
            return Err(not_allowed("the table must be of functions"));
        }
        if table.ty.table64 {
            return Err(not_allowed("a table with 64-bit indices is not allowed"));
        }
        if table.ty.initial > limits::TABLE_ELEMENTS {
            return Err(too_big("elements of the table", table.ty.initial, limits::TABLE_ELEMENTS));
        }
        self.table = Some((table.ty.initial, table.ty.maximum));
        Ok(())
    }

    fn globals(
        &mut self,
        section: wasmparser::GlobalSectionReader<'a>,
    ) -> Result<(), RewriteError> {
        for global in items(section) {
            let global = global?;
            self.globals.push(Global {
                ty: ValType::read(global.ty.content_type)?,
                mutable: global.ty.mutable,
                bits: constant(&global.init_expr)?,
            });
        }
        Ok(())
    }

    fn exports(
        &mut self,
        section: wasmparser::ExportSectionReader<'a>,
    ) -> Result<(), RewriteError> {
        for export in items(section) {
            let export = export?;
            if export.name.starts_with(RESERVED) {
                let text = format!("the export name {} is reserved", export.name);
                return Err(not_allowed(text));
            }
            self.exports.push((export.name, export.kind, export.index));
        }
        Ok(())
    }

    fn elements(
        &mut self,
        section: wasmparser::ElementSectionReader<'a>,
    ) -> Result<(), RewriteError> {
        let mut room = limits::SEGMENT_ELEMENTS;
        for segment in items(section) {
            let segment = segment?;
            let ElementKind::Active { offset_expr, .. } = segment.kind else {
                return Err(not_allowed("passive and declared element segments are not allowed"));
            };
            let offset = offset(&offset_expr, false)?;
            let functions = functions(segment.items, room)?;
            room = room.saturating_sub(functions.len());
            let end = offset.saturating_add(functions.len() as u64);
            if end > self.table.map_or(0, |(min, _)| min) {
                return Err(not_allowed(format!(
                    "an element segment ends at {end}, outside the table"
                )));
            }
            self.elements.push((offset, functions));
        }
        Ok(())
    }

    fn data(&mut self, section: wasmparser::DataSectionReader<'a>) -> Result<(), RewriteError> {
        let Some(memory) = self.memory else { return Err(no_memory()) };
        for segment in items(section) {
            let segment = segment?;
            let DataKind::Active { offset_expr, .. } = segment.kind else {
                return Err(not_allowed("passive data segments are not allowed"));
            };
            let offset = offset(&offset_expr, memory.memory64)?;
            let end = offset.checked_add(segment.data.len() as u64);
            let size = memory.initial.checked_mul(limits::PAGE_BYTES);
            if end.is_none() || end > size {
                return Err(not_allowed(format!(
                    "a data segment at {offset} ends outside the initial memory"
                )));
            }
            self.data.push((offset, segment.data));
        }
        Ok(())
    }

    /// What can be told only at the end.
    fn finish(&self, rules: &Rules) -> Result<(), RewriteError> {
        let Some(memory) = self.memory else { return Err(no_memory()) };
        if memory.memory64 != rules.memory64 {
            let wanted = if rules.memory64 { "64-bit" } else { "32-bit" };
            return Err(not_allowed(format!("this format needs a memory of {wanted} addresses")));
        }
        if memory.initial > rules.max_initial_pages {
            return Err(too_big(
                "initial pages of memory",
                memory.initial,
                rules.max_initial_pages,
            ));
        }
        Ok(())
    }
}

fn no_memory() -> RewriteError {
    not_allowed("the module defines no memory")
}

/// The functions of an element segment, at most `room` of them.
fn functions(items: ElementItems<'_>, room: usize) -> Result<Vec<Option<u32>>, RewriteError> {
    let count = match &items {
        ElementItems::Functions(list) => list.count(),
        ElementItems::Expressions(_, list) => list.count(),
    };
    if count as usize > room {
        let most = limits::SEGMENT_ELEMENTS as u64;
        return Err(too_big("elements of all segments, at least", most + 1, most));
    }
    match items {
        ElementItems::Functions(list) => self::items(list).map(|item| item.map(Some)).collect(),
        ElementItems::Expressions(_, list) => {
            self::items(list).map(|item| element(&item?)).collect()
        }
    }
}

fn element(expression: &ConstExpr<'_>) -> Result<Option<u32>, RewriteError> {
    match single(expression)? {
        Operator::RefFunc { function_index } => Ok(Some(function_index)),
        Operator::RefNull { .. } => Ok(None),
        _ => Err(not_allowed("an element must be ref.func or ref.null")),
    }
}

/// The one operator of a constant expression.
fn single<'a>(expression: &ConstExpr<'a>) -> Result<Operator<'a>, RewriteError> {
    let mut reader = expression.get_operators_reader();
    let first = reader.read().map_err(|e| malformed(&e))?;
    match reader.read().map_err(|e| malformed(&e))? {
        Operator::End => Ok(first),
        _ => Err(not_allowed("a constant expression must be a single constant")),
    }
}

/// The bits of a constant.
fn constant(expression: &ConstExpr<'_>) -> Result<u128, RewriteError> {
    match single(expression)? {
        Operator::I32Const { value } => Ok(u128::from(value.cast_unsigned())),
        Operator::I64Const { value } => Ok(u128::from(value.cast_unsigned())),
        Operator::F32Const { value } => Ok(u128::from(value.bits())),
        Operator::F64Const { value } => Ok(u128::from(value.bits())),
        Operator::V128Const { value } => Ok(value.i128().cast_unsigned()),
        _ => Err(not_allowed("a global's initial value must be a plain constant")),
    }
}

/// The offset of a segment: unsigned, of 32 or 64 bits.
fn offset(expression: &ConstExpr<'_>, wide: bool) -> Result<u64, RewriteError> {
    match (single(expression)?, wide) {
        (Operator::I32Const { value }, false) => Ok(u64::from(value.cast_unsigned())),
        (Operator::I64Const { value }, true) => Ok(value.cast_unsigned()),
        _ => Err(not_allowed("the offset of a segment must be a plain constant")),
    }
}
