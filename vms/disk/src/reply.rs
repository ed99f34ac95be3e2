//! Everything a call sends out. Plain data.

use crate::json::Json;

/// What a call answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The `Output` field, and of what kind it is.
    pub output: Output,
    /// Messages to send, in order.
    pub messages: Vec<Outgoing>,
    /// Processes to spawn, in order.
    pub spawns: Vec<Outgoing>,
    /// Messages to assign to processes, in order.
    pub assignments: Vec<Assign>,
    /// State patches that the module published.
    pub patches: Vec<Patch>,
    /// What the guest reports as its error.
    pub error: Option<Json>,
    /// Lines that the guest printed. For the author; not part of any result.
    pub printed: Vec<String>,
}

/// A reply's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// The guest gave none.
    #[default]
    Absent,
    /// A JSON value, kept as text.
    Json(Json),
    /// Text.
    Text(String),
    /// Bytes.
    Raw(Vec<u8>),
}

/// A message or a spawn: the JSON that the wire shows, unknown keys included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The value as JSON text.
    pub json: Json,
}

/// An assignment: JSON as the guest gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assign {
    /// The value as JSON text.
    pub json: Json,
}

/// A state patch: JSON as the guest gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The value as JSON text.
    pub json: Json,
}
