//! The precompile through which a contract reaches ao. Its Solidity face is `modules/evm/lib/Ao.sol`.
//!
//! What is sent is a log of the precompile's own address, which no contract can write: so a frame that
//! reverts has sent nothing. Arguments are read by Ethereum's ABI, strictly: what is decoded is never more
//! bytes than what was given.

use crate::{address::address_of, formats::*, machine::Around};
use drivebay_disk::{HostError, Resource, Tag};
use revm::{
    interpreter::Gas,
    primitives::{Address, B256, Bytes, Log, U256, keccak256},
};
use std::sync::LazyLock;

/// What a contract asks.
pub(crate) struct Ask<'a> {
    pub(crate) caller: Address,
    pub(crate) input: &'a [u8],
    pub(crate) value: U256,
    /// Called by CALL, not within a static call.
    pub(crate) may_send: bool,
}

/// What it is answered.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) output: Vec<u8>,
    pub(crate) log: Option<Log>,
}

/// Why it is not.
pub(crate) enum No {
    Revert(String),
    Gas,
    Host(HostError),
}

/// A way out, or a look at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Send,
    Spawn,
    Assign,
    Withdraw,
    Message,
    TagOf,
    Data,
    Process,
    Read,
    AddressOf,
}

const VERBS: [(Verb, &str); 10] = [
    (Verb::Send, "send(string,(string,string)[],bytes)"),
    (Verb::Spawn, "spawn(string,(string,string)[],bytes)"),
    (Verb::Assign, "assign(string,string[])"),
    (Verb::Withdraw, "withdraw(string)"),
    (Verb::Message, "message()"),
    (Verb::TagOf, "tag(string)"),
    (Verb::Data, "data()"),
    (Verb::Process, "process()"),
    (Verb::Read, "read(string,uint256,uint256)"),
    (Verb::AddressOf, "addressOf(string)"),
];

static SELECTORS: LazyLock<Vec<([u8; 4], Verb)>> = LazyLock::new(|| {
    let selector = |text: &str| keccak256(text).0.first_chunk().copied().unwrap_or_default();
    VERBS.iter().map(|(verb, text)| (selector(text), *verb)).collect()
});

impl Ask<'_> {
    /// Gas before anything is looked at.
    pub(crate) fn price(&self) -> u64 {
        let byte = if self.may_send { SEND_BYTE_GAS } else { READ_BYTE_GAS };
        OUTBOX_GAS + byte * self.input.len() as u64
    }

    fn verb(&self) -> Option<(Verb, &[u8])> {
        let (selector, rest) = self.input.split_first_chunk::<4>()?;
        SELECTORS.iter().find(|(known, _)| known == selector).map(|(_, verb)| (*verb, rest))
    }
}

fn revert(why: &str) -> No {
    No::Revert(format!("ao: {why}"))
}

pub(crate) fn answer(ask: &Ask<'_>, gas: &mut Gas, around: &Around) -> Result<Answer, No> {
    let Some((verb, rest)) = ask.verb() else {
        return Err(revert("no such function"));
    };
    if !ask.value.is_zero() && verb != Verb::Withdraw {
        return Err(revert("only withdraw takes value"));
    }
    match verb {
        Verb::Send | Verb::Spawn | Verb::Assign | Verb::Withdraw => sent(ask, verb, rest, around),
        Verb::AddressOf => {
            let text = Words(rest).text(0).ok_or_else(|| revert("arguments are bent"))?;
            Ok(words(vec![Part::Word(address_of(&text).into_word().0)]))
        }
        Verb::Read => read(rest, gas, around),
        _ => told(verb, rest, gas, around),
    }
}

