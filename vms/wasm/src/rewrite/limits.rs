//! How large a module may be. Part of the rules: a module over a bound is refused everywhere.

/// Bytes of the module.
pub(super) const MODULE_BYTES: usize = 64 << 20;
/// Bytes of all rewritten function bodies together. Rewriting lengthens code, at worst some twentyfold, and
/// optimising branches was seen to take six seconds a megabyte. The largest real module has 3.2 MB in all,
/// before rewriting.
pub(super) const CODE_BYTES: usize = 32 << 20;
/// Bytes of one function body: optimising one takes more than linear time and memory, some 600 bytes a byte.
/// The largest seen in a real module has 320 kB.
pub(super) const BODY_BYTES: usize = 1 << 20;
/// Bytes of one rewritten body: the compiler can name two million values in one function.
pub(super) const NEW_BODY_BYTES: usize = 4 << 20;
/// Blocks of one function times its locals: where control flow meets, the compiler may have to keep each
/// local apart, at some 40 bytes and 200 ns. The largest seen has 11 million.
pub(super) const BODY_WEB: u64 = 32_000_000;
/// The same of all functions together. The largest seen has 24 million.
pub(super) const ALL_WEBS: u64 = 128_000_000;
/// Types, before those that rewriting adds.
pub(super) const TYPES: u32 = 100_000;
/// Functions that the module defines.
pub(super) const FUNCTIONS: u32 = 200_000;
/// Locals of one function, parameters included. The engine takes 50,000, and rewriting adds some.
pub(super) const LOCALS: u32 = 49_900;
/// Locals of all functions together: few bytes declare many, and the engine pays for each.
pub(super) const ALL_LOCALS: u64 = 5_000_000;
/// Parameters of a type.
pub(super) const PARAMS: usize = 255;
/// Results of a type. One byte of `br_table` makes the validator look at them all.
pub(super) const RESULTS: usize = 32;
/// Globals that the module defines.
pub(super) const GLOBALS: u32 = 10_000;
/// Functions that the module imports.
pub(super) const IMPORTS: u32 = 10_000;
/// Things that the module exports.
pub(super) const EXPORTS: u32 = 10_000;
/// Exception tags that the module defines.
pub(super) const TAGS: u32 = 1_000;
/// Data segments.
pub(super) const DATA_SEGMENTS: u32 = 100_000;
/// Element segments.
pub(super) const ELEMENT_SEGMENTS: u32 = 10_000;
/// Elements of the table.
pub(super) const TABLE_ELEMENTS: u64 = 1_000_000;
/// Elements in all element segments together.
pub(super) const SEGMENT_ELEMENTS: usize = 1_000_000;
/// Blocks inside one another.
pub(super) const NESTING: usize = 10_000;
/// Bytes of a WebAssembly page.
pub(super) const PAGE_BYTES: u64 = 65_536;
