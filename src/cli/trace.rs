//! `drivebay trace`: what a message set off, as a tree.
//!
//! Messages that a messenger unit pushes carry the id of the first one (`Pushed-For`) and of their sender
//! (`From-Process`). Which message of which result they are is told by their target and anchor.

use super::{
    App,
    client::{Client, UnitArgs, parse_id},
    color,
    error::{Exit, usage},
    print::Style,
    tame::tame,
};
use crate::{
    item::{Id, b64url},
    net::{Published, Request},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    io::{self, Write},
};

const AFTER_HELP: &str = "\
Examples:
  drivebay trace MESSAGE
  drivebay trace MESSAGE --json

Each line is a message: its slot, its Action, the process that got it, what it cost, and its error if it
had one. Below it is what it sent. The gateway must know the messages, as that of `drivebay up` does.";

/// Pushed messages that are asked for.
const PUSHED_MAX: u32 = 1000;
/// Levels that are drawn deeper and deeper.
const INDENT_MAX: usize = 30;

/// Draw what a message set off: the tree of pushed messages, with slot, gas and error of each
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The message, or a process for its own
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    message: Id,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let root = args.message.to_string();
    let item = client.wait(client.gateway.item(&root))?;
    let item = item.ok_or_else(|| {
        usage(format!(
            "the gateway does not know {root}; ask the one that its scheduler uploads to"
        ))
    })?;
    let by_root = [("Pushed-For", root.as_str())];
    let mut pushed = client.wait(client.gateway.search(&[], &by_root, PUSHED_MAX))?;
    // In the order in which they were sent.
    pushed.reverse();
    let style = Style::new(color(&app.config));
    let mut tracer = Tracer {
        client: &client,
        schedulers: HashMap::new(),
        pushed,
        style,
        json: args.json,
        failed: false,
    };
    tracer.node(item, 0)?;
    tracer.leftovers()?;
    Ok(if tracer.failed { Exit::Guest } else { Exit::Done })
}

struct Tracer<'a> {
    client: &'a Client,
    /// URL of the scheduler by process.
    schedulers: HashMap<String, Option<String>>,
    /// What was pushed and has no place in the tree yet.
    pushed: Vec<Published>,
    style: Style,
    json: bool,
    failed: bool,
}

/// What is told of one message.
struct Told {
    slot: Option<String>,
    result: Value,
}

