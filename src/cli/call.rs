//! `drivebay call`: a function of a contract, by its name and its arguments.

use super::{
    App, artifact,
    client::{Client, DryPlace, UnitArgs, parse_id, show},
    color,
    error::{Exit, usage},
    module,
    print::Style,
};
use crate::{
    cu::{Abi, NamedFunction},
    disk::{
        Tag,
        json::{Json, Value as Said},
    },
    item::{Draft, Id},
};
use alloy_primitives::{Address, B256, Bytes as Blob, Log};
use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// How long the gateway is given to hear of a process.
const ROUNDS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

const AFTER_HELP: &str = "\
Examples:
  drivebay call PROCESS                                     (which functions there are)
  drivebay call PROCESS balanceOf 0x…                       (a view: answers, and leaves no mark)
  drivebay call PROCESS 'transfer(address,uint256)' 0x… 5   (a message: signed, sent, waited for)
  drivebay call PROCESS transfer 0x… 5 --dry-run            (what it would do)
  drivebay call PROCESS 'pairs(uint256) view returns (address)' 3     (where no ABI is known)
  drivebay call PROCESS swap true 100 --to 0x… --abi Amm.json         (another contract in it)

A function that the ABI calls view or pure is only asked; any other is sent as a message, unless there is
--dry-run. The ABI is that of the module, which publish takes out of a compiler's artifact, or --abi. A name is
enough if the ABI has it; else write the whole signature. Lists and tuples are JSON: '[1,2]'. Where an address
is expected, the id of a process or a wallet will do.

A revert is told in the contract's own words, and ends with 1.";

/// Call a function of an EVM process: ask a view, or send a message and wait for what came of it
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    /// A function: its name, its signature, or its signature with what it returns
    function: Option<String>,
    /// Its arguments
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// Ask what it would do, and leave no mark
    #[arg(long)]
    dry_run: bool,
    /// Send a message, also for a view
    #[arg(long, conflicts_with = "dry_run")]
    send: bool,
    /// Another contract of the process's [default: the module's]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    to: Option<Address>,
    /// How much value goes along
    #[arg(long, value_name = "NUMBER")]
    value: Option<String>,
    /// Address of who asks, for what is not sent [default: that of the wallet]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "send", allow_hyphen_values = true)]
    from: Option<String>,
    /// The ABI: JSON, a compiler's artifact, or lines in Solidity's words [default: the module's]
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
    /// Which contract of the artifact
    #[arg(long, value_name = "NAME", requires = "abi")]
    contract: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let abi = abi(&client, args)?;
    let Some(function) = &args.function else {
        return list(app, abi.as_ref());
    };
    let named = named(abi.as_ref(), function, &args.args)?;
    let is_asked = args.dry_run || (named.only_reads && !args.send);
    let answer = match is_asked {
        true => ask(&client, args, &named)?,
        false => send(&client, args, &named)?,
    };
    let answer = match &args.abi {
        Some(_) => explained(abi.as_ref(), answer)?,
        None => answer,
    };
    show(app, &answer, args.json)
}

/// The file's ABI, or that of the process's module, if it has one that can be read.
fn abi(client: &Client, args: &Args) -> anyhow::Result<Option<Abi>> {
    if let Some(path) = &args.abi {
        let bytes = module::read_bytes(path)?;
        let text = artifact::abi(&bytes, args.contract.as_deref())?;
        let abi = Abi::parse(&text).map_err(|why| usage(format!("{}: {why}", path.display())))?;
        return Ok(Some(abi));
    }
    let item = |id: &str| client.wait(client.gateway.item(id));
    let mut process = item(&args.process.to_string())?;
    // A process that was spawned a moment ago is on its way to the gateway.
    for _ in 0..ROUNDS {
        if process.is_some() {
            break;
        }
        std::thread::sleep(PAUSE);
        process = item(&args.process.to_string())?;
    }
    let module = process.and_then(|process| process.tag("Module").map(str::to_owned));
    let Some(module) = module else { return Ok(None) };
    let text = item(&module)?.and_then(|module| module.tag("ABI").map(str::to_owned));
    // Another's module may have an ABI that nobody can read. The process reads messages without it then.
    Ok(text.and_then(|text| Abi::parse(&text).ok()))
}

