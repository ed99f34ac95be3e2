//! Calls one after the other, each on the state that the one before it left.

use super::{Lab, No, Surroundings, Trial, why};
use crate::{
    machine::Manner,
    message::Plan,
    reply,
    run::{Part, Spent, on_machine},
    watch::{Transfers, Watcher},
    world::{Empty, World},
};
use drivebay_disk::FaultCode;
use revm::{
    context::result::ExecutionResult,
    primitives::{Address, Bytes, Log},
};

/// What a call came to that others follow.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it returned, or reverted with.
    pub returned: Bytes,
    /// What it logged.
    pub logs: Vec<Log>,
    /// Where the contract stands that it made.
    pub created: Option<Address>,
    /// The gas that it used, before refunds and after.
    pub gas: (u64, u64),
    /// Why it failed, and whether it reverted.
    pub failure: Option<(String, bool)>,
}

/// How calls are tried that others follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// With the checks of a transaction: of nonce, fees, funds, gas and sender.
    pub is_checked: bool,
    /// Value that moves is told as logs of [`super::TRANSFER_LOG_EMITTER`], but not what
    /// a contract leaves to others when it ends itself.
    pub tells_transfers: bool,
}

impl Lab {
    /// Tries a call with at most so much gas, and stays in the state that it leaves. One that fails leaves
    /// its nonce, as on Ethereum; one that cannot be tried leaves nothing.
    pub fn advance(&mut self, trial: &Trial, gas: u64, how: How) -> Result<Step, No> {
        let mut plan = self.plan(trial, trial.wish.gas.unwrap_or(u64::MAX).min(gas))?;
        let limit = plan.tx.gas_limit;
        let watcher = match how.tells_transfers {
            true => Watcher::Transfers(Transfers::default()),
            false => Watcher::Nobody,
        };
        if !how.is_checked {
            let done = self.commit(&trial.around(), &mut plan, watcher);
            return done.or_else(|part| ended(*part, limit));
        }
        let nonce = || self.state.world.nonce(plan.tx.caller);
        plan.tx.nonce = trial.wish.nonce.unwrap_or_else(nonce);
        plan.manner = Manner::Ethereum;
        let around = Surroundings { is_free: false, ..trial.around() };
        self.commit(&around, &mut plan, watcher).map_err(|part| not_run(*part))
    }

    /// Runs a transaction, and stays in the state that it leaves, with what it withdraws gone, as a message
    /// of the process would. One that could not run leaves nothing.
    pub(super) fn commit(
        &mut self,
        around: &Surroundings,
        plan: &mut Plan,
        by: Watcher,
    ) -> Result<Step, Box<Part>> {
        let (done, state) = on_machine(self.disk.spec, |machine| {
            machine.watch(by);
            let mut run = self.run(machine, around);
            let done = run.transact(plan, &mut Spent::default()).and_then(|(result, changes)| {
                let withdrawn = run.withdrawn(&result)?;
                run.machine.db().commit(&changes, Empty::Gone);
                run.burn(withdrawn);
                Ok(result)
            });
            machine.watch(Watcher::Nobody);
            let state = machine.db().unload();
            self.clear(machine);
            (done, state)
        });
        done.map(|result| {
            self.state = state;
            self.step(result)
        })
    }

    /// The accounts, as they are now.
    pub fn world(&self) -> &World {
        &self.state.world
    }

    fn step(&self, result: ExecutionResult) -> Step {
        let gas = (result.gas().total_gas_spent(), result.gas().tx_gas_used());
        let failed = |returned, why, reverted| Step {
            returned,
            logs: Vec::new(),
            created: None,
            gas,
            failure: Some((why, reverted)),
        };
        match result {
            ExecutionResult::Success { output, logs, .. } => {
                let created = output.address().copied();
                Step { returned: output.into_data(), logs, created, gas, failure: None }
            }
            ExecutionResult::Revert { output, .. } => {
                let why = self.reverted(&output);
                failed(output, why, true)
            }
            ExecutionResult::Halt { reason, .. } => {
                failed(Bytes::new(), reply::halted(&reason).to_owned(), false)
            }
        }
    }
}

/// Why a transaction, whose end of gas is its own, could not run.
pub(super) fn not_run(part: Part) -> No {
    match part {
        Part::Over(Some(fault), _) if fault.code == FaultCode::OutOfFuel => {
            No::Invalid("intrinsic gas too low".into())
        }
        part => why(part),
    }
}

/// What ended by the end of its fuel ran all the same.
fn ended(part: Part, limit: u64) -> Result<Step, No> {
    match part {
        Part::Over(Some(fault), _) if fault.code == FaultCode::OutOfFuel => Ok(Step {
            returned: Bytes::new(),
            logs: Vec::new(),
            created: None,
            gas: (limit, limit),
            failure: Some(("out of gas".into(), false)),
        }),
        part => Err(why(part)),
    }
}
