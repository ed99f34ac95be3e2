//! Calls that leave no mark: `eth_call`, `eth_estimateGas` and `eth_createAccessList`.

use super::{
    error::RpcError,
    ground::{Ground, Spot},
    params::{Params, data, quantity},
    process::Process,
};
use crate::{
    cu::{
        At, CuError, DryMessage, DryRun,
        lab::{BlockOverrides, Lab, No, Overrides, Setting, Trial, Wish},
    },
    disk::{Tag, json::Value as Json},
    wire::{Fields, dry_fields, place_dry, tags_value},
};
use alloy_primitives::{TxKind, hex};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long a call may run; an estimate is several.
const PATIENCE: Duration = Duration::from_secs(20);

/// A call, and the state that it is for.
pub(super) struct Wanted {
    wish: Wish,
    spot: Spot,
    overrides: Overrides,
    block: BlockOverrides,
}

/// `eth_call`.
pub(super) async fn call(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let mut wanted = Wanted::read(process, params).await?;
    wanted.change(params.get(2), params.get(3))?;
    let said = wanted.tried(process, |lab, trial| lab.call(trial)?.answer());
    said.await.map(data)
}

/// `eth_estimateGas`.
pub(super) async fn estimate(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let mut wanted = Wanted::read(process, params).await?;
    wanted.change(params.get(2), params.get(3))?;
    wanted.tried(process, |lab, trial| lab.estimate(trial)).await.map(quantity)
}

/// `eth_createAccessList`.
pub(super) async fn access_list(process: &Process, params: &Params) -> Result<Value, RpcError> {
    let mut wanted = Wanted::read(process, params).await?;
    wanted.change(params.get(2), params.get(3))?;
    let found = wanted.tried(process, |lab, trial| lab.access_list(trial)).await?;
    let (list, gas, why) = found;
    let mut said = json!({ "accessList": list, "gasUsed": quantity(gas) });
    if let (Some(why), Some(said)) = (why, said.as_object_mut()) {
        said.insert("error".to_owned(), why.into());
    }
    Ok(said)
}

impl Wanted {
    /// A call object, and a block.
    pub(super) async fn read(process: &Process, params: &Params) -> Result<Self, RpcError> {
        let wish = parsed(params.get(0), "parameter 0 should be a call object")?;
        let wish = wish.ok_or_else(|| RpcError::invalid("parameter 0 should be a call object"))?;
        let spot = process.spot(params.block(1)?).await?;
        Ok(Self { wish, spot, overrides: Overrides::default(), block: BlockOverrides::default() })
    }

    /// What state and block say instead.
    pub(super) fn change(
        &mut self,
        state: Option<&Value>,
        block: Option<&Value>,
    ) -> Result<(), RpcError> {
        self.overrides = parsed(state, "overrides of a state")?.unwrap_or_default();
        self.block = parsed(block, "overrides of a block")?.unwrap_or_default();
        Ok(())
    }

    /// Runs a job on the state, for as long as the client waits, and not too long.
    pub(super) async fn tried<T: Send + 'static>(
        self,
        process: &Process,
        job: impl FnOnce(&Lab, &Trial) -> Result<T, No> + Send + 'static,
    ) -> Result<T, RpcError> {
        process.eth.face.admission.allow_dry_run(process.caller)?;
        let Self { wish, spot, overrides, block } = self;
        let stand_in = StandIn::new(&process.id, &wish)?;
        let tried = within(|stop| {
            process.look(spot, move |ground| {
                let (setting, block) = (stand_in.setting(ground), ground.block(block));
                let lab = ground.lab(stop);
                let ready = lab.and_then(|mut lab| lab.change(&overrides).map(|()| lab));
                Ok(ready.and_then(|lab| job(&lab, &Trial { setting, wish, block })))
            })
        });
        Ok(tried.await??)
    }
}

/// Sets its flag when it goes: nobody waits any more.
struct Stopper(Arc<AtomicBool>);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits for work that ends when its flag is set: after a while, or because the client has gone.
pub(super) async fn within<T, W>(start: impl FnOnce(Arc<AtomicBool>) -> W) -> Result<T, CuError>
where
    W: Future<Output = Result<T, CuError>>,
{
    let stopper = Stopper(Arc::default());
    let mut work = std::pin::pin!(start(Arc::clone(&stopper.0)));
    match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            drop(stopper);
            work.await
        }
    }
}

pub(super) fn parsed<T: DeserializeOwned>(
    value: Option<&Value>,
    what: &str,
) -> Result<Option<T>, RpcError> {
    let parse = |value: &Value| serde_json::from_value(value.clone());
    let parsed = value.map(parse).transpose();
    parsed.map_err(|error| RpcError::invalid(format!("{what}: {error}")))
}

/// The message that a call counts as, wherever it is tried.
pub(super) struct StandIn(Fields);

impl StandIn {
    pub(super) fn new(process: &str, wish: &Wish) -> Result<Self, RpcError> {
        let from = wish.from.unwrap_or_default().to_string();
        let input = wish.input.input().map_or(&[][..], |input| input);
        fields(process, (&from, &tags(wish), input)).map(Self)
    }

    /// It on a state.
    pub(super) fn setting(mut self, ground: &Ground) -> Setting {
        let scene = ground.scene;
        place_dry(&mut self.0, ground.timestamp_ms(), scene.at().block_height);
        let (call, host) = scene.dry(&DryMessage::new(&self.0));
        Setting { call, host, limits: *scene.limits() }
    }
}

/// How a message would say where a call goes, for contracts that look at its tags.
fn tags(wish: &Wish) -> Vec<Tag> {
    let to = match wish.to {
        Some(TxKind::Call(to)) => to.to_string(),
        _ => "create".to_owned(),
    };
    let value = wish.value.map(|value| Tag::new("Value", value.to_string()));
    std::iter::once(Tag::new("To", to)).chain(value).collect()
}

/// The message that a call counts as.
fn fields(process: &str, (from, tags, input): (&str, &[Tag], &[u8])) -> Result<Fields, RpcError> {
    let body = Json::object([
        ("Owner", Json::from(from)),
        ("Data", hex::encode_prefixed(input).into()),
        ("Tags", tags_value(tags)),
    ]);
    let fields = dry_fields(body, process);
    fields.map_err(|refusal| RpcError::invalid(refusal.note.to_string()))
}

/// Whether a signed transaction would be taken now, and not be void: the error says why not.
pub(super) async fn would_take(
    process: &Process,
    from: &str,
    tags: &[Tag],
    bytes: &[u8],
) -> Result<(), RpcError> {
    process.eth.face.admission.allow_dry_run(process.caller)?;
    let mut fields = fields(&process.id, (from, tags, bytes))?;
    let place = move |place: &crate::cu::Position| {
        place_dry(&mut fields, place.timestamp_ms, place.block_height);
        Ok(DryMessage::new(&fields))
    };
    let dry: DryRun = process.cu().dry_run(&process.id, At::Latest, place).await?;
    let json: Value = serde_json::from_str(&dry.json).unwrap_or_default();
    // One that reverts or runs out of gas costs its nonce all the same, as on Ethereum.
    if json.get("Output").and_then(|output| output.get("transaction")).is_some() {
        return Ok(());
    }
    let said = json.get("Error").and_then(Value::as_str);
    Err(RpcError::server(said.unwrap_or("the process did not answer as EVM processes do")))
}
