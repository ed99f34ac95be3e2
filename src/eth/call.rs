//! Calls that leave no mark: `eth_call` and `eth_estimateGas`.

use super::{
    error::RpcError,
    params::{Params, data, number, quantity},
    process::Process,
};
use crate::{
    cu::{At, DryMessage, DryRun},
    disk::{Tag, json::Value as Json},
    wire::{dry_fields, place_dry, tags_value},
};
use alloy_primitives::{Address, Bytes};
use serde_json::Value;

/// What the input of a transaction costs at least (EIP-7623), a token, of which a byte other than 0 has four.
const FLOOR_TOKEN_GAS: u64 = 10;
const TRANSACTION_GAS: u64 = 21_000;

/// What a client wants called.
struct Wanted {
    from: String,
    tags: Vec<Tag>,
    input: Bytes,
}

/// How a call ended.
struct Ended {
    dry: DryRun,
    json: Value,
}

/// `eth_call`.
pub(super) async fn call(process: &Process<'_>, params: &Params) -> Result<Value, RpcError> {
    let ended = run(process, params).await?;
    Ok(ended.output("return").cloned().unwrap_or_else(|| data([])))
}

/// `eth_estimateGas`: the work of the call, and a quarter more, since a caller keeps a part of its gas from
/// those it calls, and gets refunds only in the end.
pub(super) async fn estimate(process: &Process<'_>, params: &Params) -> Result<Value, RpcError> {
    let wanted = wanted(params)?;
    let ended = run(process, params).await?;
    let used = ended.json.get("GasUsed").and_then(Value::as_u64).unwrap_or_default();
    let used = used.max(ended.dry.fuel.0);
    let tokens = wanted.input.iter().map(|byte| if *byte == 0 { 1 } else { 4 }).sum::<u64>();
    let floor = TRANSACTION_GAS + FLOOR_TOKEN_GAS * tokens;
    let plain = used <= TRANSACTION_GAS;
    let gas = if plain { used } else { used + used / 4 }.max(floor);
    let limit = process.gas_limit();
    if used > limit {
        return Err(RpcError::server(format!("the call takes more gas than the block's {limit}")));
    }
    Ok(quantity(gas.min(limit)))
}

async fn run(process: &Process<'_>, params: &Params) -> Result<Ended, RpcError> {
    let Wanted { from, tags, input } = wanted(params)?;
    if params.get(2).or(params.get(3)).is_some_and(|value| *value != serde_json::json!({})) {
        return Err(RpcError::invalid("overrides of state and block are not offered here"));
    }
    let at = process.at(params.block(1)?).await?;
    let ended = dry(process, at, (&from, &tags, &input)).await?;
    ended.checked()
}

/// Runs a message on the state at `at`.
async fn dry(
    process: &Process<'_>,
    at: At,
    (from, tags, input): (&str, &[Tag], &[u8]),
) -> Result<Ended, RpcError> {
    process.eth.face.admission.allow_dry_run(process.caller.clone())?;
    let body = Json::object([
        ("Owner", Json::from(from)),
        ("Data", alloy_primitives::hex::encode_prefixed(input).into()),
        ("Tags", tags_value(tags)),
    ]);
    let mut fields = dry_fields(body, &process.id)
        .map_err(|refusal| RpcError::invalid(refusal.note.to_string()))?;
    let place = move |place: &crate::cu::Position| {
        place_dry(&mut fields, place.timestamp_ms, place.block_height);
        Ok(DryMessage::new(&fields))
    };
    let dry = process.cu().dry_run(&process.id, at, place).await?;
    let json = serde_json::from_str(&dry.json).unwrap_or_default();
    Ok(Ended { dry, json })
}

/// Whether a signed transaction would be taken now, and not be void: the error says why not.
pub(super) async fn would_take(
    process: &Process<'_>,
    from: &str,
    tags: &[Tag],
    bytes: &[u8],
) -> Result<(), RpcError> {
    let ended = dry(process, At::Latest, (from, tags, bytes)).await?;
    // One that reverts or runs out of gas costs its nonce all the same, as on Ethereum.
    match ended.output("transaction") {
        Some(_) => Ok(()),
        None => ended.checked().and_then(|_| Err(RpcError::server("this is no EVM process"))),
    }
}

impl Ended {
    fn output(&self, key: &str) -> Option<&Value> {
        self.json.get("Output")?.get(key)
    }

    fn checked(self) -> Result<Self, RpcError> {
        if self.output("status").and_then(Value::as_u64) == Some(1) {
            return Ok(self);
        }
        let said = self.json.get("Error").and_then(Value::as_str);
        let said = said.unwrap_or("the process did not answer as EVM processes do");
        Err(match self.output("revert") {
            Some(data) => RpcError::reverted(said, data.clone()),
            None => RpcError::server(said),
        })
    }
}

fn wanted(params: &Params) -> Result<Wanted, RpcError> {
    let object = params.get(0).and_then(Value::as_object);
    let object = object.ok_or_else(|| RpcError::invalid("parameter 0 should be a call object"))?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let address = |key: &str| match text(key) {
        None => Ok(None),
        Some(text) => text.parse::<Address>().map(Some).map_err(|_| {
            RpcError::invalid(format!("{key} should be 0x and 40 hexadecimal digits"))
        }),
    };
    let input = text("input").or(text("data")).unwrap_or("0x").parse();
    let input =
        input.map_err(|_| RpcError::invalid("input should be 0x and hexadecimal digits"))?;
    let to = address("to")?.map_or("create".to_owned(), |to| to.to_string());
    let mut tags = vec![Tag::new("To", to)];
    if let Some(value) = object.get("value").filter(|value| !value.is_null()) {
        let value = number(value);
        let value = value.ok_or_else(|| RpcError::invalid("value should be 0x and digits"))?;
        tags.push(Tag::new("Value", value.to_string()));
    }
    Ok(Wanted { from: address("from")?.unwrap_or_default().to_string(), tags, input })
}
