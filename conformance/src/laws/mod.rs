//! The laws of determinism, for any machine.
//!
//! The author of a machine supplies a reader and small programs, its [`Roles`], and gets every law back as a
//! named trial. A law says what a host relies on; `README.md` of this crate has the table, and
//! [`roles`] what each program must do.
//!
//! ```no_run
//! # fn my_roles() -> drivebay_conformance::laws::Roles { unimplemented!() }
//! # type MyReader = drivebay_disk::testing::Tape;
//! fn main() {
//!     drivebay_conformance::laws::main(MyReader::default(), my_roles())
//! }
//! ```
//!
//! Each law runs on a thread of its own, with a time limit: a machine that hangs or panics breaks a law, and
//! the others are still tried. All chance comes from fixed seeds, so what fails once fails again.

mod broken;
mod engines;
mod golden;
mod hostile_images;
mod hostile_modules;
mod limits;
mod logs;
mod messages;
mod player;
mod receipt;
mod repeat;
mod rng;
pub mod roles;
mod script;
mod silence;
mod spent;
mod state;
mod transcript;
mod ways;
mod wire;

pub use broken::{Broken, Held};
pub use engines::engines;
pub use logs::{Log, log_trial};
pub use receipt::{Entry, Receipt, Verdict};
pub use rng::Rng;
pub use roles::{Ladder, Role, Roles};
pub use transcript::{Transcript, role_logs};
pub use ways::{WAYS, Way};

use drivebay_disk::DiskReader;
use libtest_mimic::{Arguments, Completion, Trial};
use script::Subject;
use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

/// The longest that one law may take.
const LAW_TIME: Duration = Duration::from_secs(600);

/// A law: its name, what it says, and how it is tried.
struct Law {
    name: &'static str,
    says: &'static str,
    try_on: fn(&Subject) -> Held,
}

const LAWS: [Law; 16] = [
    Law { name: "roles", says: "the programs do what their table says", try_on: repeat::roles },
    Law {
        name: "repeat",
        says: "same calls, same receipts and roots, on any thread, warm or not",
        try_on: repeat::repeat,
    },
    Law {
        name: "image",
        says: "a drive mounted from an image equals the one it was taken of",
        try_on: state::image,
    },
    Law {
        name: "freeze",
        says: "a thawed drive is the drive at the freeze; neither twin sees the other",
        try_on: state::freeze,
    },
    Law { name: "fault", says: "a fault leaves no mark, or no drive", try_on: state::fault },
    Law {
        name: "host-error",
        says: "a host error leaves no mark, or no drive",
        try_on: state::host_error,
    },
    Law {
        name: "dry",
        says: "a dry-run answers as the call would, and leaves no mark",
        try_on: state::dry,
    },
    Law {
        name: "fuel",
        says: "passes with exactly its fuel, faults with one less",
        try_on: spent::fuel,
    },
    Law {
        name: "uncatchable",
        says: "out of fuel and host errors get past the guest's handlers",
        try_on: spent::uncatchable,
    },
    Law {
        name: "limits",
        says: "memory, depth and output trip at the limit, not near it",
        try_on: limits::limits,
    },
    Law {
        name: "messages",
        says: "whatever a message holds, it has a verdict, twice the same; never a panic",
        try_on: messages::messages,
    },
    Law {
        name: "refusal",
        says: "a bent module is refused or runs; never a panic",
        try_on: hostile_modules::refusal,
    },
    Law {
        name: "artifacts",
        says: "compiled code from a store, kept or bent, changes nothing",
        try_on: hostile_modules::artifacts,
    },
    Law {
        name: "corruption",
        says: "a bent image is refused or mounts as what it is; never a panic",
        try_on: hostile_images::corruption,
    },
    Law {
        name: "silence",
        says: "no guest code outside of run; nobody holds the host after it",
        try_on: silence::silence,
    },
    Law { name: "golden", says: "receipts equal those recorded", try_on: golden::golden },
];

impl Law {
    fn of(&'static self, subject: &Subject) -> Outcome {
        if self.name == "golden" && subject.roles.golden.is_none() {
            return Outcome::Skipped("no file of recorded receipts was named");
        }
        let subject = subject.clone();
        let held = in_time(move || (self.try_on)(&subject));
        held.map_or_else(Outcome::Broken, |()| Outcome::Held)
    }
}