impl Tracer<'_> {
    /// Draws a message and everything below it.
    fn node(&mut self, item: Published, depth: usize) -> anyhow::Result<()> {
        let process = match item.recipient.as_str() {
            "" => item.id.clone(),
            target => target.to_owned(),
        };
        let told = self.told(&item.id, &process)?;
        self.print(&item, &process, &told, depth)?;
        let list = |key: &str| told.result.get(key).and_then(Value::as_array).cloned();
        for message in list("Messages").unwrap_or_default() {
            match self.take(|pushed| is_message(pushed, &process, &message)) {
                Some(child) => self.node(child, depth + 1)?,
                None => self.undelivered(&message, depth + 1)?,
            }
        }
        for spawn in list("Spawns").unwrap_or_default() {
            if let Some(child) = self.take(|pushed| is_spawn(pushed, &process, &spawn)) {
                let id = child.id.clone();
                self.node(child, depth + 1)?;
                for notice in self.notices(&id)? {
                    self.node(notice, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// What has no sender here: assigned elsewhere, or of a process whose results are gone.
    fn leftovers(&mut self) -> anyhow::Result<()> {
        while !self.pushed.is_empty() {
            let item = self.pushed.remove(0);
            self.node(item, 1)?;
        }
        Ok(())
    }

    /// What told the sender of its new process: a messenger unit sends that on its own account, so it
    /// carries no `Pushed-For`.
    fn notices(&self, spawned: &str) -> anyhow::Result<Vec<Published>> {
        let tags = [("Action", "Spawned"), ("Process", spawned)];
        Ok(self.client.wait(self.client.gateway.search(&[], &tags, 1))?)
    }

    fn take(&mut self, is_it: impl Fn(&Published) -> bool) -> Option<Published> {
        let at = self.pushed.iter().position(is_it)?;
        Some(self.pushed.remove(at))
    }

    fn told(&mut self, message: &str, process: &str) -> anyhow::Result<Told> {
        let slot = self.slot(message, process)?;
        if slot.is_none() {
            return Ok(Told { slot, result: Value::Null });
        }
        let (process, message) = (process.parse::<Id>()?, message.parse::<Id>()?);
        let body = self.client.result(process, message)?;
        Ok(Told { slot, result: serde_json::from_slice(&body).unwrap_or_default() })
    }

    /// The message's place in the process's schedule, if it has one: a wallet has no schedule.
    fn slot(&mut self, message: &str, process: &str) -> anyhow::Result<Option<String>> {
        let known = self.schedulers.get(process).cloned();
        let scheduler = match known {
            Some(known) => known,
            None => {
                let found = self.client.wait(self.client.gateway.locate(process))?;
                let url = found.map(|location| location.url);
                self.schedulers.insert(process.to_owned(), url.clone());
                url
            }
        };
        let Some(scheduler) = scheduler else { return Ok(None) };
        if message == process {
            return Ok(Some("0".to_owned()));
        }
        let url = format!("{scheduler}/{message}?process-id={process}");
        let pair = self.client.told(Request::get(url))?;
        let tags = pair.pointer("/assignment/tags").and_then(Value::as_array);
        let nonce = tags.into_iter().flatten().find_map(|tag| {
            (tag.get("name")?.as_str()? == "Nonce")
                .then(|| tag.get("value")?.as_str().map(str::to_owned))?
        });
        Ok(nonce)
    }

    fn print(
        &mut self,
        item: &Published,
        process: &str,
        told: &Told,
        depth: usize,
    ) -> anyhow::Result<()> {
        let error = told.result.get("Error").map(text);
        self.failed |= error.is_some();
        let action = item.tag("Action").or(item.tag("Type")).unwrap_or("message");
        let gas = told.result.get("GasUsed").and_then(Value::as_u64);
        let mut out = io::stdout().lock();
        if self.json {
            let line = serde_json::json!({
                "Depth": depth, "Message": item.id, "Process": process, "Action": action,
                "Slot": told.slot, "GasUsed": gas, "Error": error,
                "From-Process": item.tag("From-Process"),
            });
            return Ok(writeln!(out, "{line}")?);
        }
        let place = match &told.slot {
            Some(slot) => format!("{process} slot {slot}"),
            None => format!("{process} (no schedule)"),
        };
        let gas = gas.map(|gas| format!("  gas {gas}")).unwrap_or_default();
        let (action, id) = (self.style.bold(&tame(action, false)), self.style.dim(&item.id));
        writeln!(out, "{}{action} → {place}{gas}  {id}", indent(depth))?;
        if let Some(error) = error {
            let error = tame(error.trim_start(), false);
            writeln!(out, "{}{} {error}", indent(depth + 1), self.style.red("error"))?;
        }
        Ok(())
    }

    fn undelivered(&mut self, message: &Value, depth: usize) -> anyhow::Result<()> {
        let target = message.get("Target").map(text).unwrap_or_default();
        let mut out = io::stdout().lock();
        if self.json {
            let line = serde_json::json!({ "Depth": depth, "Undelivered": message });
            return Ok(writeln!(out, "{line}")?);
        }
        Ok(writeln!(out, "{}not delivered (yet) → {}", indent(depth), tame(&target, false))?)
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth.min(INDENT_MAX))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_message(pushed: &Published, process: &str, message: &Value) -> bool {
    let anchor = message.get("Anchor").and_then(Value::as_str).unwrap_or_default();
    pushed.tag("Type") == Some("Message")
        && pushed.tag("From-Process") == Some(process)
        && message.get("Target").and_then(Value::as_str) == Some(&pushed.recipient)
        && pushed.anchor == b64url(anchor.as_bytes())
}

/// Spawns have no target, so their Reference must tell them apart.
fn is_spawn(pushed: &Published, process: &str, spawn: &Value) -> bool {
    let tags = spawn.get("Tags").and_then(Value::as_array);
    let reference = tags.into_iter().flatten().find_map(|tag| {
        (tag.get("name")?.as_str()? == "Reference").then(|| tag.get("value").map(text))?
    });
    pushed.tag("Type") == Some("Process")
        && pushed.tag("From-Process") == Some(process)
        && pushed.tag("Reference").map(str::to_owned) == reference
}
