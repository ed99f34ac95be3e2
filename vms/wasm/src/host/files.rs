//! System calls on files: arguments out of guest memory, results back into it.

use super::cx::{Args, Cx, Out};
use crate::limits;
use crate::posix::{Abort, Answer, Flavor, Posix, Stat, Sys, negative, positive};
use crate::trap::Stop;

/// One more than the longest path that is looked at.
const PATH_BYTES: usize = 4097;
/// A page of the guest's own `mmap`.
const MAP_PAGE: u64 = 65_536;

impl From<Abort> for Stop {
    fn from(abort: Abort) -> Self {
        Self::trapped(format!("Aborted({})", abort.0))
    }
}

fn flavor(cx: &mut Cx<'_>) -> Flavor {
    cx.posix().flavor()
}

/// The path at argument `at`; the descriptor that it is relative to stands before it.
fn path(cx: &mut Cx<'_>, args: Args<'_>, at: usize) -> Result<Vec<u8>, Stop> {
    let path = super::text::path(cx, args.ptr(at), PATH_BYTES)?;
    let dir = at.checked_sub(1).map_or(0, |dir| cx.posix().path_len(args.i32(dir)));
    charge_path(cx, dir + path.len() as u64)?;
    Ok(path)
}

/// Charges for looking up a path of so many bytes.
pub(super) fn charge_path(cx: &mut Cx<'_>, bytes: u64) -> Result<(), Stop> {
    cx.charge(bytes * limits::PATH_BYTE_FUEL)
}

/// Charges for a look through all open descriptors.
pub(super) fn charge_open_files(cx: &mut Cx<'_>) -> Result<(), Stop> {
    let open = cx.posix().open_files();
    cx.charge(open * limits::OPEN_FILE_FUEL)
}

/// Charges for looking up the path that a descriptor was opened by.
fn charge_path_of(cx: &mut Cx<'_>, fd: i32) -> Result<(), Stop> {
    let bytes = cx.posix().path_len(fd);
    charge_path(cx, bytes)
}

/// A call on the file world, as a `__syscall_*` import answers it. Format 1 has no files: 0 to all.
fn call(cx: &mut Cx<'_>, run: impl FnOnce(&mut Posix) -> Sys<i32>) -> Result<Out, Stop> {
    if flavor(cx) == Flavor::Fmt1 {
        return Ok(Out::I32(0));
    }
    Ok(Out::I32(negative(run(cx.posix()))?))
}

/// A call on a descriptor, as an `fd_*` import answers it.
fn fd_call(cx: &mut Cx<'_>, run: impl FnOnce(&mut Posix) -> Sys<()>) -> Result<Out, Stop> {
    Ok(Out::I32(positive(run(cx.posix()))?))
}

pub(super) fn openat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 1)?;
    charge_open_files(cx)?;
    let mode = if args.ptr(3) == 0 { 0 } else { cx.get_i32(args.ptr(3))? };
    call(cx, |posix| posix.openat(args.i32(0), &path, args.i32(2), mode.cast_unsigned()))
}

pub(super) fn unlinkat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 1)?;
    call(cx, |posix| posix.unlinkat(args.i32(0), &path, args.i32(2)))
}

pub(super) fn rmdir(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 0)?;
    call(cx, |posix| posix.rmdir(&path))
}

pub(super) fn renameat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (old, new) = (path(cx, args, 1)?, path(cx, args, 3)?);
    call(cx, |posix| posix.renameat((args.i32(0), &old), (args.i32(2), &new)))
}

pub(super) fn mkdirat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 1)?;
    call(cx, |posix| posix.mkdirat(args.i32(0), &path, args.i32(2).cast_unsigned()))
}

pub(super) fn faccessat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 1)?;
    call(cx, |posix| posix.faccessat(args.i32(0), &path, args.i32(2), args.i32(3)))
}

pub(super) fn chmod(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 0)?;
    call(cx, |posix| posix.chmod(&path, args.i32(1).cast_unsigned()))
}

pub(super) fn fchmod(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    call(cx, |posix| posix.fchmod(args.i32(0), args.i32(1).cast_unsigned()))
}

pub(super) fn fchown32(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    call(cx, |posix| posix.fchown32(args.i32(0)))
}

pub(super) fn ftruncate64(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let len = if args.0.len() == 3 { args.halves(1) } else { args.i64(1) };
    charge_path_of(cx, args.i32(0))?;
    // Growing a file takes memory of the host: charged as if it were written.
    let now = cx.posix().fstat64(args.i32(0)).map_or(0, |stat| stat.size);
    let more = u64::try_from(len).unwrap_or(0).saturating_sub(now);
    cx.charge(limits::fuel_for_bytes(more))?;
    call(cx, |posix| posix.ftruncate64(args.i32(0), len))
}

