//! `drivebay dry-run`: what a process would answer, without a mark on it.

use super::{
    App,
    client::{Client, SaidArgs, UnitArgs, parse_id, show},
    error::{Exit, usage},
};
use crate::{disk::Tag, item::Id, net::Request};
use bytes::Bytes;
use serde_json::{Value, json};

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
    #[arg(long, value_name = "ADDRESS")]
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
    let body = body(args, &owner, &data);
    let to = args.to.map(|message| format!("&to={message}")).unwrap_or_default();
    let url = format!("{}/dry-run?process-id={}{to}", client.cu()?, args.process);
    let answer = client.computed(|| Request::post_json(url.as_str(), body.clone()))?;
    show(app, &answer, args.json)
}

fn body(args: &Args, owner: &str, data: &str) -> Bytes {
    let tag = |tag: Tag| json!({ "name": tag.name, "value": tag.value });
    let tags: Vec<Value> = args.said.tags("Message").into_iter().map(tag).collect();
    let body = json!({
        "Id": "1234", "Target": args.process.to_string(), "Owner": owner, "Anchor": "0",
        "Data": data, "Tags": tags,
    });
    body.to_string().into()
}
