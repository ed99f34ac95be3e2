//! Bounds of the Lua formats. All of them are rules: they may change a result.

use drivebay_disk::{Fuel, Limits, Module, Process, Tag, leading_number, memory_limit};

/// Default and maximum `Compute-Limit`, in fuel: one for each instruction, and for library work by its size.
pub(crate) const COMPUTE: u64 = 10_000_000_000;
/// Default `Memory-Limit`, in bytes that are live.
pub(crate) const MEMORY: u64 = 256 << 20;
/// Largest `Memory-Limit`.
pub(crate) const MEMORY_MAX: u64 = 2 << 30;
/// Bytes of reply, error and printed text together.
pub(crate) const OUTPUT_BYTES: u32 = 32 << 20;
/// Slots of one stack: Lua's own limit. A plain recursive call takes about five.
pub(crate) const DEPTH: u32 = 1_000_000;
/// Largest module, in bytes.
pub(crate) const MODULE_BYTES: usize = 16 << 20;
/// Most files of a bundle.
pub(crate) const FILES: usize = 4096;

/// What the tags of the process say, else those of the module, else the defaults.
pub(crate) fn limits(module: &Module, process: &Process) -> Limits {
    let tag = |name| Tag::last(&process.tags, name).or_else(|| module.tag(name));
    let compute = tag("Compute-Limit").and_then(leading_number).unwrap_or(COMPUTE);
    let memory = tag("Memory-Limit").and_then(memory_limit).unwrap_or(MEMORY);
    Limits {
        fuel: Fuel(compute.min(COMPUTE)),
        gas: None,
        memory_bytes: memory.min(MEMORY_MAX),
        output_bytes: OUTPUT_BYTES,
        depth: DEPTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_and_bounded() {
        let with = |name: &str, value: &str| {
            let module = Module::new(Vec::new(), "x", Vec::new());
            let tags = vec![Tag::new(name, value)];
            limits(&module, &Process { tags, ..Process::default() })
        };
        assert_eq!(with("Compute-Limit", "1000").fuel, Fuel(1000));
        assert_eq!(with("Compute-Limit", "9000000000000").fuel, Fuel(COMPUTE));
        assert_eq!(with("Memory-Limit", "1-mb").memory_bytes, 1 << 20);
        assert_eq!(with("Memory-Limit", "64-gb").memory_bytes, MEMORY_MAX);
        assert_eq!(with("Memory-Limit", "much").memory_bytes, MEMORY);
    }
}