pub(super) fn dup3(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    charge_open_files(cx)?;
    call(cx, |posix| posix.dup3(args.i32(0), args.i32(1), args.i32(2)))
}

/// `{seconds, nanoseconds}` twice; both 8 bytes wide in 64-bit formats and from format 3 on.
pub(super) fn utimensat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 1)?;
    let at = args.ptr(2);
    let old = matches!(flavor(cx), Flavor::Fmt1 | Flavor::Fmt2);
    let step = if old { 8 } else { 16 };
    let mut times = None;
    if at != 0 {
        let mut both = [(0, 0); 2];
        for (n, time) in both.iter_mut().enumerate() {
            let here = at.saturating_add(n as u64 * step);
            let seconds = if old { i64::from(cx.get_i32(here)?) } else { cx.get_i64(here)? };
            *time = (seconds, cx.get_i32(here.saturating_add(step / 2))?);
        }
        times = Some(both);
    }
    call(cx, |posix| posix.utimensat(args.i32(0), &path, times, args.i32(3)))
}

/// Writes a `struct stat` over what is there: its padding keeps its bytes.
fn put_stat(cx: &mut Cx<'_>, at: u64, stat: Sys<Stat>) -> Result<Out, Stop> {
    let flavor = flavor(cx);
    if flavor == Flavor::Fmt1 {
        return Ok(Out::I32(0));
    }
    match stat {
        Ok(stat) => {
            stat.write_to(flavor, cx.slice(at, Stat::size(flavor))?);
            Ok(Out::I32(0))
        }
        Err(fail) => Ok(Out::I32(negative(Err(fail))?)),
    }
}

pub(super) fn stat64(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 0)?;
    let stat = cx.posix().stat64(&path);
    put_stat(cx, args.ptr(1), stat)
}

pub(super) fn lstat64(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 0)?;
    let stat = cx.posix().lstat64(&path);
    put_stat(cx, args.ptr(1), stat)
}

pub(super) fn newfstatat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = path(cx, args, 1)?;
    let stat = cx.posix().newfstatat(args.i32(0), &path, args.i32(3));
    put_stat(cx, args.ptr(2), stat)
}

pub(super) fn fstat64(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    charge_path_of(cx, args.i32(0))?;
    let stat = cx.posix().fstat64(args.i32(0));
    put_stat(cx, args.ptr(1), stat)
}

/// The link's target, cut to the buffer, and a NUL over the byte after it only where the reference has one.
pub(super) fn readlinkat(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    if flavor(cx) == Flavor::Fmt1 {
        return Ok(Out::I32(0));
    }
    let path = path(cx, args, 1)?;
    match cx.posix().readlinkat(args.i32(0), &path, args.ptr(3)) {
        Ok(target) => {
            cx.write(args.ptr(2), &target)?;
            Ok(Out::I32(i32::try_from(target.len()).unwrap_or(i32::MAX)))
        }
        Err(fail) => Ok(Out::I32(negative(Err(fail))?)),
    }
}

pub(super) fn getcwd(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    match cx.posix().getcwd(args.ptr(1)) {
        Ok(bytes) => {
            cx.write(args.ptr(0), bytes)?;
            Ok(Out::I32(2))
        }
        Err(fail) => Ok(Out::I32(negative(Err(fail))?)),
    }
}

/// A call that writes through the pointer in its variable arguments.
fn put_answer(cx: &mut Cx<'_>, varargs: u64, answer: Sys<Answer>) -> Result<Out, Stop> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fail) => return Ok(Out::I32(negative(Err(fail))?)),
    };
    if !answer.writes.is_empty() {
        let at = cx.get_ptr(varargs)?;
        for (offset, bytes) in &answer.writes {
            cx.write(at.saturating_add(*offset), bytes)?;
        }
    }
    Ok(Out::I32(answer.value))
}

pub(super) fn fcntl64(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    if flavor(cx) == Flavor::Fmt1 {
        return Ok(Out::I32(0));
    }
    charge_open_files(cx)?;
    let (command, varargs) = (args.i32(1), args.ptr(2));
    let wanted = cx.posix().fcntl_has_argument(command);
    let argument = if wanted { cx.get_i32(varargs)? } else { 0 };
    let answer = cx.posix().fcntl64(args.i32(0), command, argument);
    put_answer(cx, varargs, answer)
}

pub(super) fn ioctl(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    if flavor(cx) == Flavor::Fmt1 {
        return Ok(Out::I32(0));
    }
    let answer = cx.posix().ioctl(args.i32(0), args.i32(1));
    put_answer(cx, args.ptr(2), answer)
}

