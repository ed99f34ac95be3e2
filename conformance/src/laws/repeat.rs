//! The roles do what they should, and do it again.

use super::{
    Broken, Held,
    broken::{At, must},
    player::{Player, elsewhere, join, play_all, run, spawn},
    receipt::{Entry, same, same_entry},
    rng::Rng,
    roles::{ABSENT, EMPTY, FAULT, GO, KNOWN, SPIN},
    script::{Script, Step, Subject, host},
};
use drivebay_disk::{Data, Disk, FaultCode, Host, HostError, Resource, testing::MapHost};
use std::{ops::Range, sync::Arc, thread, time::Duration};

/// A law about programs that do nothing holds for everything. So the programs are looked at first.
pub(super) fn roles(subject: &Subject) -> Held {
    for script in subject.scripts() {
        let entries = subject.disk(&script.module).and_then(|disk| play_all(&disk, &script.steps));
        let entries = entries.at(script.role)?;
        // Nobody played it before, so this is where a first time would show.
        let again = subject
            .disk(&script.module)
            .and_then(|disk| Player::new(&disk)?.follow(&script.steps, &entries));
        again.at("the second time").at(script.role)?;
        for (step, entry) in script.steps.iter().zip(&entries) {
            ended_as_told(script.role, step, entry).at(step).at(script.role)?;
        }
        if !matches!(script.role, "echo" | "walk" | "float") {
            counted(&script, &entries).at(script.role)?;
        }
    }
    echo(subject).at("echo")?;
    peek(subject).at("peek")
}

fn ended_as_told(role: &str, step: &Step, entry: &Entry) -> Held {
    let fault = entry.receipt.fault();
    let data = step.call.message.data.as_deref().unwrap_or_default();
    let told = match data {
        _ if step.call.slot.nonce == 0 => return Ok(()),
        data if data == SPIN.as_bytes() => fault == Some(FaultCode::OutOfFuel),
        data if data == FAULT.as_bytes() => {
            use FaultCode::{OutOfFuel, OutOfMemory, TooDeep, TooLoud};
            fault.is_some_and(|code| ![OutOfFuel, OutOfMemory, TooDeep, TooLoud].contains(&code))
        }
        _ if role == "deep" && data != GO.as_bytes() => fault == Some(FaultCode::TooDeep),
        _ if role == "hog" && data != GO.as_bytes() => {
            fault.is_none_or(|code| code == FaultCode::OutOfMemory)
        }
        _ => fault.is_none(),
    };
    must!(told, "it ended with {:?}", entry.receipt.verdict);
    must!(entry.receipt.meter.fuel.0 > 0, "it cost nothing");
    Ok(())
}

/// Whoever counts says something else each time.
fn counted(script: &Script, entries: &[Entry]) -> Held {
    let done = script
        .steps
        .iter()
        .zip(entries)
        .skip(1)
        .filter(|(_, entry)| entry.receipt.fault().is_none());
    let mut said = Vec::new();
    for (step, entry) in done {
        let output = &entry.receipt.reply.output;
        must!(!said.contains(&output), "{step}: it says {output:?} again");
        said.push(output);
    }
    Ok(())
}

fn echo(subject: &Subject) -> Held {
    let steps = subject.steps(&["a", "b", "a"]);
    let entries = play_all(&subject.disk(&subject.roles.echo)?, &steps)?;
    let said: Vec<_> = entries.iter().skip(1).map(|entry| &entry.receipt.reply.output).collect();
    must!(said.first() == said.last(), "it says {said:?} for a, b, a");
    must!(said.first() != said.get(1), "it says the same for a and b");
    Ok(())
}

/// From one state, other data gives another answer.
fn peek(subject: &Subject) -> Held {
    let Some(script) = subject.script("peek") else { return Ok(()) };
    let disk = subject.disk(&script.module)?;
    let mut player = Player::new(&disk)?;
    player.play(&subject.step(0, GO))?;
    let frozen = player.freeze()?;
    let other = Arc::new(MapHost::new().with(Resource::Data(KNOWN.into()), "what is else known"));
    let known = subject.step(1, KNOWN);
    let steps =
        [known.clone(), known.with_host(other), subject.step(1, EMPTY), subject.step(1, ABSENT)];
    let said = steps.map(|step| Ok(run(frozen.thaw()?, &step)?.1.reply.output));
    let said = said.into_iter().collect::<Result<Vec<_>, Broken>>()?;
    for (at, output) in said.iter().enumerate() {
        must!(
            !said.iter().take(at).any(|other| other == output),
            "it says {output:?} for other data too"
        );
    }
    Ok(())
}

