//! One revm, composed: its context, its tables of instructions, and the hooks that count and stop.

use crate::{
    db::Db,
    facts::Facts,
    meter::{Meter, Stop},
    precompiles::Precompiles,
    watch::Watcher,
};
use drivebay_disk::{Call, Host, HostError, Process};
use revm::{
    Context, Journal,
    context::{
        BlockEnv, CfgEnv, ContextTr, Evm, FrameStack, JournalTr, LocalContext, TxEnv,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    context_interface::{context::ContextError, journaled_state::account::JournaledAccountTr},
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameResult, Handler, ItemOrResult,
        evm::{ContextDbError, FrameInitResult},
        instructions::{EthInstructions, InstructionProvider},
        pre_execution::{calculate_caller_fee, validate_account_nonce_and_code},
    },
    inspector::{InspectorEvmTr, InspectorHandler, handler::frame_end, inspect_instructions},
    interpreter::{
        CreateInputs, CreateScheme, FrameInput, GasTracker, InitialAndFloorGas, Instruction,
        InstructionContext, InstructionResult,
        instructions::system::keccak256,
        interpreter::{EthInterpreter, resize_memory},
        interpreter_action::FrameInit,
        interpreter_types::StackTr,
    },
    primitives::{Address, U256, hardfork::SpecId},
    state::EvmState,
};
use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a transaction has at hand besides the state.
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) meter: Meter,
    /// The call, for what the outbox tells of it.
    pub(crate) call: Option<Arc<Call>>,
    pub(crate) host: Option<Arc<dyn Host>>,
    /// Set when the operator wants the thread back.
    pub(crate) stop: Option<Arc<AtomicBool>>,
}

impl Around {
    /// The call is over. What ends it is kept, for the next one of the same drive.
    pub(crate) fn leave(&mut self) {
        let stop = self.stop.take();
        *self = Self { stop, ..Self::default() };
    }
}

pub(crate) type Ctx = Context<BlockEnv, TxEnv, CfgEnv, Db, Journal<Db>, Around>;
type Frame = EthFrame<EthInterpreter>;
type Inner = Evm<Ctx, Watcher, EthInstructions<EthInterpreter, Ctx>, Precompiles, Frame>;
pub(crate) type Failure = EVMError<std::convert::Infallible, InvalidTransaction>;

/// Bytes of frames and memory that are kept for the next call; above, they are given back.
const KEPT_BYTES: usize = 1 << 20;
/// Bytes that a frame takes, about.
const FRAME_BYTES: usize = 34 << 10;
/// Bytes that an entry of the journal and one of the transient storage take, about.
const ENTRY_BYTES: usize = 96;

/// Accounts for whose changes there is room from the start.
const KEPT_ACCOUNTS: usize = 64;

/// Gas of a transaction before it runs, and what it follows from: length and zeros of its input, and whether it makes
/// a contract.
type Intrinsic = ((usize, usize, bool), InitialAndFloorGas);

/// How many of these are remembered, by their zeros: a power of two. Messages of a length differ in them by a few.
const KEPT_INTRINSICS: usize = 16;

/// A revm whose every frame is counted.
pub(crate) struct Machine {
    evm: Inner,
    /// Of the last transactions that were plain ones.
    intrinsics: [Option<Intrinsic>; KEPT_INTRINSICS],
    deepest: usize,
    /// Of the process that ran here last.
    facts: Option<Rc<Facts>>,
}

/// Why a fatal error is fatal stands in the meter.
const STOPPED: &str = "stopped";
const JUMPDEST: u8 = 0x5b;
const KECCAK256: u8 = 0x20;
/// Its gas before that of its words.
const KECCAK256_GAS: u16 = 30;
/// Bytes that are hashed to find an entry of a mapping: its key and the mapping's slot.
const ENTRY: usize = 64;

