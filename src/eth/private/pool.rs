//! Transactions that wait to be in a block.

use super::super::error::RpcError;
use crate::cu::lab::Signed;
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256};
use std::sync::Arc;

/// Transactions that may wait: each is of at most a megabyte, and a block that has them all is read at once.
const WAITING_MAX: usize = 512;

/// In the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Pool(Vec<Arc<Signed>>);

impl Pool {
    pub(super) fn add(&mut self, signed: Arc<Signed>) -> Result<(), RpcError> {
        let (from, nonce) = (signed.from, signed.envelope.nonce());
        if let Some(old) = self.0.iter_mut().find(|old| is(old, from, nonce)) {
            if old.envelope.tx_hash() == signed.envelope.tx_hash() {
                return Err(RpcError::server("already known"));
            }
            if signed.envelope.max_fee_per_gas() <= old.envelope.max_fee_per_gas() {
                return Err(RpcError::server("replacement transaction underpriced"));
            }
            *old = signed;
            return Ok(());
        }
        if self.0.len() >= WAITING_MAX {
            let text =
                format!("{WAITING_MAX} transactions wait already; evm_mine puts them in a block");
            return Err(RpcError::server(text));
        }
        self.0.push(signed);
        Ok(())
    }

    /// The first that can run, given nonces, and has at most `gas`.
    pub(super) fn ready(&self, nonce: impl Fn(Address) -> u64, gas: u64) -> Option<Arc<Signed>> {
        let can = |signed: &&Arc<Signed>| {
            signed.envelope.gas_limit() <= gas && signed.envelope.nonce() == nonce(signed.from)
        };
        self.0.iter().find(can).cloned()
    }

    /// The nonce that comes after those of an account that wait without a gap.
    pub(super) fn after(&self, from: Address, mut nonce: u64) -> u64 {
        while self.0.iter().any(|waiting| is(waiting, from, nonce)) {
            nonce += 1;
        }
        nonce
    }

    pub(super) fn find(&self, hash: B256) -> Option<&Signed> {
        self.0.iter().find(|signed| *signed.envelope.tx_hash() == hash).map(|signed| &**signed)
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, hash: B256) -> bool {
        let before = self.0.len();
        self.0.retain(|signed| *signed.envelope.tx_hash() != hash);
        self.0.len() < before
    }
}

fn is(signed: &Signed, from: Address, nonce: u64) -> bool {
    signed.from == from && signed.envelope.nonce() == nonce
}
