//! The scheduler's word on a place: a signed item with its tags in the order that readers know.

use super::{SuError, sequencer::Head};
use crate::{
    disk::bug,
    item::{DataItem, Draft, Id, Tag, Wallet, first_link, next_link},
};
use std::sync::Arc;

/// What an assignment says.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) process: Id,
    pub(super) nonce: u64,
    pub(super) link: Id,
    pub(super) height: u64,
    pub(super) timestamp_ms: u64,
    /// None for the process's own item.
    pub(super) message: Option<Id>,
    pub(super) exclude: Vec<String>,
}

impl Assignment {
    /// The one after `head`, at `now_ms` or a millisecond after the last one, whichever is later.
    pub(super) fn after(head: Option<&Head>, process: Id, now_ms: u64, height: u64) -> Self {
        let (nonce, link, earliest) = match head {
            None => (0, first_link(&process), 0),
            Some(head) => (
                head.nonce.saturating_add(1),
                next_link(&head.assignment, &head.link),
                head.timestamp_ms.saturating_add(1),
            ),
        };
        let timestamp_ms = now_ms.max(earliest);
        Self { process, nonce, link, height, timestamp_ms, message: None, exclude: Vec::new() }
    }

    fn tags(&self) -> Vec<Tag> {
        let mut tags = vec![
            Tag::new("Process", self.process.to_string()),
            Tag::new("Epoch", "0"),
            Tag::new("Nonce", self.nonce.to_string()),
            Tag::new("Hash-Chain", self.link.to_string()),
            Tag::new("Block-Height", padded(self.height)),
            Tag::new("Timestamp", self.timestamp_ms.to_string()),
            Tag::new("Data-Protocol", "ao"),
            Tag::new("Type", "Assignment"),
            Tag::new("Variant", "ao.TN.1"),
        ];
        tags.extend(self.message.map(|id| Tag::new("Message", id.to_string())));
        tags.extend(self.exclude.iter().map(|field| Tag::new("Exclude", field)));
        // A reader that is widely used stops at exactly one; it takes the same one twice.
        if let [field] = self.exclude.as_slice() {
            tags.push(Tag::new("Exclude", field));
        }
        tags
    }

    /// Signed, on a thread that may take its time: RSA needs milliseconds.
    pub(super) async fn sign(&self, wallet: &Arc<Wallet>) -> Result<DataItem, SuError> {
        let (wallet, draft) = (wallet.clone(), Draft::new(None, self.tags(), Vec::new()));
        let signed = tokio::task::spawn_blocking(move || wallet.sign(&draft.with_random_anchor()?));
        let signed = signed.await.map_err(|error| SuError::Host(bug!("{error}")))?;
        signed.map_err(|error| SuError::Host(bug!("signing an assignment: {error}")))
    }
}

/// A block's height as schedulers write it.
pub(super) fn padded(height: u64) -> String {
    format!("{height:012}")
}
