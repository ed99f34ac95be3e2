//! The reference loader's way, per format: initialisation in its order, two C strings on the guest's own
//! stack, one C string back. What it writes to guest memory on the way is written here too.

use super::exports::Names;
use super::{answer_text, asyncify, pointer, put};
use crate::decode::{self, Answer};
use crate::formats::Rules;
use crate::host::{World, number};
use crate::live::Live;
use crate::posix::Flavor;
use crate::state::WASM_PAGE;
use crate::trap::Stop;
use drivebay_disk::{Call, HostError};
use wasmtime::{Memory, StoreContextMut, Val};

/// Debug builds check that nothing overran the stack's end, and that nothing wrote to address 0.
const COOKIES: [u32; 2] = [0x0213_5467, 0x89BA_CDFE];
const COOKIE_AT_ZERO: u32 = 0x6373_6d65;

/// The script that the reference CU runs: format 2 sees it as its program name.
pub(crate) const PROGRAM: &str = "/usr/app/src/effects/worker/evaluator/index.js";

/// Initialises a new guest.
pub(super) fn boot(live: &mut Live, flavor: Flavor) -> wasmtime::Result<()> {
    let names = Names::of(live.store.data().rules);
    if flavor != Flavor::Fmt1 {
        live.call_export("emscripten_stack_init", &[])?;
        write_cookies(live, flavor)?;
    }
    live.call_export(names.ctors, &[])?;
    match flavor {
        Flavor::Fmt1 => main(live, &[]),
        Flavor::Fmt2 => {
            check_cookies(live, flavor)?;
            main(live, &[PROGRAM])?;
            finish_main(live, flavor)
        }
        Flavor::Fmt3 => {
            check_cookies(live, flavor)?;
            main(live, &[])?;
            finish_main(live, flavor)
        }
        Flavor::Fmt4 | Flavor::Wasm64 => {
            check_cookies(live, flavor)?;
            let made = live.store.data_mut().posix.mkdir_data();
            made.map_err(|_| Stop::trapped("Aborted(/data is there already)").into())
        }
    }
}

/// `main(argc, argv)`; with arguments, both they and `argv` stay on the guest's stack for ever.
fn main(live: &mut Live, args: &[&str]) -> wasmtime::Result<()> {
    let names = Names::of(live.store.data().rules);
    let mut argv = 0;
    if !args.is_empty() {
        argv = stack_alloc(live, 4 * (args.len() as u64 + 1))?;
        let mut slot = argv;
        for arg in args {
            let at = stack_alloc(live, arg.len() as u64 + 1)?;
            put(live, at, &[arg.as_bytes(), &[0]].concat())?;
            put(live, slot, &u32::try_from(at).unwrap_or(0).to_le_bytes())?;
            slot = slot.saturating_add(4);
        }
        put(live, slot, &[0; 4])?;
    }
    let argc = i32::try_from(args.len()).unwrap_or(0);
    let done = live.call_export(names.main, &[Val::I32(argc), number(false, argv)]);
    match done {
        // The reference swallows the exit that follows main, and one from within.
        Err(error) if !matches!(error.downcast_ref::<Stop>(), Some(Stop::Exit(_))) => Err(error),
        _ => Ok(()),
    }
}

fn finish_main(live: &mut Live, flavor: Flavor) -> wasmtime::Result<()> {
    live.call_export("fflush", &[Val::I32(0)])?;
    check_cookies(live, flavor)
}

fn cookie_place(live: &mut Live, flavor: Flavor) -> wasmtime::Result<u64> {
    let end = pointer(live.call_export("emscripten_stack_get_end", &[])?);
    Ok(if end == 0 && flavor != Flavor::Fmt2 { 4 } else { end })
}

fn write_cookies(live: &mut Live, flavor: Flavor) -> wasmtime::Result<()> {
    let at = cookie_place(live, flavor)?;
    put(live, at, &COOKIES[0].to_le_bytes())?;
    put(live, at.saturating_add(4), &COOKIES[1].to_le_bytes())?;
    put(live, 0, &COOKIE_AT_ZERO.to_le_bytes())
}

fn check_cookies(live: &mut Live, flavor: Flavor) -> wasmtime::Result<()> {
    let at = cookie_place(live, flavor)?;
    let memory = live.guest.memory.data(&live.store);
    let word = |at: u64| {
        let at = usize::try_from(at).ok()?;
        Some(u32::from_le_bytes(*memory.get(at..)?.first_chunk::<4>()?))
    };
    let whole = [word(at), word(at.saturating_add(4))] == COOKIES.map(Some);
    if whole && word(0) == Some(COOKIE_AT_ZERO) {
        return Ok(());
    }
    Err(Stop::trapped("Aborted(stack overflow while starting)").into())
}

/// Evaluates `handle(message, env)`.
pub(super) fn evaluate(live: &mut Live, flavor: Flavor, call: &Call) -> wasmtime::Result<Answer> {
    Ok(decode::loader(&text(live, flavor, call)?))
}

