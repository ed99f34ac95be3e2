//! Doubles for tests: a small machine, hosts, and calls.
//!
//! A host is tested with [`Tape`], which needs no other crate; a machine is tested with [`NoHost`] or a
//! [`MapHost`], and with calls from [`call`].

mod calls;
mod hosts;
mod tape;

pub use calls::{CallBuilder, call, process};
pub use hosts::{MapHost, NoHost};
pub use tape::{ASK_MAX, MODULE_MAX, TAPE_BYTES, Tape};
