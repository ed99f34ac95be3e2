//! A state and a block, other than they are.

use super::{BlockOverrides, Lab, No, Overrides};
use crate::world::{Hashed, Keys, World};
use revm::{
    context::BlockEnv,
    primitives::{B256, U256},
};

impl Lab {
    /// From now on, accounts are as `overrides` says.
    pub fn change(&mut self, overrides: &Overrides) -> Result<(), No> {
        accounts(&mut self.state.world, overrides)
    }
}

pub(super) fn accounts(world: &mut World, overrides: &Overrides) -> Result<(), No> {
    for (address, said) in overrides {
        if said.move_precompile_to.is_some() {
            return Err(No::Invalid("precompiles cannot be moved here".into()));
        }
        if said.state.is_some() && said.state_diff.is_some() {
            let why = format!("{address} has both state and stateDiff; expected one of them");
            return Err(No::Invalid(why));
        }
        let (nonce, balance, code) = world.look(*address);
        if said.state.is_some() {
            world.accounts.remove(&Hashed.address(*address));
        }
        let code = said.code.as_ref().map_or(code.as_slice(), |code| code);
        let (nonce, balance) = (said.nonce.unwrap_or(nonce), said.balance.unwrap_or(balance));
        world.set_account(*address, nonce, balance, code);
        let slots = said.state.iter().chain(&said.state_diff).flatten();
        for (slot, value) in slots {
            let number = |word: &B256| U256::from_be_bytes(word.0);
            world.set_slot(*address, number(slot), number(value));
        }
    }
    Ok(())
}

pub(super) fn block(block: &mut BlockEnv, said: &BlockOverrides) {
    let keep = |is: &mut U256, said: Option<U256>| *is = said.unwrap_or(*is);
    keep(&mut block.number, said.number);
    keep(&mut block.difficulty, said.difficulty);
    keep(&mut block.timestamp, said.time.map(U256::from));
    block.gas_limit = said.gas_limit.unwrap_or(block.gas_limit);
    block.beneficiary = said.coinbase.unwrap_or(block.beneficiary);
    block.prevrandao = said.random.or(block.prevrandao);
    let base_fee = said.base_fee.map(|fee| fee.try_into().unwrap_or(u64::MAX));
    block.basefee = base_fee.unwrap_or(block.basefee);
}
