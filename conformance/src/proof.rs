//! What a reader brings with it to be certified by any program that serves it.

use crate::laws::Roles;
use std::fmt;

/// A machine's programs, and what they answered elsewhere.
#[derive(Clone, Copy)]
pub struct Proof {
    /// The machine's name in reports: one short word.
    pub name: &'static str,
    /// Its programs for the laws.
    pub roles: fn() -> Roles,
    /// The transcript of its roles as recorded on another machine ([`crate::laws::Transcript`]), or nothing.
    pub recorded: &'static str,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({}, {} lines recorded)", self.name, self.recorded.lines().count())
    }
}
