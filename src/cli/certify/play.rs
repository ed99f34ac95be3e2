//! `drivebay certify play`: one transcript, printed. What one unit says, for another to compare.

use crate::{
    certify::{self, Named},
    cli::{
        App,
        error::{Exit, usage},
        module,
    },
};
use drivebay_conformance::laws::{Transcript, Way};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

const AFTER_HELP: &str = "\
Examples:
  drivebay certify play wasm roles > conformance/golden/receipts/wasm.txt
  drivebay certify play wasm aos2_0_6 --full --way imaged | sha256sum";

/// Play a machine's logs and print their transcript, which is the same on every machine
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Play {
    /// The machine, as reports name it
    machine: String,
    /// The logs: `roles`, or a real module's name
    logs: String,
    /// Play the longer logs of the full tier
    #[arg(long)]
    full: bool,
    /// A folder with real modules (repeatable) [default: modules/aos and conformance/golden/fixtures]
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
    /// Play them in this way too, which must come to the same
    #[arg(long, value_name = "WAY")]
    way: Option<String>,
    /// Keep each receipt and the state after it in this folder, and go on from what it has
    #[arg(long, value_name = "DIR", conflicts_with = "way")]
    resume: Option<PathBuf>,
}

impl Play {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let modules = super::whole::modules(&self.modules)?;
        let subjects = certify::subjects(
            &app.readers,
            &modules,
            &module::artifacts(&app.config).into(),
            super::whole::tier(self.full),
        );
        let names: Vec<_> = subjects.iter().map(|subject| subject.proof.name).collect();
        let subject = subjects.iter().find(|subject| subject.proof.name == self.machine);
        let subject = subject.ok_or_else(|| {
            usage(format!("no machine is called {}; there are {}", self.machine, names.join(", ")))
        })?;
        let names: Vec<_> = subject.logs.iter().map(|named| named.name.as_str()).collect();
        let named: Option<&Named> = subject.logs.iter().find(|named| named.name == self.logs);
        let named = named.ok_or_else(|| {
            usage(format!("no logs are called {}; there are {}", self.logs, names.join(", ")))
        })?;
        if let Some(folder) = &self.resume {
            self.resumed(subject, named, folder)?;
            return Ok(Exit::Done);
        }
        let transcript = self.play(subject, named)?;
        write!(io::stdout().lock(), "{transcript}")?;
        Ok(Exit::Done)
    }

    /// Each line is told once it is durable.
    fn resumed(
        &self,
        subject: &certify::Subject,
        named: &Named,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        for log in named.logs.as_ref().map_err(|why| usage(why.clone()))? {
            let tell = |line: &str| writeln!(out, "{line}").and_then(|()| out.flush());
            let played = certify::resume::play(log, &*subject.reader, folder, tell);
            played.map_err(|broken| anyhow::anyhow!("{}", broken.at(&log.name)))?;
        }
        Ok(())
    }

    fn play(&self, subject: &certify::Subject, named: &Named) -> anyhow::Result<Transcript> {
        let logs = named.logs.as_ref().map_err(|why| usage(why.clone()))?;
        let way = self.way.as_deref().map(|name| Way::named(name).ok_or(name)).transpose();
        let way = way.map_err(|name| {
            let names: Vec<_> =
                drivebay_conformance::laws::WAYS.iter().map(|way| way.name).collect();
            usage(format!("no way is called {name}; there are {}", names.join(", ")))
        })?;
        let mut transcript = Transcript::default();
        for log in logs {
            let entries = match way {
                None => log.play(&*subject.reader),
                Some(way) => log.check_way(&*subject.reader, way, certify::SEED),
            };
            let entries = entries.map_err(|broken| anyhow::anyhow!("{}", broken.at(&log.name)))?;
            transcript.add(&*subject.reader, log, &entries);
        }
        Ok(transcript)
    }
}
