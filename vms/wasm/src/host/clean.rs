//! Imports of `wasm32-drivebay-1`: a subset of WASI preview 1, answered from the call alone, and our own.

use super::cx::{Args, Cx, Out};
use super::{Row, row};
use crate::limits::PRINTED_BYTES;
use crate::trap::Stop;
use drivebay_disk::{FaultCode, Resource};

const WASI: &str = "wasi_snapshot_preview1";
const EBADF: i32 = 8;
const EFAULT_NONE: i32 = 0;
const ESPIPE: i32 = 70;

/// The longest id that `drivebay.read` takes: a transaction id is 43 bytes.
const ID_BYTES: u64 = 128;

/// Every import of the format.
pub(super) const ROWS: &[Row] = &[
    row(WASI, "fd_write", "iiii>i", fd_write),
    row(WASI, "fd_read", "iiii>i", fd_read),
    row(WASI, "fd_close", "i>i", |_, args| std_only(args)),
    row(WASI, "fd_seek", "ijii>i", |_, args| {
        Ok(Out::I32(if is_std(args.i32(0)) { ESPIPE } else { EBADF }))
    }),
    row(WASI, "fd_fdstat_get", "ii>i", fd_fdstat_get),
    row(WASI, "fd_prestat_get", "ii>i", |_, _| Ok(Out::I32(EBADF))),
    row(WASI, "fd_prestat_dir_name", "iii>i", |_, _| Ok(Out::I32(EBADF))),
    row(WASI, "environ_sizes_get", "ii>i", none_of_two),
    row(WASI, "environ_get", "ii>i", |_, _| Ok(Out::I32(0))),
    row(WASI, "args_sizes_get", "ii>i", none_of_two),
    row(WASI, "args_get", "ii>i", |_, _| Ok(Out::I32(0))),
    row(WASI, "clock_time_get", "iji>i", clock_time_get),
    row(WASI, "clock_res_get", "ii>i", clock_res_get),
    row(WASI, "random_get", "ii>i", random_get),
    row(WASI, "sched_yield", ">i", |_, _| Ok(Out::I32(0))),
    row(WASI, "proc_exit", "i>", |_, args| {
        Err(Stop::Fault(FaultCode::Raised, format!("proc_exit({})", args.i32(0))))
    }),
    row("drivebay", "read", "iiijii>j", read),
    row("drivebay", "size", "iii>j", size),
    row("drivebay", "log", "ii>", log),
    row("env", "abort", "iiii>", abort),
];

fn is_std(fd: i32) -> bool {
    (0..=2).contains(&fd)
}

fn std_only(args: Args<'_>) -> Result<Out, Stop> {
    Ok(Out::I32(if is_std(args.i32(0)) { EFAULT_NONE } else { EBADF }))
}

/// Text for the author: never part of a result.
fn fd_write(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let fd = args.i32(0);
    if !(1..=2).contains(&fd) {
        return Ok(Out::I32(EBADF));
    }
    let mut total = 0u64;
    for (at, len) in cx.iovecs(args.ptr(1), args.ptr(2))? {
        let (text, run) = cx.slice_and_run(at, len)?;
        run.print_stream(fd, text);
        total = total.saturating_add(len);
    }
    cx.put_ptr(args.ptr(3), total)?;
    Ok(Out::I32(0))
}

/// Standard input is at its end.
fn fd_read(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    if args.i32(0) != 0 {
        return Ok(Out::I32(EBADF));
    }
    cx.put_i32(args.ptr(3), 0)?;
    Ok(Out::I32(0))
}

/// Type character device, no flags, no rights (24 bytes).
fn fd_fdstat_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    if !is_std(args.i32(0)) {
        return Ok(Out::I32(EBADF));
    }
    let mut stat = [0u8; 24];
    stat[0] = 2;
    cx.write(args.ptr(1), &stat)?;
    Ok(Out::I32(0))
}

