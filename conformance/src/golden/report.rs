//! What came out of running a case.

use super::{Named, NamedDifference};
use std::fmt;

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Whether the message was evaluated, failed with an error, or was thrown.
    Verdict,
    /// `Output`.
    Output,
    /// `Messages`.
    Messages,
    /// `Spawns`.
    Spawns,
    /// `Assignments`.
    Assignments,
    /// `Error`, or the value that was thrown.
    Error,
    /// `GasUsed`.
    GasUsed,
    /// The bytes of memory after the message.
    Memory,
    /// The host or the reader failed; nothing can be said about the module.
    Host,
    /// A named difference that did not occur.
    Stale,
}

impl Field {
    /// Those that a named difference may speak of.
    const NAMES: [(&'static str, Self); 8] = [
        ("Verdict", Self::Verdict),
        ("Output", Self::Output),
        ("Messages", Self::Messages),
        ("Spawns", Self::Spawns),
        ("Assignments", Self::Assignments),
        ("Error", Self::Error),
        ("GasUsed", Self::GasUsed),
        ("Memory", Self::Memory),
    ];

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }
}

/// One difference between the reference and the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which message, from 0; `None` if it concerns the whole case.
    pub message: Option<usize>,
    /// What differs.
    pub field: Field,
    /// Both sides, cut to where they part.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message {
            Some(at) => write!(f, "message {at}, {:?}: {}", self.field, self.text),
            None => write!(f, "{:?}: {}", self.field, self.text),
        }
    }
}

/// What came out of running a case.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Name of the case.
    pub case: String,
    /// Messages whose reply is the reference's, to the last value.
    pub replies_equal: usize,
    /// Messages in the case.
    pub replies: usize,
    /// Memories that are the reference's, to the byte.
    pub memories_equal: usize,
    /// Memories that were compared.
    pub memories: usize,
    /// What fails the case.
    pub differences: Vec<Difference>,
    /// Named differences that occurred, once for each message where they did.
    pub named: Vec<(NamedDifference, Difference)>,
    /// Differences of memory that do not fail the case.
    pub memory_differences: Vec<Difference>,
    /// Why nothing was run, if nothing was.
    pub skipped: Option<String>,
    /// The first difference of all, for people.
    pub first: Option<String>,
}

impl Report {
    /// Nothing unnamed differs and nothing named is stale. A skipped case has not passed.
    pub fn passed(&self) -> bool {
        self.skipped.is_none() && self.differences.is_empty()
    }

    /// Files what was found under what fails the case and what does not.
    pub(super) fn file(&mut self, found: Vec<Difference>, named: &Named, strict_memory: bool) {
        self.first = found.first().map(Difference::to_string);
        for difference in found {
            let excuse = named
                .of(&self.case)
                .find(|named| named.covers(difference.message, difference.field))
                .cloned();
            match excuse {
                Some(excuse) => self.named.push((excuse, difference)),
                None if difference.field == Field::Memory && !strict_memory => {
                    self.memory_differences.push(difference);
                }
                None => self.differences.push(difference),
            }
        }
    }

    /// Fails the case for each named difference that could have occurred and did not.
    pub(super) fn find_stale(&mut self, named: &Named) {
        let case = self.case.clone();
        for listed in named.of(&case) {
            let used = self.named.iter().any(|(used, _)| used == listed);
            // Where no memory was compared, none can differ.
            let testable = listed.field != Field::Memory || self.memories > 0;
            if !used && testable {
                let text =
                    format!("{:?} does not differ any more: {}", listed.field, listed.reason);
                let stale = Difference { message: listed.message, field: Field::Stale, text };
                self.first.get_or_insert_with(|| stale.to_string());
                self.differences.push(stale);
            }
        }
    }
}

impl fmt::Display for Report {
    /// One line: `name: 9/9 replies equal, 8/8 memories equal`, and the first difference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.skipped {
            return write!(f, "{}: skipped, {reason}", self.case);
        }
        let Self { case, replies_equal, replies, memories_equal, memories, .. } = self;
        write!(f, "{case}: {replies_equal}/{replies} replies equal, ")?;
        write!(f, "{memories_equal}/{memories} memories equal")?;
        if !self.named.is_empty() {
            write!(f, ", {} named differences", self.named.len())?;
        }
        self.first.iter().try_for_each(|first| write!(f, "; {first}"))
    }
}
