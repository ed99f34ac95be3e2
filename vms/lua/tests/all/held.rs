//! Frozen states that are held for a while, and asked late: each is what it was.

use crate::{long, reader, roles};
use drivebay_disk::testing::{MapHost, call};
use drivebay_disk::{Drive, Frozen, NoArtifacts, Ran, Root};
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("held: many states at once, asked in any order", many),
        Trial::test("held: a state outlives its drive", outlives),
        Trial::test("held: states outlive drives whose memory others use", outlive),
    ]
}

struct Twins {
    ours: Box<dyn Drive>,
    /// Plays the same, and is asked at once.
    theirs: Box<dyn Drive>,
    nonce: u64,
}

impl Twins {
    fn new() -> Result<Self, Failed> {
        let disk = reader().read(&roles::module(include_str!("world.lua")), &NoArtifacts)?;
        let mount = || disk.clone().mount(disk.blank());
        Ok(Self { ours: mount()?, theirs: mount()?, nonce: 0 })
    }

    fn step(self) -> Result<(Self, Arc<dyn Frozen>, Root), Failed> {
        let nonce = self.nonce;
        let mut ours = run(self.ours, nonce)?;
        let mut theirs = run(self.theirs, nonce)?;
        let frozen = ours.freeze()?;
        let root = theirs.freeze()?.image()?.root();
        Ok((Self { ours, theirs, nonce: nonce + 1 }, frozen, root))
    }
}

fn run(drive: Box<dyn Drive>, nonce: u64) -> Result<Box<dyn Drive>, Failed> {
    let call = call(nonce).data("x").build();
    match drive.run(call, &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
        Ran::Done { drive, .. } => Ok(drive),
        _ => Err("a call of the world failed".into()),
    }
}

fn many() -> Result<(), Failed> {
    let mut twins = Twins::new()?;
    let mut held: Vec<(Arc<dyn Frozen>, Root)> = Vec::new();
    let mut seed = 5_u64;
    for _ in 0..if long() { 600 } else { 80 } {
        let (next, frozen, root) = twins.step()?;
        twins = next;
        held.push((frozen, root));
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (seed >> 33) as usize % held.len();
        match seed >> 61 {
            // Let go of one, ask one and let go of it, or ask the oldest and keep it.
            0..3 => drop(held.swap_remove(place)),
            3..5 => same(&held.swap_remove(place))?,
            5 => same(held.first().ok_or("none is held")?)?,
            _ => {}
        }
    }
    held.iter().try_for_each(same)
}

fn same((frozen, root): &(Arc<dyn Frozen>, Root)) -> Result<(), Failed> {
    let found = frozen.image()?.root();
    if found == *root { Ok(()) } else { Err("a held state is another than it was".into()) }
}

fn outlives() -> Result<(), Failed> {
    let (twins, _, _) = Twins::new()?.step()?;
    let (twins, old, old_root) = twins.step()?;
    let (twins, new, new_root) = twins.step()?;
    drop(twins);
    same(&(new, new_root))?;
    same(&(Arc::clone(&old), old_root))?;
    run(old.thaw()?, 9).map(drop)
}

/// Drives come and go, with and without a state that is held longer, in two threads at once.
fn outlive() -> Result<(), Failed> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(come_and_go)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })
}

fn come_and_go() -> Result<(), Failed> {
    let mut held: Vec<(Arc<dyn Frozen>, Root)> = Vec::new();
    for round in 0..12 {
        let mut twins = Twins::new()?;
        for _ in 0..round % 4 {
            (twins, _, _) = twins.step()?;
        }
        let (mut twins, frozen, root) = twins.step()?;
        if round % 3 == 0 {
            (twins, _, _) = twins.step()?;
        }
        drop(twins);
        held.push((frozen, root));
        if let Some((frozen, _)) = held.get(round / 2) {
            run(frozen.thaw()?, 9)?;
        }
        held.iter().try_for_each(same)?;
        if round % 5 == 4 {
            held.clear();
        }
    }
    Ok(())
}
