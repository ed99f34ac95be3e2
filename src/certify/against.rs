//! Another unit, held against this program: each receipt of a process, and the states between them.
//!
//! The process is evaluated here from its scheduler's log alone. What the unit answers for each message must
//! be what came of it here, and so must the root of each state that it shows. The first place where it is
//! not is made as small as it gets, which is one message: the state before it, the message, and all that it
//! reads, as a [`ReplayFile`].

use super::replay_file::{Recorder, ReplayFile};
use crate::{
    cu::{At, Case, Cu, CuError, Mark, Readers, ResultsQuery, StoredResult},
    disk::{Digest, Root, Slot},
    net::{Request, Response, TransportError},
    wire::{Cursor, Sort},
};
use drivebay_conformance::laws::Broken;
use serde_json::Value;
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Results that are listed at a time.
const PAGE: usize = 500;
/// How long an answer is waited for while the unit is at it, and the pause between two questions.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(300);
/// Bytes of stack for whatever runs a guest.
const STACK_BYTES: usize = 64 << 20;

/// A process here, and a unit elsewhere that has evaluated it too.
pub struct Against<'a> {
    /// The unit here.
    pub cu: &'a Cu,
    /// Its readers.
    pub readers: &'a Readers,
    /// Asks the other unit, and waits for its answer.
    pub ask: &'a dyn Fn(Request) -> Result<Response, TransportError>,
    /// Its URL, without a slash at the end.
    pub unit: &'a str,
    /// The process.
    pub process: &'a str,
    /// The most states whose roots are asked for, before it is known that any differs.
    pub states: usize,
}

/// What was compared, and what was found.
#[derive(Default)]
pub struct Compared {
    /// Results that were compared.
    pub results: usize,
    /// Of which the unit showed the receipt too: what it cost, and what was read.
    pub receipts: usize,
    /// States whose roots were compared.
    pub states: usize,
    /// Why no states were, if so.
    pub no_states: Option<String>,
    /// The first difference.
    pub divergence: Option<Divergence>,
}

/// The first difference.
pub struct Divergence {
    /// Where.
    pub slot: Slot,
    /// What differs.
    pub seen: String,
    /// Everything about it.
    pub file: ReplayFile,
}

