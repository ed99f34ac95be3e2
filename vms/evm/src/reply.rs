//! What a transaction answers, as a reply.

use crate::{
    abi::{Abi, answer_of},
    facts::Facts,
    formats::OUTBOX,
    message::Plan,
    outbox::Sent,
};
use drivebay_disk::{
    Assign, Call, Outgoing, Output, Reply, Tag,
    json::{Json, Value, Writer},
    json_key,
};
use revm::{
    context::result::{ExecutionResult, HaltReason, Output as Returned},
    primitives::{Log, hex},
};
use std::cell::Cell;

/// Bytes of the buffer that is kept for the next answer.
const SCRATCH_MAX: usize = 64 << 10;

thread_local! {
    /// What answers are written into.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The reply to a transaction that ended by itself.
pub(crate) fn of(
    (call, facts): (&Call, &Facts),
    abi: &Abi,
    plan: &Plan,
    result: &ExecutionResult,
) -> Reply {
    let mut reply = Reply::default();
    match result {
        ExecutionResult::Success { output, logs, .. } => {
            reply.output = Output::Json(success(facts, abi, plan, (output, logs)));
            send(&mut reply, call, logs.iter().filter_map(Sent::of));
        }
        ExecutionResult::Revert { output, .. } => {
            let why = reverted(abi, output);
            failure(&mut reply, plan, &why, Some(output));
        }
        ExecutionResult::Halt { reason, .. } => failure(&mut reply, plan, halted(reason), None),
    }
    reply
}

/// What a call said that went well. Most calls do: it is written at once.
fn success(facts: &Facts, abi: &Abi, plan: &Plan, (output, logs): (&Returned, &[Log])) -> Json {
    let bytes = output.data();
    let decoded = plan.function.as_ref().and_then(|f| answer_of(f, bytes));
    let mut out = Writer::over(SCRATCH.take());
    out.object(|out| {
        out.key(json_key!("data"));
        match decoded {
            Some(decoded) => out.value(decoded),
            None => out.hex(bytes),
        };
        out.key(json_key!("status")).digit(1);
        match output.address() {
            Some(address) => out.key(json_key!("contract")).text(&facts.text(address)),
            None => out.key(json_key!("return")).hex(bytes),
        };
        out.key(json_key!("logs")).array(|out| {
            for log in logs.iter().filter(|log| log.address != OUTBOX) {
                out.object(|out| shown(out, (facts, abi), log));
            }
        });
        if let Some(hash) = plan.hash {
            out.key(json_key!("transaction")).hex(hash.as_slice());
        }
    });
    let (json, scratch) = out.finish();
    if scratch.capacity() <= SCRATCH_MAX {
        SCRATCH.set(scratch);
    }
    json
}

fn shown(out: &mut Writer, (facts, abi): (&Facts, &Abi), log: &Log) {
    out.key(json_key!("address")).text(&facts.text(&log.address));
    out.key(json_key!("topics")).array(|out| {
        for topic in log.topics() {
            out.hex(topic.as_slice());
        }
    });
    out.key(json_key!("data")).hex(&log.data.data);
    let decoded = abi.event(log);
    for (name, key) in [("event", json_key!("event")), ("args", json_key!("args"))] {
        if let Some(value) = decoded.as_ref().and_then(|event| event.get(name)) {
            out.key(key).value(value.clone());
        }
    }
}

fn failure(reply: &mut Reply, plan: &Plan, why: &str, data: Option<&[u8]>) {
    reply.error = Some(Json::from(Value::from(why)));
    let mut said = vec![("data", Value::from(why)), ("status", 0_u32.into())];
    said.extend(data.map(|data| ("revert", hex::encode_prefixed(data).into())));
    said.extend(plan.hash.map(|hash| ("transaction", hex::encode_prefixed(hash).into())));
    reply.output = Output::Json(Value::object(said).into());
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
