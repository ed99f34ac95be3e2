//! `drivebay spawn`: a new process.

use super::{
    App,
    client::{Client, SaidArgs, UnitArgs, parse_id, show},
    error::{Exit, usage},
};
use crate::{
    disk::Tag,
    item::{Draft, Id},
};
use serde_json::Value;
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Examples:
  drivebay spawn MODULE --tag Name=mine
  drivebay spawn MODULE --body @boot.lua --tag On-Boot=Data --wait

MODULE is the id of a published module, or a name that the gateway's front page lists. The process is
given the scheduler and the authority that stand there, unless you name others. Prints its id.";

/// Start a process from a published module
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The module: its id, or its name on the gateway's front page
    #[arg(allow_hyphen_values = true)]
    module: String,
    #[command(flatten)]
    said: SaidArgs,
    /// Address of the scheduler
    #[arg(long, value_name = "ADDRESS", env = "SCHEDULER", allow_hyphen_values = true)]
    scheduler: Option<String>,
    /// Address of a messenger whose messages the process believes (repeatable)
    #[arg(
        long = "authority",
        value_name = "ADDRESS",
        env = "AUTHORITY",
        allow_hyphen_values = true
    )]
    authorities: Vec<String>,
    /// Wait for the result of its first message, and print it
    #[arg(long)]
    wait: bool,
    /// Print the result as JSON
    #[arg(long, requires = "wait")]
    json: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let module = module(&client, &args.module)?;
    let scheduler = match &args.scheduler {
        Some(address) => address.clone(),
        None => client.around("scheduler")?.ok_or_else(|| missing("scheduler"))?,
    };
    let mut authorities = args.authorities.clone();
    if authorities.is_empty() {
        authorities.extend(client.around("authority")?);
    }
    let mut tags = args.said.tags("Process");
    tags.push(Tag::new("Module", module.to_string()));
    tags.push(Tag::new("Scheduler", scheduler));
    tags.extend(authorities.into_iter().map(|address| Tag::new("Authority", address)));
    let item = client.sign(Draft::new(None, tags, args.said.data(" ")?))?;
    client.send(&item)?;
    writeln!(io::stdout(), "{}", item.id())?;
    if !args.wait {
        return Ok(Exit::Done);
    }
    show(app, &client.result(item.id(), item.id())?, args.json)
}

fn module(client: &Client, typed: &str) -> anyhow::Result<Id> {
    if let Ok(id) = parse_id(typed) {
        return Ok(id);
    }
    let page = client.front_page()?;
    let modules = page.pointer("/ao/modules").and_then(Value::as_object);
    let named = modules.and_then(|modules| modules.get(typed)?.as_str()?.parse().ok());
    named.ok_or_else(|| {
        let names: Vec<&str> =
            modules.iter().flat_map(|modules| modules.keys()).map(String::as_str).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        usage(format!("{typed:?} is neither an id (43 characters) nor a module that the gateway lists ({known})"))
    })
}

fn missing(what: &str) -> anyhow::Error {
    usage(format!("the gateway names no {what}: give the address with --{what} ADDRESS"))
}
