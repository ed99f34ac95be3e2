//! The image is the state: laws about going away, back, and aside.

use super::{
    Broken, Held,
    broken::{At, must},
    player::{Player, elsewhere, join, play_all, run, spawn, try_run, written},
    receipt::{Entry, same, same_entry},
    rng::Rng,
    roles::{ASK, GO, KNOWN},
    script::{Script, Step, Subject},
};
use drivebay_disk::{
    Data, Disk, Drive, FaultCode, Frozen, Fuel, Host, HostError, Image, Resource, Root,
    testing::NoHost,
};
use std::{ops::Range, sync::Arc, thread};

/// How many calls a twin plays.
const TWIN_CALLS: usize = 3;
/// How often a call is cut short before it is let through.
const CUTS: u64 = 12;

/// After every call the process goes to another disk as a file, and nothing shows it.
pub(super) fn image(subject: &Subject) -> Held {
    for script in subject.scripts() {
        imaged(subject, &script).at(script.role)?;
    }
    Ok(())
}

fn imaged(subject: &Subject, script: &Script) -> Held {
    let (here, there) = (subject.disk(&script.module)?, subject.disk(&script.module)?);
    let expected = play_all(&here, &script.steps)?;
    let mut player = Player::new(&here)?;
    for (step, expected) in script.steps.iter().zip(&expected) {
        player = player.moved(&there).at(step)?;
        must!(
            player.freeze()?.image()?.root() == player.root(),
            "{step}: mounted, it has another root"
        );
        side_by_side(&here, player.image(), (step, expected)).at(step)?;
        let found = player.play(step).at(step)?;
        same_entry(expected, &found).at(step)?;
    }
    if script.role == "counter" {
        distinct(disk_roots(&here, &expected)).at("its states")?;
    }
    Ok(())
}

/// Two drives of one image: neither sees the other, nor does the image see either.
fn side_by_side(disk: &Arc<dyn Disk>, image: &Image, (step, expected): (&Step, &Entry)) -> Held {
    let before = written(image)?;
    let [mut one, mut other] = [Player::at(disk, image)?, Player::at(disk, image)?];
    same_entry(expected, &one.play(step)?).at("the first of two drives of one image")?;
    must!(other.freeze()?.image()?.root() == image.root(), "one drive of an image changed another");
    same_entry(expected, &other.play(step)?).at("the second of two drives of one image")?;
    must!(written(image)? == before, "drives that were mounted from it changed an image");
    Ok(())
}

fn disk_roots(disk: &Arc<dyn Disk>, entries: &[Entry]) -> Vec<Root> {
    let done = entries.iter().filter(|entry| entry.receipt.fault().is_none());
    std::iter::once(disk.blank().root()).chain(done.map(|entry| entry.root)).collect()
}

/// Whoever counts is never again where it was, so no two of its states may have one root.
fn distinct(roots: Vec<Root>) -> Held {
    for (at, root) in roots.iter().enumerate() {
        let before = roots.iter().take(at).position(|other| other == root);
        must!(before.is_none(), "{at} and {before:?} are other states, and have one root");
    }
    Ok(())
}

/// A state at rest, and what is known of it.
struct Kept {
    at: usize,
    root: Root,
    image: Image,
    /// The image as a file, when it was taken.
    file: Vec<u8>,
    frozen: Arc<dyn Frozen>,
    early: Box<dyn Drive>,
}

/// Twins of every state, thawed before, while and after the writer goes on.
pub(super) fn freeze(subject: &Subject) -> Held {
    for script in subject.scripts() {
        frozen(subject, &script).at(script.role)?;
    }
    Ok(())
}

