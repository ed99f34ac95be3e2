//! What was thawed and is let go: it is counted, and goes soon where it holds much.

use crate::hard::{Step, module, mount, step};
use crate::hard_guests::clean;
use crate::roles::LIMITS;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{Drive, Frozen, Limits, Mode, NoArtifacts, PAGE};
use drivebay_wasm::{EngineKind, tracks_pages};
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

/// Pages of the guest's memory.
const PAGES: u64 = 16 * 512;

/// Limits of a process that fills it.
const ROOM: Limits = Limits { memory_bytes: PAGES * PAGE as u64, ..LIMITS };

/// Writes every page the first and the third time, and a few at all others.
const BODY: &str = "(local $at i32) (local $end i32)
    (local.set $at (i32.const 8192))
    (local.set $end (i32.const 65536))
    (if (i32.eqz (i32.and (i32.load (i32.const 4096)) (i32.const -3)))
        (then (local.set $end (i32.const 33554432))))
    (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
    (loop $next
        (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
        (br_if $next (i32.lt_u
            (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (local.get $end))))";

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("a spare guest is counted, and goes soon where it holds much", spare)]
}

/// Bytes that the drive holds more for a dry-run that is over.
fn left_by_a_reader(drive: &dyn Drive, frozen: &dyn Frozen) -> Result<u64, Failed> {
    let call = call(9).data("go").mode(Mode::DryRun).build();
    let Step { drive: thawed, fault, .. } = step(frozen.thaw()?, call, &ROOM, Arc::new(NoHost))?;
    if fault.is_some() || thawed.is_none() {
        return Err(format!("the dry-run ended in {fault:?}").into());
    }
    // What waited for it is in its hands.
    let meanwhile = drive.resident_bytes();
    drop(thawed);
    Ok(drive.resident_bytes().saturating_sub(meanwhile))
}

/// A drive, and its state for a reader.
type Stood = (Box<dyn Drive>, Arc<dyn Frozen>);

/// A message, and a reader of the state after it.
fn message(drive: Box<dyn Drive>, nonce: u64) -> Result<Stood, Failed> {
    let call = call(nonce).data("go").build();
    let done = step(drive, call, &ROOM, Arc::new(NoHost))?;
    if done.fault.is_some() {
        return Err(format!("message {nonce} ended in {:?}", done.fault).into());
    }
    let mut drive = done.drive.ok_or("the drive is lost")?;
    let frozen = drive.freeze()?;
    Ok((drive, frozen))
}

fn spare() -> Result<(), Failed> {
    if !tracks_pages() {
        // Every page is compared here, and none is told from a base's.
        return Ok(());
    }
    let disk = crate::reader(EngineKind::Speed)
        .read(&module("wasm32-drivebay-1", &clean(512, BODY)), &NoArtifacts)?;
    let mut drive = mount(&disk)?;
    let mut left = Vec::new();
    for nonce in 0..2 {
        let frozen;
        (drive, frozen) = message(drive, nonce)?;
        let root = frozen.image()?.root();
        for _ in 0..2 {
            left.push(left_by_a_reader(&*drive, &*frozen)? / PAGE as u64);
            if frozen.thaw()?.freeze()?.image()?.root() != root {
                return Err("a drive is thawed in another state".into());
            }
        }
    }
    let (few, much) = (1..PAGES / 4, PAGES / 4 + 1..2 * PAGES);
    match left.as_slice() {
        [a, b, c, d]
            if [a, b].iter().all(|n| few.contains(n))
                && [c, d].iter().all(|n| much.contains(n)) => {}
        _ => return Err(format!("pages that four dry-runs left: {left:?}").into()),
    }
    // The third message writes all, and those after it do not; nobody reads.
    let mut held = Vec::new();
    for nonce in 2..6 {
        (drive, _) = message(drive, nonce)?;
        held.push(drive.resident_bytes() / PAGE as u64);
    }
    match held.as_slice() {
        [_, before, after, _] if after + PAGES / 2 < *before => Ok(()),
        _ => Err(format!("pages held while nobody reads: {held:?}").into()),
    }
}
