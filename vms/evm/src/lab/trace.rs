//! What a transaction did, step by step or frame by frame.

use super::{No, TraceOptions};
use crate::{
    machine::Ctx,
    watch::{Steps, Tracer, Watcher},
    world::{Hashed, Keys, World},
};
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType as Known, GethDebugTracerType, GethTrace,
};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    context::{
        ContextTr,
        result::{ExecutionResult, ResultAndState},
    },
    primitives::{Address, B256, U256},
    state::{AccountInfo, EvmState},
};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use std::convert::Infallible;

/// Which transaction is traced, for traces that say so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// The hash of its block.
    pub block: Option<B256>,
    /// Its place in it.
    pub index: Option<usize>,
    /// Its own hash.
    pub hash: Option<B256>,
}

/// A trace that somebody wants.
#[derive(Clone, Debug)]
pub struct Order {
    options: TraceOptions,
    place: Place,
}

/// A trace, or why there is none.
pub(crate) type Traced = Result<GethTrace, String>;

/// Tracers that there are; none of them runs code of the client's.
const TRACERS: &str = "callTracer, prestateTracer, 4byteTracer, flatCallTracer, noopTracer, and none \
                       for the steps";

impl Order {
    /// A trace as `options` describe it. The text says what is wrong with them.
    pub fn new(options: TraceOptions, place: Place) -> Result<Self, String> {
        match &options.tracer {
            None
            | Some(GethDebugTracerType::BuiltInTracer(
                Known::CallTracer
                | Known::PreStateTracer
                | Known::FourByteTracer
                | Known::FlatCallTracer
                | Known::NoopTracer,
            )) => {}
            Some(GethDebugTracerType::JsTracer(name)) if name.is_empty() => {}
            Some(_) => return Err(format!("there is no such tracer here; there are {TRACERS}")),
        }
        DebugInspector::new(options.clone()).map_err(|error| error.to_string())?;
        Ok(Self { options, place })
    }

    pub(crate) fn watcher(&self) -> Watcher {
        let said = &self.options.config;
        let steps = match self.options.tracer {
            Some(GethDebugTracerType::BuiltInTracer(_)) => Steps::default(),
            _ => Steps {
                all: true,
                stack: !said.disable_stack.unwrap_or_default(),
                memory: said.is_memory_enabled(),
                storage: !said.disable_storage.unwrap_or_default(),
                returned: said.is_return_data_enabled(),
            },
        };
        match DebugInspector::new(self.options.clone()) {
            Ok(inner) => Watcher::Tracer(Box::new(Tracer::new(inner, steps))),
            Err(_) => Watcher::Nobody,
        }
    }

    /// What the watcher saw, and what it was shown.
    pub(crate) fn fill(
        &self,
        watcher: Watcher,
        ctx: &mut Ctx,
        (result, state): (ExecutionResult, EvmState),
    ) -> (Traced, (ExecutionResult, EvmState)) {
        let done = ResultAndState { result, state };
        let Watcher::Tracer(mut tracer) = watcher else {
            return (Err("nobody looked on".into()), (done.result, done.state));
        };
        let place = TransactionContext {
            block_hash: self.place.block,
            tx_index: self.place.index,
            tx_hash: self.place.hash,
        };
        let mut seen = Seen(ctx.db().world.clone());
        let trace = tracer.inner.get_result(Some(place), &ctx.tx, &ctx.block, &done, &mut seen);
        (trace.map_err(|error| error.to_string()), (done.result, done.state))
    }
}

pub(super) fn text(trace: Option<Traced>) -> Result<String, No> {
    let none = || Err("the message ran no code, so there is nothing to trace".to_owned());
    let trace = trace.unwrap_or_else(none).map_err(No::Invalid)?;
    serde_json::to_string(&trace).map_err(|error| No::Invalid(error.to_string()))
}

/// A state before a transaction, for tracers that tell what it was.
struct Seen(World);

impl DatabaseRef for Seen {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let account = self.0.account(&Hashed.address(address));
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(crate::db::ready(self.0.code(&hash).unwrap_or_default()))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.0.look_slot(address, slot))
    }

    fn block_hash_ref(&self, _: u64) -> Result<B256, Infallible> {
        Ok(B256::ZERO)
    }
}