/// Its answer, as text.
pub(super) fn text(live: &mut Live, flavor: Flavor, call: &Call) -> wasmtime::Result<Vec<u8>> {
    let names = Names::of(live.store.data().rules);
    let saved = stack_save(live)?;
    let message = push(live, flavor, &call.json.message)?;
    let env = push(live, flavor, &call.json.env)?;
    let args = handle_args(live, names.handle, &[message, env]);
    let result = asyncify::call(live, names.handle, &args)?;
    let restore = live.guest.stack_restore.ok_or_else(|| Stop::trapped("no stackRestore"))?;
    live.call(&restore, &[saved])?;
    match pointer(result) {
        0 => Ok(Vec::new()),
        at => answer_text(live, at, None),
    }
}

/// Some early modules take a third parameter, and get 0 for it, as JavaScript passes what is missing.
fn handle_args(live: &mut Live, handle: &str, given: &[u64]) -> Vec<Val> {
    let wide = live.store.data().rules.wide;
    let func = live.guest.instance.get_func(&mut live.store, handle);
    let wanted = func.map_or(given.len(), |func| func.ty(&live.store).params().len());
    let padded = given.iter().copied().chain(std::iter::repeat(0));
    padded.take(wanted).map(|value| number(wide, value)).collect()
}

fn stack_save(live: &mut Live) -> wasmtime::Result<Val> {
    let save = live.guest.stack_save.ok_or_else(|| Stop::trapped("no stackSave"))?;
    Ok(live.call(&save, &[])?.unwrap_or(Val::I32(0)))
}

fn stack_alloc(live: &mut Live, bytes: u64) -> wasmtime::Result<u64> {
    let alloc = live.guest.stack_alloc.ok_or_else(|| Stop::trapped("no stackAlloc"))?;
    let size = number(live.store.data().rules.wide, bytes);
    Ok(pointer(live.call(&alloc, &[size])?))
}

/// Puts a string on the guest's stack. Formats 1 and 2 reserve four bytes a UTF-16 unit; what is not
/// written keeps its old bytes.
fn push(live: &mut Live, flavor: Flavor, text: &str) -> wasmtime::Result<u64> {
    let size = match flavor {
        Flavor::Fmt1 | Flavor::Fmt2 => 4 * text.encode_utf16().count() + 1,
        Flavor::Fmt3 | Flavor::Fmt4 | Flavor::Wasm64 => text.len() + 1,
    };
    let at = stack_alloc(live, size as u64)?;
    put(live, at, &[text.as_bytes(), &[0]].concat())?;
    Ok(at)
}

/// Largest memory that the format's loader grows to, in bytes.
pub(crate) fn heap_max(rules: &Rules) -> u64 {
    match crate::state::flavor(rules) {
        Flavor::Fmt1 | Flavor::Fmt2 => 524_288_000,
        Flavor::Fmt3 | Flavor::Fmt4 => 4_294_901_760,
        Flavor::Wasm64 => 17_179_869_184,
    }
}

/// Sizes that the loader tries, in order, when a guest asks for `wanted` bytes: a fifth more than it has,
/// then a tenth, then a twentieth.
fn growth(old: u64, wanted: u64, max: u64) -> impl Iterator<Item = u64> {
    [1u32, 2, 4].into_iter().map(move |cut| {
        // Doubles, as the reference computes it: sizes are far below 2^53.
        let over = old as f64 * (1.0 + 0.2 / f64::from(cut));
        let over = over.min((wanted + 100_663_296) as f64);
        let target = (wanted as f64).max(over);
        let page = WASM_PAGE as f64;
        let aligned = target + (page - target % page) % page;
        // Positive.
        aligned.min(max as f64) as u64
    })
}

/// Grows a memory for `wanted` bytes, by the first of the loader's steps that the module's maximum allows.
/// `false` if none is, or if the loader's own maximum is below.
pub(crate) fn resize(
    mut store: StoreContextMut<'_, World>,
    memory: Memory,
    wanted: u64,
) -> Result<bool, Stop> {
    let max = heap_max(store.data().rules);
    let declared = memory.ty(&store).maximum().unwrap_or(u64::MAX);
    let old = memory.data_size(&store) as u64;
    if wanted > max {
        return Ok(false);
    }
    for size in growth(old, wanted, max) {
        // A request below what is there already asks for nothing, as the reference computes it.
        let more = size.saturating_sub(old).div_ceil(WASM_PAGE);
        if old / WASM_PAGE + more > declared {
            continue;
        }
        let grown = memory.grow(&mut store, more);
        grown.map_err(|_| Stop::Host(HostError::Exhausted { what: "memory for a guest" }))?;
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn growth_overshoots_by_a_fifth_then_less() {
        let sizes: Vec<u64> = growth(71_303_168, 71_303_169, 4_294_901_760).collect();
        assert_eq!(sizes, [85_590_016, 78_446_592, 74_907_648]);
        assert_eq!(growth(65_536, 65_536 * 10, 524_288_000).next().unwrap(), 65_536 * 10);
    }
}
