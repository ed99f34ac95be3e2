//! A scheduler's answers, read: pairs of a message and its assignment, in pages; and the message that a
//! module is shown for each.

use super::{Fields, tags_value};
use crate::disk::{
    Tag,
    json::{JsonError, Value},
};

/// What the assignment of a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Its own id.
    pub id: String,
    /// The process that it gives a message to.
    pub process: String,
    /// The message; for the process's own, the process.
    pub message: String,
    /// Epoch of the scheduler.
    pub epoch: u64,
    /// Place in the process's schedule.
    pub nonce: u64,
    /// Unix time in milliseconds.
    pub timestamp_ms: u64,
    /// Height of the newest block then.
    pub block_height: u64,
    /// The link, if the scheduler makes a chain.
    pub hash_chain: Option<String>,
    /// Fields of the message that are to be left out.
    pub exclude: Vec<String>,
    /// The message has its place, and is not evaluated.
    pub is_skipped: bool,
}

/// A signed item as a scheduler shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Who signed it: `0x…` for an Ethereum key, else the address.
    pub owner: String,
    /// Its data, a string, or null where it is no text.
    pub data: Value,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its signature.
    pub signature: Value,
    /// Its anchor as text, or null.
    pub anchor: Value,
    /// Where it is sent; a scheduler leaves it out for a process.
    pub target: String,
}

/// One place of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Who ordered what where.
    pub assignment: Assignment,
    /// The message, or nothing where the assignment names a transaction of the network.
    pub message: Option<Item>,
}

/// Some places of a schedule, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Whether there are more.
    pub more: bool,
    /// The places, each with the cursor behind it.
    pub edges: Vec<(Pair, String)>,
}

/// A process as its scheduler shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spawned {
    /// The process's item.
    pub item: Item,
    /// When it was scheduled, in milliseconds.
    pub timestamp_ms: u64,
    /// Height of the newest block then.
    pub block_height: u64,
}

/// What a scheduler answered is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// No JSON.
    #[error("not JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON, but of another shape.
    #[error("{at} is not {expected}")]
    Shape {
        /// The place.
        at: String,
        /// What should be there.
        expected: &'static str,
    },
}

pub(super) fn wrong(at: &str, expected: &'static str) -> ShapeError {
    ShapeError::Shape { at: at.to_owned(), expected }
}

impl Page {
    /// Reads `GET /{process}`.
    pub fn parse(text: &str) -> Result<Self, ShapeError> {
        let mut value = Value::parse(text)?;
        let more = value.get("page_info").and_then(|info| info.get("has_next_page"));
        let more = more.and_then(Value::as_bool).ok_or_else(|| wrong("page_info", "a page's"))?;
        let edges = value.take("edges").and_then(Value::into_array);
        let edges = edges.ok_or_else(|| wrong("edges", "a list"))?;
        let edge = |mut edge: Value| {
            let node = edge.take("node").ok_or_else(|| wrong("edges[].node", "there"))?;
            let cursor = edge.take("cursor").map(plain).unwrap_or_default();
            Ok((Pair::read(node)?, cursor))
        };
        Ok(Self { more, edges: edges.into_iter().map(edge).collect::<Result<_, ShapeError>>()? })
    }
}

impl Pair {
    /// Reads `GET /{message}?process-id=…`.
    pub fn parse(text: &str) -> Result<Self, ShapeError> {
        Self::read(Value::parse(text)?)
    }

    /// The same, out of a value.
    pub fn read(mut value: Value) -> Result<Self, ShapeError> {
        let assignment = value.take("assignment").filter(|part| !part.is_null());
        let assignment = assignment.ok_or_else(|| wrong("assignment", "there"))?;
        let assignment = Assignment::read(assignment)?;
        let message = value.take("message").filter(|part| !part.is_null());
        Ok(Self { message: message.map(Item::read).transpose()?, assignment })
    }

    /// Whether this is the process's own message.
    pub fn is_process(&self) -> bool {
        self.assignment.message == self.assignment.process
    }

    /// The message as a module is shown it. `None` where the message is a transaction of the network and
    /// must be looked up there.
    pub fn fields(&self) -> Option<Fields> {
        let item = self.message.as_ref()?;
        let mut fields = item.fields();
        fields.set("Id", self.assignment.message.as_str());
        fields.set("Target", self.assignment.process.as_str());
        self.assignment.place(&mut fields);
        Some(fields)
    }

    /// The same where the message is a transaction of the network: its anchor and target stay as they are,
    /// and what the assignment excludes is left out.
    pub fn fields_of_transaction(&self, transaction: &Item) -> Fields {
        let mut fields = transaction.fields();
        fields.set("Id", self.assignment.message.as_str());
        fields.set("Target", transaction.target.as_str());
        self.assignment.exclude.iter().for_each(|key| fields.remove(key));
        self.assignment.place(&mut fields);
        fields
    }
}

impl Spawned {
    /// Reads `GET /processes/{process}`.
    pub fn parse(text: &str) -> Result<Self, ShapeError> {
        let mut value = Value::parse(text)?;
        let number = |key: &str| match value.get(key) {
            Some(value) => value.as_u64().or_else(|| value.as_str()?.parse().ok()),
            None => None,
        };
        let timestamp_ms = number("timestamp").ok_or_else(|| wrong("timestamp", "a number"))?;
        let block_height = number("block").ok_or_else(|| wrong("block", "a block height"))?;
        if let Some(id) = value.take("process_id") {
            value = with(value, "id", id);
        }
        Ok(Self { item: Item::read(value)?, timestamp_ms, block_height })
    }
}

