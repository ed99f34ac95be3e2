//! Modules and images that somebody bent: refused with a clear error, or run like any other.

use crate::roles::{LIMITS, role};
use drivebay_conformance::laws::Rng;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{
    Disk, Drive, Fuel, HostError, Image, ImageLimits, Limits, Module, MountError, NoArtifacts, Ran,
    ReadError,
};
use drivebay_wasm::EngineKind;
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

fn cases() -> u64 {
    if crate::long() { 10_000 } else { 1_000 }
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("modules: truncated, bit-flipped and random", || modules(cases())),
        Trial::test("images: truncated, bit-flipped and random", || images(cases())),
    ]
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = rng.place(bytes.len());
    bytes[at] ^= 1 << rng.below(8);
}

/// A third each.
fn bend(sound: &[u8], case: u64, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    match case % 3 {
        0 => bytes.truncate(rng.place(sound.len())),
        1 => (0..=rng.below(4)).for_each(|_| flip(&mut bytes, rng)),
        _ => {
            bytes.truncate(rng.place(16));
            bytes.extend((0..rng.place(2_000)).map(|_| rng.byte()).collect::<Vec<u8>>());
        }
    }
    bytes
}

fn modules(cases: u64) -> Result<(), Failed> {
    let reader = crate::reader(EngineKind::Plain);
    let names = ["counter", "float", "peek", "catcher", "hog"];
    let sound: Vec<Module> = names.into_iter().map(role).collect();
    let (mut refused, mut ran) = (0, 0);
    for case in 0..cases {
        let mut rng = Rng::new(case, "wasm modules");
        let module = &sound[rng.place(sound.len())];
        let bytes = bend(&module.bytes, case, &mut rng);
        let bent = Module::new(bytes, module.format.clone(), Vec::new());
        match reader.read(&bent, &NoArtifacts) {
            Err(ReadError::Refused(refusal)) => {
                refused += 1;
                let text = refusal.to_string();
                if text.is_empty() || text.len() > drivebay_disk::NOTE_MAX {
                    return Err(format!("case {case}: an error without words: {text:?}").into());
                }
            }
            Err(ReadError::Host(error)) => return Err(format!("case {case}: {error}").into()),
            Ok(disk) => {
                ran += 1;
                run_bent(&disk).map_err(|error| format!("case {case}: {error}"))?;
            }
        }
    }
    // Both roads must have been taken, or the test shows nothing.
    if refused == 0 || ran == 0 {
        return Err(format!("{refused} refused, {ran} ran").into());
    }
    Ok(())
}

fn run_bent(disk: &Arc<dyn Disk>) -> Result<(), HostError> {
    let limits = Limits { fuel: Fuel(100_000), ..LIMITS };
    let drive = match Arc::clone(disk).mount(disk.blank()) {
        Ok(drive) => drive,
        // A module may ask for more memory than there is.
        Err(MountError::Host(HostError::Exhausted { .. })) => return Ok(()),
        Err(MountError::Host(error)) => return Err(error),
        Err(MountError::Refused(refusal)) => {
            return Err(drivebay_disk::bug!("a disk refused its own blank image: {refusal}"));
        }
    };
    run(drive, &limits).map(drop)
}

fn run(drive: Box<dyn Drive>, limits: &Limits) -> Result<Option<Box<dyn Drive>>, HostError> {
    let call = call(1).data("go").build();
    match drive.run(call, limits, Arc::new(NoHost)) {
        Ok(Ran::Done { drive, .. }) => Ok(Some(drive)),
        Ok(Ran::Faulted { drive, .. } | Ran::Dry { drive, .. }) => Ok(drive),
        Err(failure) => match failure.error {
            HostError::Unavailable { .. } | HostError::Exhausted { .. } => Ok(failure.drive),
            error => Err(error),
        },
    }
}

fn images(cases: u64) -> Result<(), Failed> {
    let reader = crate::reader(EngineKind::Plain);
    let disk = reader.read(&role("counter"), &NoArtifacts)?;
    let drive = Arc::clone(&disk).mount(disk.blank())?;
    let mut drive = run(drive, &LIMITS)?.ok_or("the counter lost its drive")?;
    let image = drive.freeze()?.image()?;
    let mut sound = Vec::new();
    image.write_to(&mut sound)?;
    let limits = ImageLimits { memory_bytes: 32 << 20, ..ImageLimits::default() };
    for case in 0..cases {
        let mut rng = Rng::new(case, "wasm images");
        let bytes = bend(&sound, case, &mut rng);
        let Ok(bent) = Image::read_from(&mut bytes.as_slice(), &limits) else { continue };
        if bent.root() == image.root() {
            continue;
        }
        match Arc::clone(&disk).mount(&bent) {
            Err(MountError::Refused(_)) => {}
            Err(MountError::Host(error)) => return Err(format!("case {case}: {error}").into()),
            Ok(mut drive) => {
                if drive.freeze()?.image()?.root() != bent.root() {
                    return Err(format!("case {case}: mounted as another state").into());
                }
            }
        }
    }
    Ok(())
}
