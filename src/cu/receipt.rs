//! What an evaluation came to: the part that everybody must agree on, and the answer for clients.

use super::{
    Entry, Evaluated, Position,
    codec::{Decoder, Encoder},
};
use crate::{
    disk::{
        Digest, FaultCode, Fuel, HostError, Root, Slot,
        json::{Json, Value},
    },
    wire::result_pairs,
};
use std::sync::Arc;

/// How an evaluation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The state is a new one.
    Done,
    /// The state is as it was.
    Faulted(FaultCode),
    /// The same had been evaluated at this slot already, so it was not again.
    Duplicate(Slot),
    /// The scheduler said that it is passed over.
    Skipped,
    /// The state was taken over from a checkpoint of somebody else's: this unit knows no result.
    Adopted,
}

/// What every host that evaluates the same must come to. Two are equal if their digests are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The slot.
    pub slot: Slot,
    /// Id of the message; empty for a tick.
    pub message: String,
    /// Digest of the rules of the module's format.
    pub rules: Digest,
    /// How it ended.
    pub verdict: Verdict,
    /// Digest of what was answered, as JSON.
    pub reply: Digest,
    /// What it cost.
    pub fuel: Fuel,
    /// Digest of all that the guest was told by its host.
    pub reads: Digest,
}

impl Receipt {
    /// Covers everything.
    pub fn digest(&self) -> Digest {
        Digest::of_parts("drivebay receipt v1", &[&self.encode(Encoder::default()).end()])
    }

    /// What differs, in words for an operator; `None` if nothing does.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let parts = [
            ("message", self.message.clone(), other.message.clone()),
            ("rules", self.rules.to_string(), other.rules.to_string()),
            ("verdict", format!("{:?}", self.verdict), format!("{:?}", other.verdict)),
            ("reply", self.reply.to_string(), other.reply.to_string()),
            ("fuel", self.fuel.to_string(), other.fuel.to_string()),
            ("reads", self.reads.to_string(), other.reads.to_string()),
        ];
        let differs = parts.into_iter().find(|(_, one, two)| one != two);
        differs.map(|(what, one, two)| format!("{what} was {one}, and is {two} now"))
    }

    fn encode(&self, to: Encoder) -> Encoder {
        let to = slot(to, self.slot).text(&self.message).digest(&self.rules);
        let to = match self.verdict {
            Verdict::Done => to.u8(0),
            Verdict::Faulted(code) => to.u8(code as u8),
            Verdict::Duplicate(of) => slot(to.u8(255), of),
            Verdict::Skipped => to.u8(254),
            Verdict::Adopted => to.u8(253),
        };
        to.digest(&self.reply).u64(self.fuel.0).digest(&self.reads)
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, HostError> {
        Ok(Self {
            slot: read_slot(from)?,
            message: from.text()?.to_owned(),
            rules: from.digest()?,
            verdict: match from.u8()? {
                0 => Verdict::Done,
                255 => Verdict::Duplicate(read_slot(from)?),
                254 => Verdict::Skipped,
                253 => Verdict::Adopted,
                code => Verdict::Faulted(
                    fault_code(code).ok_or_else(|| from.damaged("it has an unknown fault"))?,
                ),
            },
            reply: from.digest()?,
            fuel: Fuel(from.u64()?),
            reads: from.digest()?,
        })
    }
}

/// A receipt, and what a client is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResult {
    /// Where it stands.
    pub at: Position,
    /// What was agreed on.
    pub receipt: Receipt,
    /// Which cron it is a tick of, as `<index>-<interval>`.
    pub cron: Option<Arc<str>>,
    /// The result as JSON text, its keys in the order of the wire.
    pub json: Arc<str>,
    /// It has an `Error`.
    pub is_error: bool,
    /// Root of the state after it, where one was computed. A missing root is no other receipt.
    pub root: Option<Root>,
    /// Who evaluated it: name and version of the reader.
    pub reader: Arc<str>,
}

/// The result as JSON text, and whether it has an `Error`.
pub(crate) fn result_json(done: &Evaluated) -> (Arc<str>, bool) {
    let pairs = result_pairs(&done.reply, done.fault.as_ref(), &done.meter);
    let is_error = pairs.iter().any(|(key, _)| *key == "Error");
    (Json::from(Value::object(pairs)).text(), is_error)
}

impl StoredResult {
    /// The result of an evaluation.
    pub(crate) fn new(entry: &Entry, done: &Evaluated, rules: Digest, reads: Digest) -> Self {
        let (json, is_error) = result_json(done);
        let receipt = Receipt {
            slot: entry.at.slot,
            message: entry.id.clone(),
            rules,
            verdict: done
                .fault
                .as_ref()
                .map_or(Verdict::Done, |fault| Verdict::Faulted(fault.code)),
            reply: Digest::of(json.as_bytes()),
            fuel: done.meter.fuel,
            reads,
        };
        Self {
            at: entry.at.clone(),
            receipt,
            cron: entry.cron.clone(),
            json,
            is_error,
            root: None,
            reader: "".into(),
        }
    }