fn jumpdest(context: InstructionContext<'_, Ctx, EthInterpreter>) -> Result<(), InstructionResult> {
    let (around, remaining) = (&mut context.host.chain, context.interpreter.gas.remaining());
    if around.meter.is_over(remaining) {
        around.meter.halt(Stop::Fuel, remaining);
    } else if around.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
        let error = HostError::Exhausted { what: "time: the operator ended the call" };
        around.meter.halt(Stop::Host(error), remaining);
    } else {
        return Ok(());
    }
    context.host.error = Err(ContextError::Custom(STOPPED.into()));
    Err(InstructionResult::FatalExternalError)
}

/// KECCAK256, which remembers hashes of mappings' entries. All that is not the plain case of one is revm's.
fn keccak(context: InstructionContext<'_, Ctx, EthInterpreter>) -> Result<(), InstructionResult> {
    let (interpreter, host) = (&mut *context.interpreter, &mut *context.host);
    let from = match interpreter.stack.data().as_slice() {
        [.., len, offset] if *len == U256::from(ENTRY) => u32::try_from(*offset).ok(),
        _ => None,
    };
    let prices = &host.cfg.gas_params;
    let cost = prices.keccak256_cost(ENTRY);
    let Some(from) = from.filter(|_| interpreter.gas.remaining() >= cost) else {
        return keccak256(context);
    };
    let (gas, memory, from) = (&mut interpreter.gas, &mut interpreter.memory, from as usize);
    // There is that much.
    let _ = gas.record_regular_cost(cost);
    resize_memory(gas, memory, prices, from, ENTRY)?;
    let hash = host.journaled_state.database.entry_hash(&memory.slice_len(from, ENTRY));
    if let Some(([_], top)) = StackTr::popn_top(&mut interpreter.stack) {
        *top = hash.into();
    }
    Ok(())
}

impl Machine {
    pub(crate) fn new(spec: SpecId, precompiles: Precompiles) -> Self {
        let ctx: Ctx = Context::<BlockEnv, TxEnv, CfgEnv, Db>::new(Db::default(), spec)
            .with_chain(Around::default());
        let mut instruction = EthInstructions::new_mainnet_with_spec(spec);
        instruction.insert_instruction(JUMPDEST, Instruction::new(jumpdest), 1);
        instruction.insert_instruction(KECCAK256, Instruction::new(keccak), KECCAK256_GAS);
        let frame_stack = FrameStack::new_prealloc(1);
        let inspector = Watcher::default();
        let evm = Evm { ctx, inspector, instruction, precompiles, frame_stack };
        Self { evm, intrinsics: [None; KEPT_INTRINSICS], deepest: 0, facts: None }
    }

    pub(crate) fn ctx(&mut self) -> &mut Ctx {
        &mut self.evm.ctx
    }

    pub(crate) fn db(&mut self) -> &mut Db {
        self.evm.ctx.journaled_state.db_mut()
    }

    /// What follows from a process.
    pub(crate) fn facts(&mut self, process: &Arc<Process>) -> Rc<Facts> {
        match &self.facts {
            Some(facts) if facts.are_of(process) => facts.clone(),
            _ => self.facts.insert(Rc::new(Facts::new(process))).clone(),
        }
    }

    /// From now on, another looks on.
    pub(crate) fn watch(&mut self, watcher: Watcher) -> Watcher {
        std::mem::replace(&mut self.evm.inspector, watcher)
    }

    /// Runs one transaction, which it takes in exchange for the one before. What it changed is not in the state yet.
    pub(crate) fn transact(
        &mut self,
        manner: Manner,
        tx: &mut TxEnv,
        meter: Meter,
    ) -> Result<(ExecutionResult, EvmState), Failure> {
        std::mem::swap(&mut self.evm.ctx.tx, tx);
        self.evm.ctx.chain.meter = meter;
        let is_alone = self.evm.inspector.is_nobody();
        let mut rules = Rulebook { manner, is_alone };
        let ran = match is_alone {
            true => rules.run(self),
            false => rules.inspect_run(self),
        };
        let changes = self.evm.ctx.journaled_state.finalize();
        self.evm.ctx.error = Ok(());
        ran.map(|result| (result, changes))
    }