fn none_of_two(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    cx.put_i32(args.ptr(0), 0)?;
    cx.put_i32(args.ptr(1), 0)?;
    Ok(Out::I32(0))
}

/// The message's own time in nanoseconds, whichever clock is asked: nothing passes during a call.
fn clock_time_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let now = cx.run()?.call.timestamp_ms.saturating_mul(1_000_000);
    cx.put_i64(args.ptr(2), now.cast_signed())?;
    Ok(Out::I32(0))
}

fn clock_res_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    cx.put_i64(args.ptr(1), 1_000_000)?;
    Ok(Out::I32(0))
}

/// The call's seed, stretched: BLAKE3's output stream, from its start in every call.
fn random_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (at, len) = (args.ptr(0), args.ptr(1));
    let run = cx.run()?;
    let mut stream = blake3::Hasher::new_keyed(&run.call.seed).finalize_xof();
    stream.set_position(run.random_at);
    run.random_at = run.random_at.saturating_add(len);
    stream.fill(cx.slice(at, len)?);
    Ok(Out::I32(0))
}

fn resource(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Option<Resource>, Stop> {
    let len = args.ptr(2);
    if len > ID_BYTES {
        return Ok(None);
    }
    let Ok(id) = String::from_utf8(cx.slice(args.ptr(1), len)?.to_vec()) else { return Ok(None) };
    Ok(match args.i32(0) {
        0 => Some(Resource::Data(id)),
        1 => Some(Resource::Transaction(id)),
        2 => id.parse().ok().map(Resource::Block),
        _ => None,
    })
}

/// `read(kind, id, id_len, offset, into, into_len)`: bytes read, or -1 if it is not admitted.
fn read(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let Some(what) = resource(cx, args)? else { return Ok(Out::I64(-1)) };
    let (from, into, len) = (args.i64(3).cast_unsigned(), args.ptr(4), args.ptr(5));
    cx.slice(into, len)?;
    let host = cx.run()?.host.clone();
    let Some(data) = host.read(&what, from..from.saturating_add(len))? else {
        return Ok(Out::I64(-1));
    };
    let bytes = data.bytes.get(..data.bytes.len().min(len as usize)).unwrap_or_default();
    cx.write(into, bytes)?;
    Ok(Out::I64(bytes.len() as i64))
}

/// `size(kind, id, id_len)`: bytes in all, or -1 if it is not admitted.
fn size(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let Some(what) = resource(cx, args)? else { return Ok(Out::I64(-1)) };
    let host = cx.run()?.host.clone();
    let data = host.read(&what, 0..0)?;
    Ok(Out::I64(data.map_or(-1, |data| data.total.cast_signed())))
}

fn log(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (text, run) = cx.slice_and_run(args.ptr(0), args.ptr(1))?;
    // A longer one would not be kept anyway.
    if text.len() < PRINTED_BYTES {
        run.print(&String::from_utf8_lossy(text));
    }
    Ok(Out::None)
}

/// AssemblyScript's `abort(message, file, line, column)`: its strings are UTF-16, their length in bytes
/// stands in the 4 bytes before.
fn abort(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let message = script_string(cx, args.ptr(0))?;
    let file = script_string(cx, args.ptr(1))?;
    let place = format!("{file}:{}:{}", args.i32(2), args.i32(3));
    Err(Stop::Fault(FaultCode::Raised, format!("abort: {message} at {place}")))
}

fn script_string(cx: &mut Cx<'_>, at: u64) -> Result<String, Stop> {
    const LONGEST: u64 = 1024;
    let Some(header) = at.checked_sub(4) else { return Ok("(none)".into()) };
    let len = u64::from(cx.get_i32(header)?.cast_unsigned()).min(LONGEST) & !1;
    let units: Vec<u16> = cx
        .slice(at, len)?
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)))
        .collect();
    Ok(String::from_utf16_lossy(&units))
}
