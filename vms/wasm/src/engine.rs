//! The one place where the engine is configured.
//!
//! Every option that can bear on a result is set here, even where it repeats the default: an upgrade of
//! the engine must not change a rule by changing a default. Which compiler runs is *not* a rule: all of
//! them answer alike, and the laws hold them to it.

use drivebay_disk::{HostError, bug};
use wasmtime::{
    Collector, Config, Engine, Inlining, OperatorCost, OptLevel, RegallocAlgorithm, Strategy,
};

/// The compiler, and so the speed, of a reader. Never part of rules, receipts or images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Cranelift, optimised: the one to use.
    #[default]
    Speed,
    /// Cranelift without optimisation: an oracle.
    Plain,
    /// The portable interpreter, 30 to 90 times slower: an oracle, and a stand-in for other processors.
    Pulley,
}

impl EngineKind {
    /// All kinds, fastest first.
    pub const ALL: [Self; 3] = [Self::Speed, Self::Plain, Self::Pulley];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::Plain => "plain",
            Self::Pulley => "pulley",
        }
    }
}

/// Bytes of native stack that guest code may use. A counted limit (`limits::DEPTH_UNITS`) trips long
/// before: this much lets the deepest counted stack fit the largest frames of the worst compiler.
pub(crate) const WASM_STACK_BYTES: usize = 96 << 20;

/// Bytes of native stack that a run needs in all: the guest's, and the host's frames between.
pub(crate) const RUN_STACK_BYTES: usize = WASM_STACK_BYTES + (16 << 20);

/// An engine of that kind. `exceptions` only for the format whose modules need them.
pub(crate) fn engine(kind: EngineKind, exceptions: bool) -> Result<Engine, HostError> {
    let config = engine_config(kind, exceptions)?;
    Engine::new(&config).map_err(|error| bug!("the engine refused its own configuration: {error}"))
}

fn engine_config(kind: EngineKind, exceptions: bool) -> Result<Config, HostError> {
    let mut config = Config::new();
    compiler(&mut config, kind)?;
    features(&mut config, exceptions);
    metering(&mut config);
    memory(&mut config);
    Ok(config)
}

fn compiler(config: &mut Config, kind: EngineKind) -> Result<(), HostError> {
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(match kind {
        EngineKind::Speed => OptLevel::Speed,
        EngineKind::Plain | EngineKind::Pulley => OptLevel::None,
    });
    config.cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking);
    config.compiler_inlining(Inlining::No);
    config.parallel_compilation(true);
    // An explicit target: otherwise features of this very processor are used, and the code could not
    // be shared by machines of a fleet.
    let target = match kind {
        EngineKind::Pulley => "pulley64",
        EngineKind::Speed | EngineKind::Plain => host_target(),
    };
    config.target(target).map_err(|error| bug!("target {target}: {error}"))?;
    // The rewriter makes NaNs canonical; the engine's own switch would do it twice.
    config.cranelift_nan_canonicalization(false);
    // Capturing a backtrace for each caught error is 17 times slower, and nobody reads it.
    config.wasm_backtrace_max_frames(None);
    config.generate_address_map(false);
    config.debug_info(false);
    Ok(())
}

const fn host_target() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "aarch64-unknown-linux-gnu"
    } else {
        "x86_64-unknown-linux-gnu"
    }
}

fn features(config: &mut Config, exceptions: bool) {
    config
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_reference_types(true)
        .wasm_simd(true)
        .wasm_memory64(true)
        .wasm_function_references(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        .wasm_multi_memory(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        .wasm_gc(false)
        .wasm_exceptions(exceptions)
        // A collector that frees: one that only allocates would let a warm drive die where a
        // restored one lives. It holds exceptions in flight, nothing else.
        .collector(if exceptions { Collector::DeferredReferenceCounting } else { Collector::Auto });
}

fn metering(config: &mut Config) {
    config
        .consume_fuel(true)
        .operator_cost(operator_cost())
        .epoch_interruption(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        // Nothing runs on such a stack; the engine only wants it no smaller.
        .async_stack_size(WASM_STACK_BYTES)
        .signals_based_traps(true);
}

/// The fuel of each operator: one, but nothing for what makes no code or only marks a block, and one more
/// for each byte of a bulk operation. It is consensus; golden receipts hold it.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    for free in [
        &mut cost.Nop,
        &mut cost.Drop,
        &mut cost.Block,
        &mut cost.Loop,
        &mut cost.Unreachable,
        &mut cost.Return,
        &mut cost.Else,
        &mut cost.End,
    ] {
        *free = 0;
    }
    cost.variable.memory_copy_per_byte = 1;
    cost.variable.memory_fill_per_byte = 1;
    cost.variable.memory_grow_per_page = 0;
    cost
}

fn memory(config: &mut Config) {
    // Four gigabytes of address space and a guard for 32-bit memories: no bounds checks in code.
    config
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_reservation_for_growth(1 << 30)
        .memory_may_move(true)
        .guard_before_linear_memory(false)
        .memory_init_cow(false)
        .table_lazy_init(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_accepted_with_and_without_exceptions() {
        for kind in EngineKind::ALL {
            for exceptions in [false, true] {
                assert!(engine(kind, exceptions).is_ok(), "{kind:?} exceptions {exceptions}");
            }
        }
    }
}