/// What came of a law.
#[derive(Clone, Debug)]
pub struct LawResult {
    /// The law's name.
    pub law: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Whether it holds.
    pub outcome: Outcome,
    /// How long it took to try.
    pub took: Duration,
}

/// Whether a law holds.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It does.
    Held,
    /// It does not, and what was seen.
    Broken(Broken),
    /// It was not tried, and why.
    Skipped(&'static str),
}

/// All laws as a test program: reads its arguments, runs, and exits.
pub fn main(reader: impl DiskReader + 'static, roles: Roles) -> ! {
    let trials = trials(Arc::new(reader), Arc::new(roles));
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}

/// Every law as a trial. Roles that a machine cannot have are shown as ignored, with the reason.
pub fn trials(reader: Arc<dyn DiskReader>, roles: Arc<Roles>) -> Vec<Trial> {
    let kind = reader.id().name;
    let absent = roles.all().into_iter().filter_map(|(name, role)| match role {
        Role::Program(_) => None,
        Role::Without(reason) => Some((format!("role {name}"), reason)),
    });
    let absent = absent.map(|(name, reason)| {
        Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)))
    });
    let subject = Subject { reader, roles };
    let laws = LAWS.iter().map(|law| {
        let subject = subject.clone();
        Trial::ignorable_test(law.name, move || match law.of(&subject) {
            Outcome::Held => Ok(Completion::Completed),
            Outcome::Broken(broken) => Err(broken.to_string().into()),
            Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
        })
    });
    laws.chain(absent).map(|trial| trial.with_kind(kind)).collect()
}

/// Tries every law, one after the other, without printing or exiting.
pub fn check_all(reader: &Arc<dyn DiskReader>, roles: &Arc<Roles>) -> Vec<LawResult> {
    LAWS.iter().map(|law| result(law, reader, roles)).collect()
}

/// The names of all laws, in the order in which they are tried.
pub fn names() -> impl Iterator<Item = &'static str> {
    LAWS.iter().map(|law| law.name)
}

/// Tries the law of that name alone; `None` if there is no such law.
pub fn check(law: &str, reader: &Arc<dyn DiskReader>, roles: &Arc<Roles>) -> Option<LawResult> {
    LAWS.iter().find(|known| known.name == law).map(|law| result(law, reader, roles))
}

fn result(law: &'static Law, reader: &Arc<dyn DiskReader>, roles: &Arc<Roles>) -> LawResult {
    let subject = Subject { reader: reader.clone(), roles: roles.clone() };
    let start = Instant::now();
    let outcome = law.of(&subject);
    LawResult { law: law.name, says: law.says, outcome, took: start.elapsed() }
}

/// Writes the receipts of all roles to `path`, for the law `golden` to be held to from now on. The same as
/// running the law with `DRIVEBAY_BLESS=1`.
pub fn bless(reader: &Arc<dyn DiskReader>, roles: &Arc<Roles>, path: &Path) -> Held {
    golden::bless(&Subject { reader: reader.clone(), roles: roles.clone() }, path)
}

/// Runs `work` on a thread of its own. A panic, and taking too long, are findings; the thread of what takes
/// too long is left behind.
fn in_time<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Broken> + Send + 'static,
) -> Result<T, Broken> {
    in_time_of(LAW_TIME, work)
}

fn in_time_of<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, Broken> + Send + 'static,
) -> Result<T, Broken> {
    let (send, receive) = mpsc::channel();
    let work = move || {
        let found = panic::catch_unwind(AssertUnwindSafe(work));
        // Nobody listens any more if it took too long.
        let _ = send.send(found.unwrap_or_else(|panic| Err(player::panicked(&*panic))));
    };
    let thread = thread::Builder::new().stack_size(player::STACK_BYTES).spawn(work);
    thread.map_err(|error| Broken::new(format!("no thread: {error}")))?;
    let late = || Err(Broken::new(format!("no answer within {} s", limit.as_secs())));
    receive.recv_timeout(limit).unwrap_or_else(|_| late())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_or_panics_is_found() {
        let hangs = || {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        };
        let late = in_time_of(Duration::from_millis(50), hangs).err().map(|late| late.to_string());
        assert!(late.is_some_and(|late| late.contains("no answer")));
        let panics = || -> Held { panic!("as it must") };
        let found = in_time(panics).err().map(|found| found.to_string());
        assert_eq!(found.as_deref(), Some("panicked: as it must"));
    }
}
