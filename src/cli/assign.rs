//! `drivebay assign`: something that is published already, as a message to a process.

use super::{
    App,
    client::{Client, UnitArgs, parse_id},
    error::Exit,
};
use crate::{item::Id, net::Request};
use anyhow::anyhow;
use bytes::Bytes;
use serde_json::Value;
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Examples:
  drivebay assign PROCESS MESSAGE
  drivebay assign PROCESS TRANSACTION --base-layer --exclude Data,Anchor

Prints the assignment's id, which `drivebay result` takes.";

/// Give a process a message that was sent to another, or a transaction
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    /// The message or transaction
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    message: Id,
    /// It is a transaction of Arweave itself, which must have settled
    #[arg(long)]
    base_layer: bool,
    /// Fields that the process is not shown, separated by commas
    #[arg(long, value_name = "FIELDS")]
    exclude: Option<String>,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let mut url = format!("{}/?process-id={}&assign={}", client.mu()?, args.process, args.message);
    if args.base_layer {
        url.push_str("&base-layer");
    }
    if let Some(exclude) = &args.exclude {
        let fields: String =
            exclude.chars().filter(|c| c.is_ascii_alphanumeric() || ",-".contains(*c)).collect();
        url.push_str(&format!("&exclude={fields}"));
    }
    let answer = client.told(Request::post(url, Bytes::new()))?;
    let id = answer.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| anyhow!("the messenger unit named no assignment: {answer}"))?;
    writeln!(io::stdout(), "{id}")?;
    Ok(Exit::Done)
}
