//! `drivebay certify matrix`: the same logs under every condition, in one table.

use crate::{
    certify::{self, CONDITIONS, Cell, Row},
    cli::{
        App,
        error::{Exit, usage},
        module,
        progress::Progress,
    },
};
use anyhow::Context;
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::PathBuf,
    process,
};

const AFTER_HELP: &str = "\
Examples:
  drivebay certify matrix
  drivebay certify matrix --only 'wasm roles'
  drivebay certify matrix --full

Each cell is a process of its own. A condition that cannot be had here (another user without root, a
program that is not installed) is skipped, with the reason. Ends with 1 if any cell differs.";

/// Play the same logs under other conditions, and compare their transcripts
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Matrix {
    /// Play the longer logs of the full tier
    #[arg(long)]
    full: bool,
    /// A folder with real modules (repeatable) [default: modules/aos and conformance/golden/fixtures]
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
    /// Only the machines and logs whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

impl Matrix {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let (rows, absent) = self.rows(app)?;
        let scratch = env::temp_dir().join(format!("drivebay-matrix-{}", process::id()));
        fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make {}", scratch.display()))?;
        let matrix = certify::Matrix {
            program: env::current_exe().context("where this program is cannot be told")?,
            shared: self.shared(app)?,
            scratch: scratch.clone(),
        };
        let progress = Progress::bar(&app.config, rows.len() * CONDITIONS.len(), "playing");
        let rows: Vec<_> = rows.into_iter().map(|row| played(&matrix, row, &progress)).collect();
        drop(progress);
        // What is left of it harms nobody.
        let _ = fs::remove_dir_all(&scratch);
        let mut out = io::stdout().lock();
        write!(out, "{}", certify::matrix_table(&rows))?;
        absent.iter().try_for_each(|why| writeln!(out, "skipped {why}"))?;
        let differs = |cell: &Cell| matches!(cell, Cell::Differs(_));
        let any = rows.iter().any(|(_, cells)| cells.iter().any(differs));
        Ok(if any { Exit::Guest } else { Exit::Done })
    }

    /// What there is to play, and what is not there.
    fn rows(&self, app: &App) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
        let modules = super::whole::modules(&self.modules)?;
        let artifacts = module::artifacts(&app.config).into();
        let tier = super::whole::tier(self.full);
        let (mut rows, mut absent) = (Vec::new(), Vec::new());
        for subject in certify::subjects(&app.readers, &modules, &artifacts, tier) {
            for named in &subject.logs {
                let (machine, logs) = (subject.proof.name.to_owned(), named.name.clone());
                let name = format!("{machine} {logs}");
                if self.only.as_ref().is_some_and(|only| !name.contains(only)) {
                    continue;
                }
                match &named.logs {
                    Ok(_) => rows.push(Row { machine, logs, recorded: named.recorded.clone() }),
                    Err(why) => absent.push(format!("{name}: {why}")),
                }
            }
        }
        if rows.is_empty() && absent.is_empty() {
            return Err(usage("no machine and logs have that in their names"));
        }
        Ok((rows, absent))
    }

    /// Absolute, since a cell may stand elsewhere.
    fn shared(&self, app: &App) -> anyhow::Result<Vec<OsString>> {
        let mut shared: Vec<OsString> = Vec::new();
        if let Some(cache) = &app.config.cache {
            shared.extend(["--cache".into(), std::path::absolute(cache)?.into_os_string()]);
        }
        for dir in &self.modules {
            shared.extend(["--modules".into(), std::path::absolute(dir)?.into_os_string()]);
        }
        if self.full {
            shared.push("--full".into());
        }
        Ok(shared)
    }
}

fn played(matrix: &certify::Matrix, row: Row, progress: &Progress) -> (Row, Vec<Cell>) {
    let plain = matrix.plain(&row);
    let cell = |condition| {
        let cell = match &plain {
            Ok(plain) => matrix.cell(&row, condition, plain),
            Err(why) => Cell::Differs(why.clone()),
        };
        progress.step();
        cell
    };
    let cells = CONDITIONS.iter().map(cell).collect();
    (row, cells)
}
