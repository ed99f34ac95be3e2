//! What a certification came to, as data. Only durations and [`About`] differ between two machines.

use crate::disk::{Digest, DiskReader};
use std::{fs, sync::Arc, thread, time::Duration};

/// How much is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// What fits into minutes.
    #[default]
    Fast,
    /// Everything.
    Full,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// On what it ran.
    pub about: About,
    /// How much was run.
    pub tier: Tier,
    /// The machines.
    pub readers: Vec<ReaderLine>,
    /// What they were held to, in order.
    pub suites: Vec<SuiteReport>,
}

/// The program and the computer.
#[derive(Clone, Debug)]
pub struct About {
    /// Of Drivebay.
    pub version: &'static str,
    /// Operating system and architecture.
    pub target: String,
    /// The processor, as it calls itself.
    pub processor: String,
    /// Processors that this program may use.
    pub cores: usize,
}

impl About {
    /// This program, here.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            target: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: model.unwrap_or("unknown processor").to_owned(),
            cores: thread::available_parallelism().map_or(1, Into::into),
        }
    }
}

/// A machine and its rules.
#[derive(Clone, Debug)]
pub struct ReaderLine {
    /// Its name.
    pub name: &'static str,
    /// Its version, and its engine's.
    pub version: String,
    /// Each format's name and the digest of its rules.
    pub formats: Vec<(String, Digest)>,
}

impl ReaderLine {
    /// Of a reader.
    pub fn of(reader: &Arc<dyn DiskReader>) -> Self {
        let id = reader.id();
        let formats = reader.formats().iter();
        let formats = formats.map(|format| (format.name.to_string(), format.rules)).collect();
        Self { name: id.name, version: id.version, formats }
    }
}

/// One suite on one machine.
#[derive(Clone, Debug, Default)]
pub struct SuiteReport {
    /// Which machine.
    pub subject: String,
    /// Which suite.
    pub suite: String,
    /// What was tried, in order.
    pub trials: Vec<Trial>,
}

/// One thing that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// What it came to.
    pub found: Found,
    /// How long it took.
    pub took: Duration,
}

/// What a trial came to.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whether it holds.
    pub outcome: Outcome,
    /// What it counted, for people.
    pub note: Option<String>,
    /// How many cases of others it stands for, where it is not one by itself.
    pub cases: Option<usize>,
    /// What was said, where there is a transcript.
    pub root: Option<TranscriptRoot>,
}

/// A transcript's root, and the one recorded elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct TranscriptRoot {
    /// Over every receipt, in order.
    pub found: Digest,
    /// Number of receipts.
    pub receipts: usize,
    /// The root of as many receipts in the recording, if there is one.
    pub recorded: Option<Digest>,
}

/// Whether it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Passed,
    /// It does not, and what was seen.
    Failed(String),
    /// It was not tried, and why.
    Skipped(String),
}

impl Found {
    /// It holds.
    pub fn passed() -> Self {
        Outcome::Passed.into()
    }

    /// It does not.
    pub fn failed(seen: impl ToString) -> Self {
        Outcome::Failed(seen.to_string()).into()
    }

    /// It was not tried.
    pub fn skipped(why: impl Into<String>) -> Self {
        Outcome::Skipped(why.into()).into()
    }

    /// The same, and what was counted.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

impl From<Outcome> for Found {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, note: None, cases: None, root: None }
    }
}

/// Numbers of trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// That hold.
    pub passed: usize,
    /// That do not.
    pub failed: usize,
    /// That were not tried.
    pub skipped: usize,
}

impl SuiteReport {
    /// How many trials came to what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for trial in &self.trials {
            match trial.found.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Skipped(_) => counts.skipped += 1,
            }
        }
        counts
    }

    /// How many cases of others passed, where trials stand for many.
    pub fn cases(&self) -> Option<usize> {
        self.trials.iter().filter_map(|trial| trial.found.cases).reduce(|sum, cases| sum + cases)
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        self.trials.iter().map(|trial| trial.took).sum()
    }

    /// The roots of its transcripts.
    pub fn roots(&self) -> impl Iterator<Item = (&str, TranscriptRoot)> {
        let root = |trial: &'_ Trial| trial.found.root;
        self.trials.iter().filter_map(move |trial| Some((trial.name.as_str(), root(trial)?)))
    }
}

impl Report {
    /// How many trials came to what.
    pub fn counts(&self) -> Counts {
        self.suites.iter().map(SuiteReport::counts).fold(Counts::default(), |sum, one| Counts {
            passed: sum.passed + one.passed,
            failed: sum.failed + one.failed,
            skipped: sum.skipped + one.skipped,
        })
    }
}

#[cfg(test)]
pub(super) fn example() -> Report {
    let trial = |name: &str, found| Trial { name: name.into(), found, took: Duration::ZERO };
    let (found, recorded) = (Digest::of(b"a"), Some(Digest::of(b"a")));
    let root = Some(TranscriptRoot { found, receipts: 3, recorded });
    let suite =
        |suite: &str, trials| SuiteReport { subject: "tape".into(), suite: suite.into(), trials };
    Report {
        about: About {
            version: "1.2.3",
            target: "linux x86_64".into(),
            processor: "A <Processor>".into(),
            cores: 2,
        },
        tier: Tier::Fast,
        readers: vec![ReaderLine {
            name: "tape",
            version: "1".into(),
            formats: vec![("tape-1".into(), Digest::of(b"rules"))],
        }],
        suites: vec![
            suite(
                "laws",
                vec![
                    trial("repeat", Found::passed()),
                    trial("fuel", Found::failed("3 fuel & \"4\" fuel\u{1}")),
                    trial("role walk", Found::skipped("a tape has an order")),
                ],
            ),
            suite("roles", vec![trial("transcript", Found { root, ..Found::passed() })]),
        ],
    }
}
