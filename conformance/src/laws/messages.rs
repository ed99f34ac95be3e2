//! Whatever a message holds, it has a verdict.

use super::{
    Broken, Held,
    broken::{At, must},
    hostile_modules::{not_a_bug, unpanicked},
    player::{Player, elsewhere, try_run},
    receipt::{Entry, same_entry},
    roles::GO,
    script::{Step, Subject},
};
use bytes::Bytes;
use drivebay_disk::{Call, Disk, Image, Mode, Process, Slot, Tag, testing::call};
use std::sync::Arc;

/// Fuel of each odd message: enough to look at it.
const ODD_FUEL: u64 = 200_000;
/// Bytes of the largest one.
const LARGE: usize = 1 << 20;

/// Odd messages of a sound process: evaluated or faulted, twice the same, and without a mark if faulted. No
/// panic, no bug, and nothing but the host's error is the host's.
pub(super) fn messages(subject: &Subject) -> Held {
    limits(subject).at("limits")?;
    for role in ["counter", "echo", "late", "peek", "catcher"] {
        let Some(script) = subject.script(role) else { continue };
        let disk = subject.disk(&script.module)?;
        let mut player = Player::new(&disk)?;
        player.play(&subject.step(0, GO))?;
        let image = player.image().clone();
        for (what, call) in odd(subject) {
            let step = subject.step(1, GO).calling(call).with_fuel_at_most(ODD_FUEL);
            unpanicked(|| odd_one(&disk, &image, &step)).at(what).at(role)?;
        }
        // After all that, the process is what it was.
        let go = subject.step(1, GO);
        let expected = player.play(&go)?;
        same_entry(&expected, &Player::at(&disk, &image)?.play(&go)?).at(role)?;
    }
    Ok(())
}

fn odd_one(disk: &Arc<dyn Disk>, image: &Image, step: &Step) -> Held {
    let Some(first) = verdict(disk, image, step)? else { return Ok(()) };
    if first.receipt.fault().is_some() {
        must!(first.root == image.root(), "a fault made {} of root {}", first.root, image.root());
    }
    let again = elsewhere(|| verdict(disk, image, step))?;
    let again = again.ok_or_else(|| Broken::new("a verdict once, and a host error once"))?;
    same_entry(&first, &again).at("again, on another thread")?;
    let dry = verdict(disk, image, &step.dry())?;
    let dry = dry.ok_or_else(|| Broken::new("a verdict, but a host error as a dry-run"))?;
    must!(dry.root == image.root(), "as a dry-run it left a mark");
    super::receipt::same(&first.receipt, &dry.receipt).at("as a dry-run")
}

/// The entry, or that the host could not do what was asked.
fn verdict(disk: &Arc<dyn Disk>, image: &Image, step: &Step) -> Result<Option<Entry>, Broken> {
    let drive = disk.clone().mount(image)?;
    match try_run(drive, step)? {
        Ok((Some(mut drive), receipt)) => {
            let root = drive.freeze()?.image()?.root();
            Ok(Some(Entry { receipt, root }))
        }
        Ok((None, receipt)) => Ok(Some(Entry { receipt, root: image.root() })),
        Err(failure) => not_a_bug(failure.error).map(|()| None),
    }
}

/// Messages that no sender should send, and places that no scheduler should give.
fn odd(subject: &Subject) -> Vec<(&'static str, Arc<Call>)> {
    let dressed = |nonce| call(nonce).message(subject.roles.dress);
    let bare = |nonce| dressed(nonce).message(|message| message.data = None);
    let many = (0..1000).map(|at| Tag::new(format!("Name{at}"), "x".repeat(at % 50)));
    let many: Vec<Tag> = many.collect();
    let twice = [("Action", "a"), ("Action", "b"), ("", ""), ("Ünïcode \u{1F642}", "\u{0}\u{7f}")];
    let twice = twice.map(|(name, value)| Tag::new(name, value));
    let nobody = Process::default();
    let with = |change: &dyn Fn(&mut Call)| {
        let mut call = (*dressed(1).build()).clone();
        change(&mut call);
        Arc::new(call)
    };
    vec![
        ("no data", bare(1).build()),
        ("empty data", dressed(1).data("").build()),
        ("a byte of data", dressed(1).data("\u{0}").build()),
        ("data that is no text", dressed(1).data(Bytes::from_static(b"\xff\xfe\x00\xc3")).build()),
        ("much data", dressed(1).data("x".repeat(LARGE)).build()),
        ("many tags", dressed(1).message(|message| message.tags.extend(many)).build()),
        ("odd tags", dressed(1).message(|message| message.tags.extend(twice)).build()),
        ("no tags", call(1).message(|message| message.tags.clear()).build()),
        ("empty ids", with(&|call| call.message = Arc::default())),
        ("nobody's process", dressed(1).process(nobody).build()),
        ("JSON that is none", with(&|call| call.json.message = "{\"Id\":".into())),
        ("no JSON", with(&|call| call.json = Default::default())),
        ("a deep JSON", with(&|call| call.json.message = nested().into())),
        ("a lone surrogate", with(&|call| call.json.message = "{\"Data\":\"\\ud800\"}".into())),
        ("the last place", with(&|call| call.slot = Slot { epoch: 9, nonce: u64::MAX, tick: 3 })),
        ("no time", with(&|call| (call.timestamp_ms, call.block_height) = (0, 0))),
        (
            "the last time",
            with(&|call| (call.timestamp_ms, call.block_height) = (u64::MAX, u64::MAX)),
        ),
        ("a seed of zeros", with(&|call| call.seed = [0; 32])),
        ("a tick", with(&|call| (call.mode, call.slot.tick) = (Mode::Cron, 1))),
    ]
}

fn nested() -> String {
    format!("{{\"Data\":{}1{}}}", "[".repeat(5000), "]".repeat(5000))
}

/// What a format makes of a process's tags is a rule, whatever they say.
fn limits(subject: &Subject) -> Held {
    let values =
        ["", "0", "-1", "1e9", "18446744073709551616", "9-gb", "16-gb", "x", "0x10", " 5 "];
    let names = ["Compute-Limit", "Memory-Limit", "Gas-Limit", "Depth-Limit", "Output-Limit"];
    let module = &subject.roles.counter;
    for (name, value) in names.iter().flat_map(|name| values.map(|value| (*name, value))) {
        let process = Process { tags: vec![Tag::new(name, value)], ..Process::default() };
        unpanicked(|| {
            let limits = subject.reader.limits(module, &process);
            let again = elsewhere(|| Ok(subject.reader.limits(module, &process)))?;
            must!(limits == again, "{name}: {value:?} is {limits:?}, and then {again:?}");
            Ok(())
        })
        .at(format!("a process with {name}: {value:?}"))?;
    }
    Ok(())
}
