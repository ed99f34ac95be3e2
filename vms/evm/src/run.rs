//! One call: a birth if it is the first, then what its message asks.

use crate::{
    account::Account,
    disk::EvmDisk,
    facts::Facts,
    formats::{COINBASE, MEMORY_BYTES, OUTBOX},
    lab::{Order, Traced},
    machine::{Failure, Machine, Manner},
    message::{self, Intent, Plan},
    meter::{Meter, Stop},
    outbox::Sent,
    precompiles::Precompiles,
    reply,
    state::State,
    watch::Watcher,
    world::{Empty, Hashed, Keys},
};
use drivebay_disk::{
    Call, Fault, FaultCode, Fuel, Host, HostError, Limits, Meter as Cost, Output, Reply, Tag,
    json::{Json, Value},
};
use revm::{
    context::{
        CfgEnv, TxEnv,
        result::{ExecutionResult, HaltReason, InvalidTransaction},
    },
    primitives::{Address, B256, TxKind, U256, hardfork::SpecId},
    state::EvmState,
};
use std::{cell::RefCell, rc::Rc, sync::Arc};

thread_local! {
    /// A machine for each set of rules, shared by all drives of a thread: it holds no state between calls.
    static MACHINES: RefCell<Vec<(SpecId, Box<Machine>)>> = const { RefCell::new(Vec::new()) };
}

/// How a call ended.
pub(crate) struct End {
    pub(crate) fault: Option<Fault>,
    pub(crate) reply: Reply,
    pub(crate) cost: Cost,
}

/// Evaluates `call`. What it did is in the state afterwards only if `keep`, and only if it is no fault.
pub(crate) fn run(
    disk: &EvmDisk,
    state: &mut State,
    (call, limits, keep): (Arc<Call>, &Limits, bool),
    host: Arc<dyn Host>,
) -> Result<End, HostError> {
    on_machine(disk.spec, |machine| {
        Run::new(disk, machine, (call, limits, host)).whole(state, keep)
    })
}

/// Lends a job the thread's machine of a fork.
pub(crate) fn on_machine<T>(spec: SpecId, job: impl FnOnce(&mut Machine) -> T) -> T {
    let known = MACHINES.with_borrow_mut(|machines| {
        let at = machines.iter().position(|(known, _)| *known == spec)?;
        Some(machines.swap_remove(at).1)
    });
    // Taken out while it runs: one that is lost to a panic does not come back.
    let new = || Box::new(Machine::new(spec, Precompiles::with_outbox(spec)));
    let mut machine = known.unwrap_or_else(new);
    let done = job(&mut machine);
    MACHINES.with_borrow_mut(|machines| {
        if machines.iter().all(|(known, _)| *known != spec) {
            machines.push((spec, machine));
        }
    });
    done
}

/// One call, on its way.
pub(crate) struct Run<'a> {
    pub(crate) disk: &'a EvmDisk,
    pub(crate) machine: &'a mut Machine,
    pub(crate) call: Arc<Call>,
    pub(crate) limits: &'a Limits,
    facts: Rc<Facts>,
    /// The trace that is wanted of it, and the one of its last transaction.
    pub(crate) order: Option<&'a Order>,
    pub(crate) trace: Option<Traced>,
}

/// What a part of a call came to.
pub(crate) enum Part {
    /// It is over, and this is its reply; it may be a fault.
    Over(Option<Fault>, Reply),
    /// The operator's.
    Host(HostError),
}

/// Fuel and gas so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) fuel: u64,
    pub(crate) gas: u64,
}

