//! `drivebay monitor`: have what a process does on a schedule delivered.

use super::{
    App,
    client::{Client, UnitArgs, parse_id},
    error::Exit,
};
use crate::{
    item::{Draft, Id},
    net::Request,
};
use reqwest::Method;
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Examples:
  drivebay monitor PROCESS
  drivebay monitor PROCESS --stop";

/// Have the messages of a process's cron delivered by the messenger unit, or no longer
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    /// No longer
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let item = client.sign(Draft::new(Some(args.process), Vec::new(), " "))?;
    let url = format!("{}/monitor/{}", client.mu()?, args.process);
    let mut request = Request::post(url, item.bytes().clone());
    if args.stop {
        request.method = Method::DELETE;
    }
    client.done(request)?;
    let done = if args.stop { "no longer monitored" } else { "monitored" };
    writeln!(io::stdout(), "{} is {done}", args.process)?;
    Ok(Exit::Done)
}
