//! What any virtual machine for an ao host is held to.
#![forbid(unsafe_code)]

pub mod aos;
pub mod golden;
pub mod laws;
mod proof;

pub use proof::Proof;
