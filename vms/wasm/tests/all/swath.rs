//! Messages that write much, among small ones: how they are watched shows in their cost alone.

use crate::hard::{Step, module, mount, step};
use crate::roles::LIMITS;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{Digest, Disk, Drive, FaultCode, Fuel, Limits, NoArtifacts, PAGE};
use drivebay_wasm::{EngineKind, tracks_pages};
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

/// Pages that a message writes which writes much.
const PAGES: u64 = 8192;

/// Limits of a process that grows a little.
const ROOM: Limits = Limits { fuel: Fuel(1 << 26), memory_bytes: 96 << 20, ..LIMITS };

/// The byte after `!` in a message says what is done: (u)p and (d)own over 32 MB, (b)ulk, by the (h)ost, (s)mall, a
/// (t)rap after much, much for (e)ver, and much after the memory (g)rew.
const GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 1024)
    (data (i32.const 16) "{\"Output\":1}")
    (global $free (mut i32) (i32.const 1024))
    (func (export "alloc") (param i32) (result i32)
        (global.get $free) (global.set $free (i32.const 16384)))
    (func $add (param $at i32)
        (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1))))
    (func $up (param $from i32) (param $to i32)
        (loop $next
            (call $add (local.get $from))
            (br_if $next (i32.lt_u
                (local.tee $from (i32.add (local.get $from) (i32.const 4096))) (local.get $to)))))
    (func $down (param $from i32) (param $to i32)
        (loop $next
            (call $add (local.tee $to (i32.sub (local.get $to) (i32.const 4096))))
            (br_if $next (i32.gt_u (local.get $to) (local.get $from)))))
    (func $is (param $what i32) (param $byte i32) (result i32)
        (i32.eq (local.get $what) (local.get $byte)))
    (func (export "handle") (param $at i32) (param i32 i32 i32) (result i64) (local $what i32)
        (global.set $free (i32.const 1024))
        (loop $next
            (local.set $what (i32.load8_u offset=1 (local.get $at)))
            (br_if $next (i32.ne (i32.const 33)
                (i32.load8_u (local.get $at)) (local.set $at (i32.add (local.get $at) (i32.const 1))))))
        (if (call $is (local.get $what) (i32.const 115)) (then (call $up (i32.const 65536) (i32.const 98304))))
        (if (call $is (local.get $what) (i32.const 100)) (then (call $down (i32.const 65536) (i32.const 33619968))))
        (if (call $is (local.get $what) (i32.const 103)) (then (drop (memory.grow (i32.const 4)))))
        (if (i32.or (call $is (local.get $what) (i32.const 117)) (i32.or (call $is (local.get $what) (i32.const 103))
            (call $is (local.get $what) (i32.const 116))))
            (then (call $up (i32.const 65536) (i32.const 33619968))))
        (if (call $is (local.get $what) (i32.const 116)) (then unreachable))
        (if (call $is (local.get $what) (i32.const 98)) (then
            (call $add (i32.const 65536))
            (memory.fill (i32.const 69632) (i32.load (i32.const 65536)) (i32.const 16777216))
            (memory.copy (i32.const 16846848) (i32.const 69632) (i32.const 16773120))))
        (if (call $is (local.get $what) (i32.const 104)) (then
            (drop (call $random (i32.const 65536) (i32.const 33554432)))))
        (if (call $is (local.get $what) (i32.const 101)) (then
            (loop $ever (call $down (i32.const 65536) (i32.const 33619968)) (br $ever))))
        (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 12))))"#;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("messages that write much end as without watching", same),
        Trial::test("what is written again and again has few faults", few_faults),
    ]
}

fn disk(kind: EngineKind) -> Result<Arc<dyn Disk>, Failed> {
    Ok(crate::reader(kind).read(&module("wasm32-drivebay-1", GUEST), &NoArtifacts)?)
}

/// What a message came to, and the state after it.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    fault: Option<FaultCode>,
    fuel: Fuel,
    root: Digest,
}

fn message(
    drive: Box<dyn Drive>,
    (nonce, what): (usize, char),
) -> Result<(Box<dyn Drive>, Came), Failed> {
    let call = call(nonce as u64).data(format!("!{what}")).build();
    let Step { drive, fault, meter, .. } = step(drive, call, &ROOM, Arc::new(NoHost))?;
    let mut drive = drive.ok_or("the drive is lost")?;
    let root = drive.freeze()?.image()?.root().0;
    Ok((drive, Came { fault, fuel: meter.fuel, root }))
}

/// The interpreter's accesses are stopped by nothing; and a drive that was just mounted knows nothing of before.
fn same() -> Result<(), Failed> {
    let (fast, oracle) = (disk(EngineKind::Speed)?, disk(EngineKind::Pulley)?);
    let (mut drive, mut twin, mut fresh) = (mount(&fast)?, mount(&oracle)?, mount(&fast)?);
    for turn in "ususdsbsbshsusstssusesgssugsddssbuhs".chars().enumerate() {
        let (came, as_twin, as_fresh);
        (drive, came) = message(drive, turn)?;
        (twin, as_twin) = message(twin, turn)?;
        (fresh, as_fresh) = message(fresh, turn)?;
        fresh = Arc::clone(&fast).mount(&fresh.freeze()?.image()?)?;
        if came != as_twin || came != as_fresh {
            return Err(format!("{turn:?}: {came:?}, not {as_twin:?}, {as_fresh:?}").into());
        }
        let ends = match turn.1 {
            't' => Some(FaultCode::Trapped),
            'e' => Some(FaultCode::OutOfFuel),
            _ => None,
        };
        if came.fault != ends {
            return Err(format!("{turn:?} ended in {:?}", came.fault).into());
        }
    }
    Ok(())
}

/// Page faults of this thread so far that cost no reading.
fn faults() -> Result<u64, Failed> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    Ok(fields.split_whitespace().nth(7).ok_or("no count of faults")?.parse()?)
}

fn few_faults() -> Result<(), Failed> {
    if !tracks_pages() {
        return Ok(());
    }
    let mut drive = mount(&disk(EngineKind::Speed)?)?;
    let mut counted = Vec::new();
    for turn in "ussussdssbsshss".chars().enumerate() {
        let before = faults()?;
        let came;
        (drive, came) = message(drive, turn)?;
        if came.fault.is_some() {
            return Err(format!("{turn:?}: {came:?}").into());
        }
        counted.push((turn.1, faults()? - before));
    }
    let large = counted.iter().filter(|(what, _)| *what != 's').skip(1);
    match large.clone().count() == 4 && large.clone().all(|(_, faults)| *faults < PAGES / 2) {
        true => Ok(()),
        false => {
            Err(format!("faults of {} KiB messages: {counted:?}", (PAGES * PAGE as u64) >> 10)
                .into())
        }
    }
}
