//! The `__syscall_*` imports, on decoded arguments. Format 1 answers 0 to all of them without a
//! look; its caller does so itself.

use super::errno::{Fail, Sys, code};
use super::limits::{DATE_MS, SAFE_INTEGER};
use super::lookup::{Found, Last, READ, SEARCH, WRITE, text};
use super::stat::Stat;
use super::tree::NO_TIME;
use super::tty::Tty;
use super::{Flavor, Posix, path};

const AT_SYMLINK_NOFOLLOW: i32 = 0x100;
const AT_REMOVEDIR: i32 = 0x200;
const AT_NO_AUTOMOUNT: i32 = 0x800;
const AT_EMPTY_PATH: i32 = 0x1000;

/// A number for the guest, and bytes to write where the call's variable argument points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) value: i32,
    /// Offset from the pointer, and bytes.
    pub(crate) writes: Vec<(u64, Vec<u8>)>,
}

impl Answer {
    fn value(value: i32) -> Self {
        Self { value, writes: Vec::new() }
    }
}

impl Posix {
    pub(crate) fn openat(&mut self, dirfd: i32, path: &[u8], flags: i32, mode: u32) -> Sys<i32> {
        let path = self.at(dirfd, path, false)?;
        self.open(&path, flags, mode)
    }

    pub(crate) fn stat64(&self, path: &[u8]) -> Sys<Stat> {
        self.stat(&text(path)?, Last::Follow)
    }

    pub(crate) fn lstat64(&self, path: &[u8]) -> Sys<Stat> {
        self.stat(&text(path)?, Last::Plain)
    }

    /// By the path that was opened, as in the reference: `ENOENT` once it is gone, another file's
    /// attributes if there is another.
    pub(crate) fn fstat64(&self, fd: i32) -> Sys<Stat> {
        self.stat(&self.fds.get(fd)?.path, Last::Follow)
    }

    pub(crate) fn newfstatat(&self, dirfd: i32, path: &[u8], flags: i32) -> Sys<Stat> {
        let mut known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
        if self.flavor != Flavor::Fmt2 {
            known |= AT_NO_AUTOMOUNT;
        }
        let bytes = text(path)?;
        if flags & !known != 0 {
            return Err(Fail::abort("unknown flags of newfstatat"));
        }
        let path = self.at(dirfd, bytes.as_bytes(), flags & AT_EMPTY_PATH != 0)?;
        let last = if flags & AT_SYMLINK_NOFOLLOW == 0 { Last::Follow } else { Last::Plain };
        self.stat(&path, last)
    }

    pub(crate) fn unlinkat(&mut self, dirfd: i32, path: &[u8], flags: i32) -> Sys<i32> {
        let path = self.at(dirfd, path, false)?;
        match flags {
            0 => self.remove_file(&path)?,
            AT_REMOVEDIR => self.remove_dir(&path)?,
            _ => return Err(Fail::abort("Invalid flags passed to unlinkat")),
        }
        Ok(0)
    }

    pub(crate) fn rmdir(&mut self, path: &[u8]) -> Sys<i32> {
        self.remove_dir(&text(path)?).map(|()| 0)
    }

    /// Each path with its directory descriptor.
    pub(crate) fn renameat(&mut self, old: (i32, &[u8]), new: (i32, &[u8])) -> Sys<i32> {
        let old = self.at(old.0, old.1, false)?;
        let new = self.at(new.0, new.1, false)?;
        self.rename(&old, &new).map(|()| 0)
    }

    pub(crate) fn mkdirat(&mut self, dirfd: i32, path: &[u8], mode: u32) -> Sys<i32> {
        let path = path::normalize(&self.at(dirfd, path, false)?);
        self.make_dir(path.strip_suffix('/').unwrap_or(&path), mode).map(|_| 0)
    }

