//! `drivebay console`: a REPL on a process somewhere, as the aos console is one.

use super::{
    App,
    client::{Client, DryPlace, UnitArgs, parse_id},
    error::{self, Exit, usage},
    message,
    print::{self, Style},
    repl::LuaHelper,
};
use crate::{
    disk::{Tag, json::Value},
    item::{Draft, Id},
    net::Request,
};
use anyhow::Context;
use bytes::Bytes;
use rustyline::{Editor, error::ReadlineError, history::FileHistory};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

const AFTER_HELP: &str = "\
Examples:
  drivebay console PROCESS
  echo 'return #Inbox' | drivebay console PROCESS
  drivebay console PROCESS --blueprints ./my-blueprints

Each line is sent as an Eval, signed by the wallet: the process must be that wallet's. Inside, .help lists
what else there is. Ends with 1 if the last evaluation failed.";

const HELP: &str = "\
Each line is Lua that the process evaluates; it goes on over several lines until its blocks are closed.
  .load FILE             evaluate a file
  .load-blueprint NAME   evaluate a blueprint: token, or NAME.lua of the folder --blueprints
  .dry LUA               evaluate without a mark
  .results               what the process has said since the last time
  .help                  this text
  .exit                  leave (as does Ctrl-D)";

/// Blueprints of ours, by name.
const BLUEPRINTS: &[(&str, &str)] =
    &[("token", include_str!("../../modules/blueprints/token.lua"))];

/// Open a REPL on a process
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The process
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    process: Id,
    /// A folder of blueprints: .load-blueprint NAME takes NAME.lua there first
    #[arg(long, value_name = "DIR", env = "DRIVEBAY_BLUEPRINTS", hide_env_values = true)]
    blueprints: Option<PathBuf>,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let client = Client::new(app, &args.units)?;
    let owner = client.wallet()?.ao_address();
    let style = Style::new(super::color(&app.config));
    let mut console = Console { client, args, owner, style, seen: None, failed: false };
    writeln!(io::stdout(), "process {}, as {}; .help for help", args.process, console.owner)?;
    // No process can have this name.
    let history = app.config.data.join(".console-history");
    let mut editor: Editor<LuaHelper, FileHistory> = Editor::new()?;
    editor.set_helper(Some(LuaHelper));
    // A first run has no history, and a history that cannot be read is no reason to stop.
    let _ = editor.load_history(&history);
    let mut prompt = console.first_prompt().unwrap_or_else(|| "drivebay> ".to_owned());
    loop {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(console.exit()),
            Err(failure) => return Err(failure.into()),
        };
        if line.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(line.as_str());
        let _ = editor.save_history(&history);
        match console.act(line.trim()) {
            Ok(Next::Leave) => return Ok(console.exit()),
            Ok(Next::Stay(asked)) => prompt = asked.unwrap_or(prompt),
            Err(failure) => {
                console.failed = true;
                error::report(&failure);
            }
        }
    }
}

enum Next {
    Leave,
    /// With another prompt, if the process asks for one.
    Stay(Option<String>),
}

struct Console<'a> {
    client: Client,
    args: &'a Args,
    owner: String,
    style: Style,
    /// Cursor of the last result that was shown.
    seen: Option<String>,
    failed: bool,
}

