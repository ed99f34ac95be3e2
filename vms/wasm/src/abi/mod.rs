//! How a call reaches the guest and its answer comes back, by calling convention.

mod asyncify;
mod clean;
mod exports;
mod hyperbeam;
mod loader;

pub(crate) use asyncify::wait;
pub(crate) use exports::{guest, missing};
pub(crate) use loader::{PROGRAM, heap_max, resize};

use crate::decode::Answer;
use crate::formats::Abi;
use crate::live::Live;
use crate::rewrite::START;
use crate::state::Stage;
use crate::trap::Stop;
use drivebay_disk::{Call, FaultCode};
use std::sync::Arc;

/// Evaluates a call: boots the guest first if it never ran.
pub(crate) fn evaluate(live: &mut Live, call: &Arc<Call>) -> wasmtime::Result<Answer> {
    fits_memory(live)?;
    if live.stage != Stage::Booted {
        boot(live)?;
        asyncify::settled(live)?;
        // An exit that ended `main` has left its frames in the count.
        live.reset_depth()?;
        live.lay_adopted()?;
        live.stage = Stage::Booted;
    }
    live.reset_gas()?;
    let answer = match live.store.data().rules.abi {
        Abi::Loader(flavor) => loader::evaluate(live, flavor, call),
        Abi::HyperBeam => hyperbeam::evaluate(live, call),
        Abi::Clean => clean::evaluate(live, call),
    }?;
    asyncify::settled(live)?;
    Ok(answer)
}

/// The same of a loader format, as far as the length of the answer's text.
pub(crate) fn evaluate_bare(live: &mut Live, call: &Arc<Call>) -> wasmtime::Result<usize> {
    let Abi::Loader(flavor) = live.store.data().rules.abi else {
        return Err(Stop::trapped("bare calls are for the loader's formats").into());
    };
    if live.stage != Stage::Booted {
        return evaluate(live, call).map(|_| 0);
    }
    loader::text(live, flavor, call).map(|text| text.len())
}

/// A module that starts with more memory than its process may use cannot run.
fn fits_memory(live: &mut Live) -> wasmtime::Result<()> {
    let limit = live.store.data().run.as_ref().map_or(u64::MAX, |run| run.limits.memory_bytes);
    let have = live.memory_bytes();
    if have <= limit {
        return Ok(());
    }
    let note = format!("the memory has {have} bytes and the process's limit is {limit}");
    Err(Stop::Fault(FaultCode::OutOfMemory, note).into())
}

fn boot(live: &mut Live) -> wasmtime::Result<()> {
    if live.guest.instance.get_func(&mut live.store, START).is_some() {
        live.call_export(START, &[])?;
    }
    match live.store.data().rules.abi {
        Abi::Loader(flavor) => loader::boot(live, flavor),
        Abi::HyperBeam => Ok(()),
        Abi::Clean => clean::boot(live),
    }
}

/// The C string at `at`, as far as the output limit.
fn answer_text(live: &mut Live, at: u64, len: Option<u64>) -> wasmtime::Result<Vec<u8>> {
    let max = live.store.data().run.as_ref().map_or(0, |run| u64::from(run.limits.output_bytes));
    let memory = live.guest.memory.data(&live.store);
    let tail = usize::try_from(at).ok().and_then(|at| memory.get(at..)).unwrap_or_default();
    let found = match len {
        Some(len) => usize::try_from(len).ok().and_then(|len| tail.get(..len)),
        None => {
            // One byte past the limit tells a text that is too long from one that just fits.
            let reach =
                tail.len().min(usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1));
            let window = tail.get(..reach).unwrap_or_default();
            let end = window.iter().position(|byte| *byte == 0).unwrap_or(window.len());
            window.get(..end)
        }
    };
    let Some(text) = found else { return Err(Stop::trapped("reply outside the memory").into()) };
    if text.len() as u64 > max {
        let note = format!("the reply is longer than {max} bytes");
        return Err(Stop::Fault(FaultCode::TooLoud, note).into());
    }
    let text = text.to_vec();
    let fuel = crate::limits::fuel_for_bytes(text.len() as u64);
    crate::host::charge(&mut wasmtime::AsContextMut::as_context_mut(&mut live.store), fuel)?;
    Ok(text)
}

/// Writes into the guest's memory.
fn put(live: &mut Live, at: u64, bytes: &[u8]) -> wasmtime::Result<()> {
    let fuel = crate::limits::fuel_for_bytes(bytes.len() as u64);
    crate::host::charge(&mut wasmtime::AsContextMut::as_context_mut(&mut live.store), fuel)?;
    let memory = live.guest.memory.data_mut(&mut live.store);
    let range = usize::try_from(at).ok().and_then(|at| Some(at..at.checked_add(bytes.len())?));
    match range.and_then(|range| memory.get_mut(range)) {
        Some(target) => target.copy_from_slice(bytes),
        None => return Err(Stop::trapped("memory access out of bounds").into()),
    }
    Ok(())
}

/// A pointer that an export returned.
pub(crate) fn pointer(value: Option<wasmtime::Val>) -> u64 {
    match value {
        Some(wasmtime::Val::I32(value)) => u64::from(value.cast_unsigned()),
        Some(wasmtime::Val::I64(value)) => value.cast_unsigned(),
        _ => 0,
    }
}