    /// The result of what its scheduler passes over: nothing was done.
    pub(crate) fn skipped(entry: &Entry, rules: Digest) -> Self {
        Self::unevaluated(entry, rules, Verdict::Skipped, SKIPPED, false)
    }

    /// The place of a state that was taken over.
    pub(crate) fn adopted(entry: &Entry, rules: Digest) -> Self {
        Self::unevaluated(entry, rules, Verdict::Adopted, "{}", true)
    }

    fn unevaluated(
        entry: &Entry,
        rules: Digest,
        verdict: Verdict,
        json: &str,
        is_error: bool,
    ) -> Self {
        let receipt = Receipt {
            slot: entry.at.slot,
            message: entry.id.clone(),
            rules,
            verdict,
            reply: Digest::of(json.as_bytes()),
            fuel: Fuel(0),
            reads: no_reads(),
        };
        let (at, root) = (entry.at.clone(), None);
        Self { at, receipt, cron: None, json: json.into(), is_error, root, reader: "".into() }
    }

    /// The result of what had been evaluated before: the same, at another place.
    pub(crate) fn again(&self, entry: &Entry) -> Self {
        let first = match self.receipt.verdict {
            Verdict::Duplicate(first) => first,
            _ => self.receipt.slot,
        };
        let receipt = Receipt {
            slot: entry.at.slot,
            message: entry.id.clone(),
            verdict: Verdict::Duplicate(first),
            fuel: Fuel(0),
            reads: no_reads(),
            ..self.receipt.clone()
        };
        Self { at: entry.at.clone(), receipt, cron: entry.cron.clone(), root: None, ..self.clone() }
    }

    /// What is wrong with it, as it stands under `key`.
    pub(crate) fn damage(&self, key: &[u8]) -> Option<String> {
        let slot = self.receipt.slot;
        let at = || format!("slot {}.{}", slot.nonce, slot.tick);
        let end =
            [&slot.epoch.to_be_bytes()[..], &slot.nonce.to_be_bytes(), &slot.tick.to_be_bytes()];
        if key.get(32..) != Some(&end.concat()[..]) || slot != self.at.slot {
            return Some(format!("the receipt of {} stands under another", at()));
        }
        if Digest::of(self.json.as_bytes()) != self.receipt.reply {
            return Some(format!("the result of {} is not the one of its receipt", at()));
        }
        None
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let to = self.receipt.encode(Encoder::default().u8(VERSION));
        position(to, &self.at)
            .option(self.cron.as_deref(), Encoder::text)
            .text(&self.json)
            .u8(self.is_error.into())
            .option(self.root, |to, root| to.digest(&root.0))
            .text(&self.reader)
            .end()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HostError> {
        let mut from = Decoder::new(bytes, "result");
        if from.u8()? != VERSION {
            return Err(from.damaged("its version is not known"));
        }
        let receipt = Receipt::decode(&mut from)?;
        let stored = Self {
            receipt,
            at: read_position(&mut from)?,
            cron: from.option(|from| from.text().map(Into::into))?,
            json: from.text()?.into(),
            is_error: from.u8()? == 1,
            root: from.option(|from| from.digest().map(Root))?,
            reader: from.text()?.into(),
        };
        from.end()?;
        Ok(stored)
    }
}

/// The result of a message that was passed over.
const SKIPPED: &str = r#"{"Messages":[],"Assignments":[],"Spawns":[],"Output":{"data":"","prompt":"","print":false},"Patches":[],"GasUsed":0}"#;

const VERSION: u8 = 1;

/// The digest of a guest that asked nothing.
pub(crate) fn no_reads() -> Digest {
    Digest::of_parts("drivebay reads v1", &[])
}

pub(crate) fn slot(to: Encoder, slot: Slot) -> Encoder {
    to.u64(slot.epoch).u64(slot.nonce).u32(slot.tick)
}

pub(crate) fn read_slot(from: &mut Decoder<'_>) -> Result<Slot, HostError> {
    Ok(Slot { epoch: from.u64()?, nonce: from.u64()?, tick: from.u32()? })
}

pub(crate) fn position(to: Encoder, at: &Position) -> Encoder {
    slot(to, at.slot).u64(at.timestamp_ms).u64(at.block_height).text(&at.hash_chain)
}

pub(crate) fn read_position(from: &mut Decoder<'_>) -> Result<Position, HostError> {
    Ok(Position {
        slot: read_slot(from)?,
        timestamp_ms: from.u64()?,
        block_height: from.u64()?,
        hash_chain: from.text()?.into(),
    })
}

fn fault_code(byte: u8) -> Option<FaultCode> {
    use FaultCode::*;
    [OutOfFuel, OutOfMemory, TooDeep, TooLoud, Trapped, Raised, BadReply, NoEntry, BadCall]
        .into_iter()
        .find(|code| *code as u8 == byte)
}
