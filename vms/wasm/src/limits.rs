//! Bounds and prices of the WebAssembly formats. All of them are rules: they may change a result.

use drivebay_disk::{Fuel, Limits, Module, Process, Tag, leading_number, memory_limit};

/// Units of call depth: a function counts its locals and operands in words of 8 bytes, and a base for
/// its frame. About 4 MiB of guest values; the reference's stack is under 1 MiB.
pub(crate) const DEPTH_UNITS: u32 = 512 << 10;
/// Units that one `invoke_*` adds for the host's frames between two guest frames.
pub(crate) const INVOKE_UNITS: i32 = 512;
/// Bytes of reply, error and printed text together.
pub(crate) const OUTPUT_BYTES: u32 = 32 << 20;
/// Bytes of printed lines kept for the author.
pub(crate) const PRINTED_BYTES: usize = 1 << 20;

/// `Compute-Limit` of a legacy process that names none, in the reference's gas.
pub(crate) const LEGACY_COMPUTE: u64 = 9_000_000_000_000;
/// The gas limit that the reference's loader uses where none is given.
pub(crate) const LEGACY_GAS: u64 = 9_000_000_000_000_000;
/// A plain operator costs 45 to 120 of the reference's gas.
pub(crate) const GAS_PER_FUEL: u64 = 90;
/// Metered code carries its counter, about 13 operators a block of at least 92 gas: with this factor the
/// fuel of a metered module can only end a run whose work its gas does not count.
pub(crate) const METERED_FACTOR: u64 = 16;
/// Most gas that can be counted exactly: beyond, the reference's doubles lose units.
pub(crate) const GAS_MAX: u64 = 1 << 53;

/// Default and maximum `Compute-Limit` of `wasm32-drivebay-1`, in fuel.
pub(crate) const CLEAN_COMPUTE: u64 = 10_000_000_000;
/// Default `Memory-Limit` of `wasm32-drivebay-1`, in bytes.
pub(crate) const CLEAN_MEMORY: u64 = 256 << 20;
/// Largest memory of a 32-bit guest, in bytes.
pub(crate) const MEMORY32_MAX: u64 = 4 << 30;

/// Largest memory of a 64-bit guest, in bytes: the reference's engine has none larger.
pub(crate) const MEMORY64_MAX: u64 = 16 << 30;

/// Largest memory of a guest, whatever its module declares, in bytes.
pub(crate) fn memory_max(wide: bool) -> u64 {
    if wide { MEMORY64_MAX } else { MEMORY32_MAX }
}

/// Most pages of 64 KiB that a module may start with: the largest 32-bit memory.
pub(crate) const INITIAL_PAGES: u64 = 65_536;

/// Fuel for entering the host, before its work.
pub(crate) const HOST_CALL_FUEL: u64 = 20;
/// Bytes that the host moves for one fuel.
pub(crate) const HOST_BYTES_PER_FUEL: u64 = 4;

/// Fuel for each byte of a path that is looked up: every part of it is a search among all names.
pub(crate) const PATH_BYTE_FUEL: u64 = 32;
/// Fuel for each open descriptor, where a call looks through them.
pub(crate) const OPEN_FILE_FUEL: u64 = 4;

/// Fuel for moving `bytes` between host and guest.
pub(crate) fn fuel_for_bytes(bytes: u64) -> u64 {
    HOST_CALL_FUEL + bytes / HOST_BYTES_PER_FUEL
}

/// Which row of the table of limits a format is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitRow {
    /// `Compute-Limit` is the reference's gas; the module's own maximum bounds memory.
    Legacy {
        /// The format itself adds the reference's meter.
        metering: bool,
    },
    /// `Compute-Limit` is fuel; `Memory-Limit` bounds memory.
    Clean,
}

/// What the format makes of the process's tags, else the module's, else its default.
pub(crate) fn limits(row: LimitRow, module: &Module, process: &Process, metered: bool) -> Limits {
    let tag = |name| Tag::last(&process.tags, name).or_else(|| module.tag(name));
    let compute = tag("Compute-Limit").and_then(leading_number);
    match row {
        LimitRow::Legacy { metering } => {
            let fuel = compute.unwrap_or(LEGACY_COMPUTE) / GAS_PER_FUEL;
            let factor = if metering || metered { METERED_FACTOR } else { 1 };
            Limits {
                fuel: Fuel(fuel.saturating_mul(factor)),
                gas: Some(compute.filter(|gas| *gas > 0).unwrap_or(LEGACY_GAS).min(GAS_MAX)),
                memory_bytes: u64::MAX,
                output_bytes: OUTPUT_BYTES,
                depth: DEPTH_UNITS,
            }
        }
        LimitRow::Clean => Limits {
            fuel: Fuel(compute.unwrap_or(CLEAN_COMPUTE).min(CLEAN_COMPUTE)),
            gas: None,
            memory_bytes: tag("Memory-Limit")
                .and_then(memory_limit)
                .unwrap_or(CLEAN_MEMORY)
                .min(MEMORY32_MAX),
            output_bytes: OUTPUT_BYTES,
            depth: DEPTH_UNITS,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(row: LimitRow, process: &[(&str, &str)], module: &[(&str, &str)]) -> Limits {
        let tags = |list: &[(&str, &str)]| list.iter().map(|(n, v)| Tag::new(*n, *v)).collect();
        let module = Module::new(Vec::new(), "x", tags(module));
        limits(row, &module, &Process { tags: tags(process), ..Process::default() }, false)
    }

    #[test]
    fn the_process_wins_over_the_module() {
        let row = LimitRow::Clean;
        let limits = with(row, &[("Compute-Limit", "7")], &[("Compute-Limit", "9")]);
        assert_eq!(limits.fuel, Fuel(7));
        assert_eq!(with(row, &[], &[("Compute-Limit", "9")]).fuel, Fuel(9));
        assert_eq!(with(row, &[], &[]).fuel, Fuel(CLEAN_COMPUTE));
        assert_eq!(
            with(row, &[("Compute-Limit", "99999999999999")], &[]).fuel,
            Fuel(CLEAN_COMPUTE)
        );
    }

    #[test]
    fn legacy_compute_is_gas_and_bounds_fuel() {
        let limits =
            with(LimitRow::Legacy { metering: false }, &[("Compute-Limit", "9000000000000")], &[]);
        assert_eq!(limits.fuel, Fuel(100_000_000_000));
        assert_eq!(limits.gas, Some(9_000_000_000_000));
        let limits = with(LimitRow::Legacy { metering: true }, &[], &[]);
        assert_eq!(limits.gas, Some(LEGACY_GAS));
    }
}
