//! `drivebay certify fuzz`: random logs under two conditions of chance.

use crate::{
    certify::{
        self, Tier,
        fuzz::{self, On},
    },
    cli::{
        App,
        error::{Exit, usage},
        module,
        progress::Progress,
        tame::tame,
    },
    cu::Engine,
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

const AFTER_HELP: &str = "\
Examples:
  drivebay certify fuzz --cases 1000
  drivebay certify fuzz --machine wasm --cases 100000 --seed 2 --keep findings
  drivebay certify fuzz --machine wasm --seed 2 --first 4711 --cases 1

A case follows from the seed and its number, so one that was found is found again. With --keep it is a file,
which `drivebay replay FILE` runs again under both conditions. Ends with 1 if any case diverges.";

/// Play random logs under two conditions of chance, and compare
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Fuzz {
    /// How many cases for each machine
    #[arg(long, value_name = "N", default_value_t = 1000)]
    cases: u64,
    /// What all chance follows from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The number of the first case
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Only this machine
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// Write each case that diverges into this folder, and how far the run is: it then goes on from there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// A folder with real modules (repeatable) [default: modules/aos and conformance/golden/fixtures]
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
}

/// After so many cases it is noted how far the run is.
const KEPT_EVERY: u64 = 50;

/// What the cases of one machine came to.
#[derive(Default)]
struct Total {
    kinds: BTreeMap<String, u64>,
    calls: usize,
    diverged: u64,
}

impl Fuzz {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let machines = self.machines(app)?;
        let steps = self.cases.saturating_mul(machines.len() as u64);
        let progress = Progress::bar(&app.config, usize::try_from(steps)?, "fuzzing");
        let mut diverged = 0;
        for on in &machines {
            let total = self.fuzz(on, &progress)?;
            diverged += total.diverged;
            let name = on.first().map_or("", |on| on.subject.proof.name);
            let kinds: Vec<_> =
                total.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            let (kinds, calls) = (kinds.join(", "), total.calls);
            let line = format!("{name}: {kinds}; {calls} calls; {} diverged", total.diverged);
            progress.suspend(|| writeln!(io::stdout(), "{line}"))?;
        }
        Ok(if diverged > 0 { Exit::Guest } else { Exit::Done })
    }

    /// Each machine on every engine that it has; the engine is a choice of the wasm machine alone.
    fn machines(&self, app: &App) -> anyhow::Result<Vec<Vec<On>>> {
        let modules = super::whole::modules(&self.modules)?;
        let artifacts = module::artifacts(&app.config).into();
        let mut machines: Vec<Vec<On>> = Vec::new();
        for (engine, name) in
            [(Engine::Speed, "speed"), (Engine::Plain, "plain"), (Engine::Pulley, "pulley")]
        {
            let readers = (app.make)(engine)?;
            for subject in certify::subjects(&readers, &modules, &artifacts, Tier::Fast) {
                let machine = subject.proof.name;
                if self.machine.as_ref().is_some_and(|only| only != machine) {
                    continue;
                }
                let known = machines
                    .iter_mut()
                    .find(|on| on.first().is_some_and(|first| first.subject.proof.name == machine));
                match known {
                    Some(on) if machine == "wasm" => on.push(On { engine: name, subject }),
                    Some(_) => {}
                    None => machines.push(vec![On { engine: name, subject }]),
                }
            }
        }
        if machines.is_empty() {
            return Err(usage("no machine of that name can be certified; see drivebay certify"));
        }
        Ok(machines)
    }

    fn fuzz(&self, on: &[On], progress: &Progress) -> anyhow::Result<Total> {
        let name = on.first().map_or("", |on| on.subject.proof.name);
        let end = self.first.saturating_add(self.cases);
        let (mut total, from) = self.begun(name)?;
        (self.first..from.min(end)).for_each(|_| progress.step());
        for number in from..end {
            let made = fuzz::case(on, self.seed, number);
            let made = made.map_err(|broken| anyhow::anyhow!("case {number}: {broken}"))?;
            if let Some(case) = made {
                *total.kinds.entry(case.kind.to_owned()).or_default() += 1;
                total.calls += case.calls();
                if let Err(found) = case.run(on) {
                    total.diverged += 1;
                    self.found(on, number, &found, progress)?;
                }
            }
            progress.step();
            if (number + 1) % KEPT_EVERY == 0 || number + 1 == end {
                self.keep(name, &total, number + 1)?;
            }
        }
        Ok(total)
    }

    fn found(
        &self,
        on: &[On],
        number: u64,
        found: &fuzz::Divergence,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let text = format!("seed {}, {found}\n", self.seed);
        progress.suspend(|| write!(io::stderr(), "DIVERGED {}", tame(&text, false)))?;
        let Some(dir) = &self.keep else { return Ok(()) };
        let name = on.first().map_or("", |on| on.subject.proof.name);
        let path = dir.join(format!("{name}-seed-{}-case-{number}.replay.json", self.seed));
        put(&path, found.file(on).json()?.as_str())
    }

    /// Where a run over these cases that was ended stood, and what it had counted.
    fn begun(&self, machine: &str) -> anyhow::Result<(Total, u64)> {
        let none = (Total::default(), self.first);
        let Some(path) = self.place(machine) else { return Ok(none) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let begun = Total::read(&text);
        begun.ok_or_else(|| usage(format!("{} is bent: remove it, to begin anew", path.display())))
    }

    fn keep(&self, machine: &str, total: &Total, next: u64) -> anyhow::Result<()> {
        let Some(path) = self.place(machine) else { return Ok(()) };
        let beside = path.with_extension("next");
        put(&beside, &total.written(next))?;
        fs::rename(&beside, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    fn place(&self, machine: &str) -> Option<PathBuf> {
        let name = format!("{machine}-seed-{}-from-{}.txt", self.seed, self.first);
        self.keep.as_ref().map(|dir| dir.join(name))
    }
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

impl Total {
    /// `next`, `calls`, `diverged` and each kind, a word and a number a line.
    fn written(&self, next: u64) -> String {
        let Self { kinds, calls, diverged } = self;
        let kinds = kinds.iter().map(|(kind, count)| format!("{kind} {count}\n"));
        format!("{next} next\n{calls} calls\n{diverged} diverged\n") + &kinds.collect::<String>()
    }

    fn read(text: &str) -> Option<(Self, u64)> {
        let mut lines = text.lines();
        let mut number = |word: &str| lines.next()?.strip_suffix(word)?.trim().parse::<u64>().ok();
        let (next, calls, diverged) = (number("next")?, number("calls")?, number("diverged")?);
        let kind = |line: &str| {
            let (kind, count) = line.split_once(' ')?;
            Some((kind.to_owned(), count.parse().ok()?))
        };
        let kinds = lines.map(kind).collect::<Option<_>>()?;
        Some((Self { kinds, calls: usize::try_from(calls).ok()?, diverged }, next))
    }
}
