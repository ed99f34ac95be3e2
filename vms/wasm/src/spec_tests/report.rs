//! What came of a suite: totals by reason, and failures.

use super::script::{Log, Outcome, Step};
use super::skips::Off;
use std::collections::{BTreeMap, BTreeSet};

/// The rows of the tables that bear on a suite.
#[derive(Clone, Copy)]
pub(super) struct Skips {
    pub(super) off: &'static [(&'static str, Off)],
    pub(super) lines: &'static [(&'static str, &'static [usize], &'static str)],
}

impl Skips {
    /// Each row as one that nothing used yet.
    fn rows(self) -> BTreeSet<String> {
        let off = self.off.iter().map(|(file, off)| format!("{file} {off:?}"));
        let lines = self
            .lines
            .iter()
            .flat_map(|(file, lines, _)| lines.iter().map(move |line| format!("{file} {line}")));
        off.chain(lines).collect()
    }

    /// The row that lets a directive fail, and its reason.
    fn row(self, file: &str, line: usize, why: &str) -> Option<(String, String)> {
        let listed = self.lines.iter().find(|row| row.0 == file && row.1.contains(&line));
        if let Some((_, _, reason)) = listed {
            return Some((format!("{file} {line}"), (*reason).to_owned()));
        }
        let says = |off: Off| off.words().iter().any(|words| why.contains(words));
        let (_, off) = self.off.iter().find(|row| row.0 == file && says(row.1))?;
        Some((format!("{file} {off:?}"), off.reason()))
    }
}

/// Totals of a suite.
pub(super) struct Report {
    skips: Skips,
    unused: BTreeSet<String>,
    files: usize,
    pub(super) passed: usize,
    skipped: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
    unreached: usize,
    failed: Vec<String>,
}

impl Report {
    pub(super) fn new(skips: Skips) -> Self {
        Self {
            skips,
            unused: skips.rows(),
            files: 0,
            passed: 0,
            skipped: BTreeMap::new(),
            refused: BTreeMap::new(),
            unreached: 0,
            failed: Vec::new(),
        }
    }

    /// Adds a script.
    pub(super) fn add(&mut self, file: &str, log: &Log) {
        self.files += 1;
        for step in &log.steps {
            self.step(file, step);
        }
    }

    fn step(&mut self, file: &str, step: &Step) {
        match &step.outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Unreached => self.unreached += 1,
            Outcome::Refused(why) => *self.refused.entry(kind(why)).or_default() += 1,
            Outcome::Failed(why) => match self.skips.row(file, step.line, why) {
                Some((row, reason)) => {
                    self.unused.remove(&row);
                    *self.skipped.entry(reason).or_default() += 1;
                }
                None => self.failed.push(format!("{file}:{}: {why}", step.line)),
            },
        }
    }

    /// Prints the totals; panics if a directive failed, or if a row of the tables is stale.
    #[expect(clippy::print_stdout, reason = "totals, for who runs the tests")]
    pub(super) fn finish(&self, title: &str) {
        println!("{title}: {} files, {} directives passed", self.files, self.passed);
        for (what, list) in [("skipped", &self.skipped), ("refused by the rewriter", &self.refused)]
        {
            for (reason, count) in list {
                println!("  {count} {what}: {reason}");
            }
        }
        println!("  {} on instances that are missing for these reasons", self.unreached);
        assert!(self.failed.is_empty(), "{title}: failed:\n{}", self.failed.join("\n"));
        assert!(self.unused.is_empty(), "{title}: rows that nothing needs: {:?}", self.unused);
    }
}

/// A reason without the names and numbers of the one module.
fn kind(why: &str) -> String {
    let why = why.split(" (at offset").next().unwrap_or_default();
    let why = match why.split_once("only functions may be imported: ") {
        Some((_, import)) => {
            let what = import.rsplit(' ').next().unwrap_or_default();
            format!("only functions may be imported, not a {what}")
        }
        None => why.to_owned(),
    };
    let mut text = String::new();
    for char in why.chars() {
        match char {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            other => text.push(other),
        }
    }
    text
}
