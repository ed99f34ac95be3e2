//! The module is rewritten when it is read.
//!
//! The engine below gives speed; the rules come from here. [`rewrite`] maps a module's bytes to other
//! bytes and to [`Facts`], a pure function: equal bytes and [`Rules`] give equal output on any machine.
//! The host charges fuel by operators of the *rewritten* code, so all that follows is part of the rules,
//! and [`REWRITE_VERSION`] names it.
//!
//! What is taken: WebAssembly 1.0, sign extension, saturating conversions, multi-value, `memory.copy` and
//! `memory.fill`, fixed-width SIMD, 64-bit memories, and legacy exceptions where [`Rules`] say. Exactly one
//! memory, defined by the module; at most one table, of functions; imports of functions alone. Segments are
//! active, at constant offsets, within bounds. Sizes are bounded by [`limits`]. Anything else is refused.
//!
//! What is changed:
//!
//! 1. **Sections.** Data segments go to [`Facts::data`], the start function becomes an export, custom
//!    sections vanish. Mutable globals, memory and table are exported under reserved names.
//! 2. **Depth** (`depth`). Each function adds its frame to a global when it is entered and takes it away
//!    when it is left; past the limit it calls [`TOO_DEEP`]. The frame is [`depth::BASE_UNITS`], and for
//!    each parameter, local (those that rewriting adds too) one unit, two for a `v128`, and the highest
//!    operand stack of the original body, doubled where a `v128` may be on it.
//! 3. **NaN** (`nan`). Every NaN that arithmetic makes gets the one bit pattern that [`Nan`] gives it.
//! 4. **Gas** (`gas`). Calls of `metering.usegas` count in a global, and call [`OUT_OF_GAS`] past the limit.
//! 5. **Exceptions** (`body`). `try … catch` becomes `try_table`, and the handler resets the depth.
//!
//! 6. **Waits** (`asyncify`, `fold`). Where [`Rules::direct_waits`] says so and no gas is counted, Asyncify's
//!    state is the constant 0, and what follows from that is folded.
//! 7. **Addresses** (`lower`, `trail`). A 64-bit memory that cannot reach 4 GiB gets 32-bit addresses; one
//!    beyond is checked for, and traps as before.
//! 8. **Copies** (`copy`). Calls of the imports [`Rules::copies`] become a clamped `memory.copy`.
//!
//! The last three change no result but fuel, and the memory that Asyncify would have written and freed.
//! [`Rules`] can leave them out.
//!
//! New imports follow the module's own, so defined functions move up by their number; new functions and
//! globals come last. Helper functions count no depth.
//!
//! [`meter`] is the other rewriting, which formats named `-metering` apply before this one.

mod limits;

mod access;
mod asyncify;
mod body;
mod check;
mod copy;
mod costs;
mod depth;
mod emit;
mod facts;
mod fold;
mod gas;
mod lower;
mod measure;
mod metering;
mod nan;
mod nan_help;
mod plan;
mod scan;
mod trail;
mod types;

pub(crate) use facts::*;
pub(crate) use metering::meter;

use drivebay_disk::{Refusal, RefusalCode};

/// Names these rules. Any change of output, for any module, takes a new number.
pub(crate) const REWRITE_VERSION: u32 = 3;

/// What a NaN that arithmetic makes looks like. Moving bits (`neg`, `abs`, `copysign`, loads, selects,
/// `pmin`, `pmax`) makes none and is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nan {
    /// As the reference on x86-64: the first NaN operand made quiet; without one, the negative default
    /// NaN (`0xffc00000`, `0xfff8000000000000`), which `min` and `max` give for any NaN (the `max` of
    /// vectors is negative only if an operand is). So compiles the reference's baseline tier; its
    /// optimising tier may swap two NaN operands of a scalar `add` or `mul`.
    X86Legacy,
    /// Always the positive one without payload: `0x7fc00000`, `0x7ff8000000000000`.
    Canonical,
}

/// What a format asks of its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The bits of NaNs.
    pub nan: Nan,
    /// `try`, `catch` and `throw` of the old exception proposal are taken.
    pub allow_legacy_eh: bool,
    /// The memory has to have 64-bit addresses, else it has to have 32-bit ones.
    pub memory64: bool,
    /// Calls of the import `metering.usegas` are counted inside the module. Otherwise it is an import
    /// like any other.
    pub gas: bool,
    /// The most pages of 64 KiB that the memory may start with.
    pub max_initial_pages: u64,
    /// Imports that wait are answered at once: Asyncify can go, where nothing counts gas.
    pub direct_waits: bool,
    /// Which 64-bit memories get 32-bit addresses.
    pub lower: Lower,
    /// Imports, by module and name, that copy memory as `TypedArray.copyWithin` does.
    pub copies: &'static [(&'static str, &'static str)],
}

/// Which 64-bit memories get 32-bit addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lower {
    /// None.
    Never,
    /// Those that cannot reach 4 GiB.
    Bounded,
    /// All that start below 4 GiB: for scripts whose memories have no maximum.
    #[cfg(test)]
    Always,
}

/// A module ready to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// The new module.
    pub bytes: Vec<u8>,
    /// What the host must know of it.
    pub facts: Facts,
}

/// Why a module was not rewritten.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    /// The module's doing.
    #[error("{0}")]
    Refused(Refusal),
    /// Ours: what was read can no longer be read, or what was written is not valid.
    #[error("bug in rewriting: {0}")]
    Bug(String),
}

impl From<Refusal> for RewriteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A refusal of what the format does not allow.
fn not_allowed(text: impl Into<String>) -> RewriteError {
    RewriteError::Refused(Refusal::new(RefusalCode::NotAllowed, text.into()))
}

/// A refusal of what is over a bound of [`limits`].
fn too_big(what: &str, found: u64, most: u64) -> RewriteError {
    let text = format!("{what}: the module has {found}, at most {most} are allowed");
    RewriteError::Refused(Refusal::new(RefusalCode::TooBig, text))
}

/// What the validator said, as a refusal. It says the same of a feature that is off as of nonsense, but in
/// words of which one always occurs.
fn malformed(error: &wasmparser::Error) -> RewriteError {
    let off = ["not enabled", "must be enabled", "required", "disabled", "not supported"];
    if off.iter().any(|words| error.message().contains(words)) {
        return not_allowed(format!("a feature that this format does not allow: {error}"));
    }
    let text = format!("not a valid module: {error}");
    RewriteError::Refused(Refusal::new(RefusalCode::Malformed, text))
}

/// What cannot fail after validation, failed.
fn bug(what: impl std::fmt::Display) -> RewriteError {
    RewriteError::Bug(what.to_string())
}

/// Rewrites a module by the rules above.
///
/// Takes time linear in the module's size, and memory of at most some [`limits::CODE_BYTES`].
pub(crate) fn rewrite(bytes: &[u8], rules: &Rules) -> Result<Rewritten, RewriteError> {
    let most = limits::MODULE_BYTES;
    if bytes.len() > most {
        return Err(too_big("bytes of the module", bytes.len() as u64, most as u64));
    }
    let scan = scan::scan(bytes, rules)?;
    let rewritten = emit::emit(bytes, scan, rules)?;
    check::output(&rewritten.bytes)?;
    Ok(rewritten)
}

#[cfg(test)]
mod tests;