    /// Takes back the room of what a transaction changed, for the next one.
    pub(crate) fn reuse(&mut self, mut changes: EvmState) {
        if changes.capacity() <= KEPT_ACCOUNTS {
            changes.clear();
            self.evm.ctx.journaled_state.inner.state = changes;
        }
    }

    /// Gives back what an unusually deep or large call made it hold.
    pub(crate) fn relax(&mut self) {
        let buffer = self.evm.ctx.local.shared_memory_buffer.borrow().capacity();
        if buffer > KEPT_BYTES {
            self.evm.ctx.local = LocalContext::default();
        }
        if self.deepest * FRAME_BYTES > KEPT_BYTES {
            self.evm.frame_stack = FrameStack::new_prealloc(1);
            self.deepest = 0;
        }
        let inner = &mut self.evm.ctx.journaled_state.inner;
        // revm empties both, but keeps their room.
        if inner.journal.capacity() * ENTRY_BYTES > KEPT_BYTES {
            inner.journal = Vec::new();
        }
        if inner.transient_storage.capacity() * ENTRY_BYTES > KEPT_BYTES {
            inner.transient_storage = Default::default();
        }
    }

    /// Bytes that it holds between calls, about.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        let inner = &self.evm.ctx.journaled_state.inner;
        let entries = inner.journal.capacity() + inner.transient_storage.capacity();
        let buffer = self.evm.ctx.local.shared_memory_buffer.borrow().capacity();
        buffer + self.deepest * FRAME_BYTES + entries * ENTRY_BYTES
    }
}

fn stopped() -> ContextError<std::convert::Infallible> {
    ContextError::Custom(STOPPED.into())
}

impl EvmTr for Machine {
    type Context = Ctx;
    type Instructions = EthInstructions<EthInterpreter, Ctx>;
    type Precompiles = Precompiles;
    type Frame = Frame;

    fn all(&self) -> (&Ctx, &Self::Instructions, &Precompiles, &FrameStack<Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Ctx, &mut Self::Instructions, &mut Precompiles, &mut FrameStack<Frame>) {
        self.evm.all_mut()
    }

