//! `drivebay bench`: what messages cost on this machine, as ratios.

use super::{
    App,
    error::{Exit, usage},
    files,
    module::{self, ModuleArgs},
    progress::Progress,
    schedule_file::{self, Message},
};
use crate::{
    clock,
    cu::{self, OfflineHost, call_seed},
    disk::{
        Call, Disk, Drive, Frozen, Limits, Mode, Process, Ran, Slot, WireJson,
        json::{Json, Value},
    },
    wire::number,
};
use anyhow::Context;
use std::{
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const AFTER_HELP: &str = "\
A workload is a file with env, messages and steps, as in benches/workloads. Every message is evaluated
  bare   the guest's code alone, on the same engine (WebAssembly of the loader's formats)
  whole  as a unit does it: decoded, committed, and frozen so that it can be read; a dry-run on a drive
         that is thawed for it alone
  root   and with the Merkle root of the state after each message
Figures are medians of processor time in milliseconds; what counts are the ratios. With --loader, the
reference's loader runs the same messages: as its unit calls it, and without copies of the memory.

Examples:
  drivebay bench benches/workloads/B_ping.json aos2_0_6.wasm
  npm install --prefix peers @permaweb/ao-loader@0.0.49
  drivebay bench benches/workloads/B_ping.json aos2_0_6.wasm --loader peers --json";

/// The reference's loader, driven.
const LOADER: &str = include_str!("../../benches/loader.mjs");
/// The most bytes of a workload.
const WORKLOAD_BYTES_MAX: u64 = 1 << 30;

/// Measure what messages cost on this machine, against the bare guest and the reference's loader
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The workload
    workload: PathBuf,
    #[command(flatten)]
    module: ModuleArgs,
    /// The most messages of a step
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// A folder in which npm has installed @permaweb/ao-loader
    #[arg(long, value_name = "DIR")]
    loader: Option<PathBuf>,
    /// Node, for the loader
    #[arg(long, value_name = "PATH", default_value = "node", requires = "loader")]
    node: PathBuf,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let mut text = String::new();
    files::open(&args.workload, "workload")?.take(WORKLOAD_BYTES_MAX).read_to_string(&mut text)?;
    let workload = Workload::read(&text, args.limit)?;
    let module = args.module.read(&app.readers)?;
    let disk = module::read_disk(app, &module)?;
    let limits = module::reader(&app.readers, &module)?.limits(&module, &workload.process);
    let count: usize = workload.steps.iter().map(|step| step.range.len()).sum();
    let bar = Progress::meter(&app.config, 3 * count as u64, "measuring");
    let mut rows: Vec<Row> = workload.steps.iter().map(Row::new).collect();
    if let Ok(mut bare) = cu::bare(app.config.engine, &module) {
        measure(&workload, &bar, &mut rows, Row::bare, &mut |call, _| {
            Ok(bare.call(&call, &limits, workload.host()).map(drop)?)
        })?;
    }
    for root in [false, true] {
        let mut road = Whole::new(Arc::clone(&disk), limits, root)?;
        let place: fn(&mut Row) -> &mut Option<f64> = if root { Row::root } else { Row::whole };
        measure(&workload, &bar, &mut rows, place, &mut |call, dry| {
            road.message(call, dry, &workload)
        })?;
    }
    drop(bar);
    if let Some(folder) = &args.loader {
        for road in ["nocopy", "std"] {
            loader(args, folder, road, module.format.as_str(), &mut rows)?;
        }
    }
    print(&rows, args.json)?;
    Ok(Exit::Done)
}

/// An environment, messages, and steps over them.
struct Workload {
    process: Arc<Process>,
    env: Arc<str>,
    messages: Vec<Message>,
    steps: Vec<Step>,
}

struct Step {
    label: String,
    dry: bool,
    range: Range<usize>,
}

