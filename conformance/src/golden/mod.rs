//! Recorded cases: what the reference answered, message by message, and whether a reader does too.
//!
//! `conformance/golden/README.md` says what a case file holds. Here, in reading order: [`Case`] is such a
//! file, [`ModuleIndex`] finds the module that it names by hash, [`run_case`] runs it on any reader,
//! [`Report`] says what came out, and [`Named`] lists the differences that are meant to be.

mod case;
mod compare;
mod error;
mod index;
mod memory;
mod named;
mod report;
mod run;
mod world;

#[cfg(test)]
mod tests;

pub use case::{Answer, Case, Expected, Memory, cases_in};
pub use error::GoldenError;
pub use index::{MODULE_MAX, ModuleIndex};
pub use named::{Named, NamedDifference};
pub use report::{Difference, Field, Report};
pub use run::{Options, Start, run_case};
