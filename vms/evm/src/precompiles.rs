//! Ethereum's precompiles, and the outbox.

use crate::{
    formats::OUTBOX,
    machine::Ctx,
    meter::Stop,
    outbox::{self, Ask},
};
use revm::{
    context::{ContextTr, JournalTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::{AddressSet, hardfork::SpecId},
};

/// The precompiles of a format.
pub(crate) struct Precompiles {
    ethereum: EthPrecompiles,
    warm: AddressSet,
    has_outbox: bool,
}

impl Precompiles {
    /// Ethereum's alone.
    pub(crate) fn plain(spec: SpecId) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let warm = ethereum.warm_addresses().clone();
        Self { ethereum, warm, has_outbox: false }
    }

    /// Ethereum's, and the outbox.
    pub(crate) fn with_outbox(spec: SpecId) -> Self {
        let mut all = Self::plain(spec);
        all.warm.insert(OUTBOX);
        all.has_outbox = true;
        all
    }
}

impl PrecompileProvider<Ctx> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        let changed = PrecompileProvider::<Ctx>::set_spec(&mut self.ethereum, spec);
        if changed {
            self.warm.clone_from(self.ethereum.warm_addresses());
            if self.has_outbox {
                self.warm.insert(OUTBOX);
            }
        }
        changed
    }

    fn run(
        &mut self,
        ctx: &mut Ctx,
        call: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if !self.warm.contains(&call.bytecode_address) {
            return Ok(None);
        }
        let offered = call.gas_limit;
        let affordable = ctx.chain.meter.affordable(offered);
        let ran = if affordable == offered {
            self.answer(ctx, call)
        } else {
            let less = CallInputs { gas_limit: affordable, ..call.clone() };
            self.answer(ctx, &less)
        };
        let mut ran = ran?;
        if let Some(result) = &mut ran {
            settle(ctx, result, offered, affordable)?;
        }
        Ok(ran)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

/// Puts back what was kept from the precompile, or ends the call if the fuel was too little.
fn settle(
    ctx: &mut Ctx,
    result: &mut InterpreterResult,
    offered: u64,
    affordable: u64,
) -> Result<(), String> {
    let meter = &mut ctx.chain.meter;
    if affordable < offered && result.result == InstructionResult::PrecompileOOG {
        meter.halt(Stop::Fuel, 0);
        return Err("stopped".into());
    }
    let kept = offered - affordable;
    if result.result.is_halt() {
        // What it forfeits is no work, whatever the fuel was.
        meter.forfeit(offered);
        return Ok(());
    }
    if kept > 0 {
        let used = affordable - result.gas.remaining();
        let mut gas = Gas::new(offered);
        if !gas.record_regular_cost(used) {
            return Err("a precompile used more than it had".into());
        }
        gas.record_refund(result.gas.refunded());
        result.gas = gas;
    }
    Ok(())
}

impl Precompiles {
    fn answer(
        &mut self,
        ctx: &mut Ctx,
        call: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if !self.has_outbox || call.bytecode_address != OUTBOX {
            return PrecompileProvider::<Ctx>::run(&mut self.ethereum, ctx, call);
        }
        outbox_answer(ctx, call).map(Some)
    }
}

fn outbox_answer(ctx: &mut Ctx, call: &CallInputs) -> Result<InterpreterResult, String> {
    let mut gas = Gas::new(call.gas_limit);
    let input = call.input.bytes(ctx);
    let value = call.call_value();
    let may_send = !call.is_static && call.scheme == CallScheme::Call;
    let ask = Ask { caller: call.caller, input: &input, value, may_send };
    let end = |result, output: Vec<u8>, gas| InterpreterResult::new(result, output.into(), gas);
    if !gas.record_regular_cost(ask.price()) {
        gas.spend_all();
        return Ok(end(InstructionResult::PrecompileOOG, Vec::new(), gas));
    }
    let answer = match outbox::answer(&ask, &mut gas, &ctx.chain) {
        Ok(answer) => answer,
        Err(outbox::No::Revert(why)) => {
            return Ok(end(InstructionResult::Revert, outbox::error_string(&why), gas));
        }
        Err(outbox::No::Gas) => {
            gas.spend_all();
            return Ok(end(InstructionResult::PrecompileOOG, Vec::new(), gas));
        }
        Err(outbox::No::Host(error)) => {
            ctx.chain.meter.halt(Stop::Host(error), gas.remaining());
            return Err("stopped".into());
        }
    };
    if let Some(log) = answer.log {
        ctx.journal_mut().log(log);
    }
    Ok(end(InstructionResult::Return, answer.output, gas))
}
