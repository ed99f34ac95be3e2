//! Modules that nobody vouches for, and compiled code that nobody should believe.

use super::{
    Broken, Held,
    broken::{At, must},
    player::{Player, elsewhere, panicked, play_all, try_run},
    receipt::same_entry,
    rng::Rng,
    script::{Script, Step, Subject},
};
use bytes::Bytes;
use drivebay_disk::{
    ArtifactStore, Digest, Disk, Fuel, HostError, Limits, Module, MountError, NoArtifacts,
    ReadError,
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

/// Bent modules for each role.
const CASES: u64 = 64;
/// Fuel of each run of a bent module.
const BENT_FUEL: u64 = 50_000;

/// A bent module is refused, twice; or read, twice, and then it runs like any other.
pub(super) fn refusal(subject: &Subject) -> Held {
    for (role, program) in subject.roles.all() {
        let Some(module) = program.program() else { continue };
        unknown(subject, module).at(role)?;
        let before = subject.disk(module)?;
        for case in 0..CASES {
            let mut rng = Rng::new(case, role);
            let bytes = bent(&module.bytes, case, &mut rng);
            let bent = Module::new(bytes, module.format.clone(), module.tags.clone());
            unpanicked(|| read_and_run(subject, &bent))
                .at(format!("{role}, bent module {case}"))?;
        }
        // Whatever was read since, this one is what it was.
        let after = subject.disk(module).at("after bent modules").at(role)?;
        let step = subject.step(0, "go");
        let [before, after] = [before, after].map(|disk| {
            Ok::<_, Broken>((disk.id(), Player::new(&disk)?.play(&with_little(&step, BENT_FUEL))?))
        });
        let (before, after) = (before?, after?);
        must!(before.0 == after.0, "{role}: after bent modules its disk has another id");
        same_entry(&before.1, &after.1).at("after bent modules").at(role)?;
    }
    Ok(())
}

/// A sound module of a format that no reader has.
fn unknown(subject: &Subject, module: &Module) -> Held {
    let module = Module { format: "no-such-format".into(), ..module.clone() };
    unpanicked(|| match subject.reader.read(&module, &NoArtifacts) {
        Err(ReadError::Refused(_)) => Ok(()),
        Err(ReadError::Host(error)) => not_a_bug(error),
        Ok(_) => Err(Broken::new("a format unknown to it is not refused")),
    })
}

/// A panic is a finding, and the case that it came from is still known.
pub(super) fn unpanicked(work: impl FnOnce() -> Held) -> Held {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// Cut, flipped, spliced, or with little left of it but its first bytes.
fn bent(bytes: &[u8], case: u64, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let place = rng.place(bytes.len() + 1);
    match case % 8 {
        0 => bytes.truncate(place),
        1..=3 => flip(&mut bytes, rng),
        4 => (0..8).for_each(|_| flip(&mut bytes, rng)),
        5 => bytes.insert(place, rng.byte()),
        6 => {
            let end = (place + rng.place(16)).min(bytes.len());
            bytes.drain(place..end);
        }
        _ => {
            bytes.truncate(rng.place(12));
            bytes.extend((0..rng.place(300)).map(|_| rng.byte()).collect::<Vec<u8>>());
        }
    }
    bytes
}

/// Flips one bit.
pub(super) fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let place = rng.place(bytes.len());
    let bit = 1 << rng.below(8);
    bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= bit);
}

