//! Which suites there are for the readers of this program.

use super::{
    Tier, json_suite,
    logs::{Named as NamedLogs, Subject, subjects},
    report::{Found, Outcome, SuiteReport, TranscriptRoot, Trial},
    suites,
};
use crate::{
    cu::Readers,
    disk::{ArtifactStore, DiskReader, FormatName},
};
use drivebay_conformance::{
    golden::{
        Case, ModuleIndex, Named, Options as CaseOptions, Report as CaseReport, Start, run_case,
    },
    laws::{self, Role, Transcript},
};
use std::{path::PathBuf, sync::Arc, time::Instant};

/// The seed of all chance here.
pub const SEED: u64 = 7;

/// What is to be run, and with what.
pub struct Options {
    /// How much.
    pub tier: Tier,
    /// Where modules are.
    pub modules: Vec<ModuleIndex>,
    /// Recorded cases and the differences that are meant to be, or why there are none.
    pub cases: Cases,
    /// The folder of suites that `conformance/suites/fetch` fills.
    pub suites: PathBuf,
    /// Compiled code.
    pub artifacts: Arc<dyn ArtifactStore>,
}

/// Recorded cases and the differences that are meant to be, or why there are none.
pub type Cases = Result<(Vec<Case>, Named), String>;

/// One suite on one machine.
pub struct Job {
    /// Which machine.
    pub subject: String,
    /// Which suite.
    pub suite: &'static str,
    /// What it tries, in order.
    pub steps: Vec<Step>,
}

/// One thing to try.
pub struct Step {
    /// Its name.
    pub name: String,
    run: Box<dyn FnOnce() -> Found>,
}

impl Step {
    /// A step that runs `run`.
    pub fn new(name: impl Into<String>, run: impl FnOnce() -> Found + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    pub(super) fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(name, move || Found::skipped(why))
    }

    /// Tries it.
    pub fn run(self) -> Trial {
        let start = Instant::now();
        let found = (self.run)();
        Trial { name: self.name, found, took: start.elapsed() }
    }
}

impl Job {
    pub(super) fn new(subject: &str, suite: &'static str, steps: Vec<Step>) -> Self {
        Self { subject: subject.to_owned(), suite, steps }
    }

    /// Runs all steps; `tell` hears of each trial.
    pub fn run(self, mut tell: impl FnMut(&Trial)) -> SuiteReport {
        let Self { subject, suite, steps } = self;
        let trials = steps.into_iter().map(|step| {
            let trial = step.run();
            tell(&trial);
            trial
        });
        SuiteReport { trials: trials.collect(), subject, suite: suite.to_owned() }
    }
}

/// Every suite for every reader, machine by machine.
pub fn jobs(readers: &Readers, options: &Options) -> Vec<Job> {
    let mut jobs = Vec::new();
    for subject in subjects(readers, &options.modules, &options.artifacts, options.tier) {
        jobs.push(Job::new(subject.proof.name, "laws", law_steps(&subject)));
        jobs.push(Job::new(subject.proof.name, "transcripts", transcript_steps(&subject)));
    }
    for (reader, _) in readers.certifiable().filter(|(_, proof)| proof.is_none()) {
        let why = "it brought no programs to be certified with: add them with Readers::proved";
        let steps = vec![Step::skipped("laws", why)];
        jobs.push(Job::new(reader.id().name, "laws", steps));
    }
    let json = json_suite::steps(&options.suites.join("json.json"));
    jobs.push(Job::new("all", "JSONTestSuite", json));
    jobs.push(Job::new("all", "recorded cases", case_steps(readers, options)));
    jobs.extend(suites::jobs(readers, options));
    jobs
}

fn law_steps(subject: &Subject) -> Vec<Step> {
    // Recorded receipts are a suite of their own here.
    let names = laws::names().filter(|name| *name != "golden");
    let laws = names.map(|name| {
        let (reader, roles) = (subject.reader.clone(), subject.roles.clone());
        Step::new(name, move || law(name, &reader, &roles))
    });
    let absent = subject.roles.all().into_iter().filter_map(|(name, role)| match role {
        Role::Program(_) => None,
        Role::Without(why) => Some(Step::skipped(format!("role {name}"), why)),
    });
    laws.chain(absent).collect()
}

