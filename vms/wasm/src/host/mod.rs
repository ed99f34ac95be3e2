//! What guest code may ask of the host while it runs.
//!
//! Each import is a row of a table: names, a signature, and a function over a [`Cx`]. A module that asks
//! for anything else is refused when it is read.

mod clean;
mod cx;
mod emscripten;
mod files;
mod hyperbeam;
mod invoke;
mod text;
mod time;
mod weave;

pub(crate) use cx::{Action, Args, Asyncify, Cx, Guest, Out, Run, World, call, charge, number};
pub(crate) use emscripten::COPIES;
pub(crate) use weave::act;

use crate::formats::{Abi, Rules};
use crate::rewrite;
use crate::trap::Stop;
pub(crate) use crate::trap::stopped;
use std::collections::BTreeSet;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};

/// The host's side of an import.
pub(crate) type HostFn = fn(&mut Cx<'_>, Args<'_>) -> Result<Out, Stop>;

/// One import that some format allows.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    module: &'static str,
    name: &'static str,
    /// Parameters, `>`, result: `i j f d` are the wasm types, `p` is a pointer of the format's width.
    signature: &'static str,
    run: HostFn,
}

const fn row(
    module: &'static str,
    name: &'static str,
    signature: &'static str,
    run: HostFn,
) -> Row {
    Row { module, name, signature, run }
}

/// How an import is answered.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// By a row of the table.
    Row(HostFn),
    /// By calling back through the guest's function table, catching `longjmp`.
    Invoke,
    /// By zero, whatever it is: HyperBEAM's rule for what its device does not implement.
    Zero,
}

/// How `rules` answer an import of that name and signature, or `None` if it is not allowed.
pub(crate) fn answer(rules: &Rules, module: &str, name: &str, ty: &str) -> Option<Answer> {
    let name = match rules.abi {
        Abi::Loader(_) if module == "a" => emscripten::plain_name(name)?,
        _ => name,
    };
    let module = if module == "a" { emscripten::home_of(name) } else { module };
    if module == "env" && name.starts_with("invoke_") && rules.abi != Abi::Clean {
        return invoke::fits(ty, rules.wide).then_some(Answer::Invoke);
    }
    let found = tables(rules)
        .iter()
        .flat_map(|table| table.iter())
        .find(|row| row.module == module && row.name == name && fits(row, ty, rules.wide));
    match found {
        Some(row) => Some(Answer::Row(row.run)),
        None if rules.abi == Abi::HyperBeam && !module.starts_with("drivebay") => {
            Some(Answer::Zero)
        }
        None => None,
    }
}

fn tables(rules: &Rules) -> [&'static [Row]; 2] {
    let own = match rules.abi {
        Abi::Loader(_) => emscripten::ROWS,
        Abi::HyperBeam => hyperbeam::ROWS,
        Abi::Clean => clean::ROWS,
    };
    [own, METERS]
}

/// What the rewriter's own code calls.
const METERS: &[Row] = &[
    row("drivebay", "too_deep", ">", |_, _| Err(too_deep())),
    row("drivebay", "out_of_gas", ">", |_, _| Err(Stop::Fault(OUT_OF_GAS, "out of gas!".into()))),
    // Never called: the rewriter counts in the module itself.
    row("metering", "usegas", "i>", |_, _| Ok(Out::None)),
    row("metering", "usegas", "j>", |_, _| Ok(Out::None)),
];

const OUT_OF_GAS: drivebay_disk::FaultCode = drivebay_disk::FaultCode::OutOfFuel;

pub(crate) fn too_deep() -> Stop {
    Stop::Fault(drivebay_disk::FaultCode::TooDeep, "calls nested too deep".into())
}

fn fits(row: &Row, ty: &str, wide: bool) -> bool {
    let pointer = if wide { 'j' } else { 'i' };
    row.signature.chars().map(|c| if c == 'p' { pointer } else { c }).eq(ty.chars())
}

/// The signature of a function type in the letters of [`Row`].
pub(crate) fn signature(ty: &FuncType) -> String {
    let letters = |types: &mut dyn Iterator<Item = ValType>| types.map(letter).collect::<String>();
    format!("{}>{}", letters(&mut ty.params()), letters(&mut ty.results()))
}

fn letter(ty: ValType) -> char {
    match ty {
        ValType::I32 => 'i',
        ValType::I64 => 'j',
        ValType::F32 => 'f',
        ValType::F64 => 'd',
        ValType::V128 | ValType::Ref(_) => '?',
    }
}

/// The same of a signature that the rewriter found.
pub(crate) fn signature_of(signature: &rewrite::Signature) -> String {
    let letter = |ty: &rewrite::ValType| match ty {
        rewrite::ValType::I32 => 'i',
        rewrite::ValType::I64 => 'j',
        rewrite::ValType::F32 => 'f',
        rewrite::ValType::F64 => 'd',
        rewrite::ValType::V128 => '?',
    };
    let letters = |types: &[rewrite::ValType]| types.iter().map(letter).collect::<String>();
    format!("{}>{}", letters(&signature.params), letters(&signature.results))
}

/// Defines every import of `module` in a new linker.
pub(crate) fn link(
    rules: &'static Rules,
    module: &wasmtime::Module,
) -> wasmtime::Result<Linker<World>> {
    let mut linker = Linker::new(module.engine());
    let mut defined = BTreeSet::new();
    for import in module.imports() {
        let Some(ty) = import.ty().func().cloned() else { continue };
        let (home, name) = (import.module(), import.name());
        // The reader refuses one name of two types, so what is here a second time is the same.
        if !defined.insert((home, name)) {
            continue;
        }
        let found = answer(rules, home, name, &signature(&ty));
        let Some(found) = found else {
            wasmtime::bail!("import {home}.{name} was not refused when the module was read");
        };
        define(&mut linker, (home, name), ty, found)?;
    }
    Ok(linker)
}

fn define(
    linker: &mut Linker<World>,
    (home, name): (&str, &str),
    ty: FuncType,
    answer: Answer,
) -> wasmtime::Result<()> {
    match answer {
        Answer::Row(run) => {
            let wide = matches!(ty.results().next(), Some(ValType::I64));
            linker.func_new(home, name, ty, move |caller, params, results| {
                let out = enter(caller, run, params)?;
                if let Some(slot) = results.first_mut() {
                    *slot = out.into_val(wide);
                }
                Ok(())
            })?;
        }
        Answer::Invoke => {
            let target = format!("dynCall_{}", name.trim_start_matches("invoke_"));
            linker.func_new(home, name, ty.clone(), move |caller, params, results| {
                zero(&ty, results);
                invoke::invoke(&mut Cx::new(caller), &target, params, results)
            })?;
        }
        Answer::Zero => {
            linker.func_new(home, name, ty.clone(), move |caller, _, results| {
                Cx::new(caller).charge_call()?;
                zero(&ty, results);
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn enter(caller: Caller<'_, World>, run: HostFn, params: &[Val]) -> wasmtime::Result<Out> {
    let mut cx = Cx::new(caller);
    cx.charge_call()?;
    Ok(run(&mut cx, Args(params))?)
}

fn zero(ty: &FuncType, results: &mut [Val]) {
    for (slot, ty) in results.iter_mut().zip(ty.results()) {
        *slot = Val::default_for_ty(&ty).unwrap_or(Val::I32(0));
    }
}

#[cfg(test)]
mod tests;