/// Which functions there are: those that only read first.
fn list(app: &App, abi: Option<&Abi>) -> anyhow::Result<Exit> {
    let Some(abi) = abi else { return Err(usage(unknown("which functions there are"))) };
    let (mut out, style) = (io::stdout().lock(), Style::new(color(&app.config)));
    let (views, others): (Vec<_>, Vec<_>) =
        abi.functions().into_iter().partition(|function| function.only_reads);
    for (title, functions) in [("only read", views), ("change the state", others)] {
        if !functions.is_empty() {
            writeln!(out, "{}", style.bold(title))?;
        }
        for function in functions {
            writeln!(out, "  {}", function.signature)?;
        }
    }
    Ok(Exit::Done)
}

fn unknown(what: &str) -> String {
    format!(
        "no ABI of this process's module is known, so nobody can tell {what}: give it with --abi FILE, or \
         write the whole signature, such as 'transfer(address,uint256)'"
    )
}

/// The function that is meant, which takes these arguments. What cannot be encoded is said before anything
/// is sent: a message with it would only fail.
fn named(abi: Option<&Abi>, function: &str, args: &[String]) -> anyhow::Result<NamedFunction> {
    let none = Abi::default();
    let found = abi.unwrap_or(&none).named(function, args);
    let found = found.map_err(|why| usage(format!("{function}: {why}")))?;
    found.ok_or_else(|| match abi {
        None => usage(unknown(&format!("what {function} takes"))),
        Some(abi) => {
            let known: Vec<String> = abi.functions().into_iter().map(|f| f.signature).collect();
            usage(format!("the ABI has no function {function}; it has {}", known.join("; ")))
        }
    })
}

fn tags(args: &Args, named: &NamedFunction) -> Vec<Tag> {
    let to = args.to.map(|to| Tag::new("To", to.to_string()));
    let value = args.value.as_ref().map(|value| Tag::new("Value", value.as_str()));
    let action = Tag::new("Action", named.signature.as_str());
    let more: Vec<Tag> = std::iter::once(action).chain(to).chain(value).collect();
    super::message::tags("Message", &more)
}

fn ask(client: &Client, args: &Args, named: &NamedFunction) -> anyhow::Result<Bytes> {
    let owner = match &args.from {
        Some(from) => from.clone(),
        None => client.wallet()?.ao_address(),
    };
    let place = DryPlace { process: args.process, to: None };
    let data = json!(args.args).to_string();
    client.dry_run(&place, (&owner, &data), &tags(args, named))
}

fn send(client: &Client, args: &Args, named: &NamedFunction) -> anyhow::Result<Bytes> {
    if args.from.is_some() {
        return Err(usage(format!(
            "{} is sent as a message, and a message is from who signs it: leave --from out, or add \
             --dry-run",
            named.signature
        )));
    }
    let data = json!(args.args).to_string();
    let draft = Draft::new(Some(args.process), tags(args, named), data);
    let item = client.sign(draft)?;
    client.send(&item)?;
    if !args.json {
        writeln!(io::stdout(), "{}", item.id())?;
    }
    client.result(args.process, item.id())
}

/// A result with the events and the revert of a contract of which the process does not know the ABI.
fn explained(abi: Option<&Abi>, answer: Bytes) -> anyhow::Result<Bytes> {
    let Some(abi) = abi else { return Ok(answer) };
    let mut result: Value =
        serde_json::from_slice(&answer).context("the compute unit answered no JSON")?;
    let revert = result.pointer("/Output/revert").and_then(parsed::<Blob>);
    if let Some(reason) = revert.and_then(|data| abi.reason(&data))
        && let Some(error) = result.get_mut("Error")
    {
        *error = format!("execution reverted: {reason}").into();
    }
    let logs = result.pointer_mut("/Output/logs").and_then(Value::as_array_mut);
    for log in logs.into_iter().flatten() {
        let Some(said) = log.as_object_mut().filter(|log| !log.contains_key("event")) else {
            continue;
        };
        let event = said_log(said).and_then(|log| abi.event(&log));
        let pairs = event.as_ref().and_then(Said::as_object).unwrap_or_default();
        for (key, value) in pairs {
            let value = serde_json::from_str(Json::from(value.clone()).as_str())?;
            said.insert(key.to_string_lossy().into_owned(), value);
        }
    }
    Ok(result.to_string().into())
}

fn parsed<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

fn said_log(said: &serde_json::Map<String, Value>) -> Option<Log> {
    let topics = said.get("topics")?.as_array()?.iter().map(parsed::<B256>);
    let data = parsed::<Blob>(said.get("data")?)?;
    Log::new(Address::ZERO, topics.collect::<Option<Vec<_>>>()?, data)
}