impl Console<'_> {
    fn act(&mut self, line: &str) -> anyhow::Result<Next> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            ".exit" => return Ok(Next::Leave),
            ".help" => writeln!(io::stdout(), "{HELP}")?,
            ".load" if rest.is_empty() => return Err(usage(".load needs a file: .load FILE")),
            ".load" => return self.evaluate(&message::file(Path::new(rest))?),
            ".load-blueprint" => return self.evaluate(&self.blueprint(rest)?),
            ".dry" => {
                let body = self.dry_run(rest)?;
                return self.show(&body);
            }
            ".results" => self.results()?,
            // No Lua statement starts with a dot.
            _ if word.starts_with('.') => {
                return Err(usage(format!("there is no command {word}; .help lists them")));
            }
            _ => return self.evaluate(line),
        }
        Ok(Next::Stay(None))
    }

    fn evaluate(&mut self, code: &str) -> anyhow::Result<Next> {
        let tags = message::tags("Message", &[Tag::new("Action", "Eval")]);
        let draft =
            Draft::new(Some(self.args.process), tags, Bytes::copy_from_slice(code.as_bytes()));
        let item = self.client.sign(draft)?;
        self.client.send(&item)?;
        let body = self.client.result(self.args.process, item.id())?;
        self.show(&body)
    }

    fn show(&mut self, body: &Bytes) -> anyhow::Result<Next> {
        let result = parsed(body)?;
        print::result(&mut io::stdout().lock(), &result, self.style)?;
        self.failed = result.get("Error").is_some();
        Ok(Next::Stay(print::prompt_of(&result, self.style)))
    }

    /// What the process asks for as its prompt: a dry-run of nothing tells.
    fn first_prompt(&self) -> Option<String> {
        let body = self.dry_run("return nil").ok()?;
        print::prompt_of(&parsed(&body).ok()?, self.style)
    }

    fn dry_run(&self, code: &str) -> anyhow::Result<Bytes> {
        let tags = message::tags("Message", &[Tag::new("Action", "Eval")]);
        let place = DryPlace { process: self.args.process, to: None };
        self.client.dry_run(&place, (&self.owner, code), &tags)
    }

    /// A blueprint of the operator's folder, else of ours.
    fn blueprint(&self, name: &str) -> anyhow::Result<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(usage(
                "a blueprint is named by letters, digits, - and _: .load-blueprint token",
            ));
        }
        let file = self.args.blueprints.as_ref().map(|dir| dir.join(format!("{name}.lua")));
        if let Some(file) = file.filter(|file| file.is_file()) {
            return message::file(&file);
        }
        let ours = BLUEPRINTS.iter().find(|(known, _)| *known == name);
        ours.map(|(_, code)| (*code).to_owned()).ok_or_else(|| {
            let known: Vec<&str> = BLUEPRINTS.iter().map(|(name, _)| *name).collect();
            usage(format!(
                "there is no blueprint {name}; known here: {} (name a folder of more with --blueprints)",
                known.join(", ")
            ))
        })
    }

    /// What the process printed since the last time, whoever set it off.
    fn results(&mut self) -> anyhow::Result<()> {
        let (cu, process) = (self.client.cu()?, self.args.process);
        let place = match &self.seen {
            Some(cursor) => format!("from={}&sort=ASC&limit=100", escaped(cursor)),
            None => "sort=DESC&limit=5".to_owned(),
        };
        let url = format!("{cu}/results/{process}?{place}");
        let body = self.client.computed(|| Request::get(url.as_str()))?;
        let mut page = parsed(&body)?;
        let mut edges = page.take("edges").and_then(Value::into_array).unwrap_or_default();
        if self.seen.is_none() {
            edges.reverse();
        }
        let mut out = io::stdout().lock();
        for edge in &edges {
            if let Some(node) = edge.get("node") {
                print::result(&mut out, node, self.style)?;
            }
        }
        if edges.is_empty() {
            writeln!(out, "nothing new")?;
        }
        let last = edges.last().and_then(|edge| edge.get("cursor")?.as_str().map(str::to_owned));
        self.seen = last.or(self.seen.take());
        Ok(())
    }

    fn exit(&self) -> Exit {
        if self.failed { Exit::Guest } else { Exit::Done }
    }
}

fn parsed(body: &Bytes) -> anyhow::Result<Value> {
    let text = std::str::from_utf8(body).context("the compute unit answered no text")?;
    Value::parse(text).context("the compute unit answered no JSON")
}

/// A cursor in a query: base64 has three characters that mean something there.
fn escaped(cursor: &str) -> String {
    cursor.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
