//! `drivebay certify --against URL`: another unit's processes, held against this program.

use crate::{
    certify::{Against as Held, Compared, Divergence},
    cli::{
        App,
        error::{Exit, usage},
        module::artifacts,
        progress::{Progress, watched},
        tame::tame,
    },
    cu::{At, Cu, CuOptions, MemoryStore, Network},
    disk::{
        Slot,
        json::{Json, Value},
    },
    net::{GatewayClient, Http, Request, Transport},
    wire::number,
};
use anyhow::Context;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Runtime;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// A local ao's gateway, if nobody names one.
const GATEWAY: &str = "http://127.0.0.1:4000";

#[derive(clap::Args)]
#[command(next_help_heading = "Another unit")]
pub(crate) struct Against {
    /// Hold a compute unit against this program: its URL, or that of a gateway that names it
    #[arg(long, value_name = "URL", conflicts_with_all = ["full", "only", "report", "cases", "suites"])]
    against: Option<String>,
    /// A process of it (repeatable) [default: all that the unit says it knows]
    #[arg(long, value_name = "ID", requires = "against", allow_hyphen_values = true)]
    process: Vec<String>,
    /// The scheduler unit [default: the gateway's neighbour, else the one that the process names]
    #[arg(long, value_name = "URL", requires = "against")]
    su: Option<String>,
    /// The gateway, for modules and data
    #[arg(long, value_name = "URL", env = "GATEWAY_URL", requires = "against")]
    gateway: Option<String>,
    /// Compare no further than this slot
    #[arg(long, value_name = "SLOT", requires = "against")]
    to: Option<u64>,
    /// How many states to ask for, spread evenly, before the first that differs is looked for
    #[arg(long, value_name = "N", default_value_t = 256, requires = "against")]
    states: usize,
    /// Where a divergence is written
    #[arg(long, value_name = "DIR", default_value = "findings", requires = "against")]
    keep: PathBuf,
}

/// Where everything is.
struct Places {
    unit: String,
    su: Option<String>,
    gateway: String,
}

impl Against {
    pub(crate) fn is_asked(&self) -> bool {
        self.against.is_some()
    }

