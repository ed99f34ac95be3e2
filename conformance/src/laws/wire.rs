//! Calls from the JSON that legacy modules see.

use bytes::Bytes;
use drivebay_disk::{
    Call, Digest, Message, Mode, Process, Slot, Tag, WireJson,
    json::{Json, Value},
};
use std::sync::Arc;

/// The call that message and environment describe. What they do not say is empty or zero; the nonce then
/// is `nonce`, and the seed always follows from it.
pub(super) fn call(message: &Json, env: &Json, nonce: u64) -> Call {
    let json = WireJson { message: message.text(), env: env.text() };
    let (message, env) = (message.value(), env.value());
    let nonce = number(&message, "Nonce").unwrap_or(nonce);
    Call {
        process: Arc::new(process(&env)),
        message: Arc::new(typed(&message)),
        json,
        slot: Slot { epoch: number(&message, "Epoch").unwrap_or(0), nonce, tick: 0 },
        timestamp_ms: number(&message, "Timestamp").unwrap_or(0),
        block_height: number(&message, "Block-Height").unwrap_or(0),
        seed: Digest::of_parts("drivebay log seed", &[&nonce.to_le_bytes()]).0,
        mode: Mode::Scheduled,
    }
}

fn process(env: &Value) -> Process {
    let null = Value::default();
    let process = env.get("Process").unwrap_or(&null);
    let module = env.get("Module").unwrap_or(&null);
    Process {
        id: text(process, "Id"),
        owner: text(process, "Owner"),
        module: text(module, "Id"),
        tags: tags(process),
    }
}

fn typed(message: &Value) -> Message {
    Message {
        id: text(message, "Id"),
        from: text(message, "From"),
        owner: text(message, "Owner"),
        target: text(message, "Target"),
        anchor: message.get("Anchor").filter(|anchor| !anchor.is_null()).map(as_text),
        tags: tags(message),
        data: message.get("Data").map(|data| Bytes::from(as_text(data))),
    }
}

/// Numbers of the network come as numbers, and in older recordings as text.
fn number(value: &Value, key: &str) -> Option<u64> {
    let value = value.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map(as_text).unwrap_or_default()
}

/// A string itself, and of anything else the JSON.
fn as_text(value: &Value) -> String {
    match value.as_text() {
        Some(text) => text.to_string_lossy().into_owned(),
        None => Json::from(value.clone()).as_str().to_owned(),
    }
}

fn tags(value: &Value) -> Vec<Tag> {
    let list = value.get("Tags").and_then(Value::as_array).unwrap_or_default();
    list.iter().map(|tag| Tag::new(text(tag, "name"), text(tag, "value"))).collect()
}