impl Assignment {
    fn read(mut value: Value) -> Result<Self, ShapeError> {
        let id = value.take("id").map(plain);
        let id = id.ok_or_else(|| wrong("assignment.id", "there"))?;
        let tags = tags(&value, "assignment.tags")?;
        let text = |name: &str| first(&tags, name).map(str::to_owned);
        let number = |name: &'static str| {
            let text = first(&tags, name).and_then(|text| text.parse::<u64>().ok());
            text.ok_or_else(|| wrong(&format!("tag {name} of assignment {id}"), "a number"))
        };
        let process = text("Process");
        let process =
            process.ok_or_else(|| wrong(&format!("tag Process of assignment {id}"), "there"))?;
        Ok(Self {
            message: text("Message").unwrap_or_else(|| process.clone()),
            // Absent in none that we met, and the same in all.
            epoch: first(&tags, "Epoch").and_then(|text| text.parse().ok()).unwrap_or_default(),
            nonce: number("Nonce")?,
            timestamp_ms: number("Timestamp")?,
            block_height: number("Block-Height")?,
            hash_chain: text("Hash-Chain"),
            exclude: tags
                .iter()
                .filter(|tag| tag.name == "Exclude")
                .map(|tag| tag.value.clone())
                .collect(),
            is_skipped: false,
            process,
            id,
        })
    }

    /// Sets what the scheduler decided.
    fn place(&self, fields: &mut Fields) {
        fields.set("Epoch", super::number(self.epoch));
        fields.set("Nonce", super::number(self.nonce));
        fields.set("Timestamp", super::number(self.timestamp_ms));
        fields.set("Block-Height", super::number(self.block_height));
        if let Some(chain) = &self.hash_chain {
            fields.set("Hash-Chain", chain.as_str());
        }
        fields.set("Cron", false);
        fields.set("Read-Only", false);
    }
}

impl Item {
    /// Reads an item out of a scheduler's or a gateway's answer.
    pub fn read(mut value: Value) -> Result<Self, ShapeError> {
        let id = value.take("id").map(plain).ok_or_else(|| wrong("id", "there"))?;
        let owner = value.take("owner").ok_or_else(|| wrong(&format!("owner of {id}"), "there"))?;
        let part = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
        let owner = super::owner(part("address"), part("key"));
        let tags = tags(&value, &format!("tags of {id}"))?;
        let mut text_or_null = |key: &str| match value.take(key) {
            Some(value) if value.as_text().is_some() => value,
            _ => Value::Null,
        };
        let (data, signature) = (text_or_null("data"), text_or_null("signature"));
        let anchor = text_or_null("anchor");
        let target = match text_or_null("target") {
            Value::Null => text_or_null("recipient"),
            target => target,
        };
        let target = target.as_str().unwrap_or_default().to_owned();
        Ok(Self { id, owner, data, tags, signature, anchor, target })
    }

    /// Who it speaks for: the first `From-Process` that is not empty, else its owner.
    pub fn from(&self) -> &str {
        from_process(&self.tags).unwrap_or(&self.owner)
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        if !self.signature.is_null() {
            fields.set("Signature", self.signature.clone());
        }
        fields.set("Data", self.data.clone());
        fields.set("Owner", self.owner.as_str());
        fields.set("Anchor", self.anchor.clone());
        fields.set("From", self.from());
        if from_process(&self.tags).is_some() {
            fields.set("Forwarded-By", self.owner.as_str());
        }
        fields.set("Tags", tags_value(&shown(&self.tags)));
        fields
    }
}

/// The tags that a message shows: all but those that would speak of its sender.
pub fn shown(tags: &[Tag]) -> Vec<Tag> {
    tags.iter().filter(|tag| tag.name != "From" && tag.name != "Owner").cloned().collect()
}

/// The value of the first `From-Process` tag that is not empty.
pub fn from_process(tags: &[Tag]) -> Option<&str> {
    let mut values = tags.iter().filter(|tag| tag.name == "From-Process").map(|tag| &tag.value);
    values.find(|value| !value.is_empty()).map(String::as_str)
}

/// The value of the first tag of that name, as units read tags.
pub fn first<'a>(tags: &'a [Tag], name: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
}

fn tags(value: &Value, at: &str) -> Result<Vec<Tag>, ShapeError> {
    let list = value.get("tags").and_then(Value::as_array);
    let list = list.ok_or_else(|| wrong(at, "a list of tags"))?;
    let text =
        |tag: &Value, key: &str| Some(tag.get(key)?.as_text()?.to_string_lossy().into_owned());
    let tag = |tag: &Value| Some(Tag { name: text(tag, "name")?, value: text(tag, "value")? });
    list.iter().map(|value| tag(value).ok_or_else(|| wrong(at, "a list of tags"))).collect()
}

fn plain(value: Value) -> String {
    value.into_text().map(|text| text.into_string_lossy()).unwrap_or_default()
}

fn with(value: Value, key: &str, part: Value) -> Value {
    let mut pairs = value.into_object().unwrap_or_default();
    pairs.retain(|(name, _)| name != key);
    pairs.push((key.into(), part));
    Value::object(pairs)
}

#[cfg(test)]
mod tests;
