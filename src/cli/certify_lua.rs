//! `drivebay certify lua`: files of Lua that assert what Lua does, run as processes.

use super::{
    App,
    error::{Exit, usage},
    files,
};
use crate::{
    certify::{LuaDifferences, Outcome, lua_files, run_lua_file},
    cu::Readers,
};
use anyhow::Context;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Run a folder of Lua test files, such as the official ones, as processes
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder
    folder: PathBuf,
    /// Only the files whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// What the sandbox changes, line by line [default: the list for the official tests]
    #[arg(long, value_name = "FILE")]
    named: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let named = match &self.named {
            Some(file) => LuaDifferences::parse(&String::from_utf8_lossy(&read(file)?)),
            None => LuaDifferences::official(),
        };
        let named = named.map_err(usage)?;
        let reader =
            app.readers.get(&Readers::lua()).ok_or_else(|| usage("no reader knows Lua"))?;
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for path in self.files()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let found = run_lua_file(&**reader, (&name, &read(&path)?), &named);
            let mut out = io::stdout().lock();
            match found.outcome {
                Outcome::Passed => {
                    passed += 1;
                    let note = found.note.map_or(String::new(), |note| format!(" ({note})"));
                    writeln!(out, "ok   {name}{note}")?;
                }
                Outcome::Failed(why) => {
                    failed += 1;
                    writeln!(out, "FAIL {name}: {why}")?;
                }
                Outcome::Skipped(why) => {
                    skipped += 1;
                    writeln!(out, "skip {name}: {why}")?;
                }
            }
        }
        writeln!(io::stdout().lock(), "{passed} passed, {failed} failed, {skipped} skipped")?;
        Ok(if failed > 0 { Exit::Guest } else { Exit::Done })
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let place = self.folder.display();
        let mut found = lua_files(&self.folder).with_context(|| format!("cannot list {place}"))?;
        found.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
        });
        if found.is_empty() {
            return Err(usage(format!("there is no Lua file in {place} by that name")));
        }
        Ok(found)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    files::open(path, "file")?
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}
