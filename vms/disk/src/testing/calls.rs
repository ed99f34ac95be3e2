//! Calls for tests, typed and as JSON, saying the same.

use crate::json::{Json, Value};
use crate::{Call, Digest, Message, Mode, Process, Slot, Tag, WireJson};
use bytes::Bytes;
use std::sync::Arc;

const PROCESS: &str = "TestProcess00000000000000000000000000000001";
const OWNER: &str = "TestOwner0000000000000000000000000000000001";
const MODULE: &str = "TestModule000000000000000000000000000000001";

/// A process with the tags that every process has.
pub fn process() -> Process {
    let tags =
        [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Process"), ("Module", MODULE)];
    Process {
        id: PROCESS.into(),
        owner: OWNER.into(),
        module: MODULE.into(),
        tags: tags.map(|(name, value)| Tag::new(name, value)).into(),
    }
}

/// A scheduled call of [`process`], which says `go` and has this nonce. Id, time (a second a nonce), block
/// height and seed follow from the nonce.
pub fn call(nonce: u64) -> CallBuilder {
    let tags = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message")];
    CallBuilder {
        nonce,
        mode: Mode::Scheduled,
        process: process(),
        message: Message {
            id: format!("TestMessage{nonce:032}"),
            from: OWNER.into(),
            owner: OWNER.into(),
            target: PROCESS.into(),
            anchor: None,
            tags: tags.map(|(name, value)| Tag::new(name, value)).into(),
            data: Some(Bytes::from_static(b"go")),
        },
    }
}

/// A call in the making.
#[derive(Clone, Debug)]
pub struct CallBuilder {
    nonce: u64,
    mode: Mode,
    process: Process,
    message: Message,
}

impl CallBuilder {
    /// With this data.
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.message.data = Some(data.into());
        self
    }

    /// With one more tag.
    pub fn tag(mut self, name: &str, value: &str) -> Self {
        self.message.tags.push(Tag::new(name, value));
        self
    }

    /// In this mode. The JSON does not say it, so a dry-run can be compared with a scheduled one.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// With the message changed at will.
    pub fn message(mut self, change: impl FnOnce(&mut Message)) -> Self {
        change(&mut self.message);
        self
    }

    /// In this process.
    pub fn process(mut self, process: Process) -> Self {
        self.message.target.clone_from(&process.id);
        self.process = process;
        self
    }

    /// The call.
    pub fn build(self) -> Arc<Call> {
        let json = WireJson { message: self.message_json().text(), env: self.env_json().text() };
        Arc::new(Call {
            json,
            slot: Slot { epoch: 0, nonce: self.nonce, tick: 0 },
            timestamp_ms: self.timestamp_ms(),
            block_height: self.block_height(),
            seed: Digest::of_parts("drivebay test seed", &[&self.nonce.to_le_bytes()]).0,
            mode: self.mode,
            process: Arc::new(self.process),
            message: Arc::new(self.message),
        })
    }

    fn timestamp_ms(&self) -> u64 {
        1_700_000_000_000_u64.saturating_add(self.nonce.saturating_mul(1000))
    }

    fn block_height(&self) -> u64 {
        1_500_000_u64.saturating_add(self.nonce / 100)
    }

    /// The keys in the order in which a unit of the network writes them.
    fn message_json(&self) -> Json {
        let message = &self.message;
        let mut pairs = vec![("Id", message.id.as_str().into())];
        if let Some(data) = &message.data {
            pairs.push(("Data", String::from_utf8_lossy(data).into_owned().into()));
        }
        pairs.push(("Owner", message.owner.as_str().into()));
        pairs.push(("Target", message.target.as_str().into()));
        if let Some(anchor) = &message.anchor {
            pairs.push(("Anchor", anchor.as_str().into()));
        }
        pairs.push(("From", message.from.as_str().into()));
        pairs.push(("Tags", tags_json(&message.tags)));
        pairs.push(("Epoch", 0_u32.into()));
        pairs.push(("Nonce", number(self.nonce)));
        pairs.push(("Timestamp", number(self.timestamp_ms())));
        pairs.push(("Block-Height", number(self.block_height())));
        pairs.push(("Hash-Chain", format!("TestChain{:034}", self.nonce).into()));
        pairs.push(("Cron", false.into()));
        pairs.push(("Read-Only", false.into()));
        Value::object(pairs).into()
    }

    fn env_json(&self) -> Json {
        let Process { id, owner, module, tags } = &self.process;
        let thing = |id: &str, tags: Value| {
            Value::object([("Id", id.into()), ("Owner", owner.as_str().into()), ("Tags", tags)])
        };
        let process = thing(id, tags_json(tags));
        let module = thing(module, tags_json(&[Tag::new("Type", "Module")]));
        Value::object([("Process", process), ("Module", module)]).into()
    }
}

/// Nonces and times of tests are far below 2⁵³.
fn number(number: u64) -> Value {
    Value::Number(number as f64)
}

fn tags_json(tags: &[Tag]) -> Value {
    let tag = |tag: &Tag| {
        Value::object([("name", tag.name.as_str().into()), ("value", tag.value.as_str().into())])
    };
    tags.iter().map(tag).collect::<Vec<Value>>().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_json_says_what_the_types_say() {
        let call = call(7).data("a \"b\"\n").tag("Action", "Go").build();
        let json = Value::parse(&call.json.message).unwrap();
        assert_eq!(json.get("Id").unwrap().as_str(), Some(&*call.message.id));
        assert_eq!(json.get("Data").unwrap().as_str(), Some("a \"b\"\n"));
        assert_eq!(json.get("Nonce").unwrap().as_u64(), Some(call.slot.nonce));
        assert_eq!(json.get("Timestamp").unwrap().as_u64(), Some(call.timestamp_ms));
        assert_eq!(json.get("Block-Height").unwrap().as_u64(), Some(call.block_height));
        assert_eq!(json.get("Tags").unwrap().as_array().unwrap().len(), call.message.tags.len());
        let env = Value::parse(&call.json.env).unwrap();
        assert_eq!(
            env.get("Process").unwrap().get("Id").unwrap().as_str(),
            Some(&*call.process.id)
        );
        for id in [&call.message.id, &call.message.owner, &call.process.id, &call.process.module] {
            assert_eq!(id.len(), 43);
        }
    }
}
