//! What a scheduler answers. The order of keys is that of the reference; texts that are not UTF-8 are
//! damaged as there, and whole at the gateway.

use crate::item::{DataItem, b64url};
use serde::Serialize;

/// Who signed something.
#[derive(Clone, Debug, Serialize)]
pub struct Owner {
    /// SHA-256 of the key, for every kind of key.
    pub address: String,
    /// The key.
    pub key: String,
}

/// A name and a value.
#[derive(Clone, Debug, Serialize)]
pub struct Tag {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// An item that was scheduled.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    id: String,
    owner: Owner,
    data: String,
    tags: Vec<Tag>,
    signature: String,
    anchor: Option<String>,
    target: Option<String>,
}

/// Where it was put.
#[derive(Clone, Debug, Serialize)]
pub struct Assignment {
    id: String,
    owner: Owner,
    tags: Vec<Tag>,
    signature: String,
    anchor: Option<String>,
    target: &'static str,
}

/// An item and its place; without the item, if that is elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    message: Option<Message>,
    assignment: Assignment,
}

/// Whether there is more.
#[derive(Clone, Debug, Serialize)]
pub struct PageInfo {
    has_next_page: bool,
}

/// One entry of a page.
#[derive(Clone, Debug, Serialize)]
pub struct Edge {
    node: Pair,
    cursor: String,
}

/// A part of a schedule.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    page_info: PageInfo,
    edges: Vec<Edge>,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    process_id: String,
    block: String,
    owner: Owner,
    tags: Vec<Tag>,
    timestamp: u64,
    data: Option<String>,
    anchor: Option<String>,
    signature: String,
    target: Option<String>,
}

impl Pair {
    /// `item` and its `assignment`; the latter's anchor only where that is asked for. An item that `starts`
    /// a process has no target here.
    pub fn new(item: Option<&DataItem>, starts: bool, assignment: &DataItem, anchor: bool) -> Self {
        let message = item.map(|item| Message {
            id: item.id().to_string(),
            owner: owner(item),
            data: String::from_utf8_lossy(item.data()).into_owned(),
            tags: tags(item),
            signature: b64url(item.signature()),
            anchor: item.anchor_text().map(str::to_owned),
            target: item.target().filter(|_| !starts).map(|id| id.to_string()),
        });
        let item = assignment;
        let assignment = Assignment {
            id: item.id().to_string(),
            owner: owner(item),
            tags: tags(item),
            signature: b64url(item.signature()),
            anchor: item.anchor().filter(|_| anchor).map(|anchor| b64url(anchor)),
            target: "",
        };
        Self { message, assignment }
    }
}

impl Page {
    /// Entries with their cursors, and whether there is more.
    pub fn new(entries: impl Iterator<Item = (Pair, u64)>, has_next_page: bool) -> Self {
        let edges = entries.map(|(node, cursor)| Edge { node, cursor: cursor.to_string() });
        Self { page_info: PageInfo { has_next_page }, edges: edges.collect() }
    }
}

impl Process {
    /// The process that `item` starts, which got its `assignment` at `timestamp` in milliseconds.
    pub fn new(item: &DataItem, assignment: &DataItem, timestamp: u64) -> Self {
        Self {
            process_id: item.id().to_string(),
            block: assignment.tag("Block-Height").unwrap_or_default().to_owned(),
            owner: owner(item),
            tags: tags(item),
            timestamp,
            data: std::str::from_utf8(item.data()).ok().map(str::to_owned),
            anchor: item.anchor_text().map(str::to_owned),
            signature: b64url(item.signature()),
            target: item.target().map(|id| id.to_string()),
        }
    }
}

fn owner(item: &DataItem) -> Owner {
    Owner { address: item.owner_address().to_string(), key: b64url(item.owner()) }
}

fn tags(item: &DataItem) -> Vec<Tag> {
    let tags = item.tags().iter();
    tags.map(|tag| Tag { name: tag.name.clone(), value: tag.value.clone() }).collect()
}
