//! What a case says about the process, its messages and the network, in the seam's terms.

use super::Case;
use bytes::Bytes;
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{
    Call, Data, Host, HostError, Message, Mode, Process, Resource, Slot, Tag, WireJson,
};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// The process that the environment names.
pub(super) fn process(env: &Json) -> Process {
    let env = env.value();
    let process = env.get("Process").cloned().unwrap_or_default();
    let tags = tags(&process);
    let module = env.get("Module").map(|module| text(module, "Id"));
    let named = || Tag::last(&tags, "Module").unwrap_or_default().to_owned();
    Process {
        id: text(&process, "Id"),
        owner: text(&process, "Owner"),
        module: module.unwrap_or_else(named),
        tags,
    }
}

/// The call for message `at` of a case.
pub(super) fn call(case: &Case, at: usize, process: Arc<Process>) -> Call {
    let json = case.messages.get(at).cloned().unwrap_or_default();
    let message = json.value();
    let number = |key: &str| message.get(key).and_then(Value::as_u64);
    Call {
        process,
        message: Arc::new(typed(&message)),
        json: WireJson { message: json.text(), env: case.env.text() },
        slot: Slot {
            epoch: number("Epoch").unwrap_or(0),
            nonce: number("Nonce").unwrap_or(at as u64),
            tick: 0,
        },
        timestamp_ms: number("Timestamp").unwrap_or(0),
        block_height: number("Block-Height").unwrap_or(0),
        // The recordings had zeros for entropy.
        seed: [0; 32],
        mode: Mode::Scheduled,
    }
}

fn typed(message: &Value) -> Message {
    Message {
        id: text(message, "Id"),
        from: text(message, "From"),
        owner: text(message, "Owner"),
        target: text(message, "Target"),
        anchor: message.get("Anchor").map(as_text),
        tags: tags(message),
        data: message.get("Data").map(|data| Bytes::from(as_text(data))),
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map(as_text).unwrap_or_default()
}

/// A string itself, and of anything else the JSON. Typed texts are UTF-8, so lone surrogates are lost here.
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

/// A gateway that has what the case says and nothing else.
#[derive(Debug, Default)]
pub(super) struct Gateway(BTreeMap<String, Bytes>);

impl Gateway {
    pub(super) fn of(case: &Case) -> Self {
        let content = case.weavedrive.iter().flatten();
        Self(content.map(|(path, body)| (path.clone(), Bytes::from(body.clone()))).collect())
    }
}

impl Host for Gateway {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        let path = match what {
            // An id is one part of a path, or it would name what is not data.
            Resource::Data(id) | Resource::Transaction(id) if id.contains('/') => return Ok(None),
            Resource::Data(id) => format!("/{id}"),
            Resource::Transaction(id) => format!("/tx/{id}"),
            Resource::Block(height) => format!("/block/height/{height}"),
        };
        let Some(body) = self.0.get(&path) else { return Ok(None) };
        // Cut at the end, as the seam says; both ends fit because the length does.
        let end = range.end.min(body.len() as u64) as usize;
        let start = range.start.min(end as u64) as usize;
        Ok(Some(Data { bytes: body.slice(start..end), total: body.len() as u64 }))
    }

    fn log(&self, _line: &str) {}
}
