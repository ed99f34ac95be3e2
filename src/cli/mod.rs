//! The command line: one file a command, and what they share.

mod artifact;
mod assign;
mod bench;
mod call;
mod certify;
mod certify_lua;
mod client;
mod config;
mod console;
mod dry_run;
mod error;
mod exported;
mod files;
mod finding;
mod image;
mod inspect;
mod item;
mod message;
mod module;
mod monitor;
mod print;
mod progress;
mod publish;
mod repl;
mod replay;
mod result;
mod run;
mod schedule_file;
mod send;
mod session;
mod spawn;
mod statetest;
mod store;
mod tame;
mod test;
mod trace;
mod units;
mod up;
mod wallet;

use crate::{
    config::{Choices, Config},
    cu::{Engine, Readers, ReadersError},
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use error::Exit;
use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

const AFTER_HELP: &str = "\
Examples:
  drivebay inspect process.wasm
  drivebay run process.wasm --eval '1 + 1'
  drivebay run process.wasm --message '{\"Tags\":{\"Action\":\"Ping\"},\"Data\":\"hello\"}' --json
  drivebay run process.wasm                      (in a terminal: a REPL)
  drivebay run Token.json --call 'transfer(address,uint256)' 0x… 5
  drivebay image save state.image --process ID
  drivebay up                                    (a whole ao on this machine)
  drivebay call PROCESS 'transfer(address,uint256)' 0x… 5    (there)

Exit codes:
  0  done
  1  a guest faulted or answered Error, or a recorded case differs
  2  wrong usage, or input refused: another try needs other input
  3  this machine failed: the same command may succeed later

State is kept in .drivebay, or where --data says. Each command has a --help of its own.";

/// Runs ao processes on this machine: WebAssembly modules of every published format, with results that
/// are the same everywhere, and state that is one portable, verifiable image
#[derive(Parser)]
#[command(name = "drivebay", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    choices: Choices,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Inspect(inspect::Args),
    Run(Box<run::Args>),
    Test(Box<test::Args>),
    Image(image::Args),
    Certify(certify::Args),
    Replay(replay::Args),
    Bench(bench::Args),
    Store(store::Args),
    Wallet(wallet::Args),
    Item(item::Args),
    Publish(publish::Args),
    Spawn(spawn::Args),
    Message(send::Args),
    Assign(assign::Args),
    Call(Box<call::Args>),
    Result(result::Args),
    DryRun(dry_run::Args),
    Monitor(monitor::Args),
    Trace(trace::Args),
    Console(console::Args),
    Up(up::Args),
    Gateway(up::UnitArgs),
    Mu(up::UnitArgs),
    Su(up::UnitArgs),
    Cu(up::UnitArgs),
    Config(config::Args),
}

/// What every command is given.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) readers: Readers,
    /// Makes the same readers for another engine.
    pub(crate) make: Box<Make>,
}

/// Makes readers for an engine.
pub(crate) type Make = dyn Fn(Engine) -> Result<Readers, ReadersError>;

/// The whole program, with the readers that `readers` makes for an engine.
pub fn main(readers: impl Fn(Engine) -> Result<Readers, ReadersError> + 'static) -> ExitCode {
    let exit = match run_line(std::env::args_os(), readers) {
        Ok(exit) => exit,
        Err(error) => error::report(&error),
    };
    exit.into()
}

fn run_line(
    line: impl IntoIterator<Item = OsString>,
    readers: impl Fn(Engine) -> Result<Readers, ReadersError> + 'static,
) -> anyhow::Result<Exit> {
    let matches = match Cli::command().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(shown) => return show_usage(&shown),
    };
    let cli = Cli::from_arg_matches(&matches)?;
    let config = Config::resolve(cli.choices)?;
    let read = readers(config.engine)?.only(&config.units.readers)?;
    let app = App { readers: read, config, make: Box::new(readers) };
    match cli.command {
        Command::Inspect(args) => inspect::run(&app, &args),
        Command::Run(mut args) => {
            if let Some(("run", matches)) = matches.subcommand() {
                args.order(matches);
            }
            run::run(&app, &args)
        }
        Command::Test(args) => test::run(&app, *args),
        Command::Image(args) => image::run(&app, &args),
        Command::Certify(args) => certify::run(&app, &args),
        Command::Replay(args) => replay::run(&app, &args),
        Command::Bench(args) => bench::run(&app, &args),
        Command::Store(args) => store::run(&app, &args),
        Command::Item(args) => item::run(&app, &args),
        Command::Wallet(args) => wallet::run(&app, &args),
        Command::Publish(args) => publish::run(&app, &args),
        Command::Spawn(args) => spawn::run(&app, &args),
        Command::Message(args) => send::run(&app, &args),
        Command::Assign(args) => assign::run(&app, &args),
        Command::Call(args) => call::run(&app, &args),
        Command::Result(args) => result::run(&app, &args),
        Command::DryRun(args) => dry_run::run(&app, &args),
        Command::Monitor(args) => monitor::run(&app, &args),
        Command::Trace(args) => trace::run(&app, &args),
        Command::Console(args) => console::run(&app, &args),
        Command::Up(args) => up::run(app, &args),
        Command::Gateway(args) => up::run_one(app, &args, units::Which::GATEWAY),
        Command::Mu(args) => up::run_one(app, &args, units::Which::MU),
        Command::Su(args) => up::run_one(app, &args, units::Which::SU),
        Command::Cu(args) => up::run_one(app, &args, units::Which::CU),
        Command::Config(args) => config::run(&app, &args),
    }
}

/// Help and version go to stdout and are no failure; a mistake goes to stderr.
fn show_usage(shown: &clap::Error) -> anyhow::Result<Exit> {
    let exit = if shown.use_stderr() { Exit::Refused } else { Exit::Done };
    shown.print()?;
    io::stdout().flush()?;
    Ok(exit)
}

/// Whether to write to stdout in colours.
pub(crate) fn color(config: &Config) -> bool {
    config.color.holds(io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// One id in 64 begins with a hyphen.
    #[test]
    fn an_id_may_begin_with_a_hyphen() {
        fn check(command: &clap::Command, seen: &mut usize) {
            for arg in command.get_arguments() {
                let name = arg.get_value_names().and_then(|names| names.first());
                let is_id = match name.map(|name| name.as_str()) {
                    Some("ID" | "PROCESS" | "MESSAGE") => true,
                    // Of the network.
                    Some("ADDRESS") => arg.get_id() != "host",
                    _ => false,
                };
                if is_id {
                    let (id, name) = (arg.get_id(), command.get_name());
                    assert!(arg.is_allow_hyphen_values_set(), "{name}: {id}");
                    *seen += 1;
                }
            }
            command.get_subcommands().for_each(|command| check(command, seen));
        }
        let mut seen = 0;
        check(&Cli::command(), &mut seen);
        assert!(seen > 15, "{seen}");
    }
}
