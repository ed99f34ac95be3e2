//! `wasm32-drivebay-1`: `alloc` a place for the inputs, `handle` them, read the reply.

use super::{answer_text, pointer, put};
use crate::decode::{self, Answer};
use crate::live::Live;
use crate::trap::Stop;
use drivebay_disk::{Call, FaultCode};
use wasmtime::Val;

/// Calls the module's initialiser, if it has one.
pub(super) fn boot(live: &mut Live) -> wasmtime::Result<()> {
    if live.guest.instance.get_func(&mut live.store, "_initialize").is_some() {
        live.call_export("_initialize", &[])?;
    }
    Ok(())
}

/// One call.
pub(super) fn evaluate(live: &mut Live, call: &Call) -> wasmtime::Result<Answer> {
    let (message, message_len) = place(live, call.json.message.as_bytes())?;
    let (env, env_len) = place(live, call.json.env.as_bytes())?;
    let packed = pointer(live.call_handle("handle", &[message, message_len, env, env_len])?);
    let text = answer_text(live, packed >> 32, Some(packed & 0xffff_ffff))?;
    Ok(decode::clean(&text))
}

fn place(live: &mut Live, bytes: &[u8]) -> wasmtime::Result<(Val, Val)> {
    let too_long = || Stop::Fault(FaultCode::BadCall, "the message is longer than 2 GiB".into());
    let len = i32::try_from(bytes.len()).map_err(|_| too_long())?;
    let at = live.call_export("alloc", &[Val::I32(len)])?;
    if pointer(at) == 0 {
        let note = format!("alloc({len}) gave no memory for the message");
        return Err(Stop::Fault(FaultCode::OutOfMemory, note).into());
    }
    put(live, pointer(at), bytes)?;
    Ok((at.unwrap_or(Val::I32(0)), Val::I32(len)))
}
