//! The module `spectest` that the scripts import from.

use std::collections::BTreeMap;
use wasmtime::{
    Extern, Func, Global, GlobalType, Memory, MemoryType, Mutability, Ref, RefType, Store, Table,
    TableType, Val, ValType,
};

/// Its exports. What it prints, nobody reads.
pub(super) fn exports(store: &mut Store<()>) -> wasmtime::Result<BTreeMap<&'static str, Extern>> {
    let mut exports = BTreeMap::<&str, Extern>::new();
    exports.insert("print", Func::wrap(&mut *store, || {}).into());
    exports.insert("print_i32", Func::wrap(&mut *store, |_: i32| {}).into());
    exports.insert("print_i64", Func::wrap(&mut *store, |_: i64| {}).into());
    exports.insert("print_f32", Func::wrap(&mut *store, |_: f32| {}).into());
    exports.insert("print_f64", Func::wrap(&mut *store, |_: f64| {}).into());
    exports.insert("print_i32_f32", Func::wrap(&mut *store, |_: i32, _: f32| {}).into());
    exports.insert("print_f64_f64", Func::wrap(&mut *store, |_: f64, _: f64| {}).into());
    for (name, value) in [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::F32(666.6_f32.to_bits())),
        ("global_f64", Val::F64(666.6_f64.to_bits())),
    ] {
        let ty = GlobalType::new(type_of(&value), Mutability::Const);
        exports.insert(name, Global::new(&mut *store, ty, value)?.into());
    }
    for (name, ty) in [
        ("table", TableType::new(RefType::FUNCREF, 10, Some(20))),
        ("table64", TableType::new64(RefType::FUNCREF, 10, Some(20))),
    ] {
        exports.insert(name, Table::new(&mut *store, ty, Ref::Func(None))?.into());
    }
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    exports.insert("memory", memory.into());
    Ok(exports)
}

fn type_of(value: &Val) -> ValType {
    match value {
        Val::I32(_) => ValType::I32,
        Val::I64(_) => ValType::I64,
        Val::F32(_) => ValType::F32,
        _ => ValType::F64,
    }
}
