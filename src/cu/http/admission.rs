//! Who may ask for what, and how often: an operator's lists and rates. They can change while the unit runs.

use crate::{
    cu::Cu,
    http::{Caller, Failure, Rate},
    wire::schedule::first,
};
use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

/// An operator's lists. An empty list of what is allowed allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Processes, owners, modules and schedulers that alone are evaluated.
    pub allow: Parties,
    /// Those that are not.
    pub deny: Parties,
    /// Dry-runs a minute and caller; 0 for any number.
    pub dry_runs_per_minute: u64,
}

/// Ids and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// Process ids.
    pub processes: BTreeSet<String>,
    /// Addresses of processes' owners.
    pub owners: BTreeSet<String>,
    /// Module ids.
    pub modules: BTreeSet<String>,
    /// Addresses of schedulers.
    pub schedulers: BTreeSet<String>,
}

/// Holds callers to the lists.
#[derive(Debug, Default)]
pub struct Admission {
    access: RwLock<Access>,
    dry_runs: Rate,
}

impl Admission {
    /// With these lists.
    pub fn new(access: Access) -> Self {
        let dry_runs = Rate::new(access.dry_runs_per_minute);
        Self { access: RwLock::new(access), dry_runs }
    }

    /// From now on, other lists.
    pub fn replace(&self, access: Access) {
        self.dry_runs.set(access.dry_runs_per_minute);
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = access;
    }

    fn access(&self) -> Access {
        self.access.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a process may be evaluated here, by its id alone.
    pub fn admit_id(&self, process: &str) -> Result<(), Failure> {
        let access = self.access();
        let narrow = access.allow != Parties::default();
        let allowed = !narrow || access.allow.processes.contains(process);
        match allowed && !access.deny.processes.contains(process) {
            true => Ok(()),
            false => Err(Failure::forbidden(format!("Access denied for process {process}"))),
        }
    }

    /// Whether a process may be evaluated here.
    pub async fn admit(&self, cu: &Cu, process: &str) -> Result<(), Failure> {
        let access = self.access();
        let denied = || Failure::forbidden(format!("Access denied for process {process}"));
        if access.deny.processes.contains(process) {
            return Err(denied());
        }
        // A listed process needs no look at whose it is.
        let listed = access.allow.processes.contains(process);
        let narrow = access.allow != Parties::default() && !listed;
        let looks = |parties: &Parties| {
            !(parties.owners.is_empty()
                && parties.modules.is_empty()
                && parties.schedulers.is_empty())
        };
        if narrow && !looks(&access.allow) {
            return Err(denied());
        }
        if !narrow && !looks(&access.deny) {
            return Ok(());
        }
        let definition = cu.process(process).await?;
        let process = &definition.process;
        let scheduler = first(&process.tags, "Scheduler").unwrap_or_default();
        let among = |parties: &Parties| {
            parties.owners.contains(&process.owner)
                || parties.modules.contains(&process.module)
                || parties.schedulers.contains(scheduler)
        };
        match among(&access.deny) || (narrow && !among(&access.allow)) {
            true => Err(denied()),
            false => Ok(()),
        }
    }

    /// Counts a dry-run of a caller, and refuses one too many.
    pub fn allow_dry_run(&self, caller: Caller) -> Result<(), Failure> {
        self.dry_runs.allow(caller)
    }
}
