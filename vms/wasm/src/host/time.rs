//! The calendar: `struct tm` in guest memory.

use super::cx::{Args, Cx, Out};
use super::stopped;
use crate::abi::pointer;
use crate::posix::{self, Flavor, TimeZone, Tm, Zone};
use crate::trap::Stop;

/// Longest `strftime` format that is looked at.
const FORMAT_BYTES: usize = 1 << 16;
/// Longest zone name that is looked at.
const ZONE_BYTES: usize = 1 << 10;

fn flavor(cx: &mut Cx<'_>) -> Flavor {
    cx.posix().flavor()
}

/// The seconds, and where the `struct tm` is: through a pointer, in two halves, or in one, by format.
fn seconds(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(i64, u64), Stop> {
    Ok(match flavor(cx) {
        Flavor::Fmt1 | Flavor::Fmt2 => (i64::from(cx.get_i32(args.ptr(0))?), args.ptr(1)),
        Flavor::Fmt3 | Flavor::Fmt4 => (args.halves(0), args.ptr(2)),
        Flavor::Wasm64 => (args.i64(0), args.ptr(1)),
    })
}

fn put_words(cx: &mut Cx<'_>, at: u64, words: &[i32]) -> Result<(), Stop> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    cx.write(at, &bytes)
}

fn get_tm(cx: &mut Cx<'_>, at: u64) -> Result<Tm, Stop> {
    let mut words = [0; 9];
    for (n, word) in words.iter_mut().enumerate() {
        *word = cx.get_i32(at.saturating_add(4 * n as u64))?;
    }
    Ok(Tm::from_words(words))
}

/// Eight words: what follows them is left alone.
pub(super) fn gmtime(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (seconds, at) = seconds(cx, args)?;
    let [sec, min, hour, mday, mon, year, wday, yday, _] = posix::gmtime(seconds).to_words();
    put_words(cx, at, &[sec, min, hour, mday, mon, year, wday, yday])?;
    Ok(Out::None)
}

/// Nine words and the offset from UTC, which is 0.
pub(super) fn localtime(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (seconds, at) = seconds(cx, args)?;
    let tm = match posix::localtime(flavor(cx), seconds) {
        Ok(tm) => tm,
        Err(posix::Fail::Abort(abort)) => return Err(abort.into()),
        Err(posix::Fail::Errno(_)) => Tm::default(),
    };
    put_words(cx, at, &Tm { isdst: 0, ..tm }.to_words())?;
    if cx.wide() {
        cx.put_i64(at.saturating_add(40), 0)?;
    } else {
        cx.put_i32(at.saturating_add(36), 0)?;
    }
    Ok(Out::None)
}

/// Normalises the fields in place; the seconds, their high half through the guest's own cell in formats 3
/// and 4.
pub(super) fn mktime(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let flavor = flavor(cx);
    let at = args.ptr(0);
    let tm = get_tm(cx, at)?;
    let (plain, seconds) = posix::mktime(flavor, tm);
    put_words(cx, at, &plain.to_words())?;
    if let Flavor::Fmt3 | Flavor::Fmt4 = flavor {
        let name = if flavor == Flavor::Fmt3 { "setTempRet0" } else { "_emscripten_tempret_set" };
        let guest = cx.guest()?;
        if let Some(set) = guest.instance.get_func(cx.store(), name) {
            // The high half.
            let high = (seconds >> 32) as i32;
            stopped(cx.call(&set, &[wasmtime::Val::I32(high)]))?;
        }
    }
    Ok(Out::I64(seconds))
}

/// Zone and names, once an instance in formats 1 and 2. UTC, whatever the host's zone is.
pub(super) fn tzset(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    if !cx.posix().tzset() {
        return Ok(Out::None);
    }
    cx.put_ptr(args.ptr(0), 0)?;
    cx.put_i32(args.ptr(1), 0)?;
    match posix::time_zone(flavor(cx)) {
        TimeZone::Given(name) => {
            cx.write(args.ptr(3), name)?;
            cx.write(args.ptr(2), name)?;
        }
        TimeZone::Allocated(name) => {
            let winter = allocate(cx, name)?;
            let summer = allocate(cx, name)?;
            cx.put_ptr(args.ptr(2), summer)?;
            cx.put_ptr(args.ptr(2).saturating_add(4), winter)?;
        }
    }
    Ok(Out::None)
}

fn allocate(cx: &mut Cx<'_>, bytes: &[u8]) -> Result<u64, Stop> {
    let guest = cx.guest()?;
    let malloc = guest.malloc.ok_or_else(|| Stop::trapped("the module has no malloc"))?;
    let size = cx.number(bytes.len() as u64);
    let at = pointer(stopped(cx.call(&malloc, &[size]))?);
    cx.write(at, bytes)?;
    Ok(at)
}

/// `(s, max, format, tm)`: the length without its NUL, or 0 with nothing written if it does not fit.
pub(super) fn strftime(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (into, max, at) = (args.ptr(0), args.ptr(1), args.ptr(3));
    let format = cx.c_string(args.ptr(2), FORMAT_BYTES)?;
    let tm = get_tm(cx, at)?;
    let (offset, name) = if cx.wide() {
        (cx.get_i64(at.saturating_add(40))?, cx.get_ptr(at.saturating_add(48))?)
    } else {
        (i64::from(cx.get_i32(at.saturating_add(36))?), cx.get_ptr(at.saturating_add(40))?)
    };
    let name = if name == 0 { Vec::new() } else { cx.c_string(name, ZONE_BYTES)? };
    cx.charge(crate::limits::fuel_for_bytes(format.len() as u64 * 64))?;
    let zone = Zone { offset, name: &name };
    match posix::strftime(&format, &tm, zone, max) {
        Ok(Some(text)) => {
            // The text ends with its NUL, which the length leaves out.
            cx.write(into, &text)?;
            Ok(Out::Ptr((text.len() as u64).saturating_sub(1)))
        }
        Ok(None) => Ok(Out::Ptr(0)),
        Err(posix::Fail::Abort(abort)) => Err(abort.into()),
        Err(posix::Fail::Errno(_)) => Ok(Out::Ptr(0)),
    }
}
