//! `drivebay certify statetest`: Ethereum's state tests, on the executor and the tries of the EVM reader.

use super::{
    App,
    error::{Exit, usage},
    files,
    progress::Progress,
};
use crate::{
    certify::{run_state_tests, state_test_files},
    cu::statetest::{CaseReport, Verdict},
    disk::json::{Json, Value},
    wire::number,
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Run files of Ethereum's GeneralStateTests: state root and logs of each must be equal
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file of tests, or a folder with such files at any depth
    tests: PathBuf,
    /// Only the files whose paths contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print one JSON object a line: each case that did not pass, then the totals
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Total {
    files: usize,
    passed: usize,
    failed: usize,
    /// How often for which reason.
    skipped: BTreeMap<&'static str, usize>,
}

impl Args {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let files = self.files()?;
        let progress = Progress::bar(&app.config, files.len(), "testing");
        let mut total = Total::default();
        for file in &files {
            let reports = tested(file)?;
            progress.suspend(|| reports.iter().try_for_each(|report| self.print(file, report)))?;
            progress.step();
            total.add(&reports);
        }
        drop(progress);
        total.print(self.json)?;
        Ok(if total.failed > 0 { Exit::Guest } else { Exit::Done })
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = state_test_files(&self.tests)?;
        found.retain(|path| {
            let path = path.to_string_lossy();
            self.only.as_ref().is_none_or(|only| path.contains(only.as_str()))
        });
        if found.is_empty() {
            let place = self.tests.display();
            return Err(usage(format!("there is no .json file in {place} by that name")));
        }
        Ok(found)
    }

    /// What passed is counted, and not shown.
    fn print(&self, file: &Path, report: &CaseReport) -> io::Result<()> {
        let (word, why) = match &report.verdict {
            Verdict::Passed => return Ok(()),
            Verdict::Failed(why) => ("FAIL", why.as_str()),
            Verdict::Skipped(why) => ("skip", *why),
        };
        let (mut out, file) = (io::stdout().lock(), file.display());
        if self.json {
            let line = Value::object([
                ("File", Value::from(file.to_string())),
                ("Case", Value::from(report.name.as_str())),
                ("Skipped", Value::from(word == "skip")),
                ("Why", Value::from(why)),
            ]);
            return writeln!(out, "{}", Json::from(line));
        }
        writeln!(out, "{word} {file}: {}: {why}", report.name)
    }
}

/// The reports of a file. A file that is no state test, and a panic, are failures of one case.
fn tested(path: &Path) -> anyhow::Result<Vec<CaseReport>> {
    let mut text = String::new();
    files::open(path, "test")?
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let failed =
        |why| vec![CaseReport { name: "the whole file".into(), verdict: Verdict::Failed(why) }];
    Ok(run_state_tests(&text).unwrap_or_else(failed))
}

impl Total {
    fn add(&mut self, reports: &[CaseReport]) {
        self.files += 1;
        for report in reports {
            match &report.verdict {
                Verdict::Passed => self.passed += 1,
                Verdict::Failed(_) => self.failed += 1,
                Verdict::Skipped(why) => *self.skipped.entry(why).or_default() += 1,
            }
        }
    }

    fn print(&self, json: bool) -> io::Result<()> {
        let Self { files, passed, failed, skipped } = self;
        let count = |count: usize| number(count as u64);
        let mut out = io::stdout().lock();
        if json {
            let skipped = skipped.iter().map(|(why, n)| (*why, count(*n)));
            let total = Value::object([
                ("Files", count(*files)),
                ("Passed", count(*passed)),
                ("Failed", count(*failed)),
                ("Skipped", Value::object(skipped)),
            ]);
            return writeln!(out, "{}", Json::from(Value::object([("Total", total)])));
        }
        let all: usize = skipped.values().sum();
        writeln!(out, "{files} files: {passed} passed, {failed} failed, {all} skipped")?;
        skipped.iter().try_for_each(|(why, n)| writeln!(out, "  {n} skipped: {why}"))
    }
}
