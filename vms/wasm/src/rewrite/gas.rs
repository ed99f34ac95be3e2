//! Gas: the import `metering.usegas`, answered inside the module.
//!
//! As in the reference, gas is added first and compared afterwards, and only more than the limit is too
//! much. The sum wraps at 64 bits; a module that calls `usegas` itself with such amounts, or negative ones,
//! cheats nobody but its own meter, because fuel is counted beside it.

use super::{
    RewriteError, Rules,
    facts::{Signature, ValType},
    not_allowed,
    plan::Plan,
    scan::Scan,
};
use wasm_encoder::{BlockType, Function};
use wasmparser::ExternalKind;

const MODULE: &str = "metering";
const NAME: &str = "usegas";

/// The import: its function index, and the type of its one parameter.
pub(super) type GasImport = (u32, ValType);

/// Finds the import, and refuses uses of it that calls inside the module cannot replace.
pub(super) fn find(scan: &Scan<'_>, rules: &Rules) -> Result<Option<GasImport>, RewriteError> {
    if !rules.gas {
        return Ok(None);
    }
    let mut found = None;
    for (index, (module, name, ty)) in (0u32..).zip(&scan.imports) {
        if (*module, *name) != (MODULE, NAME) {
            continue;
        }
        if found.is_some() {
            return Err(not_allowed("metering.usegas is imported twice"));
        }
        found = Some((index, parameter(scan.types.get(*ty))?));
    }
    if found.is_some_and(|(index, _)| !only_called(scan, index)) {
        return Err(not_allowed(
            "metering.usegas may only be called, not exported or put in a table",
        ));
    }
    Ok(found)
}

fn parameter(signature: Option<&Signature>) -> Result<ValType, RewriteError> {
    let lists = signature.map(|ty| (ty.params.as_slice(), ty.results.as_slice()));
    match lists {
        Some(([ty @ (ValType::I32 | ValType::I64)], [])) => Ok(*ty),
        _ => Err(not_allowed("metering.usegas must take one i32 or i64 and return nothing")),
    }
}

/// Whether nothing but direct calls can reach a function.
pub(super) fn only_called(scan: &Scan<'_>, index: u32) -> bool {
    let exported =
        scan.exports.iter().any(|(_, kind, of)| matches!(kind, ExternalKind::Func) && *of == index);
    let in_table = scan.elements.iter().any(|(_, list)| list.contains(&Some(index)));
    !exported && !in_table && scan.start != Some(index)
}

/// The function that takes the import's place. `gas` is the parameter's type; an `i32` counts as signed.
pub(super) fn helper(plan: &Plan, gas: ValType) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.global_get(plan.gas).local_get(0);
    if gas == ValType::I32 {
        code.i64_extend_i32_s();
    }
    code.i64_add()
        .global_set(plan.gas)
        .global_get(plan.gas)
        .global_get(plan.gas_limit)
        .i64_gt_s()
        .if_(BlockType::Empty)
        .call(plan.out_of_gas)
        .unreachable()
        .end()
        .end();
    function
}
