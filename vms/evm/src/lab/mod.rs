//! A state to try things on: calls as Ethereum's tools ask for them, and calls of the past, watched.
//!
//! Nothing that runs here leaves a mark, and none of it is a part of any result. It runs on the same
//! machine and by the same rules as messages do.

mod advance;
mod estimate;
mod kept;
mod overrides;
mod trace;
mod transact;

pub use advance::{How, Step};
pub use alloy_rpc_types_eth::{
    AccessList, BlockOverrides, TransactionRequest as Wish, state::StateOverride as Overrides,
};
pub use alloy_rpc_types_trace::geth::GethDebugTracingOptions as TraceOptions;
pub use kept::Kept;
pub use revm_inspectors::transfer::TRANSFER_LOG_EMITTER;
pub(crate) use trace::Traced;
pub use trace::{Order, Place};
pub use transact::{Signed, Unsigned, filled, unsigned};

use crate::{
    EvmReader,
    abi::Abi,
    disk::EvmDisk,
    machine::{Machine, Manner},
    message::{self, Plan},
    reply,
    run::{Part, Run, Spent, on_machine},
    state::State,
    watch::Watcher,
};
use drivebay_disk::{Call, Host, HostError, Image, Limits, Module, ReadError};
use revm::{
    context::{
        TxEnv,
        either::Either,
        result::{ExecutionResult, ResultGas},
    },
    primitives::{Bytes, TxKind},
};
use revm_inspectors::access_list::AccessListInspector;
use std::sync::{Arc, atomic::AtomicBool};

/// Bytes of code and slots that overrides may bring are bounded by the request that brings them.
pub struct Lab {
    disk: EvmDisk,
    state: State,
}

/// Where and when a call takes place: the message that it counts as, what it may read, its limits.
#[derive(Clone)]
pub struct Setting {
    /// Block, time, seed and message.
    pub call: Arc<Call>,
    /// What it may read of the network.
    pub host: Arc<dyn Host>,
    /// The process's.
    pub limits: Limits,
}

/// A call that somebody wants tried.
pub struct Trial {
    /// Where and when.
    pub setting: Setting,
    /// What.
    pub wish: Wish,
    /// What the block says instead.
    pub block: BlockOverrides,
}

/// What a transaction finds around it.
struct Surroundings<'a> {
    setting: &'a Setting,
    block: &'a BlockOverrides,
    /// It does not pay the base fee.
    is_free: bool,
}

impl Trial {
    fn around(&self) -> Surroundings<'_> {
        // Who names no price, or none but zero, does not pay the base fee either, as other nodes have it.
        let price = self.wish.gas_price.or(self.wish.max_fee_per_gas);
        let is_free = price.is_none_or(|price| price == 0);
        Surroundings { setting: &self.setting, block: &self.block, is_free }
    }
}

/// Why a call came to nothing.
#[derive(Clone, Debug)]
pub enum No {
    /// It reverted; why, and with what.
    Reverted(String, Bytes),
    /// It failed, or could not be tried.
    Invalid(String),
    /// The host could not run it.
    Host(HostError),
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Tried {
    result: ExecutionResult,
    why: Option<String>,
}

impl Tried {
    /// What it returned; or why it did not.
    pub fn answer(self) -> Result<Bytes, No> {
        match self.result {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            ExecutionResult::Revert { output, .. } => {
                Err(No::Reverted(self.why.unwrap_or_default(), output))
            }
            ExecutionResult::Halt { .. } => Err(No::Invalid(self.why.unwrap_or_default())),
        }
    }

    /// Why it failed; `None` if it did not.
    pub fn failure(&self) -> Option<&str> {
        self.why.as_deref()
    }

    fn gas(&self) -> &ResultGas {
        self.result.gas()
    }
}

impl Lab {
    /// For a process of `module`, on the state of an image that this unit made. Calls end when `stop` is set.
    pub fn new(module: &Module, image: &Image, stop: Arc<AtomicBool>) -> Result<Self, No> {
        Self::on(module, Kept::of(image)?, stop)
    }

    /// The same on a state that was kept.
    pub fn on(module: &Module, kept: Kept, stop: Arc<AtomicBool>) -> Result<Self, No> {
        let disk = EvmReader::default().disk(module, stop).map_err(|error| match error {
            ReadError::Refused(refusal) => No::Invalid(refusal.note.to_string()),
            ReadError::Host(error) => No::Host(error),
        })?;
        Ok(Self { disk, state: kept.0 })
    }

    /// The state, as it is now.
    pub fn kept(&self) -> Kept {
        Kept(self.state.clone())
    }

    /// Tries a call.
    pub fn call(&self, trial: &Trial) -> Result<Tried, No> {
        let gas = trial.wish.gas.unwrap_or(u64::MAX);
        self.with_gas(trial, gas).map(|(tried, _)| tried)
    }

    /// The accounts and slots that a call touches beside those that are warm anyway, and the gas of a call
    /// that names them; and why it fails, if it does.
    pub fn access_list(&self, trial: &Trial) -> Result<(AccessList, u64, Option<String>), No> {
        let gas = trial.wish.gas.unwrap_or(u64::MAX);
        let first = trial.wish.access_list.clone().unwrap_or_default();
        let inspector = Box::new(AccessListInspector::new(first));
        let (_, watcher) = self.watched(trial, gas, Watcher::Touched(inspector))?;
        let Watcher::Touched(inspector) = watcher else {
            return Err(No::Host(drivebay_disk::bug!("another looked on")));
        };
        let list = inspector.into_access_list();
        let mut wish = trial.wish.clone();
        wish.access_list = Some(list.clone());
        let (setting, block) = (trial.setting.clone(), trial.block.clone());
        let (tried, _) = self.with_gas(&Trial { setting, wish, block }, gas)?;
        Ok((list, tried.gas().tx_gas_used(), tried.why))
    }

