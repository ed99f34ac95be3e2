//! `drivebay replay`: evaluates a whole schedule from a file, as a unit does.

use super::{
    App,
    client::parse_tag,
    color,
    error::{Exit, usage},
    files, message,
    module::{artifacts, format_of, read_bytes},
    print::Style,
    progress::Progress,
    schedule_file::{LogSource, read_log},
};
use crate::{
    certify::ReplayFile,
    cu::{
        At, Cu, CuError, CuOptions, DryMessage, DryRun, FjallStore, MemoryStore, ResultsQuery,
        Store,
    },
    disk::{
        Module, Slot, Tag,
        json::{Json, Value},
    },
    wire::{Fields, number},
};
use std::{
    io::{self, Read, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const AFTER_HELP: &str = "\
A log is the file of a workload (env, messages, steps), or what a scheduler answers to
GET /PROCESS?process-id=PROCESS: pairs of message and assignment, in pages or in a list. A scheduler does not
tell a module's owner and tags, which the process sees: name them with --module-owner and --module-tag.

Examples:
  drivebay replay F_catchup.json aos2_0_6.wasm
  drivebay replay log.json aos2_0_6.wasm --store unit     (again: what is recorded is not redone)
  drivebay replay log.json aos2_0_6.wasm --to 41 --json
  drivebay replay findings/PROCESS-41.replay.json         (a finding of certify: it has all that it needs)
  drivebay replay log.json aos2_0_6.wasm --slot 41 --dry-run '{\"Tags\":{\"Action\":\"Balance\"}}'

With --json each result is one line: the result's keys, then Slot, Fuel and Receipt.
Ends with 1 if a message faulted or answered Error; and for a finding, if it still stands.";

/// The most bytes of a log.
const LOG_BYTES_MAX: u64 = 4 << 30;
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(200);
/// How many results are listed at a time.
const PAGE: usize = 500;

/// Evaluate a whole schedule from a file, with progress, rate and estimate
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The schedule
    log: PathBuf,
    /// The module's file; a finding of `certify` needs none
    module: Option<PathBuf>,
    /// Its Module-Format, if neither the log nor the file tells
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// The address of who published the module, if the log does not tell
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    module_owner: Option<String>,
    /// A tag of the module, if the log does not tell (repeatable)
    #[arg(long = "module-tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    module_tags: Vec<Tag>,
    /// Keep receipts and images in this folder [default: nowhere]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Evaluate no further than this slot
    #[arg(long, value_name = "SLOT")]
    to: Option<u64>,
    /// Then evaluate a message on the state, and keep nothing of it (JSON or @FILE)
    #[arg(long, value_name = "JSON|@FILE")]
    dry_run: Option<String>,
    /// The slot after which the dry-run reads [default: the last one evaluated]
    #[arg(long, value_name = "SLOT", requires = "dry_run")]
    slot: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let read = args.dry_run.as_deref().map(dry_fields).transpose()?;
    let mut text = String::new();
    files::open(&args.log, "log")?.take(LOG_BYTES_MAX).read_to_string(&mut text)?;
    if ReplayFile::is_one(&text) {
        return super::finding::run(app, &text, args.json);
    }
    let mut log = read_log(&text)?;
    drop(text);
    log.module.tags.extend(args.module_tags.iter().cloned());
    if let Some(owner) = &args.module_owner {
        log.module.owner.clone_from(owner);
    }
    let file = args.module.as_ref().ok_or_else(|| {
        usage("a log needs the file of its module after it; only a finding of `certify` has all in it")
    })?;
    let bytes = read_bytes(file)?;
    let format = format_of(&app.readers, (&bytes, file), args.format.as_deref())?;
    let module = Module::new(bytes, format, log.module.tags.clone());
    let (process, last) = (log.process.id.clone(), log.last_slot());
    let Some(last) = last else {
        return Err(usage(format!("{} holds no messages", args.log.display())));
    };
    let to = args.to.map_or(last, |to| Slot { nonce: to.min(last.nonce), ..last });
    let store: Arc<dyn Store> = match &args.store {
        Some(dir) => Arc::new(FjallStore::open(dir)?),
        None => Arc::new(MemoryStore::default()),
    };
    let options = CuOptions { artifacts: artifacts(&app.config), ..CuOptions::default() };
    let source = Arc::new(LogSource::new(log, module));
    let cu = Cu::open(options, app.readers.clone(), store, source)?;
    let started = Instant::now();
    let done = watched(app, &cu, &process, to);
    let took = started.elapsed();
    done?;
    let mut out = io::stdout().lock();
    let (results, errors) = list(&mut out, &cu, &process, to, args.json)?;
    let mut failed = errors > 0;
    if !args.json {
        let style = Style::new(color(&app.config));
        let root = Cu::block_on(cu.image_at(&process, At::Slot(to)))??.image.root();
        let rate = results as f64 / took.as_secs_f64().max(1e-9);
        let title = style.bold(&format!("process {process} · slot {}", to.nonce));
        writeln!(out, "{title}  {}", style.dim(&format!("root {root}")))?;
        writeln!(
            out,
            "{results} results, {errors} with an error; {:.1} s, {rate:.0} a second",
            took.as_secs_f64()
        )?;
    }
    if let Some(fields) = read {
        let at = args.slot.map_or(to, |nonce| Slot { nonce, ..to });
        let done = dry_run(&cu, &process, at, fields)?;
        failed |= done.is_error;
        writeln!(out, "{}", dry_line(&done))?;
    }
    out.flush()?;
    Cu::block_on(cu.shutdown())??;
    Ok(if failed { Exit::Guest } else { Exit::Done })
}

fn dry_fields(text: &str) -> anyhow::Result<Fields> {
    let mut all = message::messages(text)?;
    match (all.pop(), all.is_empty()) {
        (Some(fields), true) => Ok(fields),
        _ => Err(usage("--dry-run takes one message")),
    }
}

/// Evaluates, and shows how far it is.
fn watched(app: &App, cu: &Cu, process: &str, to: Slot) -> anyhow::Result<()> {
    let bar = Progress::meter(&app.config, to.nonce + 1, "evaluating");
    let ended = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                thread::park_timeout(TICK);
                let head = cu.progress(process).and_then(|progress| progress.head);
                bar.set(head.map_or(0, |head| head.nonce + 1));
            }
        });
        let done = Cu::block_on(cu.evaluate(process, At::Slot(to)));
        ended.store(true, Ordering::Relaxed);
        done
    });
    done??;
    Ok(())
}

