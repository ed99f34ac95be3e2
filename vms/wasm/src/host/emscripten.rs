//! Imports of the loader formats: emscripten's C library, answered as the reference answers.
//!
//! What the calls mean is in `posix`; here are their names, their signatures in each format, and how
//! their arguments come out of guest memory.

use super::cx::{Args, Cx, Out};
use super::{Row, row};
use super::{files, time, weave};
use crate::abi;
use crate::posix::{self, Flavor};
use crate::trap::Stop;

const ENOSYS: i32 = 52;
const WASI: &str = "wasi_snapshot_preview1";

/// Names that format 1 has in place of its imports', in the module `a`.
const MINIFIED: &[(&str, &str)] = &[
    ("w", "__syscall_dup3"),
    ("d", "__syscall_fcntl64"),
    ("z", "__syscall_ioctl"),
    ("r", "__syscall_lstat64"),
    ("g", "__syscall_openat"),
    ("s", "__syscall_renameat"),
    ("t", "__syscall_rmdir"),
    ("e", "__syscall_unlinkat"),
    ("a", "_emscripten_date_now"),
    ("A", "_emscripten_get_now_is_monotonic"),
    ("p", "_emscripten_throw_longjmp"),
    ("B", "_gmtime_js"),
    ("C", "_localtime_js"),
    ("i", "_mktime_js"),
    ("j", "_tzset_js"),
    ("D", "abort"),
    ("k", "emscripten_memcpy_big"),
    ("q", "emscripten_resize_heap"),
    ("u", "environ_get"),
    ("v", "environ_sizes_get"),
    ("l", "exit"),
    ("c", "fd_close"),
    ("y", "fd_read"),
    ("o", "fd_seek"),
    ("f", "fd_write"),
    ("h", "getTempRet0"),
    ("x", "invoke_vii"),
    ("b", "setTempRet0"),
    ("n", "strftime"),
    ("m", "system"),
];

/// Imports that copy memory, under all their names: the rewriter answers them inside the module.
pub(crate) const COPIES: &[(&str, &str)] = &[
    ("a", "k"),
    ("env", "emscripten_memcpy_big"),
    ("env", "emscripten_memcpy_js"),
    ("env", "_emscripten_memcpy_js"),
];

/// The full name of an import of module `a`.
pub(super) fn plain_name(minified: &str) -> Option<&'static str> {
    MINIFIED.iter().find(|(short, _)| *short == minified).map(|(_, name)| *name)
}

/// The module that an import of full name belongs to.
pub(super) fn home_of(name: &str) -> &'static str {
    if name.starts_with("fd_") || name.starts_with("environ_") { WASI } else { "env" }
}

