//! What the roles are told, and by whom.

use super::{
    Broken, Roles,
    roles::{ABSENT, DEEP, EMPTY, FAULT, GO, HOG, KNOWN, SPIN},
};
use drivebay_disk::{
    Call, Disk, DiskReader, Fuel, Host, Limits, Mode, Module, NoArtifacts, Resource,
    testing::{MapHost, call},
};
use std::{fmt, sync::Arc};

/// One call, as the laws make it.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) call: Arc<Call>,
    pub(super) limits: Limits,
    pub(super) host: Arc<dyn Host>,
}

impl Step {
    pub(super) fn with_fuel(&self, fuel: Fuel) -> Self {
        Self { limits: Limits { fuel, ..self.limits }, ..self.clone() }
    }

    /// The same call with less fuel, if it had more.
    pub(super) fn with_fuel_at_most(&self, most: u64) -> Self {
        self.with_fuel(Fuel(most.min(self.limits.fuel.0)))
    }

    /// Another call under the same limits.
    pub(super) fn calling(&self, call: Arc<Call>) -> Self {
        Self { call, ..self.clone() }
    }

    pub(super) fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    pub(super) fn with_host(&self, host: Arc<dyn Host>) -> Self {
        Self { host, ..self.clone() }
    }

    /// The same call as a dry-run; nothing else about it differs.
    pub(super) fn dry(&self) -> Self {
        self.in_mode(Mode::DryRun)
    }

    /// The same call as a tick; nothing else about it differs.
    pub(super) fn tick(&self) -> Self {
        self.in_mode(Mode::Cron)
    }

    fn in_mode(&self, mode: Mode) -> Self {
        self.calling(Arc::new(Call { mode, ..(*self.call).clone() }))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.call.message.data.as_deref().unwrap_or_default();
        let data: String = String::from_utf8_lossy(data).chars().take(20).collect();
        let (nonce, fuel) = (self.call.slot.nonce, self.limits.fuel);
        write!(f, "call {nonce} ({data:?}, {:?}, {fuel} fuel)", self.call.mode)
    }
}

/// A role and some calls. The first one is always the start.
pub(super) struct Script {
    pub(super) role: &'static str,
    pub(super) module: Module,
    pub(super) steps: Vec<Step>,
}

/// A machine before the laws.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) reader: Arc<dyn DiskReader>,
    pub(super) roles: Arc<Roles>,
}

impl Subject {
    pub(super) fn disk(&self, module: &Module) -> Result<Arc<dyn Disk>, Broken> {
        Ok(self.reader.read(module, &NoArtifacts)?)
    }

    /// A call that says `data`, under the roles' limits, with the laws' host.
    pub(super) fn step(&self, nonce: u64, data: &str) -> Step {
        let call = call(nonce).data(data.to_owned()).message(self.roles.dress).build();
        Step { call, limits: self.roles.limits, host: Arc::new(host()) }
    }

    /// The start, and then a call for each of `data`.
    pub(super) fn steps(&self, data: &[&str]) -> Vec<Step> {
        let all = std::iter::once(&GO).chain(data);
        (0..).zip(all).map(|(nonce, data)| self.step(nonce, data)).collect()
    }

    /// Every role with calls that have it do all that it can.
    pub(super) fn scripts(&self) -> Vec<Script> {
        let long = "long ".repeat(200);
        let told: [(&'static str, &[&str]); 10] = [
            ("counter", &[GO; 6]),
            ("echo", &["a", "b", "", "a", "\"quoted\" \\ and\nbroken", "é 漢 🙂", &long, "a"]),
            ("spin", &[GO, SPIN, GO, GO]),
            ("late", &[GO, FAULT, GO, FAULT, FAULT, GO]),
            ("hog", &[GO, HOG, GO, GO]),
            ("deep", &[GO, DEEP, GO, GO]),
            ("catcher", &[GO, SPIN, GO, GO]),
            ("peek", &[GO, KNOWN, ABSENT, EMPTY, KNOWN, GO]),
            ("walk", &[GO; 8]),
            ("float", &[GO; 2]),
        ];
        let programs = self.roles.all();
        let program = |role| programs.iter().find(|(name, _)| *name == role)?.1.program().cloned();
        let script =
            |(role, data)| Some(Script { role, module: program(role)?, steps: self.steps(data) });
        told.into_iter().filter_map(script).collect()
    }

    /// The same, of one role; `None` if the machine has no such role.
    pub(super) fn script(&self, role: &str) -> Option<Script> {
        self.scripts().into_iter().find(|script| script.role == role)
    }
}

/// The host of the laws.
pub(super) fn host() -> MapHost {
    MapHost::new()
        .with(Resource::Data(KNOWN.into()), "what is known")
        .with(Resource::Data(EMPTY.into()), "")
}
