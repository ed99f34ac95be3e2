//! HyperBEAM's convention: strings by `malloc`, never freed; nothing is called before `handle`.

use super::{answer_text, pointer, put};
use crate::decode::{self, Answer};
use crate::live::Live;
use drivebay_disk::Call;
use wasmtime::Val;

/// One call.
pub(super) fn evaluate(live: &mut Live, call: &Call) -> wasmtime::Result<Answer> {
    let message = place(live, &call.json.message)?;
    let env = place(live, &call.json.env)?;
    let result = live.call_handle("handle", &[message, env])?;
    let text = answer_text(live, pointer(result), None)?;
    Ok(decode::loader(&text))
}

fn place(live: &mut Live, text: &str) -> wasmtime::Result<Val> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    let at = live.call_export("malloc", &[Val::I64(bytes.len() as i64)])?;
    put(live, pointer(at), &bytes)?;
    Ok(at.unwrap_or(Val::I64(0)))
}
