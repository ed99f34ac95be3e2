//! `drivebay result`: what came of a message.

use super::{
    App,
    client::{Client, UnitArgs, parse_id, show},
    error::Exit,
};
use crate::item::Id;

const AFTER_HELP: &str = "\
Examples:
  drivebay result PROCESS MESSAGE
  drivebay result PROCESS PROCESS      (of the process's own message)
  drivebay result PROCESS MESSAGE --json | jq .Output

Ends with 1 if the result is an error.";

/// Print the result of a message
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    /// The message, or its assignment
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    message: Id,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    show(app, &client.result(args.process, args.message)?, args.json)
}
