//! Lua 5.3.6 with our patch, raw: the entries of `c/api.c` and their plain data.
//!
//! Every entry is protected: no jump of Lua's crosses it. The sources are the registry's; `patches/` says,
//! group by group, what is changed in them, and `c/` is ours.
//!
//! Lua is Copyright © 1994–2020 Lua.org, PUC-Rio, under the MIT licence.
#![allow(unsafe_code, reason = "declarations of C, and functions for C")]

use sha3::Digest;
use std::ffi::{c_char, c_int, c_void};

/// What work costs, as C has it: part of the rules.
pub const COSTS: &str = include_str!("../c/costs.h");

/// A world's memory. Only pointed at.
#[repr(C)]
pub struct Arena {
    _private: [u8; 0],
}

/// A Lua state. Only pointed at.
#[repr(C)]
pub struct State {
    _private: [u8; 0],
}

/// Pages of a committed state that were written over since. Only pointed at.
#[repr(C)]
pub struct Layer {
    _private: [u8; 0],
}

/// A state that was committed once, laid out again.
#[repr(C)]
pub struct View {
    /// Where.
    pub bytes: *mut u8,
    /// How much, in bytes.
    pub len: usize,
    /// From the world's addresses to there.
    pub off: isize,
}

/// Bytes of somebody else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    /// Where they begin; anything if there are none.
    pub data: *const c_char,
    /// How many.
    pub len: usize,
}

impl Bytes {
    /// A view of `bytes`, valid as long as they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), len: bytes.len() }
    }
}

/// A file of a module; its name ends with a zero that is not counted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct File {
    /// Its name.
    pub name: Bytes,
    /// Its text.
    pub text: Bytes,
}

/// What a run may ask of its host. No function may unwind.
#[repr(C)]
pub struct Run {
    /// Handed to the functions.
    pub host: *mut c_void,
    /// A printed line; 0 if there is no room for more.
    pub print: extern "C" fn(*mut c_void, *const c_char, usize) -> c_int,
    /// Data by id and range: 1 and the bytes, 0 if absent, -1 if the host has no answer.
    pub read:
        extern "C" fn(*mut c_void, *const c_char, usize, u64, u64, *mut Bytes, *mut u64) -> c_int,
    /// The call's time, Unix milliseconds.
    pub time_ms: i64,
    /// Set by the run itself.
    pub fuel: i64,
}

/// What a call brings.
#[repr(C)]
pub struct Input {
    /// Units of work.
    pub fuel: i64,
    /// Most live bytes.
    pub memory_bytes: u64,
    /// Most slots of a stack.
    pub depth: u64,
    /// Where `math.random` starts.
    pub seed: u64,
    /// Our prelude, the module's other files, and its program; none but the first time.
    pub files: *const File,
    /// How many.
    pub nfiles: usize,
    /// Name of the global function to call, ending with a zero.
    pub entry: *const c_char,
    /// Its first argument, as JSON.
    pub message: Bytes,
    /// Its second, as JSON.
    pub env: Bytes,
    /// The message's data, exactly.
    pub data: Bytes,
    /// Whether there is any.
    pub hasdata: c_int,
    /// Who the message speaks for.
    pub from: Bytes,
}

/// How a run ended.
#[repr(C)]
pub struct Output {
    /// One of the `END_` numbers.
    pub end: c_int,
    /// One of the `OUT_` numbers.
    pub kind: c_int,
    /// The answer or the error; belongs to the caller, who gives it to [`dbay_free`].
    pub text: *mut c_char,
    /// Its length.
    pub len: usize,
    /// Fuel left; negative if it ran out.
    pub fuel: i64,
}

/// Evaluated.
pub const END_DONE: c_int = 0;
/// The module raised an error.
pub const END_RAISED: c_int = 1;
/// There is no function to call.
pub const END_NOENTRY: c_int = 2;
/// Out of fuel.
pub const END_FUEL: c_int = 3;
/// More is live than the limit allows.
pub const END_MEMORY: c_int = 4;
/// A stack overflowed.
pub const END_DEEP: c_int = 5;
/// More was printed than the limit allows.
pub const END_LOUD: c_int = 6;
/// The host had no answer.
pub const END_HOST: c_int = 7;
/// The host has no more memory.
pub const END_EXHAUSTED: c_int = 8;
/// The answer cannot be written as JSON.
pub const END_REPLY: c_int = 9;

/// No answer.
pub const OUT_NOTHING: c_int = 0;
/// Text, or bytes.
pub const OUT_TEXT: c_int = 1;
/// JSON.
pub const OUT_JSON: c_int = 2;