/// Why nothing can be said of the unit.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// It cannot be reached.
    #[error("the unit does not answer: {0}")]
    Unreachable(#[from] TransportError),
    /// It is at it for too long.
    #[error("the unit says for minutes that {0} is in progress")]
    Slow(String),
    /// The process cannot be evaluated here.
    #[error(transparent)]
    Here(#[from] CuError),
    /// A machine here breaks its own word.
    #[error("run again here, slot {0} does not come to what it came to: {1}")]
    Unsteady(u64, Broken),
}

/// A difference that was seen, and what the unit says there.
struct Seen {
    at: usize,
    what: String,
    theirs: String,
}

impl Against<'_> {
    /// Compares everything up to `to`, which has been evaluated here. `tell` hears of each result.
    pub fn compare(&self, to: Slot, mut tell: impl FnMut(Slot)) -> Result<Compared, AgainstError> {
        let mut compared = Compared::default();
        let mut slots = Vec::new();
        let mut first = None;
        let mut after = None;
        'pages: loop {
            let through = Some(Mark::Slot(to));
            let query = ResultsQuery { after, through, limit: PAGE, ..ResultsQuery::default() };
            let page = Cu::block_on(self.cu.results(self.process, query))??;
            for stored in &page.results {
                slots.push(stored.receipt.slot);
                if let Some((what, theirs)) = self.result(stored, &mut compared)? {
                    first = Some(Seen { at: slots.len() - 1, what, theirs });
                    break 'pages;
                }
                tell(stored.receipt.slot);
            }
            after = page.results.last().map(|last| Mark::Slot(last.receipt.slot));
            if !page.has_more {
                break;
            }
        }
        // A state may have gone astray before any answer shows it.
        let end = first.as_ref().map_or(slots.len(), |seen| seen.at);
        let before = slots.get(..end).unwrap_or_default();
        let first = self.states(before, &mut compared)?.or(first);
        if let Some((seen, slot)) = first.and_then(|seen| Some((slots.get(seen.at)?, seen))) {
            compared.divergence = Some(self.smallest(*seen, slot)?);
        }
        Ok(compared)
    }

    /// What differs in a result, and what the unit says.
    fn result(
        &self,
        ours: &StoredResult,
        compared: &mut Compared,
    ) -> Result<Option<(String, String)>, AgainstError> {
        let slot = ours.receipt.slot;
        compared.results += 1;
        if slot.tick > 0 {
            return self.tick(ours);
        }
        let path = format!("result/{}?process-id={}", ours.receipt.message, self.process);
        let answer = self.ask(&path, false)?;
        let theirs = answer.text();
        if !answer.is_success() {
            let what = format!("the unit answers {} for it: {theirs}", answer.status);
            return Ok(Some((what, theirs)));
        }
        if let Some(what) = difference(&ours.json, &theirs) {
            return Ok(Some((what, theirs)));
        }
        let header = |name: &str| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        if let Some(theirs) = header("receipt") {
            compared.receipts += 1;
            let own = ours.receipt.digest().to_string();
            if theirs != own {
                let fuel = header("fuel").unwrap_or_default();
                let what = format!(
                    "the answers are equal, and the receipts are not: here {own} with {} fuel, there {theirs} \
                     with {fuel} fuel",
                    ours.receipt.fuel
                );
                return Ok(Some((what, theirs)));
            }
        }
        Ok(None)
    }

    /// A tick has no message of its own: it is looked for in the unit's list. Those with errors are not there.
    fn tick(&self, ours: &StoredResult) -> Result<Option<(String, String)>, AgainstError> {
        if ours.is_error {
            return Ok(None);
        }
        let cursor = Cursor {
            timestamp_ms: ours.at.timestamp_ms,
            ordinate: Some(ours.receipt.slot.nonce),
            cron: ours.cron.as_deref().map(str::to_owned),
        };
        let to = cursor.text(Sort::Asc);
        let from = Cursor { cron: None, ..cursor }.text(Sort::Asc);
        let query = [("from", &*from), ("to", &*to), ("limit", "1000")];
        let query = query.map(|(name, value)| format!("{name}={}", value.replace('+', "%2B")));
        let answer = self.ask(&format!("results/{}?{}", self.process, query.join("&")), false)?;
        let page: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let edges = page.get("edges").and_then(Value::as_array).cloned().unwrap_or_default();
        let edge =
            edges.iter().find(|edge| edge.get("cursor").and_then(Value::as_str) == Some(&to));
        let Some(node) = edge.and_then(|edge| edge.get("node")) else {
            return Ok(Some(("the unit does not list this tick".to_owned(), answer.text())));
        };
        let theirs = node.to_string();
        Ok(difference(&ours.json, &theirs).map(|what| (what, theirs)))
    }

    /// The first state whose root differs: some are asked for, and between one that agrees and one that
    /// does not it is found by halving.
    fn states(
        &self,
        slots: &[Slot],
        compared: &mut Compared,
    ) -> Result<Option<Seen>, AgainstError> {
        let step = slots.len().div_ceil(self.states.max(1)).max(1);
        let ends = (0..slots.len()).rev().step_by(step).collect::<Vec<_>>();
        let mut good = None;
        for place in ends.into_iter().rev() {
            let Some(slot) = slots.get(place) else { continue };
            match self.state(*slot)? {
                Ok(None) => good = Some(place),
                Ok(Some(roots)) => {
                    compared.states += 1;
                    return self.first_state(slots, (good, place), roots, compared).map(Some);
                }
                Err(why) => {
                    compared.no_states = Some(why);
                    return Ok(None);
                }
            }
            compared.states += 1;
        }
        Ok(None)
    }

    fn first_state(
        &self,
        slots: &[Slot],
        (good, bad): (Option<usize>, usize),
        mut roots: [Root; 2],
        compared: &mut Compared,
    ) -> Result<Seen, AgainstError> {
        let (mut low, mut high) = (good.map_or(0, |good| good + 1), bad);
        while low < high {
            let middle = (low + high) / 2;
            let Some(slot) = slots.get(middle) else { break };
            compared.states += 1;
            match self.state(*slot)? {
                Ok(Some(found)) => (high, roots) = (middle, found),
                Ok(None) | Err(_) => low = middle + 1,
            }
        }
        let [ours, theirs] = roots;
        let what = format!("the state after it has root {ours} here, and {theirs} there");
        Ok(Seen { at: high, what, theirs: format!("root {theirs}") })
    }

    /// Both roots of the state after a slot, if they differ; or why the unit shows none.
    fn state(&self, slot: Slot) -> Result<Result<Option<[Root; 2]>, String>, AgainstError> {
        let Slot { nonce, tick, .. } = slot;
        let path = format!("state/{}?slot={nonce}&tick={tick}&format=image", self.process);
        let answer = self.ask(&path, true)?;
        let header = |name: &str| answer.headers.get(name)?.to_str().ok();
        if header("last-ordinate") != Some(&nonce.to_string()) {
            return Ok(Err(format!("the unit shows no state by slot ({})", answer.status)));
        }
        let root = header("etag").and_then(|tag| Digest::from_hex(tag.trim_matches('"')));
        let Some(theirs) = root.map(Root) else {
            return Ok(Err("the unit shows no roots".to_owned()));
        };
        let here = Cu::block_on(self.cu.image_at(self.process, At::Slot(slot)))??;
        let ours = here.image.root();
        Ok(Ok((ours != theirs).then_some([ours, theirs])))
    }

    /// One message: the state before it, and all that it reads.
    fn smallest(&self, slot: Slot, seen: Seen) -> Result<Divergence, AgainstError> {
        let case = Cu::block_on(self.cu.case(self.process, slot))??;
        let Case { module, limits, image, call, host } = case;
        let reader = self.readers.get(&module.format).cloned();
        let format = module.format.clone();
        let reader = reader.ok_or_else(|| CuError::Unknown(format!("no reader has {format}")))?;
        let recorder = Arc::new(Recorder::new(host));
        let mut file = ReplayFile {
            seen: format!(
                "process {}, slot {}.{}: {}",
                self.process, slot.nonce, slot.tick, seen.what
            ),
            module,
            limits,
            image: Some(image),
            calls: vec![call],
            reads: Vec::new(),
            lines: Vec::new(),
            theirs: Some(seen.theirs),
            sides: Vec::new(),
        };
        let lines = thread::scope(|scope| {
            let play = || file.play_on(&*reader, recorder.clone());
            let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, play);
            let thread = thread.map_err(|error| Broken::new(error.to_string()))?;
            thread.join().unwrap_or_else(|_| Err(Broken::new("it panicked")))
        });
        let lines = lines.map_err(|broken| AgainstError::Unsteady(slot.nonce, broken))?;
        file.lines = lines.into_iter().map(|done| done.line).collect();
        file.reads = recorder.told();
        Ok(Divergence { slot, seen: seen.what, file })
    }

    /// The unit's answer, asked for again while it says "later".
    fn ask(&self, path: &str, head: bool) -> Result<Response, AgainstError> {
        let (url, started) = (format!("{}/{path}", self.unit), Instant::now());
        loop {
            let request = if head { Request::head(&*url) } else { Request::get(&*url) };
            let answer = (self.ask)(request)?;
            if !matches!(answer.status, 202 | 429 | 503) {
                return Ok(answer);
            }
            if started.elapsed() > PATIENCE {
                return Err(AgainstError::Slow(url));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// What differs between two results. The order of keys is no difference: not all units write the same.
fn difference(ours: &str, theirs: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let both: (Option<Value>, Option<Value>) =
        (serde_json::from_str(ours).ok(), serde_json::from_str(theirs).ok());
    let (Some(own), Some(other)) = both else {
        return Some(format!("here {}, there {}", shown(ours), shown(theirs)));
    };
    if own == other {
        return None;
    }
    let keys = ["Output", "Messages", "Spawns", "Assignments", "Error", "GasUsed"];
    let differs = keys.into_iter().find(|key| own.get(key) != other.get(key));
    let part = |value: &Value| match differs {
        Some(key) => value.get(key).map_or("nothing".to_owned(), |part| shown(&part.to_string())),
        None => shown(&value.to_string()),
    };
    let what = differs.unwrap_or("the result");
    Some(format!("{what} is {} here, and {} there", part(&own), part(&other)))
}

/// Enough of a text to know it by.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(200).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_is_no_difference_and_a_value_is() {
        assert_eq!(
            difference(r#"{"Output":"1","GasUsed":0}"#, r#"{"GasUsed":0,"Output":"1"}"#),
            None
        );
        let seen = difference(r#"{"Output":"1"}"#, r#"{"Output":"2"}"#);
        assert_eq!(seen.as_deref(), Some(r#"Output is "1" here, and "2" there"#));
        assert!(difference("{}", "no JSON").is_some_and(|seen| seen.contains("no JSON")));
    }
}
