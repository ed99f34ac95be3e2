//! A schedule as HyperBEAM shows it (`application/aos-2`): messages and assignments with title-case keys.

use super::schedule::{Assignment, Item, Page, Pair, ShapeError, first, wrong};
use crate::disk::{Tag, json::Value};

/// Reads a page, or the body of a request to evaluate one slot.
pub fn page(text: &str) -> Result<Page, ShapeError> {
    let mut value = Value::parse(text)?;
    let more = value.get("page_info").and_then(|info| info.get("has_next_page"));
    let more = more.is_some_and(Value::truthy);
    let edges = value.take("edges").and_then(Value::into_array);
    let edges = edges.ok_or_else(|| wrong("edges", "a list"))?;
    let edge = |mut edge: Value| {
        let cursor = text_of(&edge, "cursor");
        let node = edge.take("node").ok_or_else(|| wrong("edges[].node", "there"))?;
        Ok((pair(&node)?, cursor))
    };
    Ok(Page { more, edges: edges.into_iter().map(edge).collect::<Result<_, ShapeError>>()? })
}

fn pair(node: &Value) -> Result<Pair, ShapeError> {
    let part = |key: &'static str| {
        node.get(key).filter(|part| part.as_object().is_some()).ok_or_else(|| wrong(key, "there"))
    };
    let (message, placed) = (part("message")?, part("assignment")?);
    let item = item(message)?;
    Ok(Pair { assignment: assignment(placed, &item)?, message: Some(item) })
}

fn item(value: &Value) -> Result<Item, ShapeError> {
    let text_or_null = |key: &str| match value.get(key) {
        Some(value) if value.as_str().is_some_and(|text| !text.is_empty()) => value.clone(),
        _ => Value::Null,
    };
    Ok(Item {
        id: text_of(value, "Id"),
        owner: text_of(value, "Owner"),
        // A text may be empty; what is no text is not shown.
        data: value
            .get("Data")
            .filter(|data| data.as_text().is_some())
            .cloned()
            .unwrap_or_default(),
        tags: tags(value, "message.Tags")?,
        signature: text_or_null("Signature"),
        anchor: text_or_null("Anchor"),
        target: text_of(value, "Target"),
    })
}

fn assignment(value: &Value, item: &Item) -> Result<Assignment, ShapeError> {
    let tags = tags(value, "assignment.Tags")?;
    let number = |name: &'static str| first(&tags, name).and_then(|text| text.trim().parse().ok());
    let nonce = number("Nonce").or_else(|| number("Slot"));
    let nonce = nonce.ok_or_else(|| wrong("tag Nonce or Slot of the assignment", "a number"))?;
    let process = match first(&tags, "Process") {
        Some(process) => process.to_owned(),
        None if item.target.is_empty() => item.id.clone(),
        None => item.target.clone(),
    };
    let is_skipped = first(&tags, "Skip").is_some_and(|text| text == "true");
    Ok(Assignment {
        id: text_of(value, "Id"),
        // The first slot is the process's own.
        message: if nonce == 0 { process.clone() } else { item.id.clone() },
        epoch: number("Epoch").unwrap_or_default(),
        nonce,
        timestamp_ms: number("Timestamp").unwrap_or_default(),
        block_height: number("Block-Height").unwrap_or_default(),
        hash_chain: first(&tags, "Hash-Chain").map(str::to_owned),
        exclude: Vec::new(),
        process,
        is_skipped,
    })
}

fn text_of(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_text);
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A tag's value may be a number there.
fn tags(value: &Value, at: &str) -> Result<Vec<Tag>, ShapeError> {
    let list = value.get("Tags").and_then(Value::as_array);
    let list = list.ok_or_else(|| wrong(at, "a list of tags"))?;
    let tag = |tag: &Value| {
        let name = tag.get("name")?.as_text()?.to_string_lossy().into_owned();
        let value = tag.get("value")?;
        let value = match (value.as_text(), value.as_u64()) {
            (Some(text), _) => text.to_string_lossy().into_owned(),
            (None, Some(number)) => number.to_string(),
            (None, None) => return None,
        };
        Some(Tag { name, value })
    };
    list.iter().map(|value| tag(value).ok_or_else(|| wrong(at, "a list of tags"))).collect()
}
