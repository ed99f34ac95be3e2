//! How much a call may use. Rules, never config.

use std::fmt;

/// The host's measure of work, equal on every engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fuel(pub u64);

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the format makes of the process's tags, else the module's, else the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Work, in the host's measure.
    pub fuel: Fuel,
    /// The format's own gas, where it defines one (`Compute-Limit` of metering formats).
    pub gas: Option<u64>,
    /// Bytes of guest memory. Formats whose module fixes its own maximum ignore it.
    pub memory_bytes: u64,
    /// Bytes of reply, error payload and printed text together.
    pub output_bytes: u32,
    /// Depth of calls, in the machine's own units.
    pub depth: u32,
}