fn frozen(subject: &Subject, script: &Script) -> Held {
    let disk = subject.disk(&script.module)?;
    let (steps, expected) = (&script.steps, play_all(&disk, &script.steps)?);
    let mut writer = Player::new(&disk)?;
    let mut kept = Vec::new();
    for (at, (step, entry)) in steps.iter().zip(&expected).enumerate() {
        let frozen = writer.freeze()?;
        let (root, image) = (writer.root(), writer.image().clone());
        let file = written(&image)?;
        // Every second twin goes its way before the writer does, and is given up.
        if at % 2 == 0 {
            twin(&disk, frozen.thaw()?, &image, (at, steps, &expected))
                .at("a twin that went first")?;
        }
        let early = frozen.thaw()?;
        let found = thread::scope(|scope| {
            let meanwhile = || twin(&disk, frozen.thaw()?, &image, (at, steps, &expected));
            let threads = [spawn(scope, meanwhile)?, spawn(scope, meanwhile)?];
            let imaging = spawn(scope, || Ok(frozen.image()?.root()))?;
            let found = writer.play(step);
            for thread in threads {
                join(thread).at("a twin thawed while the writer ran")?;
            }
            let meanwhile = join(imaging)?;
            must!(meanwhile == root, "imaged while the writer ran, it has root {meanwhile}");
            found
        })?;
        same_entry(entry, &found).at(step).at("the writer, beside its twins")?;
        kept.push(Kept { at, root, image, file, frozen, early });
    }
    drop(writer);
    kept.into_iter().try_for_each(|kept| looked_at(&disk, kept, steps, &expected))
}

/// The writer is gone. What it left stands as it stood.
fn looked_at(disk: &Arc<dyn Disk>, kept: Kept, steps: &[Step], expected: &[Entry]) -> Held {
    let Kept { at, root, image, file, frozen, early } = kept;
    let place = format!("frozen before call {at}");
    must!(written(&image)? == file, "{place}: its image became another");
    twin(disk, early, &image, (at, steps, expected)).at("a twin thawed early").at(&place)?;
    twin(disk, frozen.thaw()?, &image, (at, steps, expected))
        .at("a twin thawed late")
        .at(&place)?;
    elsewhere(|| twin(disk, frozen.thaw()?, &image, (at, steps, expected)))
        .at("a twin thawed elsewhere")
        .at(&place)?;
    for _ in 0..2 {
        let found = frozen.image()?;
        must!(found.root() == root, "{place}: its root {root} became {}", found.root());
        must!(written(&found)? == file, "{place}: its image is written differently");
    }
    let again = frozen.thaw()?.freeze()?;
    drop(frozen);
    twin(disk, again.thaw()?, &image, (at, steps, expected)).at("a twin of a twin").at(&place)
}

/// Plays some calls from `at` on a thawed drive, and holds them to what the writer got.
fn twin(
    disk: &Arc<dyn Disk>,
    drive: Box<dyn Drive>,
    image: &Image,
    (at, steps, expected): (usize, &[Step], &[Entry]),
) -> Held {
    let rest = |len: usize| at.min(len)..(at + TWIN_CALLS).min(len);
    let steps = steps.get(rest(steps.len())).unwrap_or_default();
    let expected = expected.get(rest(expected.len())).unwrap_or_default();
    Player::on(disk, drive, image).follow(steps, expected)
}

/// Faults between the calls, of every kind and at every place, change nothing for the calls.
pub(super) fn fault(subject: &Subject) -> Held {
    for script in subject.scripts() {
        let disk = subject.disk(&script.module)?;
        let entries = play_all(&disk, &script.steps)?;
        unmarked(&disk, &script.steps, &entries).at(script.role)?;
        cut_short(subject, &script).at(script.role)?;
    }
    Ok(())
}

/// Each fault leaves the root, and without the faults all else is the same.
pub(super) fn unmarked(disk: &Arc<dyn Disk>, steps: &[Step], entries: &[Entry]) -> Held {
    let mut root = disk.blank().root();
    for (step, entry) in steps.iter().zip(entries) {
        if entry.receipt.fault().is_some() {
            must!(entry.root == root, "{step}: root {root} became {} by a fault", entry.root);
        }
        root = entry.root;
    }
    let both = steps.iter().cloned().zip(entries.iter().cloned());
    let good = both.filter(|(_, entry)| entry.receipt.fault().is_none());
    let (steps, expected): (Vec<_>, Vec<_>) = good.unzip();
    Player::new(disk)?.follow(&steps, &expected).at("without the calls that faulted")
}

