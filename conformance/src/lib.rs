//! What any virtual machine for an ao host is held to.
#![forbid(unsafe_code)]

pub mod golden;
pub mod laws;
