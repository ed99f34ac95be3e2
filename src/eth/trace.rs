//! `debug_trace…`: what a transaction or a call did.

use super::{
    blocks::{few, found},
    call::{Wanted, within},
    error::RpcError,
    index::Ran,
    methods::Answer,
    params::Params,
    process::Process,
};
use crate::cu::lab::{Lab, Order, Place, Setting, TraceOptions};
use serde_json::{json, value::RawValue};

/// Bytes of the traces of one block.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// `debug_traceTransaction`.
pub(super) async fn transaction(process: &Process, params: &Params) -> Result<Answer, RpcError> {
    let options = options(params, 1)?;
    let Some((runs, at)) = found(process, params).await? else {
        return Err(RpcError::server("transaction not found"));
    };
    let run = runs.get(at).ok_or_else(|| RpcError::server("transaction not found"))?;
    raw(replay(process, run, options).await?)
}

/// `debug_traceBlockByNumber` and `debug_traceBlockByHash`.
pub(super) async fn block(process: &Process, params: &Params) -> Result<Answer, RpcError> {
    let options = options(params, 1)?;
    let number = process.known(params.block(0)?).await?;
    let runs = process.runs(number, number).await?;
    few(&runs)?;
    let mut all = String::from("[");
    for run in &runs {
        let said = match replay(process, run, options.clone()).await {
            Ok(trace) => format!("{{\"txHash\":\"{}\",\"result\":{trace}}}", run.hash),
            Err(error) => json!({ "txHash": run.hash, "error": error.text() }).to_string(),
        };
        if all.len() > 1 {
            all.push(',');
        }
        all.push_str(&said);
        if all.len() > BLOCK_BYTES_MAX {
            return Err(RpcError::new(-32005, "the traces are too long together; ask for each"));
        }
    }
    all.push(']');
    raw(all)
}

/// `debug_traceCall`.
pub(super) async fn call(process: &Process, params: &Params) -> Result<Answer, RpcError> {
    let order = Order::new(options(params, 2)?, Place::default()).map_err(RpcError::invalid)?;
    let mut wanted = Wanted::read(process, params).await?;
    let said = |key: &str| params.get(2).and_then(|options| options.get(key));
    wanted.change(said("stateOverrides"), said("blockOverrides"))?;
    raw(wanted.tried(process, move |lab, trial| lab.trace(trial, &order)).await?)
}

async fn replay(process: &Process, run: &Ran, options: TraceOptions) -> Result<String, RpcError> {
    if run.is_again {
        let text = "the message had been evaluated before, so nothing ran here";
        return Err(RpcError::server(text));
    }
    process.eth.face.admission.allow_dry_run(process.caller)?;
    let again = process.chain().await.and_then(|chain| chain.again(run.slot));
    let index = usize::try_from(run.slot.tick).ok();
    let place = Place { block: Some(run.block_hash), index, hash: Some(run.hash) };
    let order = Order::new(options, place).map_err(RpcError::invalid)?;
    if let Some(again) = again {
        let id = process.id.clone();
        let trace = within(|stop| process.cu().work(move || again.trace(&id, &order, stop)));
        return trace.await?;
    }
    let entry = process.cu().entry(&process.id, run.slot).await?;
    let trace = within(|stop| {
        process.cu().look_before(&process.id, run.slot, move |scene| {
            let (call, host) = scene.scheduled(&entry);
            let setting = Setting { call, host, limits: *scene.limits() };
            let lab = Lab::new(scene.module(), scene.image(), stop);
            Ok(lab.and_then(|lab| lab.replay(&setting, &order)))
        })
    });
    Ok(trace.await??)
}

fn options(params: &Params, at: usize) -> Result<TraceOptions, RpcError> {
    let Some(options) = params.get(at) else { return Ok(TraceOptions::default()) };
    serde_json::from_value(options.clone())
        .map_err(|error| RpcError::invalid(format!("parameter {at} should be options: {error}")))
}

fn raw(json: String) -> Result<Answer, RpcError> {
    let raw = RawValue::from_string(json);
    raw.map(Answer::Text).map_err(|error| RpcError::new(-32603, error.to_string()))
}