impl Workload {
    fn read(text: &str, limit: usize) -> anyhow::Result<Self> {
        let mut value = Value::parse(text)
            .map_err(|error| usage(format!("the workload is no JSON: {error}")))?;
        let (Some(env), Some(messages)) = (value.take("env"), value.take("messages")) else {
            return Err(usage("the workload has no env and messages"));
        };
        let messages = messages.into_array().unwrap_or_default();
        let mut steps = Vec::new();
        let listed = value.take("steps").and_then(Value::into_array).unwrap_or_default();
        for step in &listed {
            let at = |key| step.get(key).and_then(Value::as_u64).and_then(|at| at.try_into().ok());
            let (Some(from), Some(to)) = (at("from"), at("to")) else {
                return Err(usage("a step of the workload has no from or no to"));
            };
            let text = |key| step.get(key).and_then(Value::as_str).unwrap_or_default();
            let to = messages.len().min(to).min(usize::saturating_add(from, limit));
            let (label, dry) = (text("label").to_owned(), text("kind") == "dryrun");
            steps.push(Step { label, dry, range: from..to.max(from) });
        }
        if steps.is_empty() {
            let (label, to) = ("all".to_owned(), messages.len().min(limit));
            steps.push(Step { label, dry: false, range: 0..to });
        }
        let process = Arc::new(schedule_file::environment(&env).0);
        let messages = messages.into_iter().map(Message::read).collect();
        Ok(Self { process, env: Json::from(env).text(), messages, steps })
    }

    fn call(&self, at: usize, dry: bool) -> anyhow::Result<Arc<Call>> {
        let message = self.messages.get(at).ok_or_else(|| usage("a step beyond the messages"))?;
        let fields = &message.fields;
        let nonce = fields.number("Nonce").unwrap_or(at as u64);
        let slot = Slot { nonce, ..Slot::default() };
        let chain = fields.text("Hash-Chain").unwrap_or_default();
        Ok(Arc::new(Call {
            process: Arc::clone(&self.process),
            message: Arc::new(fields.message()),
            json: WireJson { message: Arc::clone(&message.json), env: Arc::clone(&self.env) },
            slot,
            timestamp_ms: fields.number("Timestamp").unwrap_or_default(),
            block_height: fields.number("Block-Height").unwrap_or_default(),
            seed: call_seed(&self.process.id, slot, &chain),
            mode: if dry { Mode::DryRun } else { Mode::Scheduled },
        }))
    }

    fn host(&self) -> Arc<OfflineHost> {
        Arc::new(OfflineHost::new(Arc::clone(&self.process), Vec::new()))
    }
}

