//! Calls one after the other, each on the state that the one before it left.

use super::{Lab, No, Trial, why};
use crate::{
    reply,
    run::{Part, Spent, on_machine},
    world::{Empty, World},
};
use drivebay_disk::FaultCode;
use revm::{
    context::result::ExecutionResult,
    primitives::{Bytes, Log},
};

/// What a call came to that others follow.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it returned, or reverted with.
    pub returned: Bytes,
    /// What it logged.
    pub logs: Vec<Log>,
    /// The gas that it used, before refunds and after.
    pub gas: (u64, u64),
    /// Why it failed, and whether it reverted.
    pub failure: Option<(String, bool)>,
}

impl Lab {
    /// Tries a call with at most so much gas, and stays in the state that it leaves. One that fails leaves
    /// its nonce, as on Ethereum; one that cannot be tried leaves nothing.
    pub fn advance(&mut self, trial: &Trial, gas: u64) -> Result<Step, No> {
        let mut plan = self.plan(trial, trial.wish.gas.unwrap_or(u64::MAX).min(gas))?;
        let limit = plan.tx.gas_limit;
        let (done, state) = on_machine(self.disk.spec, |machine| {
            let ran = self.run(machine, trial).transact(&mut plan, &mut Spent::default());
            let done = ran.map(|(result, changes)| {
                machine.db().commit(changes, Empty::Gone);
                result
            });
            let state = machine.db().unload();
            self.clear(machine);
            (done, state)
        });
        match done {
            Ok(result) => {
                self.state = state;
                Ok(self.step(result))
            }
            Err(part) => ended(*part, limit),
        }
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
            gas,
            failure: Some((why, reverted)),
        };
        match result {
            ExecutionResult::Success { output, logs, .. } => {
                Step { returned: output.into_data(), logs, gas, failure: None }
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

/// What ended by the end of its fuel ran all the same.
fn ended(part: Part, limit: u64) -> Result<Step, No> {
    match part {
        Part::Over(Some(fault), _) if fault.code == FaultCode::OutOfFuel => Ok(Step {
            returned: Bytes::new(),
            logs: Vec::new(),
            gas: (limit, limit),
            failure: Some(("out of gas".into(), false)),
        }),
        part => Err(why(part)),
    }
}
