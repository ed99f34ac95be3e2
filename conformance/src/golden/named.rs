//! Differences that are meant to be, each with its reason.

use super::{Field, GoldenError};
use std::{fs, path::Path};

/// A list of differences that are meant to be.
///
/// One a line: `case | message | field | reason`. The message counts from 0, or is `*` for all; `#` starts
/// a comment. One that does not occur any more fails the case, so that the list stays true.
#[derive(Clone, Debug, Default)]
pub struct Named(Vec<NamedDifference>);

/// A difference that is meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDifference {
    /// Name of the case.
    pub case: String,
    /// Which message, or `None` for all of them.
    pub message: Option<usize>,
    /// What differs.
    pub field: Field,
    /// Why.
    pub reason: String,
}

impl Named {
    /// Reads a list from a file.
    pub fn load(path: &Path) -> Result<Self, GoldenError> {
        let io = |source| GoldenError::Io { path: path.to_owned(), source };
        Self::parse(&fs::read_to_string(path).map_err(io)?)
    }

    /// Reads a list from its text.
    pub fn parse(text: &str) -> Result<Self, GoldenError> {
        let mut list = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let bad = |what| GoldenError::Named { line: at + 1, what };
                list.push(parse_line(line).map_err(bad)?);
            }
        }
        Ok(Self(list))
    }

    /// Those of one case.
    pub fn of<'a>(&'a self, case: &'a str) -> impl Iterator<Item = &'a NamedDifference> {
        self.0.iter().filter(move |named| named.case == case)
    }

    /// All of them.
    pub fn all(&self) -> &[NamedDifference] {
        &self.0
    }
}

impl NamedDifference {
    /// Does it speak of this field of this message?
    pub(super) fn covers(&self, message: Option<usize>, field: Field) -> bool {
        // What concerns no message cannot be excused: then nothing ran.
        message.is_some_and(|at| self.message.is_none_or(|named| named == at))
            && self.field == field
    }
}

fn parse_line(line: &str) -> Result<NamedDifference, String> {
    let parts: Vec<&str> = line.splitn(4, '|').map(str::trim).collect();
    let [case, message, field, reason] = parts.as_slice() else {
        return Err("expected `case | message | field | reason`".to_owned());
    };
    if case.is_empty() || reason.is_empty() {
        return Err("a difference needs a case and a reason".to_owned());
    }
    let message = match *message {
        "*" => None,
        number => {
            Some(number.parse().map_err(|_| format!("`{number}` is no message; use * for all"))?)
        }
    };
    let field = Field::of(field).ok_or_else(|| format!("`{field}` is no field"))?;
    Ok(NamedDifference { case: (*case).to_owned(), message, field, reason: (*reason).to_owned() })
}
