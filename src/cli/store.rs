//! `drivebay store`: looks after the store of a unit.

use super::{App, color, error::Exit, print::Style, progress::Progress};
use crate::cu::{CuError, FjallStore, Store, upkeep};
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

const AFTER_HELP: &str = "\
Examples:
  drivebay store check .drivebay/unit
  drivebay store sweep .drivebay/unit --keep 1
  drivebay store backup .drivebay/unit /backups/monday     (also while a unit uses it)

check and sweep need the store for themselves; stop the unit first.
check ends with 1 if something is damaged.";

/// Check, sweep or copy the store of receipts and images that a unit keeps
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Verify every receipt, name, image and page by hash
    Check {
        /// The folder of the store
        store: PathBuf,
    },
    /// Remove old checkpoints, and what no checkpoint needs
    Sweep {
        /// The folder of the store
        store: PathBuf,
        /// How many checkpoints of each process to keep
        #[arg(long, default_value_t = 2, value_name = "N")]
        keep: usize,
    },
    /// Copy the store into a new folder
    Backup {
        /// The folder of the store
        store: PathBuf,
        /// The folder to make
        to: PathBuf,
    },
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Check { store } => check(app, &open(store)?),
        Command::Sweep { store, keep } => {
            let _progress = Progress::spinner(&app.config, "sweeping the store");
            let done = upkeep::sweep(&open(store)?, *keep).map_err(CuError::from)?;
            writeln!(
                io::stdout(),
                "removed {} checkpoints and {} blobs ({} bytes); {} checkpoints are left",
                done.checkpoints,
                done.blobs,
                done.blob_bytes,
                done.checkpoints_left
            )?;
            Ok(Exit::Done)
        }
        Command::Backup { store, to } => {
            let _progress = Progress::spinner(&app.config, "copying the store");
            upkeep::backup(store, to)?;
            let copy = upkeep::check(&open(to)?, &mut || {}).map_err(CuError::from)?;
            say(app, &copy)
        }
    }
}

/// An existing store: a mistyped name must not make one.
fn open(path: &std::path::Path) -> anyhow::Result<Arc<dyn Store>> {
    if !path.is_dir() {
        let text = format!("there is no store {}; name the folder of one", path.display());
        return Err(super::error::usage(text));
    }
    Ok(Arc::new(FjallStore::open(path)?))
}

fn check(app: &App, store: &Arc<dyn Store>) -> anyhow::Result<Exit> {
    let progress = Progress::spinner(&app.config, "checking the store");
    let report = upkeep::check(store, &mut || {}).map_err(CuError::from)?;
    drop(progress);
    say(app, &report)
}

fn say(app: &App, report: &upkeep::CheckReport) -> anyhow::Result<Exit> {
    let style = Style::new(color(&app.config));
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} processes, {} receipts, {} checkpoints, {} blobs ({} bytes)",
        report.processes, report.receipts, report.checkpoints, report.blobs, report.blob_bytes
    )?;
    for damage in &report.damages {
        writeln!(out, "{} {damage}", style.red("damaged:"))?;
    }
    if report.damages.is_empty() {
        writeln!(out, "{}", style.green("all is as it was written"))?;
        return Ok(Exit::Done);
    }
    Ok(Exit::Guest)
}