/// Every import of the loader formats but `invoke_*`.
pub(super) const ROWS: &[Row] = &[
    // Ends.
    row("env", "abort", ">", |_, _| Err(aborted("native code called abort()"))),
    row("env", "_abort_js", ">", |_, _| Err(aborted("native code called abort()"))),
    row("env", "exit", "i>", |_, args| Err(Stop::Exit(args.i32(0)))),
    row("env", "__assert_fail", "ppip>", |_, _| Err(aborted("Assertion failed"))),
    row("env", "__cxa_throw", "ppp>", |_, _| Err(Stop::trapped("uncaught C++ exception"))),
    row("env", "_emscripten_throw_longjmp", ">", |_, _| Err(Stop::LongJump)),
    row("env", "_dlinit", "i>", |_, _| Ok(Out::None)),
    row("env", "_dlopen_js", "i>i", |_, _| Err(aborted("dynamic linking is off"))),
    row("env", "_dlsym_js", "ii>i", |_, _| Err(aborted("dynamic linking is off"))),
    row("env", "emscripten_err", "p>", emscripten_err),
    // A cell, memory, the meter.
    row("env", "getTempRet0", ">i", |cx, _| Ok(Out::I32(cx.posix().temp_ret))),
    row("env", "setTempRet0", "i>", |cx, args| {
        cx.posix().temp_ret = args.i32(0);
        Ok(Out::None)
    }),
    row("env", "emscripten_memcpy_big", "ppp>", memcpy),
    row("env", "emscripten_memcpy_js", "ppp>", memcpy),
    row("env", "_emscripten_memcpy_js", "ppp>", memcpy),
    row("env", "emscripten_resize_heap", "p>i", resize_heap),
    row("env", "emscripten_get_heap_max", ">p", |cx, _| {
        Ok(Out::Ptr(abi::heap_max(cx.world().rules)))
    }),
    row("env", "metering_gasUsed", ">i", gas_used),
    // A shell. The reference runs one in format 4, on the operator's machine; nobody else should.
    row("env", "system", "i>i", system),
    row("env", "_emscripten_system", "p>i", system),
    // Time.
    row("env", "emscripten_date_now", ">d", |cx, _| Ok(Out::F64(cx.posix().date_now()))),
    row("env", "_emscripten_date_now", ">d", |cx, _| Ok(Out::F64(cx.posix().date_now()))),
    row("env", "emscripten_get_now", ">d", |cx, _| Ok(Out::F64(cx.posix().get_now()))),
    row("env", "_emscripten_get_now_is_monotonic", ">i", |_, _| Ok(Out::I32(1))),
    row("env", "_gmtime_js", "ii>", time::gmtime),
    row("env", "_gmtime_js", "iii>", time::gmtime),
    row("env", "_gmtime_js", "jj>", time::gmtime),
    row("env", "_localtime_js", "ii>", time::localtime),
    row("env", "_localtime_js", "iii>", time::localtime),
    row("env", "_localtime_js", "jj>", time::localtime),
    row("env", "_mktime_js", "i>i", time::mktime),
    row("env", "_mktime_js", "j>j", time::mktime),
    row("env", "_tzset_js", "iii>", time::tzset),
    row("env", "_tzset_js", "pppp>", time::tzset),
    row("env", "strftime", "pppp>p", time::strftime),
    row("env", "strftime_l", "ppppp>p", time::strftime),
    // Files by path.
    row("env", "__syscall_openat", "ippp>i", files::openat),
    row("env", "__syscall_openat", "ipip>i", files::openat),
    row("env", "__syscall_unlinkat", "ipi>i", files::unlinkat),
    row("env", "__syscall_rmdir", "p>i", files::rmdir),
    row("env", "__syscall_renameat", "ipip>i", files::renameat),
    row("env", "__syscall_mkdirat", "ipi>i", files::mkdirat),
    row("env", "__syscall_readlinkat", "ippp>i", files::readlinkat),
    row("env", "__syscall_faccessat", "ipii>i", files::faccessat),
    row("env", "__syscall_chmod", "pi>i", files::chmod),
    row("env", "__syscall_utimensat", "ippi>i", files::utimensat),
    row("env", "__syscall_stat64", "pp>i", files::stat64),
    row("env", "__syscall_lstat64", "pp>i", files::lstat64),
    row("env", "__syscall_newfstatat", "ippi>i", files::newfstatat),
    row("env", "__syscall_getcwd", "pp>i", files::getcwd),
    // Files by descriptor.
    row("env", "__syscall_fstat64", "ip>i", files::fstat64),
    row("env", "__syscall_fchmod", "ii>i", files::fchmod),
    row("env", "__syscall_fchown32", "iii>i", files::fchown32),
    row("env", "__syscall_ftruncate64", "iii>i", files::ftruncate64),
    row("env", "__syscall_ftruncate64", "ij>i", files::ftruncate64),
    row("env", "__syscall_fcntl64", "iip>i", files::fcntl64),
    row("env", "__syscall_ioctl", "iip>i", files::ioctl),
    row("env", "__syscall_dup3", "iii>i", files::dup3),
    row("env", "_mmap_js", "iiiiii>i", files::mmap),
    row("env", "_munmap_js", "ppiiip>i", files::munmap),
    row(WASI, "fd_write", "ippp>i", files::fd_write),
    row(WASI, "fd_read", "ippp>i", files::fd_read),
    row(WASI, "fd_seek", "iiiii>i", files::fd_seek),
    row(WASI, "fd_seek", "ijip>i", files::fd_seek),
    row(WASI, "fd_close", "i>i", files::fd_close),
    row(WASI, "fd_sync", "i>i", files::fd_sync),
    row(WASI, "fd_fdstat_get", "ip>i", files::fd_fdstat_get),
    row(WASI, "environ_sizes_get", "pp>i", environ_sizes_get),
    row(WASI, "environ_get", "pp>i", environ_get),
    // WeaveDrive.
    row("env", "__asyncjs__weavedrive_open", "pp>i", weave::open),
    row("env", "__asyncjs__weavedrive_read", "ipp>i", weave::read),
    row("env", "__asyncjs__weavedrive_close", "i>i", weave::close),
];

