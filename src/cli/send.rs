//! `drivebay message`: a message to a process.

use super::{
    App,
    client::{Client, SaidArgs, UnitArgs, parse_id, show},
    error::Exit,
};
use crate::item::{Draft, Id};
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Examples:
  drivebay message PROCESS --action Transfer --tag Recipient=ADDRESS --tag Quantity=100
  drivebay message PROCESS --action Eval --body '1 + 1' --wait

Prints the message's id. With --wait also its result; ends with 1 if that is an error.";

/// Send a message to a process
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    #[command(flatten)]
    said: SaidArgs,
    /// Wait for the result, and print it
    #[arg(long, short = 'w')]
    wait: bool,
    /// Print the result as JSON
    #[arg(long, requires = "wait")]
    json: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let draft = Draft::new(Some(args.process), args.said.tags("Message"), args.said.data(" ")?);
    let item = client.sign(draft)?;
    client.send(&item)?;
    if !args.json {
        writeln!(io::stdout(), "{}", item.id())?;
    }
    if !args.wait {
        return Ok(Exit::Done);
    }
    show(app, &client.result(args.process, item.id())?, args.json)
}