/// Lists results, and counts them and their errors.
fn list(
    out: &mut dyn Write,
    cu: &Cu,
    process: &str,
    to: Slot,
    json: bool,
) -> anyhow::Result<(u64, u64)> {
    let (mut count, mut errors, mut after) = (0, 0, None);
    loop {
        let through = Some(crate::cu::Mark::Slot(to));
        let query = ResultsQuery { after, through, limit: PAGE, ..ResultsQuery::default() };
        let page = Cu::block_on(cu.results(process, query))??;
        for stored in &page.results {
            count += 1;
            errors += u64::from(stored.is_error);
            if json {
                let mut pairs = pairs_of(&stored.json);
                pairs.push(("Slot".into(), number(stored.receipt.slot.nonce)));
                pairs.push(("Fuel".into(), number(stored.receipt.fuel.0)));
                pairs.push(("Receipt".into(), Value::from(stored.receipt.digest().to_string())));
                writeln!(out, "{}", Json::from(Value::object(pairs)))?;
            }
        }
        after = page.results.last().map(|last| crate::cu::Mark::Slot(last.receipt.slot));
        if !page.has_more {
            return Ok((count, errors));
        }
    }
}

fn pairs_of(json: &str) -> Vec<(String, Value)> {
    let pairs = Value::parse(json).ok().and_then(Value::into_object).unwrap_or_default();
    pairs.into_iter().map(|(key, value)| (key.into_string_lossy(), value)).collect()
}

fn dry_run(cu: &Cu, process: &str, at: Slot, fields: Fields) -> Result<DryRun, CuError> {
    let id = process.to_owned();
    let make = move |at: &crate::cu::Position| {
        let mut fields = fields;
        fields.fill("Owner", "1234");
        let place = message::Place {
            process: &id,
            owner: "1234",
            nonce: at.slot.nonce,
            timestamp_ms: at.timestamp_ms,
            block_height: at.block_height,
            hash_chain: &at.hash_chain,
            dry: true,
        };
        message::fill(&mut fields, &place);
        Ok(DryMessage::new(&fields))
    };
    Cu::block_on(cu.dry_run(process, At::Slot(at), make))?
}

fn dry_line(done: &DryRun) -> Json {
    let mut pairs = pairs_of(&done.json);
    pairs.push(("Slot".into(), number(done.at.slot.nonce)));
    pairs.push(("Fuel".into(), number(done.fuel.0)));
    Json::from(Value::object(pairs))
}
