//! What a reader learns about a module by rewriting it, and the names that rewriting adds.

/// Prefix of every export that rewriting adds. No module may use it.
pub(crate) const RESERVED: &str = "drivebay:";
/// The memory, whatever else it is exported as.
pub(crate) const MEMORY: &str = "drivebay:memory";
/// The table, if there is one, whatever else it is exported as.
pub(crate) const TABLE: &str = "drivebay:table";
/// The start function, which no longer starts by itself.
pub(crate) const START: &str = "drivebay:start";
/// Mutable `i32` global: units of depth in use. Not state: 0 before a run. A host that catches what
/// unwinds guest frames (a long jump through `invoke_*`) puts back what it read before the call.
pub(crate) const DEPTH: &str = "drivebay:depth";
/// Mutable `i32` global: units of depth allowed, from 0 to `i32::MAX`. Not state.
pub(crate) const DEPTH_LIMIT: &str = "drivebay:depth_limit";
/// Mutable `i64` global: gas used, where the module is metered. Not state.
pub(crate) const GAS: &str = "drivebay:gas";
/// Mutable `i64` global: gas allowed, where the module is metered. Not state.
pub(crate) const GAS_LIMIT: &str = "drivebay:gas_limit";
/// Module of the imports that rewriting adds.
pub(crate) const IMPORT_MODULE: &str = "drivebay";
/// Import `() -> ()`: called when depth would pass its limit. Must not return.
pub(crate) const TOO_DEEP: &str = "too_deep";
/// Import `() -> ()`, where the module is metered: called when gas passed its limit. Must not return.
pub(crate) const OUT_OF_GAS: &str = "out_of_gas";

/// A type of WebAssembly values. There are no references: they could not be kept in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
}

/// Parameters and results of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Signature {
    /// Types of the parameters.
    pub params: Vec<ValType>,
    /// Types of the results.
    pub results: Vec<ValType>,
}

/// The memory as the module declares it, with the addresses that rewriting gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryFacts {
    /// Pages of 64 KiB at the start.
    pub min_pages: u64,
    /// Pages of 64 KiB that it may grow to, if the module says.
    pub max_pages: Option<u64>,
    /// Addresses are `i64`.
    pub memory64: bool,
}

/// A mutable global of the module: state, beside the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GlobalFact {
    /// The export that rewriting gave it: `drivebay:g` and its index.
    pub export: String,
    /// Its type.
    pub ty: ValType,
    /// Bits of its initial value, zero-extended.
    pub bits: u128,
}

/// A function that the module imports, in the order of its import section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportFact {
    /// Import module.
    pub module: String,
    /// Import name.
    pub name: String,
    /// Its type.
    pub signature: Signature,
}

/// What the module itself exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportFact {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: ExportKind,
}

/// The kind of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExportKind {
    /// A function and its type.
    Func(Signature),
    /// The memory.
    Memory,
    /// The table.
    Table,
    /// A global.
    Global {
        /// Its type.
        ty: ValType,
        /// It can be set.
        mutable: bool,
    },
    /// An exception tag.
    Tag,
}

/// What the host must know of a rewritten module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The memory.
    pub memory: MemoryFacts,
    /// Elements of the table, if there is one.
    pub table_elements: Option<u64>,
    /// Initial content of memory, in the order of writing: offset in bytes, bytes. All within `min_pages`.
    /// The rewritten module has no data segments.
    pub data: Vec<(u64, Vec<u8>)>,
    /// Every mutable global of the module, by index.
    pub globals: Vec<GlobalFact>,
    /// The module had a start function; it is now exported as [`START`].
    pub start: bool,
    /// Functions that the module imports. The rewritten one imports [`TOO_DEEP`] after them, and
    /// [`OUT_OF_GAS`] if `has_gas`.
    pub imports: Vec<ImportFact>,
    /// What the module exports. The rewritten one exports the reserved names besides.
    pub exports: Vec<ExportFact>,
    /// Calls of `metering.usegas` count in [`GAS`].
    pub has_gas: bool,
    /// Asyncify was taken out: an import that waits has to answer at once.
    pub direct_waits: bool,
    /// Functions contain `memory.grow`.
    pub grows_memory: bool,
    /// Functions contain `try`, now in terms of the exception proposal that became standard.
    pub has_exceptions: bool,
    /// Depth of the dearest function, in units: no limit under this lets every function run.
    pub max_depth_cost: u32,
}

impl Facts {
    /// The signature of the function exported under `name`.
    pub(crate) fn function(&self, name: &str) -> Option<&Signature> {
        self.exports.iter().find(|export| export.name == name).and_then(|export| {
            match &export.kind {
                ExportKind::Func(signature) => Some(signature),
                _ => None,
            }
        })
    }
}