// SAFETY: these are the functions of `c/`, with the types that they have there.
unsafe extern "C" {
    /// Once, before anything else, on one thread: 0 if this build lacks a function of the allow-list.
    pub fn dbay_setup() -> c_int;
    /// Memory for one world; null if there are no addresses left.
    pub fn dbay_arenanew(span: usize, tracked: c_int) -> *mut Arena;
    /// Gives it back.
    pub fn dbay_arenafree(arena: *mut Arena);
    /// What `dbay_newstate` takes.
    pub fn dbay_arenaud(arena: *mut Arena) -> *mut c_void;
    /// Bytes used of it.
    pub fn dbay_arenaused(arena: *const Arena) -> usize;
    /// Whether the kernel lists written pages.
    pub fn dbay_arenatracked(arena: *const Arena) -> c_int;
    /// The world is gone; its last committed state may still be read.
    pub fn dbay_arenaleave(arena: *mut Arena);
    /// Bytes of each half that may be in memory, or 0 if the arena cannot be used again.
    pub fn dbay_arenaextent(arena: *const Arena) -> usize;
    /// An empty arena again, of which `most` bytes of each half, no more than its extent, stay in memory: those that
    /// do, or 0 if it is to be given back. Nobody may hold a state of it.
    pub fn dbay_arenaretire(arena: *mut Arena, most: usize) -> usize;
    /// Gives back what stayed in memory and is not used. A world must be committed.
    pub fn dbay_arenatrim(arena: *mut Arena);
    /// A world is about to be read, or (0) was: nothing but how memory is asked for.
    pub fn dbay_arenafill(arena: *mut Arena, begins: c_int);
    /// So many bytes that hold anything, for whoever reads a world, until it is committed; of which all will be
    /// written if they are to be `filled`. Null if there are no addresses left.
    pub fn dbay_arenalend(arena: *mut Arena, n: usize, filled: c_int) -> *mut c_void;
    /// What is there now is what `dbay_rollback` goes back to. What the newest layer, or null, stands for is
    /// kept in it.
    pub fn dbay_commit(arena: *mut Arena, newest: *mut Layer);
    /// A layer for the state as it was last committed; null if there is no memory.
    pub fn dbay_layernew(arena: *const Arena) -> *mut Layer;
    /// Gives it back.
    pub fn dbay_layerfree(layer: *mut Layer);
    /// Bytes that it keeps.
    pub fn dbay_layerbytes(layer: *const Layer) -> usize;
    /// `layer` takes from the one after it what it still lacks.
    pub fn dbay_layermerge(layer: *mut Layer, newer: *const Layer);
    /// The state of the first of `n` layers, of which the others are what came after; 0 if there is no memory.
    pub fn dbay_viewnew(
        arena: *const Arena,
        layers: *const *mut Layer,
        n: usize,
        view: *mut View,
    ) -> c_int;
    /// Gives it back.
    pub fn dbay_viewfree(view: *mut View);
    /// From the world's addresses to the copy of the last committed state.
    pub fn dbay_copyoff(arena: *const Arena) -> isize;
    /// Back to the last commit.
    pub fn dbay_rollback(arena: *mut Arena);
    /// An empty state in an arena.
    pub fn dbay_newstate(ud: *mut c_void) -> *mut State;
    /// Runs one call.
    pub fn dbay_play(state: *mut State, input: *const Input, run: *mut Run, output: *mut Output);
    /// The world as bytes, read `off` away from its own addresses: 0, or 1 if it holds what cannot be kept, or 2
    /// if the host lacks memory.
    pub fn dbay_encode(
        state: *mut State,
        off: isize,
        out: *mut *mut u8,
        len: *mut usize,
        error: *mut *const c_char,
    ) -> c_int;
    /// Bytes into a fresh state, which lies in this arena: 0, or 1 if refused, or 2 if the host lacks memory.
    pub fn dbay_decode(
        state: *mut State,
        arena: *mut Arena,
        bytes: *const u8,
        len: usize,
        error: *mut *const c_char,
    ) -> c_int;
    /// Gives back what C made.
    pub fn dbay_free(p: *mut c_void);
    /// Steps that the collector and the table of texts took so far.
    pub fn dbay_work(state: *const State) -> u64;
    /// How often the collector came to the end of marking.
    pub fn dbay_rounds(state: *const State) -> u64;
    /// What the world counts as.
    pub fn dbay_live(state: *mut State) -> u64;
    /// A full collection.
    pub fn dbay_collect(state: *mut State);
}

/// Functions of one number for Lua's `math`, by musl's algorithms.
macro_rules! math {
    ($($name:ident = $of:path),* $(,)?) => {$(
        // SAFETY: no other symbol has this name.
        #[unsafe(no_mangle)]
        extern "C" fn $name(x: f64) -> f64 {
            $of(x)
        }
    )*};
}

math! {
    dbay_sin = libm::sin, dbay_cos = libm::cos, dbay_tan = libm::tan,
    dbay_asin = libm::asin, dbay_acos = libm::acos,
    dbay_exp = libm::exp, dbay_log = libm::log, dbay_log2 = libm::log2, dbay_log10 = libm::log10,
    dbay_sinh = libm::sinh, dbay_cosh = libm::cosh, dbay_tanh = libm::tanh,
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn dbay_pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn dbay_atan2(y: f64, x: f64) -> f64 {
    libm::atan2(y, x)
}

/// A digest of `n` bytes of text, written to `out`, which has room for 64; its length. The kinds are numbered as the
/// names in `c/digest.c` are.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn dbay_digest(kind: c_int, text: *const u8, n: usize, out: *mut u8) -> usize {
    // SAFETY: C passes a Lua string and its length.
    let text = if n == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(text, n) } };
    let put = |digest: &[u8]| {
        // SAFETY: no digest is longer than the 64 bytes that C has there.
        unsafe { std::ptr::copy_nonoverlapping(digest.as_ptr(), out, digest.len()) };
        digest.len()
    };
    match kind {
        0 => put(&md5::Md5::digest(text)),
        1 => put(&sha1::Sha1::digest(text)),
        2 => put(&sha2::Sha256::digest(text)),
        3 => put(&sha2::Sha512::digest(text)),
        4 => put(&sha3::Sha3_256::digest(text)),
        5 => put(&sha3::Sha3_512::digest(text)),
        6 => put(&sha3::Keccak256::digest(text)),
        _ => put(&sha3::Keccak512::digest(text)),
    }
}
