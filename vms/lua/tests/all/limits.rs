//! The memory limit: exact to the byte, and the same for a world that was never left as for one that was mounted.

use crate::{long, maker, reader, roles};
use drivebay_disk::testing::{MapHost, call};
use drivebay_disk::{Disk, Drive, FaultCode, Fuel, Limits, Mode, NoArtifacts, Ran};
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("memory: warm and mounted trip at the same byte", warm_and_mounted),
        Trial::test("memory: programs of chance trip at the same byte", programs_of_chance),
        Trial::test("memory: a byte more of text needs a byte more of memory", by_the_byte),
    ]
}

/// A drive that gave itself back, how a dry-run on it ended, and its fuel.
type Verdict = (Box<dyn Drive>, Option<FaultCode>, Fuel);

/// The verdict of a dry-run of the next call under a limit.
fn verdict(
    drive: Box<dyn Drive>,
    nonce: u64,
    data: &str,
    memory_bytes: u64,
) -> Result<Verdict, Failed> {
    let call = call(nonce).data(data.to_owned()).mode(Mode::DryRun).build();
    // Near the limit much is counted again, which costs.
    let limits = Limits { memory_bytes, fuel: Fuel(1 << 40), ..roles::LIMITS };
    match drive.run(call, &limits, Arc::new(MapHost::new())).unwrap() {
        Ran::Dry { drive: Some(drive), fault, meter, .. } => {
            Ok((drive, fault.map(|fault| fault.code), meter.fuel))
        }
        _ => Err("a dry-run that did not come back".into()),
    }
}

/// The least limit with which the call passes.
fn least(mut drive: Box<dyn Drive>, data: &str) -> Result<(Box<dyn Drive>, u64), Failed> {
    let (mut fails, mut passes) = (0, roles::LIMITS.memory_bytes);
    while passes - fails > 1 {
        let middle = u64::midpoint(fails, passes);
        let (back, fault, _) = verdict(drive, 900, data, middle)?;
        drive = back;
        match fault {
            None => passes = middle,
            Some(FaultCode::OutOfMemory) => fails = middle,
            Some(other) => return Err(format!("{other:?} under {middle} bytes").into()),
        }
    }
    Ok((drive, passes))
}

fn played(disk: &Arc<dyn Disk>, calls: u64) -> Result<Box<dyn Drive>, Failed> {
    let mut drive = disk.clone().mount(disk.blank())?;
    for nonce in 0..calls {
        let call = call(nonce).data("x").build();
        drive = match drive.run(call, &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
            Ran::Done { drive, .. } => drive,
            _ => return Err("a call of the world failed".into()),
        };
    }
    Ok(drive)
}

fn warm_and_mounted() -> Result<(), Failed> {
    let disk = reader().read(&roles::module(include_str!("world.lua")), &NoArtifacts)?;
    for calls in if long() { vec![1, 7, 60, 200, 400] } else { vec![1, 60] } {
        let mut warm = played(&disk, calls)?;
        let mut mounted = disk.clone().mount(&warm.freeze()?.image()?)?;
        let (back, least) = least(warm, "x")?;
        warm = back;
        for limit in (least - 150..least + 150).chain((0..40).map(|step| step * least / 30)) {
            let (back, fault, fuel) = verdict(warm, 900, "x", limit)?;
            let (again, its_fault, its_fuel) = verdict(mounted, 900, "x", limit)?;
            (warm, mounted) = (back, again);
            if (fault, fuel) != (its_fault, its_fuel) {
                return Err(format!(
                    "after {calls} calls, under {limit} bytes: {fault:?}, {fuel} warm, {its_fault:?}, {its_fuel} mounted"
                )
                .into());
            }
            if (limit >= least) != fault.is_none() {
                return Err(format!("{fault:?} under {limit}, and the least is {least}").into());
            }
        }
    }
    Ok(())
}

/// Evaluates programs, and keeps what they made, in tables, closures and coroutines that wait.
const KEEPER: &str = "kept, n = {}, 0
function handle(msg)
  local made = assert(load(msg.Data))()
  local wait = coroutine.wrap(function() while true do coroutine.yield(#made) end end)
  n = n + 1
  kept[n % 7 + 1] = { made, function() return made, n end, wait, [made] = wait() }
  return 'ok'
end";
const PROGRAMS: u64 = 15;
const PROGRAMS_LONG: u64 = 400;

/// Each program passes with N bytes, and not with one less: on a drive that was never left, with all the garbage of
/// those before it, and on one that was mounted just now.
fn programs_of_chance() -> Result<(), Failed> {
    let disk = reader().read(&roles::module(KEEPER), &NoArtifacts)?;
    let mut warm = disk.clone().mount(disk.blank())?;
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..if long() { PROGRAMS_LONG } else { PROGRAMS } {
        let program = format!("{}\nreturn out", maker::program(number));
        let mut mounted = disk.clone().mount(&warm.freeze()?.image()?)?;
        let (back, needed) = least(warm, &program)?;
        warm = back;
        for limit in [needed - 1, needed, needed + 1] {
            let (back, fault, fuel) = verdict(warm, 900, &program, limit)?;
            let (again, its_fault, its_fuel) = verdict(mounted, 900, &program, limit)?;
            (warm, mounted) = (back, again);
            if (fault, fuel) != (its_fault, its_fuel) || fault.is_none() != (limit >= needed) {
                return Err(format!(
                    "program {number} needs {needed}; under {limit} {fault:?}, {fuel} warm, {its_fault:?}, {its_fuel} mounted"
                )
                .into());
            }
        }
        seen.insert(needed);
        let call = call(number).data(program).build();
        warm = match warm.run(call, &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
            Ran::Done { drive, .. } => drive,
            _ => return Err(format!("program {number} failed").into()),
        };
    }
    if seen.len() < 5 { Err("all need the same: nothing was tried".into()) } else { Ok(()) }
}

fn by_the_byte() -> Result<(), Failed> {
    let source = "function handle(msg) kept = ('x'):rep(tonumber(msg.Data)) return 'ok' end";
    let disk = reader().read(&roles::module(source), &NoArtifacts)?;
    let mut drive = played_once(&disk)?;
    let mut before = None;
    for length in 5000..5040 {
        let (back, needed) = least(drive, &length.to_string())?;
        drive = back;
        if before.is_some_and(|before| needed != before + 1) {
            return Err(format!("{length} bytes of text: {before:?}, then {needed}").into());
        }
        before = Some(needed);
    }
    Ok(())
}

fn played_once(disk: &Arc<dyn Disk>) -> Result<Box<dyn Drive>, Failed> {
    let drive = disk.clone().mount(disk.blank())?;
    let call = call(0).data("10").build();
    match drive.run(call, &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
        Ran::Done { drive, .. } => Ok(drive),
        _ => Err("the first call failed".into()),
    }
}