pub(super) fn fd_write(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let fd = args.i32(0);
    if let Err(fail) = cx.posix().fd_check(fd) {
        return Ok(Out::I32(positive(Err(fail))?));
    }
    let gap = cx.posix().gap(fd);
    cx.charge(gap / limits::HOST_BYTES_PER_FUEL)?;
    let mut total = 0u64;
    for (at, len) in cx.iovecs(args.ptr(1), args.ptr(2))? {
        let (bytes, posix) = cx.slice_and_posix(at, len)?;
        if let Err(fail) = posix.fd_write(fd, bytes) {
            return Ok(Out::I32(positive(Err(fail))?));
        }
        total = total.saturating_add(len);
    }
    cx.put_ptr(args.ptr(3), total)?;
    Ok(Out::I32(0))
}

pub(super) fn fd_read(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let fd = args.i32(0);
    if let Err(fail) = cx.posix().fd_check(fd) {
        return Ok(Out::I32(positive(Err(fail))?));
    }
    let mut total = 0u64;
    for (at, len) in cx.iovecs(args.ptr(1), args.ptr(2))? {
        let (into, posix) = cx.slice_and_posix(at, len)?;
        let read = match posix.fd_read(fd, into) {
            Ok(read) => read as u64,
            Err(fail) => return Ok(Out::I32(positive(Err(fail))?)),
        };
        total = total.saturating_add(read);
        if read < len {
            break;
        }
    }
    cx.put_ptr(args.ptr(3), total)?;
    Ok(Out::I32(0))
}

/// Offset in two halves or in one, by format; the new position as 64 bits.
pub(super) fn fd_seek(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (offset, next) = if cx.wide() { (args.i64(1), 2) } else { (args.halves(1), 3) };
    match cx.posix().fd_seek(args.i32(0), offset, args.i32(next)) {
        Ok(position) => {
            cx.put_i64(args.ptr(next + 1), position.cast_signed())?;
            Ok(Out::I32(0))
        }
        Err(fail) => Ok(Out::I32(positive(Err(fail))?)),
    }
}

pub(super) fn fd_close(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    charge_open_files(cx)?;
    fd_call(cx, |posix| posix.fd_close(args.i32(0)))
}

pub(super) fn fd_sync(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    fd_call(cx, |posix| posix.fd_sync(args.i32(0)))
}

/// File type; from format 3 on also flags and rights, all 0.
pub(super) fn fd_fdstat_get(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let kind = match cx.posix().fd_type(args.i32(0)) {
        Ok(kind) => kind,
        Err(fail) => return Ok(Out::I32(positive(Err(fail))?)),
    };
    let at = args.ptr(1);
    cx.write(at, &[kind])?;
    if !matches!(flavor(cx), Flavor::Fmt1 | Flavor::Fmt2) {
        cx.write(at.saturating_add(2), &[0; 2])?;
        cx.put_i64(at.saturating_add(8), 0)?;
        cx.put_i64(at.saturating_add(16), 0)?;
    }
    Ok(Out::I32(0))
}

/// `(length, protection, flags, fd, offset, allocated)`: the file's bytes in memory of the guest's own.
pub(super) fn mmap(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let range = (args.ptr(4), args.ptr(0));
    let (rest, _) = cx.posix().around(args.i32(3), range.0);
    cx.charge(limits::fuel_for_bytes(rest.min(range.1)))?;
    let bytes = match cx.posix().mmap(args.i32(3), range, args.i32(1), args.i32(2)) {
        Ok(bytes) => bytes,
        Err(fail) => return Ok(Out::I32(negative(Err(fail))?)),
    };
    let guest = cx.guest()?;
    let Some(memalign) = guest.instance.get_func(cx.store(), "emscripten_builtin_memalign") else {
        return Err(Abort("mmap without memalign").into());
    };
    let size = args.ptr(0).next_multiple_of(MAP_PAGE);
    let wanted = [cx.number(MAP_PAGE), cx.number(size)];
    let at = crate::abi::pointer(super::stopped(cx.call(&memalign, &wanted))?);
    if at == 0 {
        // ENOMEM.
        return Ok(Out::I32(-48));
    }
    cx.slice(at, size)?.fill(0);
    cx.write(at, &bytes)?;
    cx.put_i32(args.ptr(5), 1)?;
    Ok(Out::Ptr(at))
}

/// `(address, length, protection, flags, fd, offset)`.
pub(super) fn munmap(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let fd = args.i32(4);
    let written = match cx.posix().munmap(fd, args.i32(2), args.i32(3)) {
        Ok(written) => written,
        Err(fail) => return Ok(Out::I32(negative(Err(fail))?)),
    };
    if !written {
        return Ok(Out::I32(0));
    }
    let (_, gap) = cx.posix().around(fd, args.ptr(5));
    cx.charge(gap / limits::HOST_BYTES_PER_FUEL)?;
    let (bytes, posix) = cx.slice_and_posix(args.ptr(0), args.ptr(1))?;
    let result: Sys<i32> = posix.write_back(fd, args.ptr(5), bytes).map(|()| 0);
    Ok(Out::I32(negative(result)?))
}
