//! Recorded schedules of any module, played in every way that a host may play them.

use super::{
    Broken, WAYS, Way,
    broken::At,
    in_time,
    player::{Player, play_all},
    receipt::Entry,
    script::Step,
    ways::Played,
    wire,
};
use drivebay_disk::{
    ArtifactStore, Call, Disk, DiskReader, Host, Image, Limits, Module, NoArtifacts,
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
    /// Where the reader may keep compiled code.
    pub artifacts: Arc<dyn ArtifactStore>,
}

impl Log {
    /// A log whose messages read nothing, and whose code is compiled each time.
    pub fn new(name: &str, (module, limits): (Module, Limits), calls: Vec<Arc<Call>>) -> Self {
        let (host, artifacts) = (Arc::new(MapHost::new()), Arc::new(NoArtifacts));
        Self { name: name.into(), module, limits, calls, host, artifacts }
    }

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
        Ok(Self::new(name, (module, limits), calls))
    }

    /// Plays the log once, with a freeze and an image after every call.
    pub fn play(&self, reader: &dyn DiskReader) -> Result<Vec<Entry>, Broken> {
        play_all(&self.disk(reader)?, &self.steps())
    }

    /// Plays the log in every way but the heavy ones; all must come to the same. Gives back what that is.
    pub fn check(&self, reader: &dyn DiskReader, seed: u64) -> Result<Vec<Entry>, Broken> {
        let played = self.played(reader, seed)?;
        for way in WAYS.iter().filter(|way| !way.heavy) {
            way.hold(&played).at(way.name)?;
        }
        Ok(played.expected)
    }

    /// Plays the calls from number `from` on, from a state (the blank one if there is none). `each` is given
    /// every call, what it came to, and the state after it.
    pub fn play_from(
        &self,
        reader: &dyn DiskReader,
        state: Option<&Image>,
        from: usize,
        mut each: impl FnMut(&Call, &Entry, &Image) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let disk = self.disk(reader)?;
        let mut player = Player::at(&disk, state.unwrap_or(disk.blank()))?;
        for step in self.steps().iter().skip(from) {
            let entry = player.play(step).at(step)?;
            each(&step.call, &entry, player.image())?;
        }
        Ok(())
    }

    /// Plays the log once, and then in that way, which must come to the same. Gives back what that is.
    pub fn check_way(
        &self,
        reader: &dyn DiskReader,
        way: &Way,
        seed: u64,
    ) -> Result<Vec<Entry>, Broken> {
        let played = self.played(reader, seed)?;
        way.hold(&played).at(way.name)?;
        Ok(played.expected)
    }

    fn played<'a>(&'a self, reader: &'a dyn DiskReader, seed: u64) -> Result<Played<'a>, Broken> {
        let (disk, steps) = (self.disk(reader)?, self.steps());
        let expected = play_all(&disk, &steps).at("played once")?;
        Ok(Played { reader, log: self, disk, steps, expected, seed })
    }

    pub(super) fn disk(&self, reader: &dyn DiskReader) -> Result<Arc<dyn Disk>, Broken> {
        Ok(reader.read(&self.module, &*self.artifacts)?)
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