fn sent(ask: &Ask<'_>, verb: Verb, rest: &[u8], around: &Around) -> Result<Answer, No> {
    if !ask.may_send {
        return Err(revert("cannot send within a static or delegated call"));
    }
    // Whoever is sent to knows the process alone, and anybody may make contracts in it.
    let home = around.call.as_ref().map(|call| address_of(&call.process.id));
    if verb != Verb::Withdraw && home != Some(ask.caller) {
        return Err(revert("only the process's own contract speaks for it"));
    }
    let Some(sent) = Sent::decode(verb, rest, ask.value) else {
        return Err(revert("arguments are bent"));
    };
    if verb == Verb::Withdraw && !matches!(sent, Sent::Withdraw { amount, .. } if !amount.is_zero())
    {
        return Err(revert("nothing to withdraw"));
    }
    let topics = vec![ask.caller.into_word(), B256::from(ask.value)];
    let log = Log::new_unchecked(OUTBOX, topics, Bytes::copy_from_slice(ask.input));
    Ok(Answer { output: Vec::new(), log: Some(log) })
}

fn charge(gas: &mut Gas, cost: u64) -> Result<(), No> {
    if gas.record_regular_cost(cost) { Ok(()) } else { Err(No::Gas) }
}

/// What of the call a contract may know: all that its schedule says.
fn told(verb: Verb, rest: &[u8], gas: &mut Gas, around: &Around) -> Result<Answer, No> {
    let call = around.call.as_deref().ok_or_else(|| revert("there is no message"))?;
    let message = &call.message;
    let parts = match verb {
        Verb::Message => {
            let target = Part::Text(message.target.as_bytes());
            let texts =
                [&message.id, &message.from, &message.owner].map(|t| Part::Text(t.as_bytes()));
            texts.into_iter().chain([target]).collect()
        }
        Verb::TagOf => {
            let name = Words(rest).text(0).ok_or_else(|| revert("arguments are bent"))?;
            charge(gas, message.tags.len() as u64 * READ_BYTE_GAS)?;
            let value = Tag::last(&message.tags, &name);
            vec![
                Part::Word(U256::from(u8::from(value.is_some())).to_be_bytes()),
                Part::Text(value.unwrap_or_default().as_bytes()),
            ]
        }
        Verb::Data => vec![Part::Text(message.data.as_deref().unwrap_or_default())],
        _ => {
            let number = |n: u64| Part::Word(U256::from(n).to_be_bytes());
            let (id, owner) = (&call.process.id, &call.process.owner);
            vec![
                Part::Text(id.as_bytes()),
                Part::Text(owner.as_bytes()),
                number(call.block_height),
                number(call.timestamp_ms),
            ]
        }
    };
    let bytes: usize = parts.iter().map(Part::len).sum();
    charge(gas, bytes as u64 * READ_BYTE_GAS)?;
    Ok(words(parts))
}

/// Reads permanent data: all hosts see the same, or the call waits.
fn read(rest: &[u8], gas: &mut Gas, around: &Around) -> Result<Answer, No> {
    let words_of = Words(rest);
    let bent = || revert("arguments are bent");
    let id = words_of.text(0).ok_or_else(bent)?;
    let (from, len) = (words_of.number(1).ok_or_else(bent)?, words_of.number(2).ok_or_else(bent)?);
    if len > READ_MAX {
        return Err(revert("at most 1 MiB at a time"));
    }
    charge(gas, READ_GAS + len * READ_BYTE_GAS)?;
    let Some(host) = &around.host else { return Err(revert("there is no network")) };
    let range = from..from.saturating_add(len);
    let found = host.read(&Resource::Data(id), range).map_err(No::Host)?;
    let number = |n: u64| Part::Word(U256::from(n).to_be_bytes());
    let total = found.as_ref().map_or(0, |data| data.total);
    let bytes = found.as_ref().map(|data| data.bytes.as_ref()).unwrap_or_default();
    Ok(words(vec![number(found.is_some().into()), number(total), Part::Text(bytes)]))
}

/// Something on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Message { target: String, tags: Vec<(String, String)>, data: Vec<u8> },
    Spawn { module: String, tags: Vec<(String, String)>, data: Vec<u8> },
    Assign { message: String, processes: Vec<String> },
    Withdraw { recipient: String, amount: U256 },
}

