//! The least gas that is enough.

use super::{Lab, No, Trial};
use crate::world::{Hashed, Keys};
use revm::primitives::{KECCAK_EMPTY, TxKind};

/// What a plain transfer costs.
const TRANSFER_GAS: u64 = 21_000;
/// What a caller gives to whom it sends value, beside the gas that it says.
const STIPEND: u64 = 2_300;

impl Lab {
    /// The gas limit with which a call succeeds, at most 1.5 % above the least one: a caller keeps a part
    /// of its gas from those it calls, and refunds come in the end, so what is used says too little.
    pub fn estimate(&self, trial: &Trial) -> Result<u64, No> {
        let most = trial.wish.gas.unwrap_or(u64::MAX);
        let limits = &trial.setting.limits;
        let mut enough = most.min(limits.gas.unwrap_or(limits.fuel.0));
        let (tried, _) = self.with_gas(trial, enough)?;
        let gas = *tried.gas();
        tried.answer()?;
        if self.is_transfer(trial) && TRANSFER_GAS < enough && self.suffices(trial, TRANSFER_GAS)? {
            return Ok(TRANSFER_GAS);
        }
        let mut too_little = gas.tx_gas_used().saturating_sub(1).min(enough);
        let likely = gas.total_gas_spent().saturating_add(STIPEND);
        let likely = likely.saturating_add(likely / 63 + 1);
        if likely < enough {
            match self.suffices(trial, likely)? {
                true => enough = likely,
                false => too_little = likely,
            }
        }
        // Within 1.5 %.
        while enough - too_little > 1 + enough / 1000 * 15 {
            let middle = too_little + (enough - too_little) / 2;
            match self.suffices(trial, middle)? {
                true => enough = middle,
                false => too_little = middle,
            }
        }
        Ok(enough)
    }

    fn suffices(&self, trial: &Trial, gas: u64) -> Result<bool, No> {
        match self.with_gas(trial, gas) {
            Ok((tried, _)) => Ok(tried.failure().is_none()),
            // Not even what every transaction costs.
            Err(No::Invalid(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn is_transfer(&self, trial: &Trial) -> bool {
        let Some(TxKind::Call(to)) = trial.wish.to else { return false };
        let account = self.state.world.account(&Hashed.address(to)).unwrap_or_default();
        let says_nothing = trial.wish.input.input().is_none_or(|input| input.is_empty());
        says_nothing && account.code_hash == KECCAK_EMPTY
    }
}