fn cut_short(subject: &Subject, script: &Script) -> Held {
    let disk = subject.disk(&script.module)?;
    let expected = play_all(&disk, &script.steps)?;
    let mut rng = Rng::new(1, script.role);
    let mut player = Player::new(&disk)?;
    for (step, expected) in script.steps.iter().zip(&expected) {
        let (root, fuel) = (player.root(), expected.receipt.meter.fuel.0);
        for cut in 0..CUTS.min(fuel) {
            let fuel = if cut < 2 { fuel.saturating_sub(cut + 1) } else { rng.below(fuel) };
            let cut = step.with_fuel(Fuel(fuel));
            let entry = player.play(&cut).at(&cut)?;
            must!(entry.receipt.fault().is_some(), "{cut}: it passed with less than it cost");
            must!(entry.root == root, "{cut}: root {root} became {} by a fault", entry.root);
        }
        let found = player.play(step).at(step)?;
        same_entry(expected, &found).at(step).at("after the same call was cut short")?;
    }
    Ok(())
}

/// A host that cannot answer stops the call, and the process waits as it was.
pub(super) fn host_error(subject: &Subject) -> Held {
    for (role, data) in [("peek", KNOWN), ("catcher", ASK)] {
        let Some(script) = subject.script(role) else { continue };
        let disk = subject.disk(&script.module).at(role)?;
        let expected = play_all(&disk, &script.steps)?;
        let mut player = Player::new(&disk)?;
        for (step, expected) in script.steps.iter().zip(&expected) {
            if step.call.slot.nonce > 0 {
                let nobody: Arc<dyn Host> = Arc::new(NoHost);
                let asking = subject.step(step.call.slot.nonce, data).with_host(nobody);
                player = unanswered(&disk, player, &asking).at(&asking).at(role)?;
                player = unanswered(&disk, player, &asking.dry()).at(&asking).at(role)?;
                for error in ailments() {
                    let ailing = asking.with_host(Arc::new(Ailing(error)));
                    player = unanswered(&disk, player, &ailing).at(&ailing).at(role)?;
                }
                unseen(&disk, (player.image(), &asking), (step, expected)).at(role)?;
            }
            let found = player.play(step).at(step).at(role)?;
            same_entry(expected, &found).at(step).at("after a host error").at(role)?;
        }
    }
    Ok(())
}

/// What may be wrong with a host besides.
fn ailments() -> [HostError; 3] {
    [
        HostError::Exhausted { what: "patience" },
        HostError::io("testing", std::io::ErrorKind::TimedOut.into()),
        drivebay_disk::bug!("a bug of the host's, as it must"),
    ]
}

/// A host that fails in its own way.
struct Ailing(HostError);

impl Host for Ailing {
    fn read(&self, _: &Resource, _: Range<u64>) -> Result<Option<Data>, HostError> {
        Err(self.0.clone())
    }
    fn log(&self, _line: &str) {}
}

/// The call that comes next, on the drive that is given back, before anybody looks at it.
fn unseen(
    disk: &Arc<dyn Disk>,
    (image, asking): (&Image, &Step),
    (step, expected): (&Step, &Entry),
) -> Held {
    let drive = disk.clone().mount(image)?;
    let Err(failure) = try_run(drive, asking)? else { return Ok(()) };
    let Some(drive) = failure.drive else { return Ok(()) };
    let (_, receipt) = run(drive, step).at(step)?;
    same(&expected.receipt, &receipt).at(step).at("at once after a host error")
}

/// Runs a call that cannot be answered; the process as a host then has it.
pub(super) fn unanswered(
    disk: &Arc<dyn Disk>,
    mut player: Player,
    asking: &Step,
) -> Result<Player, Broken> {
    let image = player.image().clone();
    match try_run(player.take()?, asking)? {
        Ok((_, receipt)) => {
            Err(Broken::new(format!("the host had no answer, yet it ended: {:?}", receipt.verdict)))
        }
        Err(failure) if failure.error.to_string() != own_words(asking) => {
            Err(Broken::new(format!("the host's error became another: {}", failure.error)))
        }
        Err(failure) => match failure.drive {
            None => Player::at(disk, &image),
            Some(drive) => {
                let mut after = Player::on(disk, drive, &image);
                let root = after.freeze()?.image()?.root();
                must!(root == image.root(), "root {} became {root} by a host error", image.root());
                Ok(after)
            }
        },
    }
}