    pub(crate) fn run(&self, app: &App, json: bool) -> anyhow::Result<Exit> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let transport: Arc<dyn Transport> = Arc::new(Http::new(PATIENCE)?);
        let places = self.places(&runtime, &transport)?;
        let gateways = GatewayClient::new([places.gateway.as_str()], Arc::clone(&transport));
        let source = Network::new(
            runtime.handle().clone(),
            Arc::clone(&transport),
            Arc::new(gateways.with_rounds(2)),
            places.su.as_deref(),
        )?;
        let options = CuOptions { artifacts: artifacts(&app.config), ..CuOptions::default() };
        let store = Arc::new(MemoryStore::default());
        let cu = Cu::open(options, app.readers.clone(), store, Arc::new(source))?;
        let mut exit = Exit::Done;
        for process in self.processes(&runtime, &transport, &places)? {
            let held = Held {
                cu: &cu,
                readers: &app.readers,
                ask: &|request| runtime.block_on(transport.call(request)),
                unit: &places.unit,
                process: &process,
                states: self.states,
            };
            let compared = self.compare(app, &held)?;
            let file = compared.divergence.as_ref().map(|found| self.write(&process, found));
            print(&process, &compared, file.transpose()?.as_deref(), json)?;
            if compared.divergence.is_some() {
                exit = Exit::Guest;
            }
        }
        Ok(exit)
    }

    /// A gateway's front page names its neighbours; anything else is the unit itself.
    fn places(&self, runtime: &Runtime, transport: &Arc<dyn Transport>) -> anyhow::Result<Places> {
        let url = self.against.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        let page = asked(runtime, transport, &format!("{url}/"))?;
        let ao = |key: &str| page.pointer(&format!("/ao/{key}"))?.as_str().map(str::to_owned);
        match ao("cu_url") {
            Some(unit) => Ok(Places {
                unit: unit.trim_end_matches('/').to_owned(),
                su: self.su.clone().or_else(|| ao("su_url")),
                gateway: self.gateway.clone().unwrap_or(url),
            }),
            None => Ok(Places {
                unit: url,
                su: self.su.clone(),
                gateway: self.gateway.clone().unwrap_or_else(|| GATEWAY.to_owned()),
            }),
        }
    }

    fn processes(
        &self,
        runtime: &Runtime,
        transport: &Arc<dyn Transport>,
        places: &Places,
    ) -> anyhow::Result<Vec<String>> {
        if !self.process.is_empty() {
            return Ok(self.process.clone());
        }
        let status =
            asked(runtime, transport, &format!("{}/status", places.unit)).map_err(|_| {
                usage("the unit does not say which processes it knows: name one with --process")
            })?;
        let list = status.get("processes").and_then(serde_json::Value::as_array);
        let id = |one: &serde_json::Value| Some(one.get("process")?.as_str()?.to_owned());
        let found: Vec<_> = list.into_iter().flatten().filter_map(id).collect();
        if found.is_empty() {
            return Err(usage(
                "nobody has asked the unit for a process yet: name one with --process",
            ));
        }
        Ok(found)
    }

    fn compare(&self, app: &App, held: &Held<'_>) -> anyhow::Result<Compared> {
        let at = match self.to {
            Some(nonce) => At::Slot(Slot { nonce, ..Slot::default() }),
            None => At::Latest,
        };
        let evaluate = || Cu::block_on(held.cu.evaluate(held.process, at));
        let to = watched(&app.config, evaluate)??.receipt.slot;
        let bar = Progress::meter(&app.config, to.nonce + 1, "comparing");
        Ok(held.compare(to, |slot| bar.set(slot.nonce + 1))?)
    }

    fn write(&self, process: &str, found: &Divergence) -> anyhow::Result<PathBuf> {
        let Slot { nonce, tick, .. } = found.slot;
        let tick = if tick > 0 { format!(".{tick}") } else { String::new() };
        let path = self.keep.join(format!("{process}-{nonce}{tick}.replay.json"));
        fs::create_dir_all(&self.keep)
            .with_context(|| format!("cannot make {}", self.keep.display()))?;
        fs::write(&path, found.file.json()?.as_str())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

fn asked(
    runtime: &Runtime,
    transport: &Arc<dyn Transport>,
    url: &str,
) -> anyhow::Result<serde_json::Value> {
    let answer = runtime.block_on(transport.call(Request::get(url)));
    let answer = answer.with_context(|| format!("{url} cannot be reached"))?;
    if !answer.is_success() {
        return Err(usage(format!("{url} answers {}: it is no unit of ao", answer.status)));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| usage(format!("{url} answers no JSON: it is no unit of ao")))
}

fn print(
    process: &str,
    compared: &Compared,
    file: Option<&Path>,
    json: bool,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let Compared { results, receipts, states, no_states, divergence } = compared;
    if json {
        let count = |count: usize| number(count as u64);
        let text = |text: &str| Value::from(text);
        let found = divergence.as_ref().map_or(Value::Null, |found| {
            Value::object([
                ("Slot", number(found.slot.nonce)),
                ("Tick", number(found.slot.tick.into())),
                ("Seen", text(&found.seen)),
                ("File", file.map_or(Value::Null, |file| text(&file.to_string_lossy()))),
            ])
        });
        let line = Value::object([
            ("Process", text(process)),
            ("Equal", Value::from(divergence.is_none())),
            ("Results", count(*results)),
            ("Receipts", count(*receipts)),
            ("States", count(*states)),
            ("No-States", no_states.as_deref().map_or(Value::Null, text)),
            ("Divergence", found),
        ]);
        return Ok(writeln!(out, "{}", Json::from(line))?);
    }
    let line =
        format!("{process}: {results} results, {receipts} receipts and {states} states compared");
    writeln!(out, "{line}")?;
    if let Some(why) = no_states {
        writeln!(out, "  no states: {}", tame(why, false))?;
    }
    let Some(found) = divergence else { return Ok(writeln!(out, "  equal")?) };
    writeln!(out, "  DIVERGES at slot {}: {}", of(found.slot), tame(&found.seen, false))?;
    if let Some(file) = file {
        writeln!(out, "  run that message again with: drivebay replay {}", file.display())?;
    }
    Ok(())
}

fn of(slot: Slot) -> String {
    match slot.tick {
        0 => slot.nonce.to_string(),
        tick => format!("{}, tick {tick}", slot.nonce),
    }
}
