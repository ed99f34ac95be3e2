//! `drivebay test`: tests of a module, written in Lua, with time and senders of their own making.

use super::{
    App,
    error::{Exit, usage},
    message, print,
    session::{ProcessArgs, Session, Step},
};
use crate::{
    cu::Readers,
    disk::{
        Drive, Fuel, Limits, Module, NoArtifacts, Output, Ran, Tag,
        json::{Json, Value},
        testing::{NoHost, call},
    },
    wire::Fields,
};
use anyhow::Context;
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

/// What a test file finds around it.
const HARNESS: &str = include_str!("test.lua");
/// For a whole run of tests, besides what their processes use.
const FUEL: u64 = 100_000_000_000;

const AFTER_HELP: &str = "\
A test file is Lua:

  local alice = from(\"alice\")
  test(\"a ping is answered\", function()
    local result = alice { Action = \"Ping\", Data = \"hello\" }
    equal(tag(result.Messages[1], \"Action\"), \"Pong\")
  end)

Each test starts with a new process, in memory. What it finds:

  test(name, function)          a test
  from(address){Key = value}    sends as that address; keys that no message has are tags
  send(message), dryrun(message)  sends, as the owner unless it says otherwise; gives the result
  spawn(tags, data)             starts the process anew
  wait(ms)                      lets time pass; every message takes a millisecond
  tag(message, name)            a tag of a message that was sent
  equal(found, expected)        fails unless they are the same

Examples:
  drivebay test token.lua token_test.lua
  drivebay test modules/lua tests/*.lua --only transfer
  drivebay test aos.wasm blueprint_test.lua

Ends with 1 if a test failed.";

/// Run tests of a module, written in Lua
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    /// Files of tests
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only the tests whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print one JSON object a test
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(app: &App, mut args: Args) -> anyhow::Result<Exit> {
    // In memory, and never with what an earlier run left.
    args.process.fresh = true;
    let mut tester = Tester::new(app, &args)?;
    let mut bench = Bench { app, args: &args, session: None, given: Vec::new() };
    let mut report = Report { json: args.json, passed: 0, failed: 0 };
    let (mut answer, mut name) = (Value::Null, String::new());
    loop {
        let asked = tester.go_on(&answer)?;
        let text = |key| asked.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        answer = match text("what").as_str() {
            "start" => {
                name = text("name");
                bench.session = None;
                bench.given = args.process.tags.clone();
                let wanted = args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
                Value::Bool(wanted)
            }
            "tested" => {
                report.say(&tester, &name, &asked)?;
                Value::Null
            }
            "end" => return report.end(),
            _ => bench.act(&asked)?,
        };
    }
}

/// The world of the test files.
struct Tester {
    drive: Option<Box<dyn Drive>>,
    limits: Limits,
    files: Vec<(String, String)>,
    turns: u64,
}

impl Tester {
    fn new(app: &App, args: &Args) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for path in &args.files {
            // `./x.lua` for `x.lua`: it cannot be one of ours.
            let name = path.display().to_string();
            let name = if name.contains('/') { name } else { format!("./{name}") };
            files.push((name, message::file(path)?));
        }
        let names = files.iter().map(|(name, _)| Value::from(name.as_str())).collect();
        let list = format!("return json.decode({:?})", Json::from(Value::Array(names)).as_str());
        let mut bundle = files.clone();
        bundle.push(("main.lua".to_owned(), HARNESS.to_owned()));
        bundle.push(("tests.lua".to_owned(), list));
        let format = Readers::lua();
        let reader = app.readers.get(&format).ok_or_else(|| usage("no reader knows Lua"))?;
        let module = Module::new(Readers::bundle(bundle).into_bytes(), format, Vec::new());
        let disk = reader.read(&module, &NoArtifacts)?;
        let limits = Limits {
            fuel: Fuel(FUEL),
            memory_bytes: 1 << 30,
            ..reader.limits(&module, &crate::disk::Process::default())
        };
        let drive = Arc::clone(&disk).mount(disk.blank())?;
        Ok(Self { drive: Some(drive), limits, files, turns: 0 })
    }

    /// Runs the tests up to where they ask for something.
    fn go_on(&mut self, answer: &Value) -> anyhow::Result<Value> {
        let drive = self.drive.take().context("the tests have ended")?;
        let text = Json::from(answer.clone());
        let call = call(self.turns).data(text.as_str().to_owned()).build();
        self.turns += 1;
        match drive.run(call, &self.limits, Arc::new(NoHost)).map_err(|failure| failure.error)? {
            Ran::Done { drive, reply, .. } => {
                self.drive = Some(drive);
                match reply.output {
                    Output::Json(json) => Ok(json.value()),
                    _ => Err(usage("the tests asked for nothing")),
                }
            }
            Ran::Faulted { fault, .. } | Ran::Dry { fault: Some(fault), .. } => {
                Err(usage(format!("the tests cannot be run: {}", fault.note)))
            }
            Ran::Dry { .. } => Err(usage("the tests asked for nothing")),
        }
    }

    /// The line of a test file that an error names.
    fn line(&self, why: &str) -> Option<String> {
        self.files.iter().find_map(|(name, text)| {
            let rest = why.strip_prefix(name.as_str())?.strip_prefix(':')?;
            let number: usize = rest.split(':').next()?.parse().ok()?;
            let line = text.lines().nth(number.checked_sub(1)?)?;
            Some(format!("{number} | {}", line.trim_end()))
        })
    }
}

/// The process under test.
struct Bench<'a> {
    app: &'a App,
    args: &'a Args,
    session: Option<Session>,
    given: Vec<Tag>,
}

impl Bench<'_> {
    fn act(&mut self, asked: &Value) -> anyhow::Result<Value> {
        let what = asked.get("what").and_then(Value::as_str).unwrap_or_default();
        let message = || -> anyhow::Result<Fields> {
            let value = asked.get("message").cloned().unwrap_or(Value::Null);
            Fields::parse(value).map_err(super::error::refused)
        };
        let step = match what {
            "spawn" => self.spawn(asked)?,
            "send" => self.session()?.play(message()?)?,
            _ => self.session()?.peek(message()?)?,
        };
        print::printed(&step);
        Ok(print::json(&step).value())
    }

    /// A new process, with more tags, which said its first word.
    fn spawn(&mut self, asked: &Value) -> anyhow::Result<Step> {
        let mut given = self.args.process.tags.clone();
        for (name, value) in asked.get("tags").and_then(Value::as_object).unwrap_or_default() {
            let name = name.clone().into_string_lossy();
            given.push(Tag::new(&name, value.as_str().unwrap_or_default()));
        }
        self.given = given;
        self.start(asked.get("data").and_then(Value::as_str))
    }

    fn start(&mut self, data: Option<&str>) -> anyhow::Result<Step> {
        let process = ProcessArgs { tags: self.given.clone(), ..self.args.process.clone() };
        let mut session = Session::open(self.app, &process, true)?;
        let booted = session.boot(data)?.context("a new process has been spawned before")?;
        self.session = Some(session);
        Ok(booted)
    }

    fn session(&mut self) -> anyhow::Result<&mut Session> {
        if self.session.is_none() {
            self.start(None)?;
        }
        self.session.as_mut().context("no process")
    }
}

struct Report {
    json: bool,
    passed: u32,
    failed: u32,
}

impl Report {
    fn say(&mut self, tester: &Tester, name: &str, tested: &Value) -> anyhow::Result<()> {
        let ok = tested.get("ok").is_some_and(Value::truthy);
        let why = tested.get("why").and_then(Value::as_str).unwrap_or_default();
        if ok {
            self.passed += 1
        } else {
            self.failed += 1
        }
        let mut out = io::stdout().lock();
        if self.json {
            let mut pairs = vec![("name", Value::from(name)), ("ok", Value::Bool(ok))];
            if !ok {
                pairs.push(("error", Value::from(why)));
            }
            writeln!(out, "{}", Json::from(Value::object(pairs)).as_str())?;
        } else if ok {
            writeln!(out, "ok   {name}")?;
        } else {
            writeln!(out, "FAIL {name}: {why}")?;
            if let Some(line) = tester.line(why) {
                writeln!(out, "       {line}")?;
            }
        }
        Ok(())
    }

    fn end(&self) -> anyhow::Result<Exit> {
        if !self.json {
            writeln!(io::stdout(), "{} passed, {} failed", self.passed, self.failed)?;
        }
        if self.passed + self.failed == 0 {
            return Err(usage("no test was run: a test file calls test(name, function)"));
        }
        Ok(if self.failed > 0 { Exit::Guest } else { Exit::Done })
    }
}
