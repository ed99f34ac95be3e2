//! The rewritten module, section by section, and its facts.

use super::{
    RewriteError, Rewritten, Rules,
    body::{self, NewBody},
    bug, copy,
    facts::{
        self, ExportFact, ExportKind, Facts, GlobalFact, ImportFact, MemoryFacts, Signature,
        ValType,
    },
    gas, limits, nan_help,
    plan::{self, Helper, Plan},
    scan::Scan,
    too_big,
    types::Types,
};
use std::borrow::Cow;
use wasm_encoder as enc;
use wasmparser::ExternalKind;

/// Writes the rewritten module.
pub(super) fn emit(
    bytes: &[u8],
    mut scan: Scan<'_>,
    rules: &Rules,
) -> Result<Rewritten, RewriteError> {
    let mut plan = Plan::new(&mut scan, rules)?;
    let bodies = bodies(bytes, &scan, &mut plan, rules)?;
    let facts = facts(&scan, &plan, &bodies)?;
    let mut module = enc::Module::new();
    // Bodies and helpers may add types, so the code comes before the section of types is written.
    let helpers: Vec<u32> =
        plan.helpers.clone().iter().map(|h| plan.types.index_of(h.signature())).collect();
    let host = plan.types.index_of(Signature::default());
    module.section(&types(&plan.types));
    module.section(&imports(&scan, &plan, host));
    module.section(&functions(&scan, &helpers));
    if let Some(table) = table(&scan) {
        module.section(&table);
    }
    module.section(&memory(&facts.memory));
    if !scan.tags.is_empty() {
        module.section(&tags(&scan));
    }
    module.section(&globals(&scan, &plan));
    module.section(&exports(&scan, &plan));
    if !scan.elements.is_empty() {
        module.section(&elements(&scan, &plan)?);
    }
    module.section(&code(&bodies, &plan, facts.memory.memory64)?);
    Ok(Rewritten { bytes: module.finish(), facts })
}

fn bodies(
    bytes: &[u8],
    scan: &Scan<'_>,
    plan: &mut Plan,
    rules: &Rules,
) -> Result<Vec<NewBody>, RewriteError> {
    let asyncify = plan.asyncify.clone();
    let module = body::Module {
        bytes,
        tags: &scan.tags,
        rules,
        asyncify: asyncify.as_ref(),
        lowered: plan.lowered,
    };
    let mut bodies = Vec::with_capacity(scan.bodies.len());
    let mut total = 0usize;
    for ((body, ty), position) in scan.bodies.iter().zip(&scan.functions).zip(0u32..) {
        let signature = &signature(&plan.types, *ty)?.clone();
        let new = body::rewrite(&module, &body::Function { position, signature, body }, plan)?;
        total = total.saturating_add(new.bytes.len());
        if total > limits::CODE_BYTES {
            let most = limits::CODE_BYTES as u64;
            return Err(too_big("bytes of rewritten code, at least", most + 1, most));
        }
        bodies.push(new);
    }
    Ok(bodies)
}

fn signature(types: &Types, index: u32) -> Result<&Signature, RewriteError> {
    types.get(index).ok_or_else(|| bug("a type that is not there"))
}

fn types(types: &Types) -> enc::TypeSection {
    let mut section = enc::TypeSection::new();
    for ty in types.iter() {
        let encoded = |list: &[ValType]| list.iter().map(|ty| ty.encoded()).collect::<Vec<_>>();
        section.ty().function(encoded(&ty.params), encoded(&ty.results));
    }
    section
}

fn imports(scan: &Scan<'_>, plan: &Plan, host: u32) -> enc::ImportSection {
    let mut section = enc::ImportSection::new();
    for (module, name, ty) in &scan.imports {
        section.import(module, name, enc::EntityType::Function(*ty));
    }
    section.import(facts::IMPORT_MODULE, facts::TOO_DEEP, enc::EntityType::Function(host));
    if plan.gas_import.is_some() {
        section.import(facts::IMPORT_MODULE, facts::OUT_OF_GAS, enc::EntityType::Function(host));
    }
    section
}

fn functions(scan: &Scan<'_>, helpers: &[u32]) -> enc::FunctionSection {
    let mut section = enc::FunctionSection::new();
    for ty in scan.functions.iter().chain(helpers) {
        section.function(*ty);
    }
    section
}

fn table(scan: &Scan<'_>) -> Option<enc::TableSection> {
    let (minimum, maximum) = scan.table?;
    let mut section = enc::TableSection::new();
    section.table(enc::TableType {
        element_type: enc::RefType::FUNCREF,
        table64: false,
        minimum,
        maximum,
        shared: false,
    });
    Some(section)
}

