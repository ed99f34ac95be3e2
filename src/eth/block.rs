//! A block, and its transactions.

use super::index::Ran;
use crate::cu::{evm, lab::BlockOverrides};
use alloy_primitives::{Address, B256, U256};

/// A block: a slot of the process with the ticks behind it, or one of a private chain.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) parent: B256,
    pub(super) timestamp: u64,
    /// What `block.prevrandao` is.
    pub(super) random: B256,
    pub(super) gas_limit: u64,
    pub(super) base_fee: u64,
    pub(super) coinbase: Address,
    pub(super) runs: Vec<Ran>,
}

impl Block {
    /// The block of a slot, out of its evaluations and those of the slot before it.
    pub(super) fn of_process(gas_limit: u64, number: u64, mut runs: Vec<Ran>) -> Option<Self> {
        let parent = runs.iter().find(|run| run.slot.nonce < number).map(|run| run.block_hash);
        runs.retain(|run| run.slot.nonce == number);
        let first = runs.first()?;
        Some(Self {
            number,
            hash: first.block_hash,
            parent: parent.unwrap_or_default(),
            timestamp: first.timestamp,
            random: first.seed,
            gas_limit,
            base_fee: 0,
            coinbase: evm::COINBASE,
            runs,
        })
    }

    /// What code that runs in it is to see.
    pub(super) fn overrides(&self) -> BlockOverrides {
        BlockOverrides {
            number: Some(U256::from(self.number)),
            time: Some(self.timestamp),
            gas_limit: Some(self.gas_limit),
            coinbase: Some(self.coinbase),
            random: Some(self.random),
            base_fee: Some(U256::from(self.base_fee)),
            ..BlockOverrides::default()
        }
    }
}
