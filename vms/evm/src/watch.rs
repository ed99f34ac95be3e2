//! Who looks on while a transaction runs: nobody, or one who writes down what it does.
//!
//! What is written down is bounded: a trace can be a thousand times as large as what it is of.

use crate::machine::Ctx;
use revm::{
    Inspector,
    context::{ContextTr, JournalTr},
    context_interface::context::ContextError,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter_types::{Jumps, ReturnData},
    },
    primitives::{Address, B256, Log, LogData, U256},
};
use revm_inspectors::{
    access_list::AccessListInspector,
    tracing::DebugInspector,
    transfer::{TRANSFER_EVENT_TOPIC, TRANSFER_LOG_EMITTER},
};

/// Bytes that a trace may take in memory, about; as text it takes up to twice that.
const TRACE_BYTES: usize = 32 << 20;
/// What a step takes, before its stack.
const STEP_BYTES: usize = 320;
/// What a frame takes, before its input.
const FRAME_BYTES: usize = 1024;
/// What a slot takes in the storage that each step shows.
const SLOT_BYTES: usize = 128;
const SLOAD: u8 = 0x54;
const SSTORE: u8 = 0x55;

/// Who looks on.
#[derive(Default)]
pub(crate) enum Watcher {
    #[default]
    Nobody,
    Tracer(Box<Tracer>),
    Touched(Box<AccessListInspector>),
    Transfers(Transfers),
}

/// What a tracer writes down at each step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    pub(crate) all: bool,
    pub(crate) stack: bool,
    pub(crate) memory: bool,
    pub(crate) storage: bool,
    pub(crate) returned: bool,
}

/// A tracer, and how much it may still write down.
pub(crate) struct Tracer {
    pub(crate) inner: DebugInspector,
    steps: Steps,
    slots: usize,
    left: usize,
    is_full: bool,
}

impl Tracer {
    pub(crate) fn new(inner: DebugInspector, steps: Steps) -> Self {
        Self { inner, steps, slots: 0, left: TRACE_BYTES, is_full: false }
    }

    fn charge(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.is_full = true,
        }
    }

    fn charge_step(&mut self, interpreter: &Interpreter) {
        let mut bytes = STEP_BYTES;
        if self.steps.stack {
            bytes += 32 * interpreter.stack.len();
        }
        if self.steps.memory {
            bytes += interpreter.memory.len();
        }
        if self.steps.returned {
            bytes += interpreter.return_data.buffer().len();
        }
        if self.steps.storage && matches!(interpreter.bytecode.opcode(), SLOAD | SSTORE) {
            self.slots += 1;
            bytes += SLOT_BYTES * self.slots;
        }
        self.charge(bytes);
    }
}

/// Tells value that moves as logs, as if it were a token's (`eth_simulateV1`). What a frame that failed moved
/// is not told.
#[derive(Default)]
pub(crate) struct Transfers(Vec<bool>);

impl Transfers {
    /// A frame begins, which moves `value`.
    fn begin(&mut self, ctx: &mut Ctx, (from, to): (Address, Address), value: U256) {
        self.0.push(!value.is_zero());
        if value.is_zero() {
            return;
        }
        let topics = vec![TRANSFER_EVENT_TOPIC, from.into_word(), to.into_word()];
        let data = LogData::new_unchecked(topics, B256::from(value).0.into());
        ctx.journal_mut().log(Log { address: TRANSFER_LOG_EMITTER, data });
    }

    /// It ends. If it failed, its own logs are gone already, and what it was told to move is the last one.
    fn end(&mut self, ctx: &mut Ctx, is_ok: bool) {
        if self.0.pop() == Some(true) && !is_ok {
            ctx.journaled_state.inner.logs.pop();
        }
    }
}

impl Inspector<Ctx> for Transfers {
    fn call(&mut self, ctx: &mut Ctx, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let who = (inputs.transfer_from(), inputs.transfer_to());
        self.begin(ctx, who, inputs.transfer_value().unwrap_or_default());
        None
    }

    fn call_end(&mut self, ctx: &mut Ctx, _: &CallInputs, outcome: &mut CallOutcome) {
        self.end(ctx, outcome.result.is_ok());
    }

    fn create(&mut self, ctx: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let from = inputs.caller();
        let nonce =
            ctx.journal_mut().load_account(from).map_or(0, |account| account.data.info.nonce);
        self.begin(ctx, (from, inputs.created_address(nonce)), inputs.value());
        None
    }

    fn create_end(&mut self, ctx: &mut Ctx, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(ctx, outcome.result.is_ok());
    }
}

impl Watcher {
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    /// Whether there is no more room for what happens.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Tracer(tracer) if tracer.is_full)
    }

    fn charge(&mut self, bytes: usize) {
        if let Self::Tracer(tracer) = self {
            tracer.charge(bytes);
        }
    }
}

macro_rules! pass_on {
    ($self:expr, $watcher:ident => $told:expr, $none:expr) => {
        match $self {
            Self::Nobody => $none,
            Self::Tracer(tracer) => {
                let $watcher = &mut tracer.inner;
                $told
            }
            Self::Touched($watcher) => $told,
            Self::Transfers($watcher) => $told,
        }
    };
}

impl Inspector<Ctx> for Watcher {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, ctx: &mut Ctx) {
        pass_on!(self, watcher => watcher.initialize_interp(interpreter, ctx), ());
    }

    fn step(&mut self, interpreter: &mut Interpreter, ctx: &mut Ctx) {
        if let Self::Tracer(tracer) = self
            && tracer.steps.all
        {
            tracer.charge_step(interpreter);
            if tracer.is_full {
                ctx.error = Err(ContextError::Custom("no room for the trace".into()));
                interpreter.halt_fatal();
                return;
            }
        }
        pass_on!(self, watcher => watcher.step(interpreter, ctx), ());
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, ctx: &mut Ctx) {
        if !self.is_full() {
            pass_on!(self, watcher => watcher.step_end(interpreter, ctx), ());
        }
    }

    fn log(&mut self, ctx: &mut Ctx, log: Log) {
        self.charge(log.data.data.len() + FRAME_BYTES);
        pass_on!(self, watcher => watcher.log(ctx, log), ());
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, ctx: &mut Ctx, log: Log) {
        self.charge(log.data.data.len() + FRAME_BYTES);
        pass_on!(self, watcher => watcher.log_full(interpreter, ctx, log), ());
    }

    fn call(&mut self, ctx: &mut Ctx, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.charge(inputs.input.len() + FRAME_BYTES);
        pass_on!(self, watcher => watcher.call(ctx, inputs), None)
    }

    fn call_end(&mut self, ctx: &mut Ctx, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.charge(outcome.result.output.len());
        pass_on!(self, watcher => watcher.call_end(ctx, inputs, outcome), ());
    }

    fn create(&mut self, ctx: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.charge(inputs.init_code().len() + FRAME_BYTES);
        pass_on!(self, watcher => watcher.create(ctx, inputs), None)
    }

    fn create_end(&mut self, ctx: &mut Ctx, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.charge(outcome.result.output.len());
        pass_on!(self, watcher => watcher.create_end(ctx, inputs, outcome), ());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        pass_on!(self, watcher => Inspector::<Ctx>::selfdestruct(watcher, contract, target, value), ());
    }
}
