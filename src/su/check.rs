//! What an item must say to be scheduled. The texts are those of the reference, which clients show.

use super::SuError;
use crate::item::{DataItem, Id};

/// What a verified item is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The start of a schedule.
    Process {
        /// Its own id.
        id: Id,
        /// What it boots from, if that is an item of its own.
        on_boot: Option<String>,
    },
    /// For the process that is its target.
    Message {
        /// That process.
        process: Id,
    },
}

impl Kind {
    pub(super) fn process(&self) -> Id {
        match self {
            Self::Process { id, .. } => *id,
            Self::Message { process } => *process,
        }
    }
}

pub(super) fn kind(item: &DataItem, message_bytes_max: Option<usize>) -> Result<Kind, SuError> {
    let linked =
        item.tags().iter().find(|tag| tag.name.ends_with("+link") || tag.value.ends_with("+link"));
    if let Some(tag) = linked {
        return Err(SuError::refused(format!("Tag {} cannot contain +link", tag.name)));
    }
    if item.tag("Data-Protocol").is_none() {
        return Err(SuError::refused("Data-Protocol tag not present"));
    }
    let Some(kind) = item.tag("Type").or_else(|| item.tag("type")) else {
        return Err(SuError::refused("Type tag not present"));
    };
    match kind {
        "Process" => process(item),
        "Message" => message(item, message_bytes_max),
        _ => Err(SuError::refused("Unsupported Type tag value")),
    }
}

fn process(item: &DataItem) -> Result<Kind, SuError> {
    if item.tag("Module").is_none() || item.tag("Scheduler").is_none() {
        return Err(SuError::refused(
            "Required Module and Scheduler tags for Process type not present",
        ));
    }
    let on_boot = item.tag("On-Boot").filter(|value| *value != "Data").map(str::to_owned);
    Ok(Kind::Process { id: item.id(), on_boot })
}

fn message(item: &DataItem, bytes_max: Option<usize>) -> Result<Kind, SuError> {
    if let Some(max) = bytes_max.filter(|max| item.bytes().len() > *max) {
        return Err(SuError::refused(format!("Message size exceeds maximum of {max} bytes")));
    }
    let process = item.target().ok_or_else(|| {
        SuError::refused("a message needs a target: the id of the process it is for")
    })?;
    Ok(Kind::Message { process })
}
