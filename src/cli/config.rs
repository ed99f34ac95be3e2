//! `drivebay config`: every choice, its value, and where that is from.

use super::{App, error::Exit, print::Style};
use std::io::{self, Write};

/// Shows every choice with its value and where that is from: a flag, the environment, the file or the default
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(app: &App, _args: &Args) -> anyhow::Result<Exit> {
    let style = Style::new(super::color(&app.config));
    let mut out = io::stdout().lock();
    for (key, value, origin) in app.config.layers.list() {
        writeln!(out, "{key} = {value}  {}", style.dim(&format!("# {origin}")))?;
    }
    Ok(Exit::Done)
}
