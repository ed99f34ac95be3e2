//! Items, blocks and the network as JSON, in the shape of an Arweave node.

use super::{Block, Gateway, Stored};
use crate::item::b64url;
use serde_json::{Value, json};

/// A transaction's header. Tags are base64url, as a node has them.
pub(super) fn transaction(stored: &Stored) -> Value {
    let head = &stored.head;
    let encoded = |tag: &crate::item::Tag| json!({ "name": b64url(tag.name.as_bytes()), "value": b64url(tag.value.as_bytes()) });
    json!({
        "format": 2,
        "id": head.id().to_string(),
        "last_tx": head.anchor().map(|anchor| b64url(anchor)).unwrap_or_default(),
        "owner": b64url(head.owner()),
        "owner_address": head.owner_address().to_string(),
        "tags": head.tags().iter().map(encoded).collect::<Vec<_>>(),
        "target": head.target().map(|target| target.to_string()).unwrap_or_default(),
        "quantity": "0",
        "reward": "0",
        "data": "",
        "data_root": "",
        "data_size": stored.data_size.to_string(),
        "signature": b64url(head.signature()),
    })
}

/// How deep an item lies.
pub(super) fn status(gateway: &Gateway, stored: &Stored) -> Value {
    let deep = gateway.height().saturating_sub(stored.height);
    json!({
        "block_height": stored.height,
        "block_indep_hash": gateway.blocks.at(stored.height).map(|block| block.id),
        "number_of_confirmations": deep.saturating_add(gateway.options.settled),
    })
}

pub(super) fn block(block: &Block) -> Value {
    json!({
        "height": block.height,
        "timestamp": block.timestamp_s,
        "indep_hash": block.id,
        "previous_block": block.previous,
        "txs": [],
    })
}

/// What a node says of its network.
pub(super) fn info(gateway: &Gateway) -> Value {
    let height = gateway.height();
    json!({
        "network": "drivebay",
        "version": 5,
        "release": 1,
        "height": height,
        "current": gateway.blocks.at(height).map(|block| block.id),
        "blocks": height.saturating_add(1),
        "peers": 0,
        "queue_length": 0,
        "node_state_latency": 0,
    })
}

/// The same, and who is around: what a client needs to be told to use this ao.
pub(super) fn front_door(gateway: &Gateway) -> Value {
    let around = gateway.neighbours();
    let mut door = info(gateway);
    let modules: Value =
        around.modules.iter().cloned().map(|(name, id)| (name, json!(id))).collect();
    if let Some(door) = door.as_object_mut() {
        let ao = json!({
            "scheduler": around.scheduler,
            "authority": around.authority,
            "su_url": around.su_url,
            "mu_url": around.mu_url,
            "cu_url": around.cu_url,
            "graphql": "/graphql",
            "modules": modules,
        });
        door.insert("ao".to_owned(), ao);
    }
    door
}