/// Evaluates every message in order; what a step does not measure is evaluated all the same.
fn measure(
    workload: &Workload,
    bar: &Progress,
    rows: &mut [Row],
    place: impl Fn(&mut Row) -> &mut Option<f64>,
    message: &mut dyn FnMut(Arc<Call>, bool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut next = 0;
    for (step, row) in workload.steps.iter().zip(rows) {
        for at in next..step.range.start {
            message(workload.call(at, false)?, false)?;
        }
        let mut times = Vec::with_capacity(step.range.len());
        for at in step.range.clone() {
            let call = workload.call(at, step.dry)?;
            let started = Clock::start();
            message(call, step.dry)?;
            times.push(started.elapsed_ms());
            bar.step();
        }
        next = step.range.end;
        times.sort_by(f64::total_cmp);
        *place(row) = times.get(times.len() / 2).copied();
    }
    Ok(())
}

/// A message as a unit evaluates it.
struct Whole {
    drive: Option<Box<dyn Drive>>,
    frozen: Option<Arc<dyn Frozen>>,
    limits: Limits,
    root: bool,
}

impl Whole {
    fn new(disk: Arc<dyn Disk>, limits: Limits, root: bool) -> anyhow::Result<Self> {
        let blank = disk.blank().clone();
        let drive = disk.mount(&blank).map_err(cu::CuError::from)?;
        Ok(Self { drive: Some(drive), frozen: None, limits, root })
    }

    fn message(&mut self, call: Arc<Call>, dry: bool, workload: &Workload) -> anyhow::Result<()> {
        let drive = match (&self.frozen, dry) {
            (Some(frozen), true) => frozen.thaw().map_err(cu::CuError::from)?,
            (None, true) => return Err(usage("a dry-run before the first message")),
            (_, false) => {
                self.frozen = None;
                self.drive.take().context("a fault took the drive: this cannot be measured")?
            }
        };
        let ran = drive.run(call, &self.limits, workload.host());
        match ran.map_err(|failure| cu::CuError::from(failure.error))? {
            Ran::Dry { .. } => return Ok(()),
            Ran::Done { drive, .. } => self.drive = Some(drive),
            Ran::Faulted { drive, .. } => self.drive = drive,
        }
        let Some(drive) = &mut self.drive else { return Ok(()) };
        let frozen = drive.freeze().map_err(cu::CuError::from)?;
        if self.root {
            std::hint::black_box(frozen.image().map_err(cu::CuError::from)?.root());
        }
        self.frozen = Some(frozen);
        Ok(())
    }
}

/// Processor time of this thread, where the system tells; else the time that passes.
enum Clock {
    Thread(Duration),
    Wall(Instant),
}

impl Clock {
    fn start() -> Self {
        Self::thread().map_or_else(|| Self::Wall(Instant::now()), Self::Thread)
    }

    fn thread() -> Option<Duration> {
        // Yielding brings the system's books up to date.
        std::thread::yield_now();
        clock::processor_time(None)
    }

    fn elapsed_ms(&self) -> f64 {
        match self {
            Self::Thread(start) => {
                Self::thread().unwrap_or(*start).saturating_sub(*start).as_secs_f64() * 1e3
            }
            Self::Wall(start) => start.elapsed().as_secs_f64() * 1e3,
        }
    }
}

/// Medians of a step, in milliseconds.
#[derive(Default)]
struct Row {
    label: String,
    count: usize,
    bare: Option<f64>,
    whole: Option<f64>,
    root: Option<f64>,
    nocopy: Option<f64>,
    loader: Option<f64>,
}

impl Row {
    fn new(step: &Step) -> Self {
        Self { label: step.label.clone(), count: step.range.len(), ..Self::default() }
    }

    fn bare(&mut self) -> &mut Option<f64> {
        &mut self.bare
    }

    fn whole(&mut self) -> &mut Option<f64> {
        &mut self.whole
    }

    fn root(&mut self) -> &mut Option<f64> {
        &mut self.root
    }

    /// Columns in order: what, and how much of it.
    fn columns(&self) -> [(&'static str, Option<f64>); 9] {
        let over = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b);
        [
            ("bare", self.bare),
            ("whole", self.whole),
            ("root", self.root),
            ("loader-nocopy", self.nocopy),
            ("loader", self.loader),
            ("whole/bare", over(self.whole, self.bare)),
            ("root/bare", over(self.root, self.bare)),
            ("nocopy/bare", over(self.nocopy, self.bare)),
            ("loader/whole", over(self.loader, self.whole)),
        ]
    }
}

/// Runs the reference's loader on the workload, in a program of its own.
fn loader(
    args: &Args,
    folder: &Path,
    road: &str,
    format: &str,
    rows: &mut [Row],
) -> anyhow::Result<()> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut node = Command::new(&args.node)
        .args(["--input-type=module", "-"])
        .args([absolute(&args.workload), absolute(&args.module.file)])
        .args([format.to_owned(), format!("road={road}"), format!("limit={}", args.limit)])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}; give --node its path", args.node.display()))?;
    if let Some(mut script) = node.stdin.take() {
        script.write_all(LOADER.as_bytes())?;
    }
    let out = node.wait_with_output()?;
    if !out.status.success() {
        let folder = folder.display();
        return Err(usage(format!(
            "the loader ended with {}; is @permaweb/ao-loader installed in {folder}?",
            out.status
        )));
    }
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let Ok(line) = Value::parse(line) else { continue };
        let label = line.get("step").and_then(Value::as_str);
        let micros = line.get("median_us").and_then(Value::as_f64);
        // Lines come in the order of steps, of which several may have one name.
        for row in rows.iter_mut().filter(|row| Some(row.label.as_str()) == label) {
            let place = if road == "std" { &mut row.loader } else { &mut row.nocopy };
            if place.is_none() {
                *place = micros.map(|micros| micros / 1e3);
                break;
            }
        }
    }
    Ok(())
}

fn print(rows: &[Row], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        for row in rows {
            let mut pairs = vec![("step", Value::from(row.label.as_str()))];
            pairs.push(("messages", number(row.count as u64)));
            let rounded = |value: f64| Value::Number((value * 1e3).round() / 1e3);
            let there = |(name, value): (&'static str, Option<f64>)| Some((name, rounded(value?)));
            pairs.extend(row.columns().into_iter().filter_map(there));
            writeln!(out, "{}", Json::from(Value::object(pairs)))?;
        }
        return Ok(());
    }
    let wide = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0).max(8);
    let names = Row::default().columns().map(|(name, _)| name);
    write!(out, "{:wide$}  {:>8}", "step", "messages")?;
    for name in names {
        write!(out, "  {name:>13}")?;
    }
    writeln!(out)?;
    for row in rows {
        write!(out, "{:wide$}  {:>8}", row.label, row.count)?;
        for (_, value) in row.columns() {
            let text = value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
            write!(out, "  {text:>13}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "milliseconds of processor time, medians; ratios are what counts")
}
