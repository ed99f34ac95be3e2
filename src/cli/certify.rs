//! `drivebay certify`: what this program is held to, run by this program.

mod against;
mod fuzz;
mod matrix;
mod play;
mod whole;

use super::{
    App, certify_lua,
    error::{Exit, usage},
    module,
    progress::Progress,
};
use crate::{
    disk::{
        ArtifactStore, FormatName,
        json::{Json, Value},
    },
    wire::number,
};
use anyhow::Context;
use drivebay_conformance::golden::{
    Case, ModuleIndex, Named, Options, Report, Start, cases_in, run_case,
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

const AFTER_HELP: &str = "\
Examples:
  drivebay certify
  drivebay certify --full --report report
  drivebay certify --only 'wasm laws'
  drivebay certify --against http://127.0.0.1:4000
  drivebay certify --against https://cu.example --process ID --gateway https://arweave.net
  drivebay certify matrix
  drivebay certify fuzz --cases 1000
  drivebay certify play wasm roles
  drivebay certify golden conformance/golden/cases --modules modules/aos
  drivebay certify golden conformance/golden/cases --modules modules/aos --restored
  drivebay certify golden conformance/golden/cases --modules modules/aos --engine pulley
  drivebay certify statetest ethereum-tests/GeneralStateTests --json
  drivebay certify lua lua-5.3.6/testes

Ends with 1 if anything that is held differs: a law, a transcript from the one recorded, a case in a way
that is not named. What cannot be tried is skipped, with the reason, and counted as such.

--against evaluates a unit's processes from their schedulers' logs, and compares every receipt and the roots of
states with what the unit says. The first difference is written as one message with the state before it, which
`drivebay replay FILE` runs again.";

/// Hold every machine of this program to the laws, to recorded receipts and to recorded cases
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    whole: whole::Whole,
    #[command(flatten)]
    against: against::Against,
    #[command(subcommand)]
    suite: Option<Suite>,
}

#[derive(clap::Subcommand)]
enum Suite {
    Golden(Golden),
    Statetest(super::statetest::Args),
    Fuzz(fuzz::Fuzz),
    Matrix(matrix::Matrix),
    Play(play::Play),
    Lua(certify_lua::Args),
}

/// Replay recorded cases, and compare replies and memories with those of the reference
#[derive(clap::Args)]
struct Golden {
    /// The folder of cases
    cases: PathBuf,
    /// A folder with modules; which is which is told by their SHA-256 (repeatable)
    #[arg(long, value_name = "DIR", required = true)]
    modules: Vec<PathBuf>,
    /// Only the cases whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The differences that are meant to be [default: differences.txt beside the folder]
    #[arg(long, value_name = "FILE")]
    named: Option<PathBuf>,
    /// Write and read the image before each message, instead of keeping the drive
    #[arg(long)]
    restored: bool,
    /// Compare replies only
    #[arg(long)]
    no_memory: bool,
    /// Fail a case for a memory that differs, too
    #[arg(long, conflicts_with = "no_memory")]
    strict_memory: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    match &args.suite {
        None if args.against.is_asked() => args.against.run(app, args.whole.json),
        None => args.whole.run(app),
        Some(Suite::Golden(golden)) => golden.run(app),
        Some(Suite::Statetest(tests)) => tests.run(app),
        Some(Suite::Fuzz(fuzz)) => fuzz.run(app),
        Some(Suite::Matrix(matrix)) => matrix.run(app),
        Some(Suite::Play(play)) => play.run(app),
        Some(Suite::Lua(lua)) => lua.run(app),
    }
}

/// What all cases came to.
#[derive(Default)]
struct Total {
    passed: usize,
    failed: usize,
    skipped: usize,
    replies: (usize, usize),
    memories: (usize, usize),
}