fn memory(facts: &MemoryFacts) -> enc::MemorySection {
    let mut section = enc::MemorySection::new();
    section.memory(enc::MemoryType {
        minimum: facts.min_pages,
        maximum: facts.max_pages,
        memory64: facts.memory64,
        shared: false,
        page_size_log2: None,
    });
    section
}

fn tags(scan: &Scan<'_>) -> enc::TagSection {
    let mut section = enc::TagSection::new();
    for ty in &scan.tags {
        section.tag(enc::TagType { kind: enc::TagKind::Exception, func_type_idx: *ty });
    }
    section
}

fn globals(scan: &Scan<'_>, plan: &Plan) -> enc::GlobalSection {
    let mut section = enc::GlobalSection::new();
    let mut push = |ty: ValType, mutable: bool, value: &enc::ConstExpr| {
        let ty = enc::GlobalType { val_type: ty.encoded(), mutable, shared: false };
        section.global(ty, value);
    };
    for global in &scan.globals {
        push(global.ty, global.mutable, &constant(global.ty, global.bits));
    }
    push(ValType::I32, true, &enc::ConstExpr::i32_const(0));
    push(ValType::I32, true, &enc::ConstExpr::i32_const(0));
    if plan.gas_import.is_some() {
        push(ValType::I64, true, &enc::ConstExpr::i64_const(0));
        push(ValType::I64, true, &enc::ConstExpr::i64_const(0));
    }
    section
}

/// A constant of that type from its bits; higher bits are zero.
fn constant(ty: ValType, bits: u128) -> enc::ConstExpr {
    let low32 = (bits & u128::from(u32::MAX)) as u32;
    let low64 = (bits & u128::from(u64::MAX)) as u64;
    match ty {
        ValType::I32 => enc::ConstExpr::i32_const(low32.cast_signed()),
        ValType::I64 => enc::ConstExpr::i64_const(low64.cast_signed()),
        ValType::F32 => enc::ConstExpr::f32_const(enc::Ieee32::new(low32)),
        ValType::F64 => enc::ConstExpr::f64_const(enc::Ieee64::new(low64)),
        ValType::V128 => enc::ConstExpr::v128_const(bits.cast_signed()),
    }
}

fn exports(scan: &Scan<'_>, plan: &Plan) -> enc::ExportSection {
    let mut section = enc::ExportSection::new();
    for (name, kind, index) in &scan.exports {
        match kind {
            ExternalKind::Table => section.export(name, enc::ExportKind::Table, *index),
            ExternalKind::Memory => section.export(name, enc::ExportKind::Memory, *index),
            ExternalKind::Global => section.export(name, enc::ExportKind::Global, *index),
            ExternalKind::Tag => section.export(name, enc::ExportKind::Tag, *index),
            ExternalKind::Func | ExternalKind::FuncExact => {
                section.export(name, enc::ExportKind::Func, plan.function(*index))
            }
        };
    }
    section.export(facts::MEMORY, enc::ExportKind::Memory, 0);
    if scan.table.is_some() {
        section.export(facts::TABLE, enc::ExportKind::Table, 0);
    }
    for (index, global) in (0u32..).zip(&scan.globals) {
        if global.mutable {
            section.export(&global_name(index), enc::ExportKind::Global, index);
        }
    }
    if let Some(start) = scan.start {
        section.export(facts::START, enc::ExportKind::Func, plan.function(start));
    }
    section.export(facts::DEPTH, enc::ExportKind::Global, plan.depth);
    section.export(facts::DEPTH_LIMIT, enc::ExportKind::Global, plan.depth_limit);
    if plan.gas_import.is_some() {
        section.export(facts::GAS, enc::ExportKind::Global, plan.gas);
        section.export(facts::GAS_LIMIT, enc::ExportKind::Global, plan.gas_limit);
    }
    section
}

fn global_name(index: u32) -> String {
    format!("{}g{index}", facts::RESERVED)
}