fn law(name: &str, reader: &Arc<dyn DiskReader>, roles: &Arc<laws::Roles>) -> Found {
    match laws::check(name, reader, roles).map(|result| result.outcome) {
        Some(laws::Outcome::Held) => Found::passed(),
        Some(laws::Outcome::Broken(broken)) => Found::failed(broken),
        Some(laws::Outcome::Skipped(why)) => Found::skipped(why),
        None => Found::failed("there is no such law"),
    }
}

fn transcript_steps(subject: &Subject) -> Vec<Step> {
    let step = |named: &NamedLogs| {
        let (reader, named) = (subject.reader.clone(), named.clone());
        Step::new(named.name.clone(), move || transcript(&reader, &named))
    };
    subject.logs.iter().map(step).collect()
}

/// Plays logs in every way that a host may, and compares what they come to with what was recorded.
fn transcript(reader: &Arc<dyn DiskReader>, named: &NamedLogs) -> Found {
    let logs = match &named.logs {
        Ok(logs) => logs,
        Err(why) => return Found::skipped(why),
    };
    let mut found = Transcript::default();
    for log in logs {
        match log.check(&**reader, SEED) {
            Ok(entries) => found.add(&**reader, log, &entries),
            Err(broken) => return Found::failed(broken.at(&log.name)),
        }
    }
    let recorded = named.recorded.as_ref().and_then(|recorded| recorded.cut_to(&found));
    let (root, receipts) = (found.root(), found.receipts());
    let root =
        TranscriptRoot { found: root, receipts, recorded: recorded.as_ref().map(Transcript::root) };
    let outcome = match recorded.map(|recorded| found.same_as(&recorded)) {
        Some(Err(broken)) => Outcome::Failed(broken.to_string()),
        Some(Ok(())) | None => Outcome::Passed,
    };
    Found { root: Some(root), ..outcome.into() }
}

/// Each case warm, its memories too, and with each message on an image that was written and read.
fn case_steps(readers: &Readers, options: &Options) -> Vec<Step> {
    let (cases, named) = match &options.cases {
        Ok((cases, named)) => (cases, named),
        Err(why) => return vec![Step::skipped("recorded cases", why)],
    };
    let mut steps = Vec::new();
    for (how, start, memory) in [("warm", Start::Warm, true), ("restored", Start::Restored, false)]
    {
        for case in cases {
            let how_to = CaseOptions { start, memory, strict_memory: false, named: named.clone() };
            steps.push(case_step(readers, options, (case, how), how_to));
        }
    }
    steps
}

fn case_step(
    readers: &Readers,
    options: &Options,
    (case, how): (&Case, &str),
    how_to: CaseOptions,
) -> Step {
    let name = format!("{} {how}", case.name);
    let Some(reader) = readers.get(&FormatName::from(case.format.as_str())).cloned() else {
        return Step::skipped(name, format!("no reader knows the format {}", case.format));
    };
    let (case, artifacts) = (case.clone(), options.artifacts.clone());
    let path = options.modules.iter().find_map(|index| index.get(&case.module_sha256));
    let Some(path) = path.map(std::path::Path::to_owned) else {
        return Step::skipped(name, format!("its module is not there ({})", case.module_file));
    };
    Step::new(name, move || match std::fs::read(&path) {
        Ok(bytes) => of_case(&run_case(&*reader, bytes.into(), &case, &*artifacts, &how_to)),
        Err(error) => Found::failed(format!("{}: {error}", path.display())),
    })
}

fn of_case(report: &CaseReport) -> Found {
    let found = match &report.skipped {
        Some(why) => Found::skipped(why),
        None if report.passed() => Found::passed(),
        None => Found::failed(report),
    };
    let CaseReport { replies_equal, replies, memories_equal, memories, .. } = report;
    found.with_note(match memories {
        0 => format!("{replies_equal}/{replies} replies equal"),
        _ => {
            format!("{replies_equal}/{replies} replies, {memories_equal}/{memories} memories equal")
        }
    })
}
