//! Reads every ao WebAssembly module format, on wasmtime.
//!
//! [`WasmReader`] is the reader. A module goes through `reader` (metered, rewritten, checked, compiled)
//! to `disk`, is mounted as a `drive` on a `live` guest, and is called by the convention of its format
//! (`abi`), with the imports of `host` and the file world of `posix`. `state` is what an image holds,
//! `trap` the verdicts, `formats` and `limits` the rules.

mod abi;
mod artifact;
mod bare;
mod base;
mod decode;
mod disk;
mod drive;
mod engine;
mod formats;
mod host;
mod inspect;
mod limits;
mod linear;
mod live;
mod posix;
mod process;
mod reader;
mod rewrite;
#[cfg(test)]
mod spec_tests;
mod state;
mod swath;
mod trap;
mod uapi;
mod watch;

#[doc(hidden)]
pub use bare::Bare;
pub use engine::EngineKind;
pub use inspect::{Inspection, detect_format, inspect};
pub use linear::tracks_pages;
pub use reader::WasmReader;

/// The engine that this build is pinned to: its fuel table is part of the rules.
pub const ENGINE_VERSION: &str = "48.0.8";
