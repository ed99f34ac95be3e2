//! `invoke_*`: emscripten's setjmp. The host calls back through the guest's table and catches
//! `longjmp`, and nothing else: out of fuel and host errors pass through.

use super::cx::{Cx, Guest};
use crate::limits;
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
    let saved = save_stack(cx, &guest)?;
    let depth = enter(cx, &guest)?;
    let done = call_target(cx, &guest, dyn_call, params, results);
    let Err(error) = done else {
        return set_depth(cx, &guest, depth);
    };
    if !matches!(error.downcast_ref::<Stop>(), Some(Stop::LongJump)) {
        return Err(error);
    }
    set_depth(cx, &guest, depth)?;
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

/// Counts the host's own frames in the guest's depth; the depth before.
fn enter(cx: &mut Cx<'_>, guest: &Guest) -> wasmtime::Result<i32> {
    let (Some(depth), Some(limit)) = (guest.depth, guest.depth_limit) else {
        return Err(Stop::Host(bug!("module without a depth meter")).into());
    };
    let mut store = cx.store();
    let (Val::I32(now), Val::I32(limit)) = (depth.get(&mut store), limit.get(&mut store)) else {
        return Err(Stop::Host(bug!("depth meter of another type")).into());
    };
    let deeper = now.saturating_add(limits::INVOKE_UNITS);
    if deeper.cast_unsigned() > limit.cast_unsigned() {
        return Err(super::too_deep().into());
    }
    depth.set(&mut store, Val::I32(deeper))?;
    Ok(now)
}

fn set_depth(cx: &mut Cx<'_>, guest: &Guest, value: i32) -> wasmtime::Result<()> {
    match guest.depth {
        Some(depth) => depth.set(cx.store(), Val::I32(value)),
        None => Ok(()),
    }
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

fn check(cx: &mut Cx<'_>, target: &Func, args: &[Val], results: &[Val]) -> Result<(), Stop> {
    let ty = target.ty(cx.store());
    let same = ty.params().len() == args.len()
        && ty.results().len() == results.len()
        && ty.params().zip(args).all(|(ty, arg)| {
            // Numbers only: their types say all.
            matches!(
                (ty, arg),
                (wasmtime::ValType::I32, Val::I32(_))
                    | (wasmtime::ValType::I64, Val::I64(_))
                    | (wasmtime::ValType::F32, Val::F32(_))
                    | (wasmtime::ValType::F64, Val::F64(_))
            )
        });
    if same { Ok(()) } else { Err(Stop::trapped("null function or function signature mismatch")) }
}
