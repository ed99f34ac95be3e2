//! Bounds of what a guest can make the host keep outside its memory. All are rules: crossing one
//! shows as an error number, so none may depend on the machine.

/// Bytes of all files, names and read-ahead caches together; beyond, `ENOSPC`. The reference has no
/// bound but its own heap.
pub(crate) const TREE_BYTES: u64 = 256 << 20;
/// Files and directories together; beyond, `ENOSPC`.
pub(crate) const NODES: usize = 65_536;
/// Highest inode number; beyond, `ENOSPC`. Numbers are not used twice.
pub(crate) const LAST_INODE: u32 = u32::MAX - 1;
/// Highest descriptor that is handed out by itself, as in the reference; beyond, `EMFILE`.
pub(crate) const MAX_FD: i32 = 4096;
/// Open descriptors at once. The reference counts from 0 to `MAX_FD` inclusive.
pub(crate) const OPEN_FDS: usize = 4097;
/// Bytes of a path, alone or joined to its directory; beyond, `ENAMETOOLONG`.
pub(crate) const PATH_BYTES: usize = 4096;
/// Nested symbolic links, as in the reference; beyond, `ELOOP`.
pub(crate) const LINK_DEPTH: u32 = 8;
/// Links followed one after the other at one place, as in the reference; beyond, `ELOOP`.
pub(crate) const LINK_CHAIN: u32 = 40;
/// Bytes of an unfinished terminal line. A longer one is printed in pieces of this size.
pub(crate) const TTY_LINE: usize = 64 << 10;
/// Bytes of printed lines that are collected; the guest's later lines are dropped and it sees
/// success.
pub(crate) const PRINTED_BYTES: usize = 1 << 20;
/// Bytes of read-ahead that a WeaveDrive file keeps, as in the reference.
pub(crate) const WEAVE_CACHE: u64 = 32 << 10;
/// Digits of a textual position: enough that dropping the ones in front keeps the value mod 2^64.
pub(crate) const POSITION_DIGITS: usize = 66;
/// Largest integer that a double holds exactly: file offsets of the reference end there.
pub(crate) const SAFE_INTEGER: i64 = (1 << 53) - 1;
/// Largest time of a JavaScript `Date`, in milliseconds from 1970.
pub(crate) const DATE_MS: i64 = 8_640_000_000_000_000;
/// Bytes of a `strftime` format, and of the zone's name; longer ones are answered as what does not
/// fit.
pub(crate) const STRFTIME_FORMAT: usize = 4096;
pub(crate) const STRFTIME_ZONE: usize = 256;
