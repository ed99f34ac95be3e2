//! What HyperBEAM's device answers: four WASI calls of its own, zero for all others.

use super::cx::{Args, Cx, Out};
use super::{Row, row};
use crate::trap::Stop;

/// The rows that do not simply answer 0.
pub(super) const ROWS: &[Row] = &[
    row("env", "_emscripten_throw_longjmp", ">", |_, _| Err(Stop::LongJump)),
    // An error, and no time written: whatever seeds itself from it uses what is on its stack.
    row("wasi_snapshot_preview1", "clock_time_get", "ijp>i", |_, _| Ok(Out::I32(1))),
    row("wasi_snapshot_preview1", "fd_write", "ippp>i", fd_write),
    row("wasi_snapshot_preview1", "proc_exit", "i>", |_, args| {
        Err(Stop::trapped(format!("proc_exit({})", args.i32(0))))
    }),
];

/// Accepts everything and says so. The device itself crashes here; a count of 0 would make libc loop.
fn fd_write(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let mut total = 0u64;
    for (at, len) in cx.iovecs(args.ptr(1), args.ptr(2))? {
        let (text, run) = cx.slice_and_run(at, len)?;
        run.print_stream(args.i32(0), text);
        total = total.saturating_add(len);
    }
    cx.put_ptr(args.ptr(3), total)?;
    Ok(Out::I32(0))
}
