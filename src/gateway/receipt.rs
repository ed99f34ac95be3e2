//! What an uploader is told, in the shape of the network's bundlers. It is not signed: the item is durable
//! when it is sent, and no deadline has to be kept.

use super::Stored;
use serde_json::{Value, json};

pub(super) fn receipt(stored: &Stored) -> Value {
    json!({
        "id": stored.head.id().to_string(),
        "timestamp": stored.received_ms,
        "version": "1.0.0",
        "public": "",
        "signature": "",
        "deadlineHeight": stored.height,
        "block": stored.height,
        "validatorSignatures": [],
    })
}