/// Same calls, same receipts: whoever reads, wherever it runs, whatever else does.
pub(super) fn repeat(subject: &Subject) -> Held {
    let mut all = Vec::new();
    for script in subject.scripts() {
        all.push((repeated(subject, &script).at(script.role)?, script));
    }
    in_turn(subject, &all).at("all programs in turn")?;
    told_slowly(subject).at("peek, by a slow host")?;
    long(subject).at("counter, a long life")?;
    // Whoever looks at a clock of seconds sees another one now.
    thread::sleep(Duration::from_millis(1100));
    for (expected, script) in &all {
        let disk = subject.disk(&script.module)?;
        Player::new(&disk)?.follow(&script.steps, expected).at("later").at(script.role)?;
    }
    Ok(())
}

/// One call of each program, then the next of each; and two drives of each disk, one of them behind.
fn in_turn(subject: &Subject, all: &[(Vec<Entry>, Script)]) -> Held {
    let mut players = Vec::new();
    for (expected, script) in all {
        let disk = subject.disk(&script.module)?;
        let ids: Vec<_> = players.iter().map(|(_, _, _, id)| *id).collect();
        must!(!ids.contains(&disk.id()), "{}: its disk has the id of another", script.role);
        must!(disk.format().name == script.module.format, "{}: another format", script.role);
        players.push((Player::new(&disk)?, Player::new(&disk)?, (expected, script), disk.id()));
    }
    let longest = all.iter().map(|(expected, _)| expected.len()).max().unwrap_or(0);
    for at in 0..longest + LAG {
        for (ahead, behind, (expected, script), _) in &mut players {
            for (player, at) in [(ahead, Some(at)), (behind, at.checked_sub(LAG))] {
                let Some((step, entry)) =
                    at.and_then(|at| script.steps.get(at).zip(expected.get(at)))
                else {
                    continue;
                };
                let found = player.play(step).at(step).at(script.role)?;
                same_entry(entry, &found).at(step).at(script.role)?;
            }
        }
    }
    Ok(())
}

/// How long an answer of the host took is no part of a result.
fn told_slowly(subject: &Subject) -> Held {
    let Some(script) = subject.script("peek") else { return Ok(()) };
    let disk = subject.disk(&script.module)?;
    let expected = play_all(&disk, &script.steps)?;
    let slow: Arc<dyn Host> = Arc::new(Slow(host()));
    let steps: Vec<_> = script.steps.iter().map(|step| step.with_host(slow.clone())).collect();
    Player::new(&disk)?.follow(&steps, &expected)
}

/// A host that takes its time.
struct Slow(MapHost);

impl Host for Slow {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        thread::sleep(Duration::from_millis(150));
        self.0.read(what, range)
    }
    fn log(&self, _line: &str) {}
}

/// Some hundred calls: never looked at, looked at each time, and sent to itself now and then.
fn long(subject: &Subject) -> Held {
    let disk = subject.disk(&subject.roles.counter)?;
    let steps: Vec<Step> = (0..LONG).map(|nonce| subject.step(nonce, GO)).collect();
    let expected = play_all(&disk, &steps)?;
    unobserved(&disk, &steps, &expected).at("not frozen between calls")?;
    let (mut player, mut rng) = (Player::new(&disk)?, Rng::new(5, "long"));
    for (step, expected) in steps.iter().zip(&expected) {
        if rng.once_in(2) {
            player = player.moved(&disk).at(step)?;
        }
        must!(player.root() != expected.root, "{step}: it counted, and its root is the one before");
        same_entry(expected, &player.play(step).at(step)?).at(step).at("evicted now and then")?;
    }
    Ok(())
}

/// How far one drive is behind the other.
const LAG: usize = 2;
/// Calls of a long life.
const LONG: u64 = 300;

