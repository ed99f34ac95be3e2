//! Emscripten's Asyncify: a guest that must wait unwinds to the host, and is rewound with the answer.
//!
//! The round trip through a 40 MiB allocation in guest memory is part of what these modules' memory looks
//! like, so it is made as the reference makes it. Where Asyncify was taken out of the module when it was read,
//! the host answers at once, but allocates and frees all the same: what the guest allocates afterwards lies
//! where it would, and only what unwound frames would have left in freed memory is missing.

use crate::host::{Action, Asyncify, Cx, Out, stopped};
use crate::live::Live;
use crate::trap::Stop;
use wasmtime::{AsContextMut, Val};

/// Bytes of guest memory that an unwound stack may take.
const STACK_BYTES: u64 = 41_943_040;

/// An import that waits for `action`: unwinds when first called, answers when called again.
pub(crate) fn wait(cx: &mut Cx<'_>, action: Action) -> Result<Out, Stop> {
    let last = cx.posix().async_ret;
    match std::mem::take(&mut cx.world().asyncify) {
        Asyncify::Normal if cx.world().direct_waits => Err(Stop::trapped(NOBODY)),
        Asyncify::Direct => answer(cx, &action),
        Asyncify::Normal => unwind(cx, action).map(|()| Out::I32(last)),
        Asyncify::Rewinding { data } => rewound(cx, data).map(|()| Out::I32(last)),
        Asyncify::Unwinding { .. } => Err(Stop::trapped("an import was called while unwinding")),
    }
}

const NOBODY: &str = "the guest waits where nobody rewinds it";

/// Answers without unwinding.
fn answer(cx: &mut Cx<'_>, action: &Action) -> Result<Out, Stop> {
    let data = frames(cx)?;
    let answer = cx.act(action)?;
    cx.posix().async_ret = answer;
    let free = cx.guest()?.free.ok_or_else(|| Stop::trapped("the module has no free"))?;
    let at = cx.number(data);
    stopped(cx.call(&free, &[at]))?;
    cx.world().asyncify = Asyncify::Direct;
    Ok(Out::I32(answer))
}

/// Allocates what unwound frames go to; its address.
fn frames(cx: &mut Cx<'_>) -> Result<u64, Stop> {
    let header: u64 = if cx.wide() { 24 } else { 12 };
    let malloc = cx.guest()?.malloc.ok_or_else(|| Stop::trapped("the module has no malloc"))?;
    let size = cx.number(header + STACK_BYTES);
    let data = super::pointer(stopped(cx.call(&malloc, &[size]))?);
    cx.put_ptr(data, data.wrapping_add(header))?;
    let width = if cx.wide() { 8 } else { 4 };
    cx.put_ptr(data.wrapping_add(width), data.wrapping_add(header + STACK_BYTES))?;
    cx.put_i32(data.wrapping_add(2 * width), 0)?;
    Ok(data)
}

fn unwind(cx: &mut Cx<'_>, action: Action) -> Result<(), Stop> {
    let data = frames(cx)?;
    cx.world().asyncify = Asyncify::Unwinding { data, action };
    let at = cx.number(data);
    export(cx, "asyncify_start_unwind", &[at])
}

fn rewound(cx: &mut Cx<'_>, data: u64) -> Result<(), Stop> {
    export(cx, "asyncify_stop_rewind", &[])?;
    let free = cx.guest()?.free.ok_or_else(|| Stop::trapped("the module has no free"))?;
    let at = cx.number(data);
    stopped(cx.call(&free, &[at]))?;
    Ok(())
}

fn export(cx: &mut Cx<'_>, name: &str, args: &[Val]) -> Result<(), Stop> {
    let guest = cx.guest()?;
    let func = guest.instance.get_func(cx.store(), name);
    let func = func.ok_or_else(|| Stop::trapped(format!("the module has no {name}")))?;
    stopped(cx.call(&func, args))?;
    Ok(())
}

/// Outside `handle` nobody rewinds a guest, and nothing of an unwinding may outlive a call.
pub(super) fn settled(live: &Live) -> Result<(), Stop> {
    match live.store.data().asyncify {
        Asyncify::Normal => Ok(()),
        _ => Err(Stop::trapped(NOBODY)),
    }
}

/// Calls `handle` until it returns for good: each time it comes back unwound, does what it waits for and
/// rewinds it.
pub(super) fn call(live: &mut Live, handle: &str, args: &[Val]) -> wasmtime::Result<Option<Val>> {
    if live.store.data().direct_waits {
        live.store.data_mut().asyncify = Asyncify::Direct;
        let result = live.call_handle(handle, args);
        live.store.data_mut().asyncify = Asyncify::Normal;
        return result;
    }
    let mut result = live.call_handle(handle, args)?;
    loop {
        let Asyncify::Unwinding { data, action } =
            std::mem::take(&mut live.store.data_mut().asyncify)
        else {
            return Ok(result);
        };
        live.call_export("asyncify_stop_unwind", &[])?;
        let memory = live.guest.memory;
        let answer = crate::host::act(&mut live.store.as_context_mut(), memory, &action)?;
        live.store.data_mut().posix.async_ret = answer;
        live.store.data_mut().asyncify = Asyncify::Rewinding { data };
        let at = crate::host::number(live.store.data().rules.wide, data);
        live.call_export("asyncify_start_rewind", &[at])?;
        let again: Vec<Val> = if live.store.data().rules.wide {
            args.to_vec()
        } else {
            args.iter().map(|_| Val::I32(0)).collect()
        };
        result = live.call_handle(handle, &again)?;
        if matches!(live.store.data().asyncify, Asyncify::Rewinding { .. }) {
            return Err(Stop::trapped("a rewound guest never reached its import").into());
        }
    }
}
