//! The exports that a calling convention needs, under the names that its modules give them.

use crate::formats::{Abi, Rules};
use crate::host::{Guest, World};
use crate::posix::Flavor;
use crate::rewrite::{self, ExportFact, ExportKind};
use drivebay_disk::{HostError, bug};
use wasmtime::{Instance, Store};

/// Names of what the host calls.
pub(super) struct Names {
    pub(super) memory: &'static str,
    pub(super) table: &'static str,
    pub(super) handle: &'static str,
    pub(super) ctors: &'static str,
    pub(super) main: &'static str,
    malloc: &'static str,
    set_threw: &'static str,
    stack_save: &'static str,
    stack_restore: &'static str,
    stack_alloc: &'static str,
}

/// Format 1 was built with minified names.
const MINIFIED: Names = Names {
    memory: "E",
    table: "I",
    handle: "G",
    ctors: "F",
    main: "H",
    malloc: "J",
    set_threw: "L",
    stack_save: "M",
    stack_restore: "N",
    stack_alloc: "O",
};

const PLAIN: Names = Names {
    memory: "memory",
    table: "__indirect_function_table",
    handle: "handle",
    ctors: "__wasm_call_ctors",
    main: "main",
    malloc: "malloc",
    set_threw: "setThrew",
    stack_save: "stackSave",
    stack_restore: "stackRestore",
    stack_alloc: "stackAlloc",
};

const MODERN: Names = Names {
    stack_save: "emscripten_stack_get_current",
    stack_restore: "_emscripten_stack_restore",
    stack_alloc: "_emscripten_stack_alloc",
    ..PLAIN
};

impl Names {
    pub(super) fn of(rules: &Rules) -> &'static Self {
        match rules.abi {
            Abi::Loader(Flavor::Fmt1) => &MINIFIED,
            Abi::Loader(Flavor::Fmt2 | Flavor::Fmt3) => &PLAIN,
            Abi::Loader(Flavor::Fmt4 | Flavor::Wasm64) | Abi::HyperBeam | Abi::Clean => &MODERN,
        }
    }
}

/// The first export that modules of this format must have and this one has not. Parameters and results
/// are not looked at: the reference does not either, and a call of another type has a verdict.
pub(crate) fn missing(rules: &Rules, exports: &[ExportFact]) -> Option<String> {
    let names = Names::of(rules);
    let is_memory = |kind: &ExportKind| matches!(kind, ExportKind::Memory);
    if !exports.iter().any(|export| export.name == names.memory && is_memory(&export.kind)) {
        return Some(format!("the memory {}", names.memory));
    }
    let stack = [names.stack_save, names.stack_restore, names.stack_alloc];
    let needed: Vec<&'static str> = match rules.abi {
        Abi::Loader(_) => [names.handle, names.ctors].into_iter().chain(stack).collect(),
        Abi::HyperBeam => vec![names.handle, names.malloc],
        Abi::Clean => vec![names.handle, "alloc"],
    };
    let is_function = |kind: &ExportKind| matches!(kind, ExportKind::Func(_));
    let has = |name: &str| exports.iter().any(|e| e.name == name && is_function(&e.kind));
    needed.into_iter().find(|name| !has(name)).map(|name| format!("the function {name}"))
}

/// The handles of a new instance.
pub(crate) fn guest(
    store: &mut Store<World>,
    instance: Instance,
    rules: &Rules,
) -> Result<Guest, HostError> {
    let names = Names::of(rules);
    let memory = instance
        .get_memory(&mut *store, names.memory)
        .ok_or_else(|| bug!("module without {} was not refused when it was read", names.memory))?;
    let table = instance.get_table(&mut *store, names.table);
    let mut func = |name| instance.get_func(&mut *store, name);
    let (stack_save, stack_restore) = (func(names.stack_save), func(names.stack_restore));
    let (stack_alloc, set_threw) = (func(names.stack_alloc), func(names.set_threw));
    let (malloc, free) = (func(names.malloc), func("free"));
    let mut global = |name| instance.get_global(&mut *store, name);
    Ok(Guest {
        memory,
        table,
        instance,
        stack_save,
        stack_restore,
        stack_alloc,
        set_threw,
        malloc,
        free,
        depth: global(rewrite::DEPTH),
        depth_limit: global(rewrite::DEPTH_LIMIT),
        gas: global(rewrite::GAS),
        gas_limit: global(rewrite::GAS_LIMIT),
    })
}