impl Golden {
    fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let cases = self.cases()?;
        let modules = self.modules.iter().map(|dir| ModuleIndex::scan(dir));
        let modules: Vec<_> = modules.collect::<Result<_, _>>().with_context(
            || "modules/fetch brings the modules; name their folder with --modules",
        )?;
        let options = self.options()?;
        let artifacts = module::artifacts(&app.config);
        let progress = Progress::bar(&app.config, cases.len(), "replaying");
        let mut total = Total::default();
        for case in &cases {
            let report = report(app, case, &modules, &*artifacts, &options)?;
            progress.suspend(|| self.print(&report))?;
            progress.step();
            total.add(&report);
        }
        drop(progress);
        total.print(self.json)?;
        Ok(if total.failed > 0 { Exit::Guest } else { Exit::Done })
    }

    fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let mut cases = cases_in(&self.cases)?;
        cases.retain(|case| self.only.as_ref().is_none_or(|only| case.name.contains(only)));
        if cases.is_empty() {
            let place = self.cases.display();
            return Err(usage(format!(
                "there is no case in {place} by that name; give its folder"
            )));
        }
        Ok(cases)
    }

    fn options(&self) -> anyhow::Result<Options> {
        let beside = self.cases.parent().unwrap_or(Path::new("")).join("differences.txt");
        let named = match &self.named {
            Some(file) => Named::load(file)?,
            None if beside.is_file() => Named::load(&beside)?,
            None => Named::default(),
        };
        Ok(Options {
            start: if self.restored { Start::Restored } else { Start::Warm },
            memory: !self.no_memory,
            strict_memory: self.strict_memory,
            named,
        })
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", json(report));
        }
        let verdict = match report {
            Report { skipped: Some(_), .. } => "skip",
            report if report.passed() => "ok  ",
            _ => "FAIL",
        };
        writeln!(out, "{verdict} {report}")?;
        // The report's line ends with the first difference of all.
        let shown = report.first.as_deref();
        let more = report.differences.iter().map(ToString::to_string);
        more.filter(|more| Some(more.as_str()) != shown)
            .try_for_each(|more| writeln!(out, "       {more}"))
    }
}

fn report(
    app: &App,
    case: &Case,
    modules: &[ModuleIndex],
    artifacts: &dyn ArtifactStore,
    options: &Options,
) -> anyhow::Result<Report> {
    let skipped =
        |why: String| Report { case: case.name.clone(), skipped: Some(why), ..Report::default() };
    let format = FormatName::from(case.format.as_str());
    let Some(reader) = app.readers.get(&format) else {
        return Ok(skipped(format!("no reader knows the format {format}")));
    };
    for index in modules {
        if let Some(bytes) = index.load(&case.module_sha256)? {
            return Ok(run_case(&**reader, bytes.into(), case, artifacts, options));
        }
    }
    Ok(skipped(format!("its module is not there ({})", case.module_file)))
}

impl Total {
    fn add(&mut self, report: &Report) {
        match report.passed() {
            true => self.passed += 1,
            false if report.skipped.is_some() => self.skipped += 1,
            false => self.failed += 1,
        }
        self.replies.0 += report.replies_equal;
        self.replies.1 += report.replies;
        self.memories.0 += report.memories_equal;
        self.memories.1 += report.memories;
    }

    fn print(&self, json: bool) -> io::Result<()> {
        let Self { passed, failed, skipped, replies, memories } = self;
        let mut out = io::stdout().lock();
        if json {
            let count = |count: usize| number(count as u64);
            let total = Value::object([
                ("Passed", count(*passed)),
                ("Failed", count(*failed)),
                ("Skipped", count(*skipped)),
                ("Replies-Equal", count(replies.0)),
                ("Replies", count(replies.1)),
                ("Memories-Equal", count(memories.0)),
                ("Memories", count(memories.1)),
            ]);
            return writeln!(out, "{}", Json::from(Value::object([("Total", total)])));
        }
        writeln!(
            out,
            "{passed} passed, {failed} failed, {skipped} skipped; {}/{} replies equal, {}/{} memories equal",
            replies.0, replies.1, memories.0, memories.1
        )
    }
}

fn json(report: &Report) -> Json {
    let count = |count: usize| number(count as u64);
    let texts =
        |texts: Vec<String>| Value::from(texts.into_iter().map(Value::from).collect::<Vec<_>>());
    let named = report.named.iter().map(|(named, found)| format!("{found} ({})", named.reason));
    Json::from(Value::object([
        ("Case", Value::from(report.case.as_str())),
        ("Passed", Value::from(report.passed())),
        ("Replies-Equal", count(report.replies_equal)),
        ("Replies", count(report.replies)),
        ("Memories-Equal", count(report.memories_equal)),
        ("Memories", count(report.memories)),
        ("Differences", texts(report.differences.iter().map(ToString::to_string).collect())),
        ("Named", texts(named.collect())),
        (
            "Memory-Differences",
            texts(report.memory_differences.iter().map(ToString::to_string).collect()),
        ),
        ("Skipped", report.skipped.as_ref().map_or(Value::Null, |why| Value::from(why.as_str()))),
    ]))
}