    fn frame_init(
        &mut self,
        init: FrameInit,
    ) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Ctx>> {
        if self.evm.ctx.chain.meter.is_too_deep(init.depth) {
            self.evm.ctx.chain.meter.halt(Stop::Depth, gas_of(&init.frame_input));
            return Err(stopped());
        }
        self.deepest = self.deepest.max(init.depth + 1);
        let result = self.evm.frame_init(init)?;
        Ok(result)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Ctx>> {
        let ran = self.evm.frame_run()?;
        self.settle(ran)
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Ctx>> {
        self.evm.ctx.chain.meter.unpark();
        self.evm.frame_return_result(result)
    }
}

impl Machine {
    /// Counts what a frame did until it called another or ended, and ends the call if that was too much.
    fn settle(
        &mut self,
        ran: FrameInitOrResult<Frame>,
    ) -> Result<FrameInitOrResult<Frame>, ContextDbError<Ctx>> {
        let meter = &mut self.evm.ctx.chain.meter;
        let remaining = match &ran {
            ItemOrResult::Item(init) => {
                let waits = self.evm.frame_stack.get().interpreter.gas.remaining();
                waits.saturating_add(gas_of(&init.frame_input))
            }
            ItemOrResult::Result(result) => result.gas().remaining(),
        };
        if meter.stop.is_none() {
            if self.evm.inspector.is_full() {
                let error = HostError::Exhausted { what: "room for the trace; ask for less of it" };
                meter.halt(Stop::Host(error), remaining);
            } else if meter.is_over(remaining) {
                meter.halt(Stop::Fuel, remaining);
            } else if let ItemOrResult::Result(result) = &ran {
                match result.instruction_result() {
                    InstructionResult::MemoryLimitOOG => meter.halt(Stop::Memory, remaining),
                    result if result.is_halt() => meter.forfeit(remaining),
                    _ => {}
                }
            }
        }
        if meter.stop.is_some() {
            return Err(stopped());
        }
        if let ItemOrResult::Item(init) = &ran {
            meter.park(remaining.saturating_sub(gas_of(&init.frame_input)));
        }
        Ok(ran)
    }
}

impl InspectorEvmTr for Machine {
    type Inspector = Watcher;

    fn all_inspector(
        &self,
    ) -> (&Ctx, &Self::Instructions, &Precompiles, &FrameStack<Frame>, &Watcher) {
        let Evm { ctx, inspector, instruction, precompiles, frame_stack } = &self.evm;
        (ctx, instruction, precompiles, frame_stack, inspector)
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (&mut Ctx, &mut Self::Instructions, &mut Precompiles, &mut FrameStack<Frame>, &mut Watcher)
    {
        let Evm { ctx, inspector, instruction, precompiles, frame_stack } = &mut self.evm;
        (ctx, instruction, precompiles, frame_stack, inspector)
    }

    /// As revm has it, and counted as a run that nobody watches.
    fn inspect_frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Ctx>> {
        let (ctx, inspector, frame, instructions) = self.ctx_inspector_frame_instructions();
        let action = inspect_instructions(
            ctx,
            &mut frame.interpreter,
            &mut *inspector,
            instructions.instruction_table(),
            instructions.gas_table(),
        );
        let mut ran = frame.process_next_action::<_, ContextDbError<Ctx>>(ctx, action)?;
        if let ItemOrResult::Result(result) = &mut ran {
            frame_end(ctx, inspector, &frame.input, result);
            frame.set_finished(true);
        }
        self.settle(ran)
    }
}

fn gas_of(input: &FrameInput) -> u64 {
    match input {
        FrameInput::Call(call) => call.gas_limit,
        FrameInput::Create(create) => create.gas_limit(),
        FrameInput::Empty => 0,
    }
}

/// What a transaction is, besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A transaction as Ethereum has it.
    Ethereum,
    /// A message: its sender signed for it elsewhere, and may be a contract here (EIP-3607 says nothing).
    Message,
    /// A transaction that its sender did not sign, which only a lab runs: the sender may be a contract.
    Borrowed,
    /// A message that makes a contract at a given address.
    Birth(Address),
}

struct Rulebook {
    manner: Manner,
    /// Nobody looks on.
    is_alone: bool,
}

/// revm's own rules.
fn mainnet() -> revm::handler::MainnetHandler<Machine, Failure, Frame> {
    Default::default()
}

/// How many bytes are zero. Counted in bytes, so that many are looked at together.
fn zeros(bytes: &[u8]) -> usize {
    let chunk = |chunk: &[u8]| {
        chunk.iter().fold(0u8, |zeros, byte| zeros.wrapping_add(u8::from(*byte == 0)))
    };
    let (chunks, rest) = bytes.as_chunks::<32>();
    chunks.iter().map(|bytes| usize::from(chunk(bytes))).sum::<usize>() + usize::from(chunk(rest))
}

impl Rulebook {
    /// A message that pays no fee. What revm does about fees then changes no balance; it touches accounts that a
    /// trace would show, and no account is there that is gone when it is touched.
    fn is_free(&self, tx: &TxEnv) -> bool {
        let is_free = tx.tx_type == 0 && tx.gas_price == 0;
        self.manner == Manner::Message && self.is_alone && is_free
    }

    /// What revm does about fees, where there may be some.
    fn about_fees(
        &self,
        machine: &mut Machine,
        act: impl FnOnce(&mut Machine) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.is_free(&machine.evm.ctx.tx) { Ok(()) } else { act(machine) }
    }
}

impl Handler for Rulebook {
    type Evm = Machine;
    type Error = Failure;
    type HaltReason = revm::context::result::HaltReason;

    /// As revm has it. For a plain message it follows from so little that it is mostly known.
    fn validate_initial_tx_gas(
        &self,
        machine: &mut Machine,
    ) -> Result<InitialAndFloorGas, Failure> {
        let tx = &machine.evm.ctx.tx;
        if !self.is_free(tx) || !tx.access_list.0.is_empty() || !tx.authorization_list.is_empty() {
            return mainnet().validate_initial_tx_gas(machine);
        }
        let (limit, zeros) = (tx.gas_limit, zeros(&tx.data));
        let (of, at) = ((tx.data.len(), zeros, tx.kind.is_create()), zeros % KEPT_INTRINSICS);
        if let Some(Some((known, gas))) = machine.intrinsics.get(at)
            && *known == of
            && gas.initial_total_gas().max(gas.floor_gas()) <= limit
        {
            return Ok(*gas);
        }
        let gas = mainnet().validate_initial_tx_gas(machine)?;
        if let Some(kept) = machine.intrinsics.get_mut(at) {
            *kept = Some((of, gas));
        }
        Ok(gas)
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        machine: &mut Machine,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Failure> {
        if self.manner == Manner::Ethereum {
            return revm::handler::pre_execution::validate_against_state_and_deduct_caller(
                machine.ctx(),
            );
        }
        let (block, tx, cfg, journal, _, _) = machine.ctx().all_mut();
        if self.is_free(tx) && tx.value.is_zero() {
            let mut caller = journal.load_account_mut(tx.caller)?.data;
            if tx.kind.is_call() {
                caller.bump_nonce();
            }
            return Ok(());
        }
        let mut caller = journal.load_account_with_code_mut(tx.caller)?.data;
        if self.manner == Manner::Borrowed {
            validate_account_nonce_and_code(&caller.account().info, tx.nonce, true, false)?;
        }
        let balance = calculate_caller_fee(*caller.balance(), tx, block, cfg)?;
        caller.set_balance(balance);
        if tx.kind.is_call() {
            caller.bump_nonce();
        }
        Ok(())
    }

    fn reimburse_caller(
        &self,
        machine: &mut Machine,
        result: &mut FrameResult,
    ) -> Result<(), Failure> {
        self.about_fees(machine, |machine| mainnet().reimburse_caller(machine, result))
    }

    fn reward_beneficiary(
        &self,
        machine: &mut Machine,
        result: &mut FrameResult,
    ) -> Result<(), Failure> {
        self.about_fees(machine, |machine| mainnet().reward_beneficiary(machine, result))
    }

    fn first_frame_input(
        &mut self,
        machine: &mut Machine,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameInit>, Failure> {
        let init = mainnet().first_frame_input(machine, gas)?;
        let Manner::Birth(address) = self.manner else { return Ok(init) };
        Ok(init.map(|mut init| {
            if let FrameInput::Create(create) = &mut init.frame_input {
                let scheme = CreateScheme::Custom { address };
                **create = CreateInputs::new(
                    create.caller(),
                    scheme,
                    create.value(),
                    create.init_code().clone(),
                    create.gas_limit(),
                    create.reservoir(),
                );
            }
            init
        }))
    }
}

impl InspectorHandler for Rulebook {
    type IT = EthInterpreter;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::statetest::UNLIMITED;
    use revm::{
        ExecuteEvm, MainBuilder, MainContext,
        database::InMemoryDB,
        primitives::{TxKind, address, hex},
        state::{AccountInfo, Bytecode},
    };

    const HOME: Address = address!("00000000000000000000000000000000000000aa");

    /// A machine with code at [`HOME`], which nothing limits but gas.
    fn machine(code: &[u8]) -> Machine {
        let mut machine = Machine::new(SpecId::OSAKA, Precompiles::plain(SpecId::OSAKA));
        machine.db().world.set_account(HOME, 1, U256::ZERO, code);
        machine.ctx().cfg.tx_gas_limit_cap = Some(u64::MAX);
        machine.ctx().cfg.disable_block_gas_limit = true;
        machine.ctx().cfg.disable_nonce_check = true;
        machine.ctx().cfg.memory_limit = u64::MAX;
        machine
    }

    fn call(gas_limit: u64) -> TxEnv {
        TxEnv { gas_limit, kind: TxKind::Call(HOME), chain_id: None, ..TxEnv::default() }
    }

    fn run(machine: &mut Machine, gas_limit: u64) -> ExecutionResult {
        let meter = Meter::new(gas_limit, 0, &UNLIMITED);
        machine.transact(Manner::Message, &mut call(gas_limit), meter).unwrap().0
    }

    /// Runs code with that much gas, and says what is held after it, and after that was given back.
    fn held_after(code: &[u8], gas_limit: u64) -> (usize, usize) {
        let mut machine = machine(code);
        run(&mut machine, gas_limit);
        let held = machine.held_bytes();
        machine.relax();
        (held, machine.held_bytes())
    }

    /// What code returns, and the gas it takes, here and by revm alone.
    fn both(code: &[u8], gas_limit: u64) -> [(ExecutionResult, u64); 2] {
        let mut machine = machine(code);
        let ours = run(&mut machine, gas_limit);
        let mut db = InMemoryDB::default();
        let code = Bytecode::new_legacy(code.to_vec().into());
        db.insert_account_info(HOME, AccountInfo::from_bytecode(code).with_nonce(1));
        let mut alone = Context::mainnet().with_db(db).build_mainnet();
        alone.ctx.cfg = machine.ctx().cfg.clone();
        let theirs = alone.transact(call(gas_limit)).unwrap().result;
        [ours, theirs].map(|result| (result.clone(), result.gas().total_gas_spent()))
    }

    #[test]
    fn a_hash_is_revms_and_costs_what_it_costs_there() {
        // The same entry twice, the second time from where memory is, for lengths about an entry's.
        for (len, from) in [(64, 0), (64, 1), (63, 0), (65, 0), (64, 1000), (0, 7)] {
            let push = |n: u16| [0x61, (n >> 8) as u8, n as u8];
            let hash = [&push(len)[..], &push(from), &[0x20]].concat();
            let store = [&push(from)[..], &[0x52]].concat();
            // CALLER, to memory; the hash, which is stored over it; and the hash of that; returned.
            let again = [&[0x33][..], &store, &hash, &hash, &[0x18], &store, &hash].concat();
            let end = [0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
            let code = [&again[..], &end].concat();
            for gas in (21_000..21_400).chain([100_000]) {
                let [ours, theirs] = both(&code, gas);
                assert_eq!(ours, theirs, "{len} from {from} with {gas}");
            }
        }
        // A length and an offset that are far too large, and a stack that is too short.
        for code in ["60406000195f20", "6040600019600020", "5f196040905f20", "604020", "20"] {
            let [ours, theirs] = both(&hex::decode(code).unwrap(), 100_000);
            assert_eq!(ours, theirs, "{code}");
        }
    }

    #[test]
    fn what_a_deep_call_took_is_given_back() {
        // Takes 8 KiB, and calls itself with all its gas: 34 kB a frame, and its memory.
        let code = hex::decode("5f6120005260005f5f5f5f305af1").unwrap();
        let (held, kept) = held_after(&code, 1 << 50);
        assert!(held > 16 << 20, "{held}");
        assert!(kept < KEPT_BYTES, "{kept}");
    }

    #[test]
    fn what_transient_storage_took_is_given_back() {
        // JUMPDEST GAS GAS TSTORE PUSH0 JUMP: a new key each time, and an entry of the journal.
        let (held, kept) = held_after(&hex::decode("5b5a5a5d5f56").unwrap(), 10_000_000);
        assert!(held > 4 << 20, "{held}");
        assert!(kept < KEPT_BYTES, "{kept}");
    }
}
