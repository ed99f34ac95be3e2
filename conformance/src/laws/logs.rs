//! Recorded schedules of any module, played in every way that a host may play them.

use super::{
    Broken, Held,
    broken::{At, must},
    in_time,
    player::{Player, elsewhere, play_all},
    receipt::{Entry, same, same_entry},
    repeat::unobserved,
    rng::Rng,
    script::Step,
    state::unmarked,
    wire,
};
use drivebay_disk::{
    Call, Disk, DiskReader, Host, Limits, Module, NoArtifacts,
    json::{Json, JsonError},
    testing::MapHost,
};
use libtest_mimic::Trial;
use std::{fmt, sync::Arc};

/// A process and the messages that it got.
#[derive(Clone)]
pub struct Log {
    /// For people.
    pub name: String,
    /// The process's module.
    pub module: Module,
    /// Its limits.
    pub limits: Limits,
    /// Its messages, in order.
    pub calls: Vec<Arc<Call>>,
    /// What they may read.
    pub host: Arc<dyn Host>,
}

impl Log {
    /// A log of message and environment pairs, in the JSON that legacy modules see. What they read is not
    /// there; see [`Log::host`].
    pub fn from_json<'a>(
        name: &str,
        (module, limits): (Module, Limits),
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, JsonError> {
        let call = |(nonce, (message, env))| {
            Ok(Arc::new(wire::call(&Json::parse(message)?, &Json::parse(env)?, nonce)))
        };
        let calls = (0..).zip(pairs).map(call).collect::<Result<_, JsonError>>()?;
        Ok(Self { name: name.into(), module, limits, calls, host: Arc::new(MapHost::new()) })
    }

    /// Plays the log once, with a freeze and an image after every call.
    pub fn play(&self, reader: &dyn DiskReader) -> Result<Vec<Entry>, Broken> {
        play_all(&self.disk(reader)?, &self.steps())
    }

    /// Plays the log in every way; all must come to the same. Gives back what that is.
    pub fn check(&self, reader: &dyn DiskReader, seed: u64) -> Result<Vec<Entry>, Broken> {
        let (disk, steps) = (self.disk(reader)?, self.steps());
        let expected = play_all(&disk, &steps).at("played once")?;
        let played = Played { reader, log: self, disk, steps, expected, seed };
        elsewhere(|| played.again()).at("read again, on another thread")?;
        unobserved(&played.disk, &played.steps, &played.expected).at("not frozen between calls")?;
        unmarked(&played.disk, &played.steps, &played.expected).at("faults")?;
        played.imaged().at("as a file after every call")?;
        played.evicted().at("evicted now and then")?;
        played.with_reads().at("with dry-runs between")?;
        Ok(played.expected)
    }

    fn disk(&self, reader: &dyn DiskReader) -> Result<Arc<dyn Disk>, Broken> {
        Ok(reader.read(&self.module, &NoArtifacts)?)
    }

    fn steps(&self) -> Vec<Step> {
        let step = |call: &Arc<Call>| Step {
            call: call.clone(),
            limits: self.limits,
            host: self.host.clone(),
        };
        self.calls.iter().map(step).collect()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({}, {} calls)", self.name, self.calls.len())
    }
}

/// [`Log::check`] as a trial.
pub fn log_trial(reader: Arc<dyn DiskReader>, log: Log, seed: u64) -> Trial {
    let name = format!("log {}", log.name);
    Trial::test(name, move || {
        let held = in_time(move || log.check(&*reader, seed).map(drop));
        held.map_err(|broken| broken.to_string().into())
    })
}

struct Played<'a> {
    reader: &'a dyn DiskReader,
    log: &'a Log,
    disk: Arc<dyn Disk>,
    steps: Vec<Step>,
    expected: Vec<Entry>,
    seed: u64,
}

impl Played<'_> {
    fn both(&self) -> impl Iterator<Item = (&Step, &Entry)> {
        self.steps.iter().zip(&self.expected)
    }

    fn again(&self) -> Held {
        let disk = self.log.disk(self.reader)?;
        Player::new(&disk)?.follow(&self.steps, &self.expected)
    }

    fn imaged(&self) -> Held {
        let there = self.log.disk(self.reader)?;
        let mut player = Player::new(&self.disk)?;
        for (step, expected) in self.both() {
            player = player.moved(&there).at(step)?;
            same_entry(expected, &player.play(step).at(step)?).at(step)?;
        }
        Ok(())
    }

    fn evicted(&self) -> Held {
        let mut rng = Rng::new(self.seed, "evict");
        let mut player = Player::new(&self.disk)?;
        for (step, expected) in self.both() {
            if rng.once_in(5) {
                player = player.moved(&self.disk).at(step)?;
            } else if rng.once_in(10) {
                player = player.moved(&self.log.disk(self.reader)?).at(step)?;
            }
            same_entry(expected, &player.play(step).at(step)?).at(step)?;
        }
        Ok(())
    }

    /// Dry-runs of any call, on the process itself and on twins, some of which live on for a while.
    fn with_reads(&self) -> Held {
        let mut rng = Rng::new(self.seed, "reads");
        let mut player = Player::new(&self.disk)?;
        let mut twins = Vec::new();
        for (step, expected) in self.both() {
            let root = player.root();
            let any = self.steps.get(rng.place(self.steps.len())).unwrap_or(step).dry();
            let here = player.play(&any).at(&any)?;
            must!(here.root == root, "{any}: root {root} became {}", here.root);
            let mut twin = Player::on(&self.disk, player.freeze()?.thaw()?, player.image());
            let there = twin.play(&any).at(&any)?;
            same_entry(&here, &there).at(&any).at("a dry-run on a twin")?;
            let ahead = player.play(&step.dry()).at(step)?;
            same(&expected.receipt, &ahead.receipt).at(step).at("as a dry-run")?;
            twins.push((twin, step, expected));
            let found = player.play(step).at(step)?;
            same_entry(expected, &found).at(step)?;
            if rng.once_in(3) {
                let (mut twin, step, expected) = twins.swap_remove(rng.place(twins.len()));
                same_entry(expected, &twin.play(step).at(step)?).at(step).at("a twin, later")?;
            }
            twins.truncate(4);
        }
        Ok(())
    }
}