    /// The bytes to copy to the guest's buffer; the call returns their number.
    pub(crate) fn readlinkat(&self, dirfd: i32, path: &[u8], size: u64) -> Sys<Vec<u8>> {
        let path = self.at(dirfd, path, false)?;
        if size == 0 {
            return Fail::errno(code::EINVAL);
        }
        let mut link = self.read_link(&path)?.into_bytes();
        link.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(link)
    }

    /// Whether a path leads to something that can be read (4), written (2), searched or run (1).
    pub(crate) fn faccessat(&self, dirfd: i32, path: &[u8], mode: i32, flags: i32) -> Sys<i32> {
        if flags != 0 {
            return Err(Fail::abort("flags of faccessat"));
        }
        let path = self.at(dirfd, path, false)?;
        if mode & !7 != 0 {
            return Fail::errno(code::EINVAL);
        }
        let found = self.lookup(&path, Last::Follow)?.ok_or(Fail::Errno(code::ENOENT))?;
        for (bit, bits) in [(4, READ), (2, WRITE), (1, SEARCH)] {
            if mode & bit != 0 {
                self.permit(found, &[bits])?;
            }
        }
        Ok(0)
    }

    pub(crate) fn chmod(&mut self, path: &[u8], mode: u32) -> Sys<i32> {
        match self.lookup(&text(path)?, Last::Follow)? {
            Some(found) => self.set_mode(found, mode).map(|()| 0),
            None => Err(Fail::abort("chmod of no path")),
        }
    }

    pub(crate) fn fchmod(&mut self, fd: i32, mode: u32) -> Sys<i32> {
        let ino = self.fds.get(fd)?.node;
        self.set_mode(Found::Node(ino), mode).map(|()| 0)
    }

    /// Owners are not kept.
    pub(crate) fn fchown32(&mut self, fd: i32) -> Sys<i32> {
        let ino = self.fds.get(fd)?.node;
        self.set_owner(Found::Node(ino)).map(|()| 0)
    }

    pub(crate) fn ftruncate64(&mut self, fd: i32, len: i64) -> Sys<i32> {
        if !(-SAFE_INTEGER..=SAFE_INTEGER).contains(&len) {
            // From format 3 on the reference forgets the sign of this one error.
            return match self.flavor {
                Flavor::Fmt1 | Flavor::Fmt2 => Fail::errno(code::EOVERFLOW),
                _ => Ok(code::EOVERFLOW),
            };
        }
        let ino = self.fds.get(fd)?.node;
        if self.fds.shared(fd)?.flags & super::fds::ACCESS == 0 {
            return Fail::errno(code::EINVAL);
        }
        self.truncate(Found::Node(ino), len).map(|()| 0)
    }

    /// `times`: seconds and nanoseconds of access and of change, or the present. The later one is
    /// kept.
    pub(crate) fn utimensat(
        &mut self,
        dirfd: i32,
        path: &[u8],
        times: Option<[(i64, i32); 2]>,
        flags: i32,
    ) -> Sys<i32> {
        if flags != 0 {
            return Err(Fail::abort("flags of utimensat"));
        }
        let path = self.at(dirfd, path, true)?;
        let time = match times {
            None => self.tick(),
            Some([access, change]) => to_time(milliseconds(access).max(milliseconds(change))),
        };
        self.set_time(&path, time).map(|()| 0)
    }

