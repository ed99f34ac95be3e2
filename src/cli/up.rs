//! `drivebay up`: a whole ao on this machine. And its units alone: `drivebay gateway|su|mu|cu`.

use super::{
    App,
    error::Exit,
    units::{self, Which},
};
use crate::observe;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
};

const AFTER_HELP: &str = "\
Examples:
  drivebay up
  drivebay up --port 5000 --data ./my-ao
  drivebay up --set readers.evm=false --set units.key=arweave

Prints where the units are, and the lines that a client's environment needs. Ctrl-C ends it without loss.
The gateway has the port, the MU the port plus 2, the SU plus 3, the CU plus 4. `drivebay config` lists all
choices; SIGHUP reads the lists of who is admitted again.";

/// Runs a whole ao on this machine: gateway, scheduler, messenger and compute unit in one process
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) unit: UnitArgs,
    /// Publish the modules in this folder (repeatable) [default: modules/aos and modules/built, if there]
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
}

/// What all units take.
#[derive(clap::Args)]
pub(crate) struct UnitArgs {
    /// The port, or the first of them; 0 for any free ones
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Print one JSON object instead of lines for people
    #[arg(long)]
    json: bool,
}

/// Folders of modules that are published if nobody names others.
const MODULES: [&str; 2] = ["modules/aos", "modules/built"];

pub(crate) fn run(app: App, args: &Args) -> anyhow::Result<Exit> {
    let folders = match args.modules.is_empty() {
        true => MODULES.map(PathBuf::from).into_iter().filter(|folder| folder.is_dir()).collect(),
        false => args.modules.clone(),
    };
    serve(app, &args.unit, Which::ALL, folders)
}

/// Runs one unit, against units of anyone's.
pub(crate) fn run_one(app: App, args: &UnitArgs, which: Which) -> anyhow::Result<Exit> {
    serve(app, args, which, Vec::new())
}

fn serve(
    mut app: App,
    args: &UnitArgs,
    which: Which,
    modules: Vec<PathBuf>,
) -> anyhow::Result<Exit> {
    let choices = &mut app.config.units;
    if let Some(port) = args.port {
        choices.units.port = port;
        if which.is_single() {
            let own = [
                &mut choices.gateway.port,
                &mut choices.mu.port,
                &mut choices.su.port,
                &mut choices.cu.port,
            ];
            own.into_iter().for_each(|own| *own = Some(port));
        }
    }
    if let Some(host) = &args.host {
        choices.units.host.clone_from(host);
    }
    observe::start(choices.units.log, &choices.units.log_filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let json = args.json;
    let ended = runtime.block_on(async move {
        let running = units::start(app, which, modules).await?;
        announce(&running.about, json)?;
        running.until_stopped().await
    });
    // A thread that waits for the network must not keep the program.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

/// Where everything is.
fn announce(about: &units::About, as_json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let modules: serde_json::Map<_, _> =
        about.modules.iter().map(|(name, id)| (name.clone(), json!(id))).collect();
    if as_json {
        let line = json!({
            "gateway": about.gateway,
            "mu": about.mu,
            "su": about.su,
            "cu": about.cu,
            "scheduler": about.scheduler,
            "authority": about.authority,
            "modules": modules,
        });
        writeln!(out, "{line}")?;
        return Ok(out.flush()?);
    }
    let parts = [
        ("gateway", &about.gateway),
        ("MU", &about.mu),
        ("SU", &about.su),
        ("CU", &about.cu),
        ("scheduler", &about.scheduler),
        ("authority", &about.authority),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            writeln!(out, "{name:<10} {value}")?;
        }
    }
    for (name, id) in &about.modules {
        writeln!(out, "module     {id}  {name}")?;
    }
    writeln!(out, "\n# for clients:")?;
    for (name, value) in about.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    Ok(out.flush()?)
}
