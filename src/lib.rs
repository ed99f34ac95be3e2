//! Drivebay: a pluggable virtual machine host for the ao computer. The hall: read the modules in this
//! order.
//!
//! [`disk`] says what a virtual machine is. [`item`] is what travels: signed bytes. [`su`] gives messages
//! their places, [`cu`] evaluates them, [`mu`] carries on what they send. [`wire`] gives all of them their
//! JSON, [`eth`] makes a chain of an EVM process for Ethereum's tools, [`http`] and [`net`] their ways in and out, [`store`] what they must not forget, and [`gateway`]
//! keeps what was published. [`config`] is what an operator may choose, and
//! [`cli`] composes them all. And [`certify`] shows that the machines are deterministic.
//!
//! A program with one more virtual machine is three lines:
//!
//! ```no_run
//! use drivebay::{cli, cu::Readers};
//!
//! fn main() -> std::process::ExitCode {
//!     let tape = || std::sync::Arc::new(drivebay::disk::testing::Tape::default());
//!     cli::main(move |engine| Readers::stock(engine)?.with(tape()))
//! }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub use drivebay_disk as disk;

pub mod certify;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cu;
pub mod eth;
pub mod gateway;
pub mod http;
pub mod item;
pub mod mu;
pub mod net;
pub mod observe;
pub mod store;
pub mod su;
pub mod wire;