    /// Tries a call, and tells what it did, as JSON.
    pub fn trace(&self, trial: &Trial, order: &Order) -> Result<String, No> {
        let gas = trial.wish.gas.unwrap_or(u64::MAX);
        let mut plan = self.plan(trial, gas)?;
        self.traced(&trial.around(), &mut plan, order)
    }

    fn traced(&self, around: &Surroundings, plan: &mut Plan, order: &Order) -> Result<String, No> {
        on_machine(self.disk.spec, |machine| {
            let mut run = self.run(machine, around);
            run.order = Some(order);
            let ran = run.transact(plan, &mut Spent::default());
            let trace = run.trace.take();
            self.clear(machine);
            ran.map_err(|part| why(*part))?;
            trace::text(trace)
        })
    }

    /// Runs a call of the past again on the state before it, and tells what it did, as JSON.
    pub fn replay(&self, setting: &Setting, order: &Order) -> Result<String, No> {
        let Setting { call, host, limits } = setting;
        let (call, host) = (call.clone(), host.clone());
        let disk = &self.disk;
        on_machine(disk.spec, |machine| {
            let mut run = Run::new(disk, machine, (call, limits, host));
            run.order = Some(order);
            let ended = run.whole(&mut self.state.clone(), true);
            let trace = run.trace.take();
            if let (Err(error), None) = (ended, &trace) {
                return Err(No::Host(error));
            }
            trace::text(trace)
        })
    }

    fn with_gas(&self, trial: &Trial, gas: u64) -> Result<(Tried, Watcher), No> {
        self.watched(trial, gas, Watcher::Nobody)
    }

    /// Runs a call with so much gas, or all that there is.
    fn watched(&self, trial: &Trial, gas: u64, by: Watcher) -> Result<(Tried, Watcher), No> {
        let mut plan = self.plan(trial, gas)?;
        on_machine(self.disk.spec, |machine| {
            machine.watch(by);
            let ran = self.run(machine, &trial.around()).transact(&mut plan, &mut Spent::default());
            let watcher = machine.watch(Watcher::Nobody);
            self.clear(machine);
            let (result, _) = ran.map_err(|part| why(*part))?;
            let why = match &result {
                ExecutionResult::Success { .. } => None,
                ExecutionResult::Revert { output, .. } => Some(self.reverted(output)),
                ExecutionResult::Halt { reason, .. } => Some(reply::halted(reason).to_owned()),
            };
            Ok((Tried { result, why }, watcher))
        })
    }

    fn run<'a>(&'a self, machine: &'a mut Machine, around: &Surroundings<'a>) -> Run<'a> {
        let Setting { call, host, limits } = around.setting;
        machine.db().load(&mut self.state.clone());
        let (call, host, disk) = (call.clone(), host.clone(), &self.disk);
        let mut run = Run::new(disk, machine, (call, limits, host));
        run.set_world();
        let ctx = run.machine.ctx();
        ctx.cfg.disable_base_fee = around.is_free;
        overrides::block(&mut ctx.block, around.block);
        run
    }

    fn clear(&self, machine: &mut Machine) {
        machine.db().unload();
        machine.relax();
        machine.ctx().chain.leave();
    }

    fn reverted(&self, data: &[u8]) -> String {
        let abi: &Abi = &self.disk.abi;
        reply::reverted(abi, data)
    }

    fn plan(&self, trial: &Trial, gas: u64) -> Result<Plan, No> {
        let Trial { setting, wish, .. } = trial;
        let limit = setting.limits.gas.unwrap_or(setting.limits.fuel.0);
        let invalid = |why: &str| Err(No::Invalid(why.into()));
        if wish.blob_versioned_hashes.is_some() || wish.sidecar.is_some() {
            return invalid("transactions with blobs are not taken: a process has no blobs");
        }
        if trial.block.block_hash.is_some() {
            return invalid("the hashes of blocks cannot be overridden here");
        }
        let chain = message::chain_id(&setting.call.process);
        if wish.chain_id.is_some_and(|id| id != chain) {
            return Err(No::Invalid(format!("the call is for another chain; expected {chain}")));
        }
        let authorizations = wish.authorization_list.iter().flatten().cloned();
        let mut tx = TxEnv {
            caller: wish.from.unwrap_or_default(),
            gas_limit: gas.min(limit),
            gas_price: wish.gas_price.or(wish.max_fee_per_gas).unwrap_or_default(),
            gas_priority_fee: wish.max_priority_fee_per_gas,
            kind: wish.to.unwrap_or(TxKind::Create),
            value: wish.value.unwrap_or_default(),
            data: wish.input.input().cloned().unwrap_or_default(),
            access_list: wish.access_list.clone().unwrap_or_default(),
            authorization_list: authorizations.map(Either::Left).collect(),
            chain_id: Some(chain),
            ..TxEnv::default()
        };
        if tx.derive_tx_type().is_err() {
            return invalid("a call that sets code (EIP-7702) has an address to call");
        }
        Ok(Plan { manner: Manner::Message, tx, function: None, hash: None })
    }
}

/// Why a transaction has no result.
fn why(part: Part) -> No {
    match part {
        Part::Over(Some(fault), _) if !fault.payload.is_empty() => {
            No::Invalid(String::from_utf8_lossy(&fault.payload).into_owned())
        }
        Part::Over(Some(fault), _) => No::Invalid(fault.note.to_string()),
        Part::Over(None, _) => No::Invalid("it did nothing".into()),
        Part::Host(error) => No::Host(error),
    }
}
