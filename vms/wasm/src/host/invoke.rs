//! `invoke_*`: emscripten's setjmp. The host calls back through the guest's table and catches
//! `longjmp`, and nothing else: out of fuel and host errors pass through.

use super::cx::{Cx, Guest, is_of, takes};
use crate::trap::Stop;
use drivebay_disk::bug;
use wasmtime::{Func, Ref, Val};

/// Whether the signature of an `invoke_*` import makes sense: an index first, numbers after.
pub(crate) fn fits(ty: &str, wide: bool) -> bool {
    let index = if wide { 'j' } else { 'i' };
    ty.starts_with(index) && !ty.contains('?')
}

/// Calls entry `params[0]` of the table with the rest, as the reference does: through the module's
/// `dynCall_*` where it has one, since that is instrumented and counted.
pub(crate) fn invoke(
    cx: &mut Cx<'_>,
    dyn_call: &str,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    cx.charge_call()?;
    let guest = cx.guest()?;
    let depth = cx.deeper()?;
    let saved = save_stack(cx, &guest)?;
    let done = call_target(cx, &guest, dyn_call, params, results);
    let Err(error) = done else {
        return Ok(cx.set_depth(depth)?);
    };
    if !matches!(error.downcast_ref::<Stop>(), Some(Stop::LongJump)) {
        return Err(error);
    }
    cx.set_depth(depth)?;
    // A call that was cut short has written no results: they are the zeros they came as.
    land(cx, &guest, saved)
}

fn save_stack(cx: &mut Cx<'_>, guest: &Guest) -> wasmtime::Result<Val> {
    let save = guest.stack_save.ok_or_else(|| no_export("stackSave"))?;
    Ok(cx.call(&save, &[])?.unwrap_or(Val::I32(0)))
}

fn land(cx: &mut Cx<'_>, guest: &Guest, saved: Val) -> wasmtime::Result<()> {
    let restore = guest.stack_restore.ok_or_else(|| no_export("stackRestore"))?;
    cx.call(&restore, &[saved])?;
    let set_threw = guest.set_threw.ok_or_else(|| no_export("setThrew"))?;
    let one = cx.number(1);
    cx.call(&set_threw, &[one, Val::I32(0)])?;
    Ok(())
}

fn no_export(name: &str) -> Stop {
    Stop::trapped(format!("the module has no {name} to land a longjmp with"))
}

fn call_target(
    cx: &mut Cx<'_>,
    guest: &Guest,
    dyn_call: &str,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let Some((index, rest)) = params.split_first() else {
        return Err(Stop::Host(bug!("invoke without an index")).into());
    };
    let index = super::Args(&[*index]).i32(0);
    if let Some(target) = guest.instance.get_func(cx.store(), dyn_call) {
        let mut args = vec![Val::I32(index)];
        args.extend_from_slice(rest);
        check(cx, &target, &args, results)?;
        return target.call(cx.store(), &args, results);
    }
    let target = table_entry(cx, guest, index.cast_unsigned())?;
    check(cx, &target, rest, results)?;
    target.call(cx.store(), rest, results)
}

fn table_entry(cx: &mut Cx<'_>, guest: &Guest, index: u32) -> Result<Func, Stop> {
    let table = guest.table.ok_or_else(|| Stop::trapped("the module exports no function table"))?;
    match table.get(cx.store(), u64::from(index)) {
        Some(Ref::Func(Some(func))) => Ok(func),
        Some(_) => Err(Stop::trapped("null function or function signature mismatch")),
        None => Err(Stop::trapped("table index is out of bounds")),
    }
}

/// A signature that is not what the import says is a trap, as an indirect call makes it.
fn check(cx: &mut Cx<'_>, target: &Func, args: &[Val], results: &[Val]) -> Result<(), Stop> {
    let ty = target.ty(cx.store());
    // The results are zeros of the import's types.
    let same = takes(&ty, args)
        && ty.results().len() == results.len()
        && ty.results().zip(results).all(|(ty, zero)| is_of(zero, &ty));
    if same { Ok(()) } else { Err(Stop::trapped("null function or function signature mismatch")) }
}
