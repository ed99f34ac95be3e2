//! What a machine said, line by line, and one digest for all of it.

use super::{
    Broken, Entry, Log, Roles,
    broken::{At, must},
    script::Subject,
};
use drivebay_disk::{Digest, DiskReader, NoArtifacts};
use std::{fmt, sync::Arc};

/// The receipts of some logs, in order: a line for each log's module and rules, and a line for each call.
///
/// Nothing in it depends on the machine, so two that agree have one and the same [`Transcript::root`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    lines: Vec<String>,
}

impl Transcript {
    /// The transcript that a file holds.
    pub fn parse(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    /// Plays logs once, one after the other.
    pub fn play(reader: &dyn DiskReader, logs: &[Log]) -> Result<Self, Broken> {
        let mut transcript = Self::default();
        for log in logs {
            let entries = log.play(reader).at(&log.name)?;
            transcript.add(reader, log, &entries);
        }
        Ok(transcript)
    }

    /// Adds what a log came to.
    pub fn add(&mut self, reader: &dyn DiskReader, log: &Log, entries: &[Entry]) {
        let (name, format, module) = (&log.name, &log.module.format, &log.module.id);
        let rules = reader.formats().iter().find(|known| known.name == *format);
        let rules = rules.map(|format| format.rules.to_string()).unwrap_or_default();
        self.lines.push(format!("{name} {format} rules {rules} module {module}"));
        let line = |(call, entry): (&Arc<drivebay_disk::Call>, &Entry)| {
            format!("{name} {} {entry}", call.slot.nonce)
        };
        self.lines.extend(log.calls.iter().zip(entries).map(line));
    }

    /// Covers every line, in order.
    pub fn root(&self) -> Digest {
        let lines: Vec<&[u8]> = self.lines.iter().map(|line| line.as_bytes()).collect();
        Digest::of_parts("drivebay transcript v1", &lines)
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Number of receipts.
    pub fn receipts(&self) -> usize {
        self.lines.iter().filter(|line| line.contains(" reads ")).count()
    }

    /// The first lines, as many as `other` has, if there are as many.
    pub fn cut_to(&self, other: &Self) -> Option<Self> {
        Some(Self { lines: self.lines.get(..other.lines.len())?.to_vec() })
    }

    /// Nothing was played.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Is this what was recorded? If not, the first line that differs, both ways.
    pub fn same_as(&self, recorded: &Self) -> Result<(), Broken> {
        for (number, (recorded, found)) in (1..).zip(recorded.lines.iter().zip(&self.lines)) {
            must!(recorded == found, "line {number}: recorded {recorded}\n   found {found}");
        }
        let (recorded, found) = (recorded.lines.len(), self.lines.len());
        must!(recorded == found, "{recorded} lines are recorded, {found} found");
        Ok(())
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Every role as a log: what the laws have it do, once.
pub fn role_logs(reader: &Arc<dyn DiskReader>, roles: &Arc<Roles>) -> Vec<Log> {
    let subject = Subject { reader: reader.clone(), roles: roles.clone() };
    let log = |script: super::script::Script| {
        // All steps of a script have the same limits, and hosts that know the same.
        let host = script.steps.first()?.host.clone();
        let calls = script.steps.into_iter().map(|step| step.call).collect();
        let (name, limits) = (script.role.to_owned(), roles.limits);
        let artifacts = Arc::new(NoArtifacts);
        Some(Log { name, module: script.module, limits, calls, host, artifacts })
    };
    subject.scripts().into_iter().filter_map(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_differs_is_named_and_changes_the_root() {
        let recorded = Transcript::parse("a\nb reads 1\nc reads 2");
        let found = Transcript::parse("a\nb reads 1\nc reads 3");
        let why = found.same_as(&recorded).err().map(|broken| broken.to_string());
        assert!(why.is_some_and(|why| why.starts_with("line 3: recorded c reads 2")));
        assert_ne!(found.root(), recorded.root());
        assert_eq!(found.receipts(), 2);
    }

    #[test]
    fn a_shorter_one_is_compared_with_as_much_of_the_recording() {
        let recorded = Transcript::parse("a\nb\nc");
        let found = Transcript::parse("a\nb");
        assert!(found.same_as(&recorded).is_err());
        assert_eq!(recorded.cut_to(&found).map(|cut| cut.root()), Some(found.root()));
        assert_eq!(found.cut_to(&recorded), None);
    }
}