fn fault(code: FaultCode, said: impl Into<String>) -> Part {
    let said: String = said.into();
    let fault = Fault { code, payload: said.clone().into_bytes(), note: said.into() };
    Part::Over(Some(fault), Reply::default())
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        disk: &'a EvmDisk,
        machine: &'a mut Machine,
        (call, limits, host): (Arc<Call>, &'a Limits, Arc<dyn Host>),
    ) -> Self {
        let facts = machine.facts(&call.process);
        let around = &mut machine.ctx().chain;
        (around.call, around.host) = (Some(call.clone()), Some(host));
        // To count an `Arc` costs as much as many instructions; nearly always it is the same one.
        if !around.stop.as_ref().is_some_and(|stop| Arc::ptr_eq(stop, &disk.stop)) {
            around.stop = Some(disk.stop.clone());
        }
        Self { disk, machine, call, limits, facts, order: None, trace: None }
    }

    pub(crate) fn whole(&mut self, state: &mut State, keep: bool) -> Result<End, HostError> {
        // A message is not in the state before it succeeded; only a birth is, before the message after it.
        let before = (!state.chain.is_born).then(|| state.clone());
        self.machine.db().load(state);
        self.set_world();
        let mut spent = Spent::default();
        let part = match before.is_some().then(|| self.birth(&mut spent)).flatten() {
            Some(part) => part,
            None => self.message(&mut spent, keep),
        };
        self.machine.db().exchange(state);
        self.machine.relax();
        let went_back = !keep || !matches!(part, Part::Over(None, _));
        if let Some(before) = before.filter(|_| went_back) {
            *state = before;
        }
        self.machine.ctx().chain.leave();
        match part {
            Part::Host(error) => Err(error),
            Part::Over(fault, reply) => {
                let cost = Cost { fuel: Fuel(spent.fuel), gas: Some(spent.gas) };
                Ok(End { fault, reply, cost })
            }
        }
    }

    pub(crate) fn gas_limit(&self) -> u64 {
        self.limits.gas.unwrap_or(self.limits.fuel.0)
    }

    pub(crate) fn set_world(&mut self) {
        let (gas_limit, spec) = (self.gas_limit(), self.disk.spec);
        let memory_limit = self.limits.memory_bytes.min(MEMORY_BYTES);
        let (call, ctx) = (&self.call, self.machine.ctx());
        // All but what a blob costs, which is the same for all.
        let block = &mut ctx.block;
        block.number = U256::from(call.slot.nonce);
        block.beneficiary = COINBASE;
        block.timestamp = U256::from(call.timestamp_ms / 1000);
        block.gas_limit = gas_limit;
        block.basefee = 0;
        block.difficulty = U256::ZERO;
        block.prevrandao = Some(B256::from(call.seed));
        if ctx.cfg.spec != spec {
            ctx.cfg = CfgEnv::new_with_spec(spec);
        }
        ctx.cfg.chain_id = self.facts.chain_id;
        ctx.cfg.memory_limit = memory_limit;
        ctx.cfg.disable_block_gas_limit = true;
        ctx.cfg.disable_base_fee = false;
        ctx.cfg.tx_gas_limit_cap = Some(u64::MAX);
    }

    /// Makes the module's contract. `None` if it stands.
    fn birth(&mut self, spent: &mut Spent) -> Option<Part> {
        let Some(init) = self.disk.init_code(&self.call.process) else {
            self.machine.db().chain.is_born = true;
            return None;
        };
        let (init, value) = match init {
            Ok(init) => init,
            Err(why) => return Some(fault(FaultCode::BadCall, why)),
        };
        if let Err(why) = self.endow() {
            return Some(fault(FaultCode::BadCall, why));
        }
        let owner = crate::address::address_of(&self.call.process.owner);
        let tx = TxEnv {
            caller: owner,
            gas_limit: self.gas_limit(),
            kind: TxKind::Create,
            value,
            data: init.into(),
            chain_id: None,
            ..TxEnv::default()
        };
        let home = self.facts.home;
        let mut plan = Plan { manner: Manner::Birth(home), tx, function: None, hash: None };
        let (result, changes) = match self.transact(&mut plan, spent) {
            Ok(done) => done,
            Err(part) => return Some(*part),
        };
        match result {
            ExecutionResult::Success { .. } => {
                let db = self.machine.db();
                db.commit(&changes, Empty::Gone);
                db.chain.is_born = true;
                None
            }
            ExecutionResult::Revert { output, .. } => {
                let why = reply::reverted(&self.disk.abi, &output);
                Some(fault(FaultCode::Raised, format!("the constructor failed: {why}")))
            }
            ExecutionResult::Halt { reason, .. } => Some(self.halted(&reason, spent)),
        }
    }

    /// The balances that the spawn of a process without a native token says there are.
    fn endow(&mut self) -> Result<(), String> {
        let tags = &self.call.process.tags;
        let Some(text) = Tag::last(tags, "Balances") else { return Ok(()) };
        if tags.iter().any(|tag| tag.name == "Native-Token") {
            return Err("tag Balances is for processes without a Native-Token".into());
        }
        let json = Value::parse(text).ok();
        let pairs = json.as_ref().and_then(Value::as_object);
        let pairs = pairs.ok_or("tag Balances is no JSON object of addresses and amounts")?;
        for (who, amount) in pairs {
            let amount = amount.as_str().and_then(message::number);
            let amount = amount.ok_or("an amount in tag Balances is no number, written as text")?;
            let account = Account { balance: amount, ..Account::default() };
            if !account.is_empty() {
                let key = Hashed.address(crate::address::address_of(&who.to_string_lossy()));
                self.machine.db().tables().accounts.set(key, account.row().bytes());
            }
        }
        Ok(())
    }

    fn message(&mut self, spent: &mut Spent, keep: bool) -> Part {
        let home = self.facts.home;
        let gas = self.gas_limit().saturating_sub(spent.gas);
        let intent = match message::intent(&self.call, &self.disk.abi, home, gas) {
            Ok(intent) => intent,
            Err(why) => return fault(FaultCode::BadCall, why),
        };
        match intent {
            Intent::Spawn => {
                let contract = Value::from(crate::abi::checksummed(&home));
                let said =
                    [("data", contract.clone()), ("status", 1_u32.into()), ("contract", contract)];
                self.over(said_by(Value::object(said)), keep)
            }
            Intent::Deposit { to, amount } => self.deposit(to, amount, keep),
            Intent::Run(mut plan) => self.plan(&mut plan, spent, keep),
        }
    }

    fn plan(&mut self, plan: &mut Plan, spent: &mut Spent, keep: bool) -> Part {
        let gas = self.gas_limit().saturating_sub(spent.gas);
        if plan.tx.gas_limit > gas {
            return fault(
                FaultCode::BadCall,
                format!(
                    "the transaction's gas limit {} is over the block's {gas}",
                    plan.tx.gas_limit
                ),
            );
        }
        let (result, changes) = match self.transact(plan, spent) {
            Ok(done) => done,
            Err(part) => return *part,
        };
        if let (ExecutionResult::Halt { reason, .. }, Manner::Message) = (&result, plan.manner) {
            return self.halted(reason, spent);
        }
        let reply = reply::of((&self.call, &self.facts), &self.disk.abi, plan, &result);
        if reply::size(&reply) > self.limits.output_bytes.into() {
            return too_loud();
        }
        let withdrawn = match self.withdrawn(&result) {
            Ok(withdrawn) => withdrawn,
            Err(part) => return *part,
        };
        if keep {
            self.machine.db().commit(&changes, Empty::Gone);
            self.burn(withdrawn);
        }
        self.machine.reuse(changes);
        self.done(reply, keep)
    }

    /// The reply of a message that was no transaction.
    fn over(&mut self, reply: Reply, keep: bool) -> Part {
        if reply::size(&reply) > self.limits.output_bytes.into() {
            return too_loud();
        }
        self.done(reply, keep)
    }

    /// The reply stands; the block is in the chain.
    fn done(&mut self, reply: Reply, keep: bool) -> Part {
        if keep {
            self.machine.db().chain.push(self.call.slot.nonce, self.call.seed);
        }
        Part::Over(None, reply)
    }

    fn deposit(&mut self, to: Address, amount: U256, keep: bool) -> Part {
        let account = self.machine.db().account(to).unwrap_or_default();
        let Some(balance) = account.balance.checked_add(amount) else {
            return fault(FaultCode::BadCall, "the balance would be over 2^256");
        };
        let account = Account { balance, ..account };
        if keep && !account.is_empty() {
            self.machine.db().set_account(to, account);
        }
        let said = Value::from(format!("credited {amount} to {}", crate::abi::checksummed(&to)));
        self.over(said_by(Value::object([("data", said), ("status", 1_u32.into())])), keep)
    }

    /// What leaves the process by `withdraw`: it is the outbox's now, and is nobody's afterwards.
    pub(crate) fn withdrawn(&self, result: &ExecutionResult) -> Result<U256, Box<Part>> {
        let ExecutionResult::Success { logs, .. } = result else { return Ok(U256::ZERO) };
        let amounts = logs.iter().filter_map(Sent::of).filter_map(|sent| match sent {
            Sent::Withdraw { amount, .. } => Some(amount),
            _ => None,
        });
        let total = amounts.fold(U256::ZERO, U256::saturating_add);
        let has_token = || self.call.process.tags.iter().any(|tag| tag.name == "Native-Token");
        if !total.is_zero() && !has_token() {
            let why = "the process has no Native-Token to withdraw to";
            return Err(Box::new(fault(FaultCode::BadCall, why)));
        }
        Ok(total)
    }

    pub(crate) fn burn(&mut self, amount: U256) {
        if amount.is_zero() {
            return;
        }
        let db = self.machine.db();
        let account = db.account(OUTBOX).unwrap_or_default();
        db.set_account(
            OUTBOX,
            Account { balance: account.balance.saturating_sub(amount), ..account },
        );
    }

    pub(crate) fn transact(
        &mut self,
        plan: &mut Plan,
        spent: &mut Spent,
    ) -> Result<(ExecutionResult, EvmState), Box<Part>> {
        self.machine.ctx().cfg.disable_nonce_check = plan.manner != Manner::Ethereum;
        let meter = Meter::new(plan.tx.gas_limit, spent.fuel, self.limits);
        if let Some(order) = self.order {
            self.machine.watch(order.watcher());
        }
        let ran = self.machine.transact(plan.manner, &mut plan.tx, meter);
        let watcher = self.order.map(|_| self.machine.watch(Watcher::Nobody));
        let meter = std::mem::take(&mut self.machine.ctx().chain.meter);
        if let Some(stop) = &meter.stop {
            spent.fuel = meter.used_at_stop();
            spent.gas = spent.gas.saturating_add(spent.fuel).min(self.gas_limit());
            return Err(Box::new(match stop.fault() {
                Ok(fault) => Part::Over(Some(fault), Reply::default()),
                Err(error) => Part::Host(error),
            }));
        }
        match ran {
            Ok((result, changes)) => {
                let gas = *result.gas();
                spent.fuel = meter.work_of(gas.total_gas_spent());
                spent.gas = spent.gas.saturating_add(gas.tx_gas_used());
                if spent.fuel > self.limits.fuel.0 {
                    return Err(Box::new(self.out_of_fuel(spent)));
                }
                match (self.order, watcher) {
                    (Some(order), Some(watcher)) => {
                        let (trace, done) =
                            order.fill(watcher, self.machine.ctx(), (result, changes));
                        self.trace = Some(trace);
                        Ok(done)
                    }
                    _ => Ok((result, changes)),
                }
            }
            Err(failure) => Err(Box::new(self.failed(failure, spent))),
        }
    }

    fn out_of_fuel(&self, spent: &mut Spent) -> Part {
        spent.fuel = self.limits.fuel.0;
        match Stop::Fuel.fault() {
            Ok(fault) => Part::Over(Some(fault), Reply::default()),
            Err(error) => Part::Host(error),
        }
    }

    fn failed(&self, failure: Failure, spent: &mut Spent) -> Part {
        use InvalidTransaction as Invalid;
        let Failure::Transaction(invalid) = failure else {
            return Part::Host(drivebay_disk::bug!("revm: {failure}"));
        };
        let why = match invalid {
            Invalid::CallGasCostMoreThanGasLimit { .. }
            | Invalid::GasFloorMoreThanGasLimit { .. } => {
                return self.out_of_fuel(spent);
            }
            Invalid::NonceTooLow { tx, state } => format!("nonce too low: {tx}; expected {state}"),
            Invalid::NonceTooHigh { tx, state } => {
                format!("nonce too high: {tx}; expected {state}")
            }
            Invalid::LackOfFundForMaxFee { fee, balance } => {
                format!("insufficient funds: value and fee are {fee}, the balance is {balance}")
            }
            Invalid::InvalidChainId => {
                let expected = self.facts.chain_id;
                format!("the transaction is for another chain; expected chain id {expected}")
            }
            Invalid::CreateInitCodeSizeLimit => "init code too large".into(),
            Invalid::PriorityFeeGreaterThanMaxFee => "priority fee above the fee cap".into(),
            Invalid::GasPriceLessThanBasefee => "max fee per gas less than block base fee".into(),
            Invalid::RejectCallerWithCode => "the sender is a contract".into(),
            _ => "the transaction is not valid under the format's fork".into(),
        };
        fault(FaultCode::BadCall, why)
    }

    fn halted(&self, reason: &HaltReason, spent: &mut Spent) -> Part {
        if matches!(reason, HaltReason::OutOfGas(_)) {
            return self.out_of_fuel(spent);
        }
        let said = reply::halted(reason);
        let fault = Fault { code: FaultCode::Trapped, payload: said.into(), note: said.into() };
        Part::Over(Some(fault), Reply::default())
    }
}

fn said_by(output: Value) -> Reply {
    Reply { output: Output::Json(Json::from(output)), ..Reply::default() }
}

fn too_loud() -> Part {
    let fault = Fault::new(FaultCode::TooLoud, "answer, logs and messages together");
    Part::Over(Some(fault), Reply::default())
}
