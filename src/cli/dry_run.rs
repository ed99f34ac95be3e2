//! `drivebay dry-run`: what a process would answer, without a mark on it.

use super::{
    App,
    client::{Client, DryPlace, SaidArgs, UnitArgs, parse_id, show},
    error::{Exit, usage},
};
use crate::item::Id;

const AFTER_HELP: &str = "\
Examples:
  drivebay dry-run PROCESS --action Balance --tag Recipient=ADDRESS
  drivebay dry-run PROCESS --action Info --json | jq .Messages

Ends with 1 if the result is an error.";

/// Ask a process without sending it a message
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    #[command(flatten)]
    said: SaidArgs,
    /// Address of who asks [default: that of the wallet]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    owner: Option<String>,
    /// Ask the state as it was after this message
    #[arg(long, value_name = "MESSAGE", value_parser = parse_id, allow_hyphen_values = true)]
    to: Option<Id>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let owner = match &args.owner {
        Some(owner) => owner.clone(),
        None => client.wallet()?.ao_address(),
    };
    let data = String::from_utf8(args.said.data("1234")?.to_vec())
        .map_err(|_| usage("the data of a dry-run travels in JSON, so it must be UTF-8 text"))?;
    let place = DryPlace { process: args.process, to: args.to };
    let answer = client.dry_run(&place, (&owner, &data), &args.said.tags("Message"))?;
    show(app, &answer, args.json)
}