/// What the host says when it is asked what the call asks.
fn own_words(asking: &Step) -> String {
    let data = asking.call.message.data.as_deref().unwrap_or_default();
    let what = Resource::Data(String::from_utf8_lossy(data).into_owned());
    asking.host.read(&what, 0..1).map_or_else(|error| error.to_string(), |_| String::new())
}

/// Dry-runs of every call between the calls change nothing, and answer as the calls do.
pub(super) fn dry(subject: &Subject) -> Held {
    for script in subject.scripts() {
        dried(subject, &script).at(script.role)?;
    }
    Ok(())
}

/// Short of fuel, the dry-run ends as the call does.
fn cut_dry(disk: &Arc<dyn Disk>, image: &Image, step: &Step, expected: &Entry) -> Held {
    let cost = expected.receipt.meter.fuel.0;
    for fuel in [cost / 2, cost.saturating_sub(1), cost] {
        let cut = step.with_fuel(Fuel(fuel));
        let call = Player::at(disk, image)?.play(&cut)?;
        let dry = Player::at(disk, image)?.play(&cut.dry())?;
        same(&call.receipt, &dry.receipt).at(format!("the dry-run with {fuel} fuel"))?;
    }
    Ok(())
}

/// Nobody looks between dry-run and call.
fn dry_unseen(disk: &Arc<dyn Disk>, image: &Image, (step, expected): (&Step, &Entry)) -> Held {
    let mut drive = disk.clone().mount(image)?;
    for _ in 0..2 {
        let (after, receipt) = run(drive, &step.dry())?;
        same(&expected.receipt, &receipt).at("a dry-run, not looked at")?;
        let Some(after) = after else { return Ok(()) };
        drive = after;
    }
    let (after, receipt) = run(drive, step)?;
    same(&expected.receipt, &receipt).at("at once after dry-runs")?;
    let Some(mut after) = after else { return Ok(()) };
    let root = after.freeze()?.image()?.root();
    must!(root == expected.root, "at once after dry-runs: root {} became {root}", expected.root);
    Ok(())
}

fn dried(subject: &Subject, script: &Script) -> Held {
    let disk = subject.disk(&script.module)?;
    let expected = play_all(&disk, &script.steps)?;
    let mut player = Player::new(&disk)?;
    for (step, expected) in script.steps.iter().zip(&expected) {
        let root = player.root();
        let others = script.steps.iter().map(Step::dry);
        let cut = step.dry().with_fuel(Fuel(expected.receipt.meter.fuel.0 / 2));
        for other in others.chain([cut]) {
            let entry = player.play(&other).at(&other)?;
            must!(entry.root == root, "{other}: root {root} became {}", entry.root);
        }
        let first = player.play(&step.dry()).at(step)?;
        same(&expected.receipt, &first.receipt).at(step).at("the dry-run, beside the call")?;
        let aside = run(player.freeze()?.thaw()?, &step.dry()).at(step)?.1;
        same(&expected.receipt, &aside).at(step).at("the dry-run, on a twin")?;
        cut_dry(&disk, player.image(), step, expected).at(step)?;
        dry_unseen(&disk, player.image(), (step, expected)).at(step)?;
        let found = player.play(step).at(step)?;
        same_entry(expected, &found).at(step).at("after dry-runs")?;
    }
    let last = subject.step(script.steps.len() as u64, GO);
    let dry = player.play(&last.dry())?.receipt;
    must!(dry.fault() != Some(FaultCode::OutOfFuel), "a dry-run at the end runs out of fuel");
    same(&dry, &player.play(&last)?.receipt).at("the call, after its dry-run")
}
