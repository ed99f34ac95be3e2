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

/// The decimal number that a text begins with, as `parseInt` reads it: how `Compute-Limit` tags are read.
pub fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let (digits, _) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(u64::MAX)) }
}

/// Bytes of a `Memory-Limit` tag: a number and a unit, as in `500-mb`. Units are powers of 1024.
pub fn memory_limit(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once('-')?;
    let shift = match unit.trim() {
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        _ => return None,
    };
    number.trim().parse::<u64>().ok().map(|number| number.saturating_mul(1 << shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limits_have_units() {
        assert_eq!(memory_limit("500-mb"), Some(500 << 20));
        assert_eq!(memory_limit("1-gb"), Some(1 << 30));
        assert_eq!(memory_limit("512"), None);
        assert_eq!(memory_limit("lots-mb"), None);
    }

    #[test]
    fn a_number_is_what_a_text_begins_with() {
        assert_eq!(leading_number(" 12e3"), Some(12));
        assert_eq!(leading_number("99999999999999999999"), Some(u64::MAX));
        assert_eq!(leading_number("-1"), None);
        assert_eq!(leading_number("much"), None);
    }
}
