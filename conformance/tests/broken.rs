//! Each law fails for a machine that breaks it. A law that cannot fail says nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;
mod flawed;

use common::{tape, tape_roles};
use drivebay_conformance::laws::{self, Log, Outcome, Role, Roles, WAYS, Way, engines};
use drivebay_disk::{
    DiskReader, Resource,
    testing::{MapHost, Tape, call},
};
use flawed::{Flaw, Flawed};
use std::sync::Arc;

/// What the law says of that machine, if it is broken.
fn broken(law: &str, reader: impl DiskReader + 'static, roles: Roles) -> Option<String> {
    let result = laws::check(law, &(Arc::new(reader) as _), &Arc::new(roles)).unwrap();
    match result.outcome {
        Outcome::Broken(broken) => Some(broken.to_string()),
        Outcome::Held => None,
        Outcome::Skipped(reason) => panic!("{law} was skipped: {reason}"),
    }
}

/// The law is broken by each flaw, and what is said of it holds these words.
#[track_caller]
fn breaks(law: &str, flaws: &[(Flaw, &str)]) {
    for (flaw, words) in flaws {
        let found = broken(law, Flawed::new(*flaw), tape_roles());
        let found = found.unwrap_or_else(|| panic!("{law} holds for {flaw:?}"));
        assert!(found.contains(words), "{flaw:?}: {found}");
    }
}

#[test]
fn no_flaw_is_no_breach() {
    for flaw in [Flaw::None, Flaw::SpentByFaults] {
        let reader: Arc<dyn DiskReader> = Arc::new(Flawed::new(flaw));
        for result in laws::check_all(&reader, &Arc::new(tape_roles())) {
            assert!(matches!(result.outcome, Outcome::Held), "{flaw:?}: {result:?}");
        }
    }
}

#[test]
fn repeat() {
    let flaws = [
        (Flaw::GlobalCounter, "reply"),
        (Flaw::ThreadsName, "thread"),
        (Flaw::FreezeIsSeen, "not frozen between calls"),
        (Flaw::PanicsInRun, "panicked"),
    ];
    breaks("repeat", &flaws);
}

#[test]
fn image() {
    breaks("image", &[(Flaw::ForgetsInImage, "reply"), (Flaw::WarmIsCheaper, "cost")]);
}

#[test]
fn freeze() {
    breaks("freeze", &[(Flaw::SharesFrozen, "twin"), (Flaw::FreezesLate, "became")]);
}

#[test]
fn fault() {
    breaks("fault", &[(Flaw::FaultsLeak, "by a fault"), (Flaw::FaultsLeakUnseen, "reply")]);
}

#[test]
fn host_error() {
    breaks(
        "host-error",
        &[(Flaw::HostErrorsLeak, "by a host error"), (Flaw::HostErrorsTurn, "became")],
    );
}

#[test]
fn dry() {
    let flaws = [
        (Flaw::DryRunsLeak, "root"),
        (Flaw::DryRunsAnswerOtherwise, "beside the call"),
        (Flaw::DryRunsAreDone, "Ran::Dry"),
    ];
    breaks("dry", &flaws);
}

#[test]
fn fuel() {
    let flaws = [
        (Flaw::OneFuelMore, "not out of fuel"),
        (Flaw::OneFuelLess, "exactly its fuel"),
        (Flaw::OutOfFuelSaysLess, "out of fuel at"),
    ];
    breaks("fuel", &flaws);
}

#[test]
fn uncatchable() {
    breaks("uncatchable", &[(Flaw::CatchesFuel, "Done"), (Flaw::CatchesHost, "no answer, yet")]);
}

#[test]
fn limits() {
    let flaws = [
        (Flaw::OutputNearly, "over the limit"),
        (Flaw::OutputWarmly, "over the limit"),
        (Flaw::MemoryNearly, "became"),
        (Flaw::MemoryNever, "OutOfFuel"),
        (Flaw::DepthFixed, "a lower one at"),
        (Flaw::DepthIsMemory, "not TooDeep"),
    ];
    breaks("limits", &flaws);
}

#[test]
fn refusal() {
    let flaws = [
        (Flaw::PanicsOnModule, "panicked"),
        (Flaw::BugOnModule, "bug at"),
        (Flaw::RefusesAtTimes, "refused"),
        (Flaw::AnyFormat, "format unknown"),
    ];
    breaks("refusal", &flaws);
}

#[test]
fn artifacts() {
    breaks("artifacts", &[(Flaw::BelievesArtifacts, "artifacts")]);
}

#[test]
fn corruption() {
    let flaws = [
        (Flaw::AnyImage, "image of something else"),
        (Flaw::PanicsOnImage, "panicked"),
        (Flaw::MountsOther, "it has root"),
    ];
    breaks("corruption", &flaws);
}

#[test]
fn silence() {
    let flaws = [
        (Flaw::RunsInRead, "refused"),
        (Flaw::RunsInMount, "roots are"),
        (Flaw::KeepsHost, "hold the host"),
        (Flaw::KeepsHostAfterErrors, "hold the host"),
    ];
    breaks("silence", &flaws);
}

#[test]
fn golden() {
    breaks("golden", &[(Flaw::CostsMore, "recorded")]);
}