fn read_and_run(subject: &Subject, module: &Module) -> Held {
    let first = subject.reader.read(module, &NoArtifacts);
    let second = elsewhere(|| Ok(subject.reader.read(module, &NoArtifacts)))?;
    let disk = match (first, second) {
        (Ok(disk), Ok(again)) => {
            must!(
                disk.blank().root() == again.blank().root(),
                "read again, its blank state differs"
            );
            must!(disk.id() == again.id(), "read again, it has another id");
            let of = disk.blank().header().module;
            must!(of == module.id, "the disk read of module {} is of module {of}", module.id);
            disk
        }
        (Err(ReadError::Refused(one)), Err(ReadError::Refused(other))) => {
            must!(one.code == other.code, "refused as {:?}, then as {:?}", one.code, other.code);
            return Ok(());
        }
        (Err(ReadError::Host(error)), _) | (_, Err(ReadError::Host(error))) => {
            return not_a_bug(error);
        }
        _ => return Err(Broken::new("refused once, and read once")),
    };
    let drive = match disk.clone().mount(disk.blank()) {
        Ok(drive) => drive,
        Err(MountError::Host(error)) => return not_a_bug(error),
        Err(refused) => return Err(Broken::new(format!("its own blank state: {refused}"))),
    };
    let steps = subject.steps(&["go", "fault", "go"]);
    runs(drive, steps.iter().map(|step| with_little(step, BENT_FUEL)))
}

pub(super) fn with_little(step: &Step, fuel: u64) -> Step {
    let fuel = Fuel(fuel.min(step.limits.fuel.0));
    step.with_limits(Limits { fuel, ..step.limits })
}

/// Runs until the drive is gone. Whatever comes of it, it is no bug of the machine.
pub(super) fn runs(
    mut drive: Box<dyn drivebay_disk::Drive>,
    steps: impl Iterator<Item = Step>,
) -> Held {
    for step in steps {
        drive = match try_run(drive, &step)? {
            Ok((Some(drive), _)) => drive,
            Ok((None, _)) => return Ok(()),
            Err(failure) => {
                not_a_bug(failure.error)?;
                let Some(drive) = failure.drive else { return Ok(()) };
                drive
            }
        };
        match drive.freeze().and_then(|frozen| frozen.image()) {
            Ok(_) => {}
            Err(error) => return not_a_bug(error),
        }
    }
    Ok(())
}

/// A host may lack memory for what is bent. A bug is what the guest should not be able to cause.
pub(super) fn not_a_bug(error: HostError) -> Held {
    match error {
        HostError::Bug { .. } => Err(error.into()),
        _ => Ok(()),
    }
}

/// What is done to compiled code between putting it and getting it.
#[derive(Clone, Copy, Debug)]
enum Keeping {
    /// Nothing.
    Honest,
    /// One bit of it is flipped.
    Flipped,
    /// Its end is missing.
    Cut,
    /// Another module's is given in its place.
    Swapped,
}

struct Shelf {
    kept: Mutex<BTreeMap<Digest, Bytes>>,
    keeping: Keeping,
}

impl ArtifactStore for Shelf {
    fn get(&self, key: &Digest) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = kept.get(key)?.to_vec();
        match self.keeping {
            Keeping::Honest => {}
            Keeping::Flipped => {
                let mut rng = Rng::new(bytes.len() as u64, "shelf");
                flip(&mut bytes, &mut rng);
            }
            Keeping::Cut => bytes.truncate(bytes.len() / 2),
            Keeping::Swapped => return kept.values().find(|other| **other != bytes).cloned(),
        }
        Some(bytes.into())
    }
    fn put(&self, key: &Digest, sealed: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(*key, Bytes::copy_from_slice(sealed));
    }
    fn seal_key(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Disks read with a store that was filled before, honest or not, are the same disks.
pub(super) fn artifacts(subject: &Subject) -> Held {
    let scripts: Vec<Script> = subject.scripts();
    for keeping in [Keeping::Honest, Keeping::Flipped, Keeping::Cut, Keeping::Swapped] {
        let shelf = Shelf { kept: Mutex::default(), keeping };
        for script in &scripts {
            subject.reader.read(&script.module, &shelf).map_err(Broken::from).at(script.role)?;
        }
        for script in &scripts {
            let place = format!("{}, with artifacts {keeping:?}", script.role);
            let disk = subject.reader.read(&script.module, &shelf).map_err(Broken::from);
            let disk: Arc<dyn Disk> = disk.at(&place)?;
            let expected = play_all(&subject.disk(&script.module)?, &script.steps)?;
            Player::new(&disk)?.follow(&script.steps, &expected).at(&place)?;
        }
    }
    Ok(())
}
