//! What follows from a process alone, worked out once and not for every call.

use crate::{abi::checksummed, address::address_of, message::chain_id};
use drivebay_disk::Process;
use revm::primitives::Address;
use std::sync::Arc;

/// What a process is to the machine.
pub(crate) struct Facts {
    process: Arc<Process>,
    /// Where its module's contract stands.
    pub(crate) home: Address,
    /// The same, as text.
    pub(crate) home_text: String,
    pub(crate) chain_id: u64,
}

impl Facts {
    pub(crate) fn new(process: &Arc<Process>) -> Self {
        let home = address_of(&process.id);
        let (home_text, chain_id) = (checksummed(&home), chain_id(process));
        Self { process: process.clone(), home, home_text, chain_id }
    }

    /// Whether these are the facts of a process: all that they follow from is compared.
    pub(crate) fn are_of(&self, process: &Arc<Process>) -> bool {
        Arc::ptr_eq(&self.process, process)
            || (self.process.id == process.id && self.process.tags == process.tags)
    }

    /// An address as text.
    pub(crate) fn text(&self, address: &Address) -> std::borrow::Cow<'_, str> {
        match *address == self.home {
            true => self.home_text.as_str().into(),
            false => checksummed(address).into(),
        }
    }
}
