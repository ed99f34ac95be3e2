//! Error numbers, in WASI's numbering as emscripten uses it, and how a system call can end.

/// Error numbers that the model gives.
pub(crate) mod code {
    pub(crate) const EACCES: i32 = 2;
    pub(crate) const EBADF: i32 = 8;
    pub(crate) const EBUSY: i32 = 10;
    pub(crate) const EEXIST: i32 = 20;
    pub(crate) const EINVAL: i32 = 28;
    pub(crate) const EIO: i32 = 29;
    pub(crate) const EISDIR: i32 = 31;
    pub(crate) const ELOOP: i32 = 32;
    pub(crate) const EMFILE: i32 = 33;
    pub(crate) const ENAMETOOLONG: i32 = 37;
    pub(crate) const ENODEV: i32 = 43;
    pub(crate) const ENOENT: i32 = 44;
    pub(crate) const ENOSPC: i32 = 51;
    pub(crate) const ENOSYS: i32 = 52;
    pub(crate) const ENOTDIR: i32 = 54;
    pub(crate) const ENOTEMPTY: i32 = 55;
    pub(crate) const ENOTTY: i32 = 59;
    pub(crate) const ENXIO: i32 = 60;
    pub(crate) const EOVERFLOW: i32 = 61;
    pub(crate) const EPERM: i32 = 63;
    pub(crate) const ERANGE: i32 = 68;
    pub(crate) const ESPIPE: i32 = 70;
    pub(crate) const EXDEV: i32 = 75;
}

/// The reference throws something that is no error number (a failed assertion, a `TypeError`): the
/// evaluation ends with it. Files may be changed half; the caller gives up the drive or rolls back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abort(pub(crate) &'static str);

/// Why a system call did not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    /// The guest is told this number.
    Errno(i32),
    /// The evaluation ends.
    Abort(Abort),
}

/// What the functions of this module give.
pub(crate) type Sys<T> = Result<T, Fail>;

impl Fail {
    /// An evaluation's end.
    pub(crate) fn abort(why: &'static str) -> Self {
        Self::Abort(Abort(why))
    }

    /// `Err` with an error number.
    pub(crate) fn errno<T>(number: i32) -> Sys<T> {
        Err(Self::Errno(number))
    }
}

/// The result of a `__syscall_*` import: the value, or the number negated.
pub(crate) fn negative(result: Sys<i32>) -> Result<i32, Abort> {
    match result {
        Ok(value) => Ok(value),
        Err(Fail::Errno(number)) => Ok(-number),
        Err(Fail::Abort(abort)) => Err(abort),
    }
}

/// The result of an `fd_*` import: 0, or the number.
pub(crate) fn positive(result: Sys<()>) -> Result<i32, Abort> {
    match result {
        Ok(()) => Ok(0),
        Err(Fail::Errno(number)) => Ok(number),
        Err(Fail::Abort(abort)) => Err(abort),
    }
}
