//! Programs that try to get out, to get more, or to stay: each ends as it must, and the process goes on.

use crate::{long, reader, roles};
use drivebay_disk::testing::{MapHost, call};
use drivebay_disk::{
    Drive, FaultCode, Fuel, Image, Limits, MountError, NoArtifacts, Output, Pages, Ran, SectionName,
};
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

/// `--- verdict: name`, then Lua. The verdict is a fault's name, or `ok` and then the output is `ok` too.
const CORPUS: &str = include_str!("hostile.lua.txt");
/// Fuel enough for what fills the memory.
const LIMITS: Limits = Limits { fuel: Fuel(6_000_000), ..roles::LIMITS };
const BENT: usize = 200;
const BENT_LONG: usize = 10_000;

pub(crate) fn trials() -> Vec<Trial> {
    let cases = CORPUS.split("\n--- ").skip(1).map(|part| {
        let (head, program) = part.split_once('\n').unwrap();
        let (verdict, name) = head.split_once(": ").unwrap();
        Trial::test(format!("hostile: {name}"), move || case(verdict, program))
    });
    let bent = Trial::test("hostile: bent images", bent_images);
    cases.chain([bent]).collect()
}

/// The program is a function of the global world; before and after it a counter counts.
fn case(verdict: &str, program: &str) -> Result<(), Failed> {
    let source = format!(
        "count = 0\nfunction handle(msg)\n  if msg.Data ~= 'attack' then count = count + 1 return 'n' .. count end\n{program}\nend"
    );
    let disk = reader().read(&roles::module(source), &NoArtifacts)?;
    let mut drive = disk.clone().mount(disk.blank())?;
    drive = plain(drive, 0, "n1")?;
    let before = drive.freeze()?.image()?.root();
    let ran = run(drive, 1, "attack");
    let (drive, found) = match ran {
        Ran::Done { drive, reply, .. } => {
            let said = match reply.output {
                Output::Text(text) => text,
                other => format!("{other:?}"),
            };
            (Some(drive), said)
        }
        Ran::Faulted { drive, fault, .. } => {
            let mut drive = drive.ok_or("the drive is lost")?;
            let after = drive.freeze()?.image()?.root();
            if after != before {
                return Err("the fault left a mark".into());
            }
            (Some(drive), format!("{:?}", fault.code))
        }
        Ran::Dry { .. } => return Err("nobody asked for a dry-run".into()),
    };
    if found != verdict {
        return Err(format!("expected {verdict}, found {found}").into());
    }
    let drive = drive.ok_or("the drive is lost")?;
    plain(drive, 2, "n2").map(drop)
}

fn plain(drive: Box<dyn Drive>, nonce: u64, expected: &str) -> Result<Box<dyn Drive>, Failed> {
    match run(drive, nonce, "go") {
        Ran::Done { drive, reply, .. } if reply.output == Output::Text(expected.into()) => {
            Ok(drive)
        }
        Ran::Done { reply, .. } => Err(format!("{:?} instead of {expected}", reply.output).into()),
        Ran::Faulted { fault, .. } => Err(format!("{:?}: {}", fault.code, fault.note).into()),
        Ran::Dry { .. } => Err("nobody asked for a dry-run".into()),
    }
}

fn run(drive: Box<dyn Drive>, nonce: u64, data: &str) -> Ran {
    let call = call(nonce).data(data.to_owned()).build();
    drive.run(call, &LIMITS, Arc::new(MapHost::new())).unwrap()
}

/// Images of a full world with bytes changed, cut, put in and swapped: refused, or mounted as what they say,
/// and then they run.
fn bent_images() -> Result<(), Failed> {
    let world = include_str!("world.lua");
    let disk = reader().read(&roles::module(world), &NoArtifacts)?;
    let mut drive = disk.clone().mount(disk.blank())?;
    for nonce in 0..40 {
        drive = done(run(drive, nonce, "x"))?;
    }
    let image = drive.freeze()?.image()?;
    let name = SectionName::new("world");
    let bytes = image.pages(&name).unwrap().to_vec(u64::MAX).unwrap();
    // Past the source text, where a change is only another program.
    let text = bytes.windows(9).rposition(|window| window == b"function ").unwrap_or(0);
    let (mut seed, mut mounted) = (7_u64, 0);
    for _ in 0..if long() { BENT_LONG } else { BENT } {
        let bent = bend(&bytes, text, &mut seed);
        let image = Image::new(image.header().clone()).with(name, Pages::from_bytes(&bent));
        match disk.clone().mount(&image) {
            Err(MountError::Refused(_)) => {}
            Err(MountError::Host(error)) => return Err(error.to_string().into()),
            Ok(mut drive) => {
                mounted += 1;
                if drive.freeze()?.image()?.root() != image.root() {
                    return Err("a world that is written otherwise than it was read".into());
                }
                bent_run(drive);
            }
        }
    }
    if mounted == 0 {
        Err("not one bent image is a world: too few were tried".into())
    } else {
        Ok(())
    }
}

fn bent_run(mut drive: Box<dyn Drive>) {
    let limits = Limits { fuel: Fuel(200_000), ..LIMITS };
    for nonce in 40..44 {
        let call = call(nonce).data("x").build();
        drive = match drive.run(call, &limits, Arc::new(MapHost::new())).unwrap() {
            Ran::Done { drive, .. } => drive,
            Ran::Faulted { drive, fault, .. } => {
                assert_ne!(fault.code, FaultCode::BadCall);
                drive.unwrap()
            }
            Ran::Dry { .. } => unreachable!("scheduled"),
        };
        drive.freeze().unwrap().image().unwrap();
    }
}

fn done(ran: Ran) -> Result<Box<dyn Drive>, Failed> {
    match ran {
        Ran::Done { drive, .. } => Ok(drive),
        Ran::Faulted { fault, .. } => Err(format!("{:?}: {}", fault.code, fault.note).into()),
        Ran::Dry { .. } => Err("nobody asked for a dry-run".into()),
    }
}

fn bend(bytes: &[u8], from: usize, seed: &mut u64) -> Vec<u8> {
    let mut next = |below: usize| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize % below.max(1)
    };
    let mut bent = bytes.to_vec();
    let at = from + next(bytes.len() - from);
    match next(7) {
        0 => bent[at] ^= 1 << next(8),
        1 => bent[at] = bent[at].wrapping_add(1),
        2 => bent[at] = next(256) as u8,
        3 => bent.truncate(at),
        4 => bent.insert(at, next(256) as u8),
        5 => {
            let from = from + next(bytes.len() - from);
            let count = (1 + next(12)).min(bytes.len() - from.max(at));
            bent[at..at + count].copy_from_slice(&bytes[from..from + count]);
        }
        _ => {
            let other = from + next(bytes.len() - from);
            bent.swap(at, other);
        }
    }
    bent
}