fn repeated(subject: &Subject, script: &Script) -> Result<Vec<Entry>, Broken> {
    let disk = subject.disk(&script.module)?;
    let expected = play_all(&disk, &script.steps)?;
    must!(
        disk.id() == subject.disk(&script.module)?.id(),
        "the disk has another id when read again"
    );
    let again = || Player::new(&disk)?.follow(&script.steps, &expected);
    again().at("again")?;
    elsewhere(|| Player::new(&subject.disk(&script.module)?)?.follow(&script.steps, &expected))
        .at("read again, on another thread")?;
    from_thread_to_thread(&disk, &script.steps, &expected).at("each call on another thread")?;
    side_by_side(&disk, script, &expected).at("four drives at a time")?;
    unobserved(&disk, &script.steps, &expected).at("not frozen between calls")?;
    observed(&disk, &script.steps, &expected).at("looked at between calls")?;
    stirred(&disk, script, &expected).at("on a heap that was stirred")?;
    let ticks: Vec<_> = script.steps.iter().map(Step::tick).collect();
    Player::new(&disk)?.follow(&ticks, &expected).at("as cron ticks")?;
    Ok(expected)
}

/// Before each call much is taken from the heap and given back in another order: whoever goes by addresses goes
/// another way.
fn stirred(disk: &Arc<dyn Disk>, script: &Script, expected: &[Entry]) -> Held {
    let (mut player, mut rng) = (Player::new(disk)?, Rng::new(8, script.role));
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for (step, expected) in script.steps.iter().zip(expected) {
        taken.extend((0..4000).map(|_| Vec::with_capacity(1 + rng.place(600))));
        for _ in 0..2000 {
            taken.swap_remove(rng.place(taken.len()));
        }
        std::hint::black_box(&taken);
        same_entry(expected, &player.play(step).at(step)?).at(step)?;
    }
    Ok(())
}

/// Somebody asks for its size, and freezes it more than once, some of which are kept.
fn observed(disk: &Arc<dyn Disk>, steps: &[Step], expected: &[Entry]) -> Held {
    let (mut player, mut kept) = (Player::new(disk)?, Vec::new());
    for (at, (step, expected)) in steps.iter().zip(expected).enumerate() {
        let mut drive = player.take()?;
        for _ in 0..=at % 3 {
            let frozen = drive.freeze()?;
            let _ = (drive.resident_bytes(), frozen.held_bytes());
            kept.push(frozen);
        }
        let image = player.image().clone();
        player = Player::on(disk, drive, &image);
        same_entry(expected, &player.play(step).at(step)?).at(step)?;
        if at % 2 == 0 {
            kept.remove(0);
        }
    }
    Ok(())
}

fn from_thread_to_thread(disk: &Arc<dyn Disk>, steps: &[Step], expected: &[Entry]) -> Held {
    let mut player = Player::new(disk)?;
    for (step, expected) in steps.iter().zip(expected) {
        let found = elsewhere(|| player.play(step)).at(step)?;
        same_entry(expected, &found).at(step)?;
    }
    Ok(())
}

fn side_by_side(disk: &Arc<dyn Disk>, script: &Script, expected: &[Entry]) -> Held {
    let follow = || Player::new(disk)?.follow(&script.steps, expected);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| spawn(scope, follow)).collect();
        threads.into_iter().try_for_each(|thread| join(thread?))
    })
}

/// Nobody looks until the end. A drive lost to a fault is mounted again, and what was done is done again.
pub(super) fn unobserved(disk: &Arc<dyn Disk>, steps: &[Step], expected: &[Entry]) -> Held {
    let mut drive = Some(disk.clone().mount(disk.blank())?);
    let mut done = Vec::new();
    for (step, expected) in steps.iter().zip(expected) {
        let ready = match drive.take() {
            Some(drive) => drive,
            None => replayed(disk, &done)?,
        };
        let (after, receipt) = run(ready, step).at(step)?;
        same(&expected.receipt, &receipt).at(step)?;
        if receipt.fault().is_none() {
            done.push(step.clone());
        }
        drive = after;
    }
    let mut last = match drive {
        Some(drive) => drive,
        None => replayed(disk, &done)?,
    };
    let (found, expected) =
        (last.freeze()?.image()?.root(), expected.last().map(|entry| entry.root));
    must!(Some(found) == expected, "root {expected:?} became {found}");
    Ok(())
}

fn replayed(disk: &Arc<dyn Disk>, done: &[Step]) -> Result<Box<dyn drivebay_disk::Drive>, Broken> {
    let mut drive = disk.clone().mount(disk.blank())?;
    for step in done {
        let (after, _) = run(drive, step).at(step)?;
        drive = after.ok_or_else(|| Broken::new("what was done once, faults when done again"))?;
    }
    Ok(drive)
}