fn elements(scan: &Scan<'_>, plan: &Plan) -> Result<enc::ElementSection, RewriteError> {
    let mut section = enc::ElementSection::new();
    for (offset, functions) in &scan.elements {
        let offset = u32::try_from(*offset).map_err(bug)?.cast_signed();
        let offset = enc::ConstExpr::i32_const(offset);
        let indices: Option<Vec<u32>> =
            functions.iter().map(|index| index.map(|index| plan.function(index))).collect();
        let elements = match indices {
            Some(indices) => enc::Elements::Functions(Cow::Owned(indices)),
            None => {
                let item = |index: &Option<u32>| match index {
                    Some(index) => enc::ConstExpr::ref_func(plan.function(*index)),
                    None => enc::ConstExpr::ref_null(enc::HeapType::FUNC),
                };
                let items = functions.iter().map(item).collect::<Vec<_>>();
                enc::Elements::Expressions(enc::RefType::FUNCREF, Cow::Owned(items))
            }
        };
        section.active(None, &offset, elements);
    }
    Ok(section)
}

fn code(bodies: &[NewBody], plan: &Plan, wide: bool) -> Result<enc::CodeSection, RewriteError> {
    let mut section = enc::CodeSection::new();
    for body in bodies {
        section.raw(&body.bytes);
    }
    for helper in &plan.helpers {
        let function = match helper {
            Helper::UseGas(ty) => Some(gas::helper(plan, *ty)),
            Helper::Copy(ty) => Some(copy::helper(*ty, wide)),
            other => nan_help::function(*other),
        };
        section.function(&function.ok_or_else(|| bug("a helper without a body"))?);
    }
    Ok(section)
}

fn facts(scan: &Scan<'_>, plan: &Plan, bodies: &[NewBody]) -> Result<Facts, RewriteError> {
    let memory = scan.memory.ok_or_else(|| bug("a module without memory"))?;
    let globals = (0u32..).zip(&scan.globals).filter(|(_, global)| global.mutable);
    Ok(Facts {
        memory: MemoryFacts {
            min_pages: memory.initial,
            max_pages: memory.maximum,
            memory64: memory.memory64 && !plan.lowered,
        },
        table_elements: scan.table.map(|(min, _)| min),
        data: scan.data.iter().map(|(offset, bytes)| (*offset, bytes.to_vec())).collect(),
        globals: globals
            .map(|(index, global)| GlobalFact {
                export: global_name(index),
                ty: global.ty,
                bits: global.bits,
            })
            .collect(),
        start: scan.start.is_some(),
        imports: import_facts(scan, plan)?,
        exports: export_facts(scan, plan)?,
        has_gas: plan.gas_import.is_some(),
        direct_waits: plan.asyncify.is_some(),
        grows_memory: scan.bodies.iter().any(|body| body.grows),
        has_exceptions: scan.bodies.iter().any(|body| !body.tries.is_empty()),
        max_depth_cost: bodies.iter().map(|body| body.cost).max().unwrap_or(0),
    })
}

fn import_facts(scan: &Scan<'_>, plan: &Plan) -> Result<Vec<ImportFact>, RewriteError> {
    let fact = |(module, name, ty): &(&str, &str, u32)| {
        let (module, name) = ((*module).to_owned(), (*name).to_owned());
        Ok(ImportFact { module, name, signature: signature(&plan.types, *ty)?.clone() })
    };
    scan.imports.iter().map(fact).collect()
}

fn export_facts(scan: &Scan<'_>, plan: &Plan) -> Result<Vec<ExportFact>, RewriteError> {
    let fact = |(name, kind, index): &(&str, ExternalKind, u32)| {
        let kind = match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                ExportKind::Func(function_signature(scan, plan, *index)?.clone())
            }
            ExternalKind::Memory => ExportKind::Memory,
            ExternalKind::Table => ExportKind::Table,
            ExternalKind::Tag => ExportKind::Tag,
            ExternalKind::Global => {
                let global = plan::position(*index).and_then(|index| scan.globals.get(index));
                let global = global.ok_or_else(|| bug("an exported global that is not there"))?;
                ExportKind::Global { ty: global.ty, mutable: global.mutable }
            }
        };
        Ok(ExportFact { name: (*name).to_owned(), kind })
    };
    scan.exports.iter().map(fact).collect()
}

/// The signature of a function by its index in the source.
fn function_signature<'p>(
    scan: &Scan<'_>,
    plan: &'p Plan,
    index: u32,
) -> Result<&'p Signature, RewriteError> {
    let index = plan::position(index).ok_or_else(|| bug("an index over its bound"))?;
    let imported = scan.imports.get(index).map(|(_, _, ty)| *ty);
    let defined = || scan.functions.get(index.checked_sub(scan.imports.len())?).copied();
    let ty =
        imported.or_else(defined).ok_or_else(|| bug("an exported function that is not there"))?;
    signature(&plan.types, ty)
}