#[test]
fn blessed_receipts_are_compared() {
    let path = std::env::temp_dir().join(format!("drivebay-blessed-{}.txt", std::process::id()));
    let roles = Roles { golden: Some(path.clone()), ..tape_roles() };
    assert!(broken("golden", Tape::default(), roles.clone()).unwrap().contains("DRIVEBAY_BLESS"));
    let reader: Arc<dyn DiskReader> = Arc::new(Tape::default());
    laws::bless(&reader, &Arc::new(roles.clone()), &path).unwrap();
    assert_eq!(broken("golden", Tape::default(), roles.clone()), None);
    assert!(broken("golden", Flawed::new(Flaw::CostsMore), roles).is_some());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn engines_are_compared() {
    let tape: Arc<dyn DiskReader> = Arc::new(Tape::default());
    let flawed = |flaw| -> Arc<dyn DiskReader> { Arc::new(Flawed::new(flaw)) };
    let roles = Arc::new(tape_roles());
    engines(&[("tape", tape.clone()), ("same", flawed(Flaw::None))], &roles).unwrap();
    let unlike = engines(&[("tape", tape), ("dear", flawed(Flaw::CostsMore))], &roles).unwrap_err();
    assert!(unlike.to_string().contains("on dear"), "{unlike}");
}

/// Programs that do not do what they should are found before a law is believed.
#[test]
fn roles() {
    let cases: [fn(&mut Roles); 9] = [
        |roles| roles.counter = tape("."),
        |roles| roles.echo = tape("."),
        |roles| roles.echo = tape(",.>+."),
        |roles| roles.spin = tape(">+."),
        |roles| roles.late = tape(">+."),
        |roles| roles.deep = tape(">+.").into(),
        |roles| roles.hog = tape(",=h[]>+.").into(),
        |roles| roles.catcher = tape(">+.").into(),
        |roles| roles.peek = tape(">+.").into(),
    ];
    assert_eq!(broken("roles", Tape::default(), tape_roles()), None);
    for (case, change) in cases.iter().enumerate() {
        let mut roles = tape_roles();
        change(&mut roles);
        assert!(broken("roles", Tape::default(), roles).is_some(), "case {case}");
    }
    // The first two starts do the other's thing, and the third does nothing.
    for start in ["start_loops", "start_traps", "start_writes"] {
        let mut roles = tape_roles();
        match start {
            "start_loops" => roles.start_loops = tape("!").into(),
            "start_traps" => roles.start_traps = tape("+[]").into(),
            _ => roles.start_writes = tape(".").into(),
        }
        assert!(broken("silence", Tape::default(), roles).is_some(), "{start}");
    }
    let none = Roles { walk: Role::Without("why"), ..tape_roles() };
    let trials = laws::trials(Arc::new(Tape::default()), Arc::new(none));
    assert!(trials.iter().any(|trial| trial.name() == "role walk"));
}

fn log() -> Log {
    let id = "LogData000000000000000000000000000000000001";
    let roles = tape_roles();
    let data = ["go", "spin", id, "go", "", "x"];
    let calls = (0..40).map(|nonce| call(nonce).data(data[nonce as usize % 6]).build()).collect();
    let host = MapHost::new().with(Resource::Data(id.into()), "some data");
    // Counts, spins when told to, says what it reads, and goes on from where it stopped.
    let module = tape(",=s[]  >+.  <?.  >>,[.,]  >,=o[!]");
    Log { host: Arc::new(host), ..Log::new("tape", (module, roles.limits), calls) }
}

#[test]
fn a_log_is_played_in_every_way() {
    let entries = log().check(&Tape::default(), 7).unwrap();
    assert_eq!(entries.len(), 40);
    assert_eq!(entries, log().play(&Tape::default()).unwrap());
    assert!(entries.iter().any(|entry| entry.receipt.fault().is_some()));
    let flaws = [
        (Flaw::GlobalCounter, "again"),
        (Flaw::GlobalCounter, "threads"),
        (Flaw::ForgetsInImage, "imaged"),
        (Flaw::ForgetsInImage, "evicted"),
        (Flaw::ForgetsInImage, "pressure"),
        (Flaw::DryRunsLeak, "reads"),
        (Flaw::SharesFrozen, "reads"),
        (Flaw::SharesFrozen, "traffic"),
        (Flaw::FaultsLeak, "faults"),
        (Flaw::FreezeIsSeen, "unseen"),
    ];
    for (flaw, way) in flaws {
        let way = Way::named(way).unwrap();
        log().check_way(&Tape::default(), way, 7).unwrap();
        let found = log().check_way(&Flawed::new(flaw), way, 7).unwrap_err().to_string();
        assert!(found.starts_with(way.name), "{flaw:?}: {found}");
        assert!(way.heavy || log().check(&Flawed::new(flaw), 7).is_err());
    }
    let caught = |way: &Way| flaws.iter().any(|(_, name)| *name == way.name);
    assert!(WAYS.iter().all(caught), "each way catches something");
}

#[test]
fn a_log_comes_from_json() {
    let from = log();
    let pairs = from.calls.iter().map(|call| (&*call.json.message, &*call.json.env));
    let log = Log::from_json("json", (from.module.clone(), from.limits), pairs).unwrap();
    for (expected, found) in from.calls.iter().zip(&log.calls) {
        assert_eq!(expected.message, found.message);
        assert_eq!(expected.process, found.process);
        assert_eq!(expected.json, found.json);
        assert_eq!(expected.slot, found.slot);
        assert_eq!(expected.timestamp_ms, found.timestamp_ms);
    }
}