impl Sent {
    fn decode(verb: Verb, rest: &[u8], value: U256) -> Option<Self> {
        let words = Words(rest);
        let mut room = rest.len();
        Some(match verb {
            Verb::Send => {
                let target = words.text_within(0, &mut room)?;
                let tags = words.tags(1, &mut room)?;
                Self::Message { target, tags, data: words.bytes_within(2, &mut room)?.to_vec() }
            }
            Verb::Spawn => {
                let module = words.text_within(0, &mut room)?;
                let tags = words.tags(1, &mut room)?;
                Self::Spawn { module, tags, data: words.bytes_within(2, &mut room)?.to_vec() }
            }
            Verb::Assign => {
                let message = words.text_within(0, &mut room)?;
                let list = words.list(1, &mut room)?;
                let count = list.0;
                let texts = (0..count).map(|at| list.1.text_within(at, &mut room));
                Self::Assign { message, processes: texts.collect::<Option<_>>()? }
            }
            Verb::Withdraw => {
                Self::Withdraw { recipient: words.text_within(0, &mut room)?, amount: value }
            }
            _ => return None,
        })
    }

    /// What a log of the outbox says; `None` for any other log.
    pub(crate) fn of(log: &Log) -> Option<Self> {
        if log.address != OUTBOX {
            return None;
        }
        let value = log.topics().get(1).map(|word| U256::from_be_bytes(word.0))?;
        let ask = Ask { caller: Address::ZERO, input: &log.data.data, value, may_send: true };
        let (verb, rest) = ask.verb()?;
        Self::decode(verb, rest, value)
    }
}

/// Arguments in Ethereum's ABI.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn number(&self, at: usize) -> Option<u64> {
        let start = at.checked_mul(32)?;
        let word = self.0.get(start..start.checked_add(32)?)?;
        U256::from_be_slice(word).try_into().ok()
    }

    /// What the offset in word `at` points at.
    fn beyond(&self, at: usize) -> Option<Self> {
        self.0.get(usize::try_from(self.number(at)?).ok()?..).map(Self)
    }

    fn bytes_within(&self, at: usize, room: &mut usize) -> Option<&'a [u8]> {
        let tail = self.beyond(at)?;
        let len = usize::try_from(tail.number(0)?).ok()?;
        *room = room.checked_sub(len.checked_add(32)?)?;
        tail.0.get(32..len.checked_add(32)?)
    }

    fn text_within(&self, at: usize, room: &mut usize) -> Option<String> {
        String::from_utf8(self.bytes_within(at, room)?.to_vec()).ok()
    }

    fn text(&self, at: usize) -> Option<String> {
        self.text_within(at, &mut self.0.len())
    }

    /// The list that word `at` points at: its length, and where its items start.
    fn list(&self, at: usize, room: &mut usize) -> Option<(usize, Self)> {
        let tail = self.beyond(at)?;
        let count = usize::try_from(tail.number(0)?).ok()?;
        *room = room.checked_sub(count.checked_mul(32)?)?;
        Some((count, Self(tail.0.get(32..)?)))
    }

    fn tags(&self, at: usize, room: &mut usize) -> Option<Vec<(String, String)>> {
        let (count, items) = self.list(at, room)?;
        let tag = |at| {
            let pair = items.beyond(at)?;
            Some((pair.text_within(0, room)?, pair.text_within(1, room)?))
        };
        (0..count).map(tag).collect()
    }
}

enum Part<'a> {
    Word([u8; 32]),
    Text(&'a [u8]),
}

impl Part<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Word(_) => 32,
            Self::Text(text) => 64 + text.len(),
        }
    }
}

/// Parts in Ethereum's ABI, as an answer.
fn words(parts: Vec<Part<'_>>) -> Answer {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for part in &parts {
        match part {
            Part::Word(word) => head.extend(word),
            Part::Text(text) => {
                let at = U256::from(parts.len() * 32 + tail.len());
                head.extend(at.to_be_bytes::<32>());
                tail.extend(U256::from(text.len()).to_be_bytes::<32>());
                tail.extend_from_slice(text);
                tail.resize(tail.len().next_multiple_of(32), 0);
            }
        }
    }
    head.append(&mut tail);
    Answer { output: head, log: None }
}

/// `Error(string)`, as Solidity reverts with it.
pub(crate) fn error_string(why: &str) -> Vec<u8> {
    let mut out = vec![0x08, 0xc3, 0x79, 0xa0];
    out.extend(words(vec![Part::Text(why.as_bytes())]).output);
    out
}