    /// The bytes to copy to the guest's buffer, with their NUL; the call returns their number.
    pub(crate) fn getcwd(&self, size: u64) -> Sys<&'static [u8]> {
        match size {
            0 => Fail::errno(code::EINVAL),
            1 => Fail::errno(code::ERANGE),
            _ => Ok(b"/\0"),
        }
    }

    pub(crate) fn dup3(&mut self, fd: i32, onto: i32, flags: i32) -> Sys<i32> {
        self.fds.get(fd)?;
        if flags != 0 {
            return Err(Fail::abort("flags of dup3"));
        }
        if fd == onto {
            return Fail::errno(code::EINVAL);
        }
        if self.fds.get(onto).is_ok() {
            self.fd_close(onto)?;
        }
        match onto {
            -1 if self.flavor != Flavor::Fmt2 => self.duplicate(fd, self.fds.free_from(0)?),
            _ => self.duplicate(fd, onto),
        }
    }

    /// Whether `fcntl64` reads its variable argument for this command: an i32 for `F_DUPFD` and
    /// `F_SETFL`, a pointer for `F_GETLK`, where the answer's bytes go.
    pub(crate) fn fcntl_has_argument(&self, command: i32) -> bool {
        matches!(command, 0 | 4) || command == self.lock_commands()
    }

    /// `F_GETLK`, before `F_SETLK` and `F_SETLKW`.
    fn lock_commands(&self) -> i32 {
        match self.flavor {
            Flavor::Fmt1 | Flavor::Fmt2 | Flavor::Wasm64 => 5,
            Flavor::Fmt3 | Flavor::Fmt4 => 12,
        }
    }

    pub(crate) fn fcntl64(&mut self, fd: i32, command: i32, argument: i32) -> Sys<Answer> {
        let flags = self.fds.shared(fd)?.flags;
        let lock = self.lock_commands();
        match command {
            0 if argument < 0 => Fail::errno(code::EINVAL),
            0 => {
                let free = match self.flavor {
                    Flavor::Fmt1 | Flavor::Fmt2 => self.fds.free_from(argument)?,
                    _ => self.fds.lowest(argument).ok_or(Fail::Errno(code::EMFILE))?,
                };
                self.duplicate(fd, free).map(Answer::value)
            }
            1 | 2 => Ok(Answer::default()),
            3 => Ok(Answer::value(flags)),
            4 => {
                self.fds.shared_mut(fd)?.flags |= argument;
                Ok(Answer::default())
            }
            9 if self.flavor == Flavor::Fmt2 => Ok(Answer::value(-1)),
            // Nobody else holds locks: F_UNLCK.
            _ if command == lock => Ok(Answer { value: 0, writes: vec![(0, vec![2, 0])] }),
            _ if command == lock + 1 || command == lock + 2 => Ok(Answer::default()),
            _ => Fail::errno(code::EINVAL),
        }
    }

    pub(crate) fn ioctl(&self, fd: i32, op: i32) -> Sys<Answer> {
        let tty = self.tty(fd)?;
        let old = self.flavor == Flavor::Fmt2;
        match op {
            0x541B => return Fail::errno(code::ENOTTY),
            0x5401..=0x5408 | 0x540F | 0x5410 | 0x5413 | 0x5414 => {}
            0x540B if !old => {}
            _ if old => return Err(Fail::abort("bad ioctl syscall")),
            _ => return Fail::errno(code::EINVAL),
        }
        let Some(tty) = tty else { return Fail::errno(code::ENOTTY) };
        // Only /dev/tty has settings and a size.
        let known = tty == Tty::Out && !old;
        match op {
            0x5401 if known => Ok(Answer { value: 0, writes: settings() }),
            0x540F => Ok(Answer { value: 0, writes: vec![(0, vec![0; 4])] }),
            0x5410 => Fail::errno(code::EINVAL),
            0x5413 if known => Ok(Answer { value: 0, writes: vec![(0, vec![24, 0, 80, 0])] }),
            _ => Ok(Answer::default()),
        }
    }
}

/// The `termios` that `/dev/tty` shows: four words, and the control characters after one byte of
/// line number.
fn settings() -> Vec<(u64, Vec<u8>)> {
    let words: [u32; 4] = [25856, 5, 191, 35387];
    let mut control = vec![3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22];
    control.resize(32, 0);
    vec![(0, words.iter().flat_map(|word| word.to_le_bytes()).collect()), (17, control)]
}

fn milliseconds((seconds, nanoseconds): (i64, i32)) -> f64 {
    seconds as f64 * 1000.0 + f64::from(nanoseconds) / 1e6
}

/// A `Date`'s whole milliseconds.
fn to_time(ms: f64) -> i64 {
    if ms.abs() <= DATE_MS as f64 { ms.trunc() as i64 } else { NO_TIME }
}
