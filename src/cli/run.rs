//! `drivebay run`: boots a process and evaluates messages, one after the other.

use super::{
    App, artifact, color,
    error::{Exit, usage},
    message,
    print::{self, Style},
    progress::watched,
    repl,
    session::{ProcessArgs, Session, Step},
};
use crate::wire::Fields;
use clap::ArgMatches;
use std::io::{self, IsTerminal, Write};

const AFTER_HELP: &str = "\
A message is a JSON object with any of the keys Id, Data, Owner, From, Target, Tags, Timestamp and
so on. What it leaves out is filled in, always the same way. Tags may be an object.

Examples:
  drivebay run aos.wasm --eval 'N = (N or 0) + 1 return N'     (run again: it goes on from there)
  drivebay run token.wasm --message '{\"Tags\":{\"Action\":\"Balance\"}}' --json
  drivebay run token.wasm --message @mint.json --message @transfers.jsonl
  drivebay run token.wasm --message @balance.json --dry-run    (leaves no mark)
  drivebay run token.wasm --slot 3                             (what slot 3 said, evaluated again)
  drivebay run token.wasm --slot 3 --message @balance.json --dry-run    (read the state after it)
  drivebay run Token.json --call 'transfer(address,uint256)' 0x… 5    (a compiler's artifact)
  drivebay run aos.wasm --process mine --tag Name=mine         (a process of its own)
  drivebay run aos.wasm                                        (in a terminal: a REPL)

A new process first evaluates its own message, as slot 0. A message that fails keeps its slot, and
leaves the state as it was. With --json each slot is one line: Messages, Assignments, Spawns,
Output, GasUsed, Error (if any), Slot, Root, Fuel.

Ends with 1 if a message faulted or answered Error.";

/// Run a process: evaluate messages in order, and keep its state for the next time
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    /// A message: JSON, @FILE, or - for stdin; also a list of messages, or one on each line (repeatable)
    #[arg(long = "message", short = 'm', value_name = "JSON|@FILE|-")]
    messages: Vec<String>,
    /// Lua for an aos process to evaluate, @FILE, or - for stdin (repeatable, in order with --message)
    #[arg(long = "eval", short = 'e', value_name = "LUA|@FILE|-", allow_hyphen_values = true)]
    evals: Vec<String>,
    /// A contract's function and its arguments, such as 'transfer(address,uint256)' 0x… 5 (repeatable)
    #[arg(long = "call", value_name = "FUNCTION> <ARG", num_args = 1.., allow_negative_numbers = true)]
    calls: Vec<String>,
    /// Evaluate on a copy of the state, and keep nothing
    #[arg(long)]
    dry_run: bool,
    /// Go back to the state after this slot, by replay, and show the slot again; with --dry-run, messages read there
    #[arg(long, value_name = "N")]
    slot: Option<u64>,
    /// Time of the first message, in Unix milliseconds; further ones stand a second apart
    #[arg(long, value_name = "MS")]
    timestamp: Option<u64>,
    /// At the first run: the data of the process's own message, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    spawn_data: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Positions of messages and evals on the command line, filled in by [`Args::order`].
    #[arg(skip)]
    order: Vec<Given>,
}

#[derive(Clone)]
enum Given {
    Message(usize),
    Eval(usize),
    Call(Vec<String>),
}

impl Args {
    /// Notes in which order messages and evals were typed, which the parsed lists no longer tell.
    pub(crate) fn order(&mut self, matches: &ArgMatches) {
        let indices = |name: &str| -> Vec<usize> {
            matches.indices_of(name).map(Iterator::collect).unwrap_or_default()
        };
        let messages = indices("messages").into_iter().enumerate();
        let evals = indices("evals").into_iter().enumerate();
        let mut order: Vec<(usize, Given)> = messages
            .map(|(n, at)| (at, Given::Message(n)))
            .chain(evals.map(|(n, at)| (at, Given::Eval(n))))
            .collect();
        let mut places = indices("calls").into_iter();
        for words in matches.get_occurrences::<String>("calls").into_iter().flatten() {
            let words: Vec<String> = words.cloned().collect();
            let at = places.nth(words.len().saturating_sub(1)).unwrap_or_default();
            order.push((at, Given::Call(words)));
        }
        order.sort_by_key(|(at, _)| *at);
        self.order = order.into_iter().map(|(_, given)| given).collect();
    }

