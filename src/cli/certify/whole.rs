//! `drivebay certify` without more: every suite for every reader, and a report.

use crate::{
    certify::{self, Job, Options, Outcome, Report, SuiteReport, Tier, Trial},
    cli::{
        App,
        error::{Exit, usage},
        module,
        progress::Progress,
        tame::tame,
    },
};
use anyhow::Context;
use drivebay_conformance::golden::{ModuleIndex, Named, cases_in};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Where modules are looked for, if nobody says where.
const MODULES: &[&str] = &["modules/aos", "conformance/golden/fixtures"];
const SUITES: &str = "conformance/suites/data";
const CASES: &str = "conformance/golden/cases";

#[derive(clap::Args)]
pub(crate) struct Whole {
    /// Run everything, instead of what fits into minutes
    #[arg(long)]
    full: bool,
    /// A folder with real modules (repeatable) [default: modules/aos and conformance/golden/fixtures]
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
    /// The folder of recorded cases [default: conformance/golden/cases]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// The folder of suites of others [default: conformance/suites/data]
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
    /// Only the suites whose machine and name contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write report.txt, report.json and report.xml (JUnit) into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Whole {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let jobs = self.jobs(app)?;
        let steps = jobs.iter().map(|job| job.steps.len()).sum();
        let progress = Progress::bar(&app.config, steps, "certifying");
        let suites = jobs.into_iter().map(|job| run_job(job, &progress)).collect();
        drop(progress);
        let report = Report {
            about: certify::About::here(),
            tier: tier(self.full),
            readers: app.readers.all().map(certify::ReaderLine::of).collect(),
            suites,
        };
        self.write(&report)?;
        Ok(if report.counts().failed > 0 { Exit::Guest } else { Exit::Done })
    }

    fn jobs(&self, app: &App) -> anyhow::Result<Vec<Job>> {
        let options = Options {
            tier: tier(self.full),
            modules: modules(&self.modules)?,
            cases: self.cases()?,
            suites: self.suites.clone().unwrap_or(SUITES.into()),
            artifacts: module::artifacts(&app.config).into(),
        };
        let mut jobs = certify::jobs(&app.readers, &options);
        if let Some(only) = &self.only {
            jobs.retain(|job| format!("{} {}", job.subject, job.suite).contains(only));
        }
        if jobs.is_empty() {
            return Err(usage("no suite has that in its name; without --only all are run"));
        }
        Ok(jobs)
    }

    fn cases(&self) -> anyhow::Result<certify::Cases> {
        let dir = self.cases.as_deref().unwrap_or(Path::new(CASES));
        if self.cases.is_none() && !dir.is_dir() {
            return Ok(Err(format!("{CASES} is not here; name the folder with --cases")));
        }
        let beside = dir.parent().unwrap_or(Path::new("")).join("differences.txt");
        let named = if beside.is_file() { Named::load(&beside)? } else { Named::default() };
        Ok(Ok((cases_in(dir)?, named)))
    }

    fn write(&self, report: &Report) -> anyhow::Result<()> {
        let (table, json) = (certify::table(report), certify::json(report));
        if let Some(dir) = &self.report {
            let put = |name: &str, text: &str| {
                let path = dir.join(name);
                fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
            };
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            put("report.txt", &table)?;
            put("report.json", &format!("{json}\n"))?;
            put("report.xml", &certify::junit(report))?;
        }
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?
        } else {
            write!(out, "{}", tame(&table, true))?
        }
        Ok(())
    }
}

/// The indices of the folders named, or of those that are usual and here.
pub(super) fn modules(named: &[PathBuf]) -> anyhow::Result<Vec<ModuleIndex>> {
    if named.is_empty() {
        let usual = MODULES.iter().map(Path::new).filter(|dir| dir.is_dir());
        return Ok(usual.map(ModuleIndex::scan).collect::<Result<_, _>>()?);
    }
    let scanned = named.iter().map(|dir| ModuleIndex::scan(dir)).collect::<Result<_, _>>();
    scanned.context("modules/fetch brings the modules; name their folder with --modules")
}

pub(super) fn tier(full: bool) -> Tier {
    if full { Tier::Full } else { Tier::Fast }
}

/// Failures are said at once: the table comes late.
fn run_job(job: Job, progress: &Progress) -> SuiteReport {
    let name = format!("{} {}", job.subject, job.suite);
    job.run(|trial: &Trial| {
        if let Outcome::Failed(seen) = &trial.found.outcome {
            let text = format!("FAILED {name}, {}: {seen}", trial.name);
            // Nobody reading stderr is no reason to stop.
            let _ = progress.suspend(|| writeln!(io::stderr(), "{}", tame(&text, true)));
        }
        progress.step();
    })
}
