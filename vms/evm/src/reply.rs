//! What a transaction answers, as a reply.

use crate::{
    abi::{Abi, answer_of, checksummed},
    formats::OUTBOX,
    message::Plan,
    outbox::Sent,
};
use drivebay_disk::{
    Assign, Call, Outgoing, Output, Reply, Tag,
    json::{Json, Value},
};
use revm::{
    context::result::{ExecutionResult, HaltReason},
    primitives::{Log, hex},
};

/// The reply to a transaction that ended by itself.
pub(crate) fn of(call: &Call, abi: &Abi, plan: &Plan, result: &ExecutionResult) -> Reply {
    let mut reply = Reply::default();
    let mut said: Vec<(&str, Value)> = Vec::new();
    match result {
        ExecutionResult::Success { output, logs, .. } => {
            let bytes = output.data();
            let decoded = plan.function.as_ref().and_then(|f| answer_of(f, bytes));
            let raw = Value::from(hex::encode_prefixed(bytes));
            said.push(("data", decoded.unwrap_or_else(|| raw.clone())));
            said.push(("status", 1_u32.into()));
            match output.address() {
                Some(address) => said.push(("contract", checksummed(address).into())),
                None => said.push(("return", raw)),
            }
            let visible = logs.iter().filter(|log| log.address != OUTBOX);
            said.push(("logs", visible.map(|log| shown(abi, log)).collect::<Vec<_>>().into()));
            send(&mut reply, call, logs.iter().filter_map(Sent::of));
        }
        ExecutionResult::Revert { output, .. } => {
            let why = reverted(abi, output);
            reply.error = Some(Json::from(Value::from(why.as_str())));
            said.push(("data", Value::from(why)));
            said.push(("status", 0_u32.into()));
            said.push(("revert", hex::encode_prefixed(output).into()));
        }
        ExecutionResult::Halt { reason, .. } => {
            let why = halted(reason);
            reply.error = Some(Json::from(Value::from(why)));
            said.push(("data", Value::from(why)));
            said.push(("status", 0_u32.into()));
        }
    }
    if let Some(hash) = plan.hash {
        said.push(("transaction", hex::encode_prefixed(hash).into()));
    }
    reply.output = Output::Json(Value::object(said).into());
    reply
}

/// Why a call reverted, in its own words.
pub(crate) fn reverted(abi: &Abi, data: &[u8]) -> String {
    match abi.reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None if data.is_empty() => "execution reverted".into(),
        None => format!(
            "execution reverted: {}{}",
            hex::encode_prefixed(data.get(..data.len().min(256)).unwrap_or_default()),
            if data.len() > 256 { "…" } else { "" }
        ),
    }
}

/// Why a call halted. Our own words, since they are part of the result.
pub(crate) fn halted(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => "invalid instruction",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow | HaltReason::StackOverflow => "stack underflow or overflow",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address in use",
        HaltReason::CreateContractSizeLimit => "contract code too large",
        HaltReason::CreateInitCodeSizeLimit => "init code too large",
        HaltReason::CreateContractStartingWithEF => "contract code must not start with 0xef",
        HaltReason::CallTooDeep => "calls nested too deep",
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        _ => "execution failed",
    }
}

fn shown(abi: &Abi, log: &Log) -> Value {
    let topics: Vec<Value> =
        log.topics().iter().map(|topic| hex::encode_prefixed(topic).into()).collect();
    let mut pairs = vec![
        ("address", Value::from(checksummed(&log.address))),
        ("topics", topics.into()),
        ("data", hex::encode_prefixed(&log.data.data).into()),
    ];
    let decoded = abi.event(log);
    for key in ["event", "args"] {
        pairs.extend(decoded.as_ref().and_then(|event| event.get(key).cloned()).map(|v| (key, v)));
    }
    Value::object(pairs)
}

/// Puts what was sent in a reply. Each message has a reference and an anchor of its own.
pub(crate) fn send(reply: &mut Reply, call: &Call, all: impl Iterator<Item = Sent>) {
    for sent in all {
        let index = reply.messages.len() + reply.spawns.len();
        let number = u128::from(call.slot.nonce) << 24 | u128::from(call.slot.tick) << 12;
        let reference = number + index as u128 + 1;
        let made =
            |head: Vec<(&str, Value)>, kind: &str, tags: Vec<(String, String)>, data: &[u8]| {
                let mut all = vec![
                    tag("Data-Protocol", "ao"),
                    tag("Variant", "ao.TN.1"),
                    tag("Type", kind),
                    tag("Reference", &reference.to_string()),
                ];
                all.extend(tags.iter().map(|(name, value)| tag(name, value)));
                let mut pairs = head;
                pairs.push(("Anchor", format!("{reference:032}").into()));
                pairs.push(("Tags", all.into()));
                pairs.push(("Data", String::from_utf8_lossy(data).into_owned().into()));
                Outgoing { json: Value::object(pairs).into() }
            };
        match sent {
            Sent::Message { target, tags, data } => {
                let head = vec![("Target", target.into())];
                reply.messages.push(made(head, "Message", tags, &data));
            }
            Sent::Spawn { module, tags, data } => {
                let mut all = vec![("Module".to_owned(), module)];
                all.extend(tags);
                reply.spawns.push(made(Vec::new(), "Process", all, &data));
            }
            Sent::Assign { message, processes } => {
                let processes: Vec<Value> = processes.into_iter().map(Value::from).collect();
                let json =
                    Value::object([("Message", message.into()), ("Processes", processes.into())]);
                reply.assignments.push(Assign { json: json.into() });
            }
            Sent::Withdraw { recipient, amount } => {
                let token = Tag::last(&call.process.tags, "Native-Token").unwrap_or_default();
                let tags = [
                    ("Action", "Transfer".to_owned()),
                    ("Recipient", recipient),
                    ("Quantity", amount.to_string()),
                ];
                let tags = tags.map(|(name, value)| (name.to_owned(), value)).into();
                reply.messages.push(made(vec![("Target", token.into())], "Message", tags, b""));
            }
        }
    }
}

fn tag(name: &str, value: &str) -> Value {
    Value::object([("name", Value::from(name)), ("value", Value::from(value))])
}

/// Bytes that a reply takes: what its receivers are given.
pub(crate) fn size(reply: &Reply) -> u64 {
    let output = match &reply.output {
        Output::Absent => 0,
        Output::Json(json) => json.as_str().len(),
        Output::Text(text) => text.len(),
        Output::Raw(bytes) => bytes.len(),
    };
    let outgoing = reply.messages.iter().chain(&reply.spawns).map(|out| out.json.as_str().len());
    let assigned = reply.assignments.iter().map(|assign| assign.json.as_str().len());
    let error = reply.error.iter().map(|error| error.as_str().len());
    (output + outgoing.chain(assigned).chain(error).sum::<usize>()) as u64
}