    /// All messages, read before any is evaluated, so that a typing mistake leaves no mark.
    fn read(&self) -> anyhow::Result<Vec<Fields>> {
        let from_stdin =
            self.messages.iter().chain(&self.evals).filter(|text| *text == "-").count();
        if from_stdin > 1 {
            return Err(usage("stdin can be read once only; give - once"));
        }
        let mut all = Vec::new();
        for given in &self.order {
            match given {
                Given::Message(n) => {
                    all.extend(message::messages(
                        self.messages.get(*n).map_or("", String::as_str),
                    )?);
                }
                Given::Eval(n) => {
                    let code = message::text(self.evals.get(*n).map_or("", String::as_str))?;
                    all.push(message::eval(&code));
                }
                Given::Call(words) => all.push(artifact::call(words)?),
            }
        }
        Ok(all)
    }
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let messages = args.read()?;
    if let Some(slot) = args.slot {
        return past(app, args, slot, messages);
    }
    let data = args.spawn_data.as_deref().map(message::text).transpose()?;
    let mut session = Session::open(app, &args.process, args.dry_run)?;
    if data.is_some() && session.head().next > 0 {
        return Err(usage(format!(
            "process {} has already been spawned, so --spawn-data comes too late; leave it out, give \
             another --process, or --fresh to start anew",
            session.head().process.id
        )));
    }
    session.set_clock(args.timestamp);
    let mut printer =
        Printer { json: args.json, style: Style::new(color(&app.config)), failed: false };
    let interactive = messages.is_empty() && !args.json && io::stdin().is_terminal();
    let booted = watched(&app.config, || session.boot(data.as_deref()))?;
    if let Some(step) = &booted {
        printer.print(step)?;
    }
    if interactive {
        return repl::run(app, &mut session, booted.as_ref());
    }
    if messages.is_empty() && booted.is_none() {
        let (id, next) = (&session.head().process.id, session.head().next);
        let note = format!(
            "process {id} stands before slot {next}; give it a --message or an --eval (- reads stdin)"
        );
        writeln!(io::stderr(), "nothing to do: {note}")?;
    }
    for message in messages {
        printer.print(&watched(&app.config, || session.send(message))?)?;
    }
    Ok(if printer.failed { Exit::Guest } else { Exit::Done })
}

/// A slot again, and reads of the state after it.
fn past(app: &App, args: &Args, slot: u64, messages: Vec<Fields>) -> anyhow::Result<Exit> {
    if !messages.is_empty() && !args.dry_run {
        return Err(usage(
            "--slot goes back to a state that is past: nothing can be sent to it, only read; add --dry-run",
        ));
    }
    if args.process.fresh || args.spawn_data.is_some() {
        return Err(usage(
            "--slot reads a process that has run; leave --fresh and --spawn-data out",
        ));
    }
    let opened = watched(&app.config, || Session::open_at(app, &args.process, slot))?;
    let (mut session, step) = opened;
    session.set_clock(args.timestamp);
    let mut printer =
        Printer { json: args.json, style: Style::new(color(&app.config)), failed: false };
    if messages.is_empty() {
        printer.print(&step)?;
    }
    for message in messages {
        printer.print(&watched(&app.config, || session.send(message))?)?;
    }
    Ok(if printer.failed { Exit::Guest } else { Exit::Done })
}

struct Printer {
    json: bool,
    style: Style,
    failed: bool,
}

impl Printer {
    fn print(&mut self, step: &Step) -> io::Result<()> {
        self.failed |= !step.evaluated.is_ok();
        print::printed(step);
        let mut out = io::stdout().lock();
        if self.json {
            print::fault(step);
            writeln!(out, "{}", print::json(step))?;
        } else {
            print::step(&mut out, step, self.style)?;
        }
        out.flush()
    }
}
