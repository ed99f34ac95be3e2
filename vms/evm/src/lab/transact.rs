//! Transactions as Ethereum has them, one after the other, each on the state that the one before it left.

use super::{BlockOverrides, Lab, No, Order, Setting, Step, Surroundings, Wish, advance::not_run};
use crate::{
    machine::Manner,
    message::Plan,
    signed::{self, Envelope},
    watch::Watcher,
};
use alloy_consensus::{EthereumTypedTransaction, TxEip4844, TxType};
use revm::primitives::{Address, TxKind};

/// A transaction of any type that nobody has signed.
pub type Unsigned = EthereumTypedTransaction<TxEip4844>;

/// A transaction, and whose it is.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What was signed.
    pub envelope: Envelope,
    /// Who counts as its signer.
    pub from: Address,
    /// Whether the signer did not sign it: then it may be a contract, which elsewhere signs nothing
    /// (EIP-3607).
    pub is_borrowed: bool,
}

impl Lab {
    /// Runs a transaction with Ethereum's checks of nonce, chain, fees, funds and gas, in a block that has
    /// `gas` left, and stays in the state that it leaves.
    pub fn transact(
        &mut self,
        (setting, block): (&Setting, &BlockOverrides),
        signed: &Signed,
        gas: u64,
    ) -> Result<Step, No> {
        let mut plan = signed_plan(setting, signed, gas)?;
        let around = Surroundings { setting, block, is_free: false };
        self.commit(&around, &mut plan, Watcher::Nobody).map_err(|part| not_run(*part))
    }

    /// Runs a transaction, and tells what it did, as JSON. The state stays as it was.
    pub fn trace_signed(
        &self,
        (setting, block): (&Setting, &BlockOverrides),
        signed: &Signed,
        order: &Order,
    ) -> Result<String, No> {
        let mut plan = signed_plan(setting, signed, u64::MAX)?;
        self.traced(&Surroundings { setting, block, is_free: false }, &mut plan, order)
    }
}

fn signed_plan(setting: &Setting, signed: &Signed, gas: u64) -> Result<Plan, No> {
    let tx = signed::env(&signed.envelope, signed.from);
    let limit = setting.limits.gas.unwrap_or(setting.limits.fuel.0).min(gas);
    if tx.gas_limit > limit {
        let asked = tx.gas_limit;
        let why = format!("the transaction's gas limit {asked} is over the block's {limit}");
        return Err(No::Invalid(why));
    }
    let manner = if signed.is_borrowed { Manner::Borrowed } else { Manner::Ethereum };
    Ok(Plan { manner, tx, function: None, hash: None })
}

/// A wish with what it leaves out of a transaction, but for its gas: a contract is made, and the price is the base
/// fee.
pub fn filled(mut wish: Wish, nonce: u64, chain_id: u64, base_fee: u64) -> Wish {
    wish.to = wish.to.or(Some(TxKind::Create));
    wish.nonce = wish.nonce.or(Some(nonce));
    wish.chain_id = wish.chain_id.or(Some(chain_id));
    if wish.gas_price.is_none() {
        let tip = *wish.max_priority_fee_per_gas.get_or_insert(0);
        let fee = u128::from(base_fee).saturating_add(tip);
        wish.max_fee_per_gas = wish.max_fee_per_gas.or(Some(fee));
    }
    wish
}

/// The transaction that a wish is for, to be signed. The text says what it lacks.
pub fn unsigned(wish: Wish) -> Result<Unsigned, String> {
    if wish.blob_versioned_hashes.is_some() || wish.sidecar.is_some() {
        return Err("transactions with blobs are not taken: a process has no blobs".into());
    }
    let built = match wish.preferred_type() {
        TxType::Legacy => wish.build_legacy().map(Into::into),
        TxType::Eip2930 => wish.build_2930().map(Into::into),
        TxType::Eip7702 => wish.build_7702().map(Into::into),
        TxType::Eip1559 | TxType::Eip4844 => wish.build_1559().map(Into::into),
    };
    built.map_err(|error| error.to_string())
}
