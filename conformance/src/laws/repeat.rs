//! The roles do what they should, and do it again.

use super::{
    Broken, Held,
    broken::{At, must},
    player::{Player, elsewhere, join, play_all, run, spawn},
    receipt::{Entry, same, same_entry},
    roles::{ABSENT, EMPTY, FAULT, GO, KNOWN, SPIN},
    script::{Script, Step, Subject},
};
use drivebay_disk::{Disk, FaultCode, Resource, testing::MapHost};
use std::{sync::Arc, thread};

/// A law about programs that do nothing holds for everything. So the programs are looked at first.
pub(super) fn roles(subject: &Subject) -> Held {
    for script in subject.scripts() {
        let entries = subject.disk(&script.module).and_then(|disk| play_all(&disk, &script.steps));
        let entries = entries.at(script.role)?;
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
    for script in subject.scripts() {
        repeated(subject, &script).at(script.role)?;
    }
    Ok(())
}

fn repeated(subject: &Subject, script: &Script) -> Held {
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
    unobserved(&disk, &script.steps, &expected).at("not frozen between calls")
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
