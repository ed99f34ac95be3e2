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
    path::PathBuf,
};

const AFTER_HELP: &str = "\
Examples:
  drivebay certify fuzz --cases 1000
  drivebay certify fuzz --machine wasm --cases 100000 --seed 2 --keep findings
  drivebay certify fuzz --machine wasm --seed 2 --first 4711 --cases 1

A case follows from the seed and its number, so one that was found is found again. Ends with 1 if any case
diverges.";

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
    /// Write each case that diverges into this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// A folder with real modules (repeatable) [default: modules/aos and conformance/golden/fixtures]
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
}

/// What the cases of one machine came to.
#[derive(Default)]
struct Total {
    kinds: BTreeMap<&'static str, u64>,
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
        let mut total = Total::default();
        for number in self.first..self.first.saturating_add(self.cases) {
            let made = fuzz::case(on, self.seed, number);
            let made = made.map_err(|broken| anyhow::anyhow!("case {number}: {broken}"))?;
            if let Some(case) = made {
                *total.kinds.entry(case.kind).or_default() += 1;
                total.calls += case.calls();
                if let Err(found) = case.run(on) {
                    total.diverged += 1;
                    self.found(number, &found, progress)?;
                }
            }
            progress.step();
        }
        Ok(total)
    }

    fn found(
        &self,
        number: u64,
        found: &fuzz::Divergence,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let text = format!("seed {}, {found}\n", self.seed);
        progress.suspend(|| write!(io::stderr(), "DIVERGED {}", tame(&text, false)))?;
        let Some(dir) = &self.keep else { return Ok(()) };
        let path = dir.join(format!("seed-{}-case-{number}.txt", self.seed));
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