fn aborted(what: &str) -> Stop {
    Stop::trapped(format!("Aborted({what})"))
}

/// A line for standard error.
fn emscripten_err(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let text = cx.c_string(args.ptr(0), 4096)?;
    cx.run()?.print(&String::from_utf8_lossy(&text));
    Ok(Out::None)
}

/// `HEAPU8.copyWithin`: overlaps are moved, what lies past the end of memory is left out, nothing traps.
fn memcpy(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let clamp = |at: u64, len: usize| usize::try_from(at).unwrap_or(usize::MAX).min(len);
    let size = cx.bytes()?.len();
    let (to, from) = (clamp(args.ptr(0), size), clamp(args.ptr(1), size));
    let end = clamp(args.ptr(1).saturating_add(args.ptr(2)), size);
    let len = (end - from).min(size - to);
    cx.charge(crate::limits::fuel_for_bytes(len as u64))?;
    cx.bytes()?.copy_within(from..from + len, to);
    Ok(Out::None)
}

/// Grows the memory by the loader's own steps; 0 if the module's maximum forbids them all.
fn resize_heap(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let memory = cx.guest()?.memory;
    Ok(Out::I32(i32::from(abi::resize(cx.store(), memory, args.ptr(0))?)))
}

/// The gas so far, as JavaScript's `|0` has it.
fn gas_used(cx: &mut Cx<'_>, _: Args<'_>) -> Result<Out, Stop> {
    let Some(gas) = cx.guest()?.gas else { return Ok(Out::I32(0)) };
    match gas.get(cx.store()) {
        wasmtime::Val::I64(used) => Ok(Out::I64(used)),
        _ => Ok(Out::I32(0)),
    }
}

/// `system(3)`: without a command, whether there is a shell (format 4 says yes); with one, never.
fn system(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let flavor = cx.posix().flavor();
    if args.ptr(0) == 0 {
        return Ok(Out::I32(i32::from(flavor == Flavor::Fmt4)));
    }
    if matches!(flavor, Flavor::Fmt1 | Flavor::Fmt2) {
        set_errno(cx, ENOSYS)?;
        return Ok(Out::I32(-1));
    }
    Ok(Out::I32(-ENOSYS))
}

/// Sets the guest's `errno` through its own `__errno_location`, where it has one.
fn set_errno(cx: &mut Cx<'_>, errno: i32) -> Result<(), Stop> {
    let guest = cx.guest()?;
    let named = ["__errno_location", "K"];
    let Some(place) = named.iter().find_map(|name| guest.instance.get_func(cx.store(), name))
    else {
        return Ok(());
    };
    let at = cx.call(&place, &[]);
    cx.put_i32(abi::pointer(super::stopped(at)?), errno)
}

fn strings(cx: &mut Cx<'_>) -> Vec<Vec<u8>> {
    posix::environment(cx.posix().flavor(), abi::PROGRAM)
}

fn environ_sizes_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let strings = strings(cx);
    let bytes: usize = strings.iter().map(|text| text.len() + 1).sum();
    cx.put_ptr(args.ptr(0), strings.len() as u64)?;
    cx.put_ptr(args.ptr(1), bytes as u64)?;
    Ok(Out::I32(0))
}

/// Pointers at the first place, the strings one after the other at the second.
fn environ_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let width = if cx.wide() { 8 } else { 4 };
    let (mut slot, mut at) = (args.ptr(0), args.ptr(1));
    for text in strings(cx) {
        cx.put_ptr(slot, at)?;
        cx.write(at, &[text.as_slice(), &[0]].concat())?;
        slot = slot.saturating_add(width);
        at = at.saturating_add(text.len() as u64 + 1);
    }
    Ok(Out::I32(0))
}
