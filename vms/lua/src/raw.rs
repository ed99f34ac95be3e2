//! A world of Lua behind a safe interface: memory, state, runs, images.
//!
//! The C side keeps every jump of Lua's inside of its entries, and whatever it points to in here outlives the
//! call. A world is used by one thread at a time; it may move between them, since nothing in it is bound to
//! one.
#![allow(
    unsafe_code,
    reason = "the entries of C are unsafe; this file is the only one that calls them"
)]

use crate::bundle::File;
use crate::host::{Asked, Failed};
use drivebay_disk::{HostError, bug};
use drivebay_lua_sys as sys;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::OnceLock;

/// Addresses of one world. Only what is used becomes memory.
const SPAN: usize = 16 << 30;
/// Stack that nested calls of C may need: 200 of them, the largest of 10 KiB.
const STACK: usize = 4 << 20;

/// A live world and the state it was last committed in.
pub(crate) struct World {
    arena: *mut sys::Arena,
    state: *mut sys::State,
}

// SAFETY: the arena and all in it belong to this value alone, and hold nothing that is bound to a thread.
unsafe impl Send for World {}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: made by `dbay_arenanew`, given back once. The state lies in it, and goes with it.
        unsafe { sys::dbay_arenafree(self.arena) }
    }
}

/// What a call brings to a world.
pub(crate) struct Input<'a> {
    pub(crate) fuel: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) depth: u32,
    pub(crate) seed: u64,
    pub(crate) time_ms: u64,
    /// The module's files, the first time.
    pub(crate) files: Option<&'a [File]>,
    pub(crate) message: &'a str,
    pub(crate) env: &'a str,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) from: &'a str,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Raised,
    NoEntry,
    OutOfFuel,
    OutOfMemory,
    TooDeep,
    TooLoud,
    HostFailed,
    Exhausted,
    BadReply,
}

/// What it answered, or its error.
pub(crate) enum Said {
    Nothing,
    Text(Vec<u8>),
    Json(Vec<u8>),
}

/// What came of a run.
pub(crate) struct Played {
    pub(crate) end: End,
    pub(crate) said: Said,
    pub(crate) fuel: u64,
}

/// Why bytes are no world.
pub(crate) enum Undecoded {
    Refused(String),
    Host(HostError),
}

impl World {
    /// An empty world, committed.
    pub(crate) fn new() -> Result<Self, HostError> {
        static SETUP: OnceLock<bool> = OnceLock::new();
        // SAFETY: `OnceLock` lets one thread in, once, and all others wait for it.
        if !*SETUP.get_or_init(|| unsafe { sys::dbay_setup() != 0 }) {
            return Err(bug!("this build of Lua lacks a function of the allow-list"));
        }
        // SAFETY: reserves addresses, and gives null if there are none.
        let arena = unsafe { sys::dbay_arenanew(SPAN, 1) };
        if arena.is_null() {
            return Err(HostError::Exhausted { what: "addresses" });
        }
        let mut world = Self { arena, state: ptr::null_mut() };
        // SAFETY: the arena is fresh, and stays where it is for as long as the state does.
        world.state = unsafe { sys::dbay_newstate(sys::dbay_arenaud(arena)) };
        if world.state.is_null() {
            return Err(HostError::Exhausted { what: "memory" });
        }
        world.commit();
        Ok(world)
    }

    /// The world that these bytes say, committed. Nobody vouches for them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecoded> {
        let mut world = Self::new().map_err(Undecoded::Host)?;
        let mut why = ptr::null();
        let state = world.state;
        // SAFETY: a fresh state; the bytes are read only during the call; `why` is set to a static text.
        let status = on_stack(|| unsafe {
            sys::dbay_decode(state, bytes.as_ptr(), bytes.len(), &raw mut why)
        });
        match status {
            0 => {}
            2 => return Err(Undecoded::Host(HostError::Exhausted { what: "memory" })),
            _ => return Err(Undecoded::Refused(text(why))),
        }
        // What is written otherwise than it was read was no image of ours.
        match world.encode().map_err(Undecoded::Host)? {
            again if again == bytes => {}
            _ => return Err(Undecoded::Refused("it is not written as this world would be".into())),
        }
        world.commit();
        Ok(world)
    }

    /// What is there now is what [`World::roll_back`] goes back to.
    pub(crate) fn commit(&mut self) {
        // SAFETY: nothing runs in the arena, since `self` is borrowed alone.
        unsafe { sys::dbay_commit(self.arena) }
    }

    /// Back to the last commit.
    pub(crate) fn roll_back(&mut self) {
        // SAFETY: as above; the state's own address is part of what it goes back to.
        unsafe { sys::dbay_rollback(self.arena) }
    }

    /// The world as bytes: equal for equal worlds.
    pub(crate) fn encode(&mut self) -> Result<Vec<u8>, HostError> {
        let (mut out, mut len, mut why) = (ptr::null_mut(), 0, ptr::null());
        // SAFETY: the world is at rest; the three are written by the call.
        let status = on_stack(|| unsafe {
            sys::dbay_encode(self.state, &raw mut out, &raw mut len, &raw mut why)
        });
        match status {
            0 => Ok(taken(out.cast(), len)),
            2 => Err(HostError::Exhausted { what: "memory" }),
            _ => Err(bug!("the world holds {}", text(why))),
        }
    }

    /// Bytes of memory held: live, and the copy beside it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        // SAFETY: only reads the arena's head.
        2 * unsafe { sys::dbay_arenaused(self.arena) } as u64
    }

    /// Runs one call. After any end but [`End::Done`] the world must be rolled back.
    pub(crate) fn play(
        &mut self,
        input: &Input<'_>,
        asked: &mut Asked,
    ) -> Result<Played, HostError> {
        let names = names(input.files.unwrap_or_default())?;
        let files: Vec<sys::File> = match input.files {
            None => Vec::new(),
            Some(files) => prelude()
                .into_iter()
                .chain(names.iter().zip(files).map(|(name, file)| sys::File {
                    name: sys::Bytes::of(name.as_bytes()),
                    text: sys::Bytes::of(&file.text),
                }))
                .collect(),
        };
        let given = sys::Input {
            fuel: i64::try_from(input.fuel).unwrap_or(i64::MAX),
            memory_bytes: input.memory_bytes,
            depth: input.depth.into(),
            seed: input.seed,
            files: files.as_ptr(),
            nfiles: files.len(),
            entry: c"handle".as_ptr(),
            message: sys::Bytes::of(input.message.as_bytes()),
            env: sys::Bytes::of(input.env.as_bytes()),
            data: sys::Bytes::of(input.data.unwrap_or_default()),
            hasdata: input.data.is_some().into(),
            from: sys::Bytes::of(input.from.as_bytes()),
        };
        let mut run = sys::Run {
            host: ptr::from_mut(asked).cast(),
            print,
            read,
            time_ms: i64::try_from(input.time_ms).unwrap_or(i64::MAX),
            fuel: 0,
        };
        let mut output = sys::Output { end: 0, kind: 0, text: ptr::null_mut(), len: 0, fuel: 0 };
        // SAFETY: all that is pointed to lives until after the call, which keeps nothing of it.
        on_stack(|| unsafe {
            sys::dbay_play(self.state, &raw const given, &raw mut run, &raw mut output);
        });
        let bytes = taken(output.text, output.len);
        let said = match output.kind {
            sys::OUT_JSON => Said::Json(bytes),
            sys::OUT_TEXT => Said::Text(bytes),
            _ => Said::Nothing,
        };
        let left = u64::try_from(output.fuel).unwrap_or(0);
        Ok(Played { end: end(output.end)?, said, fuel: input.fuel.saturating_sub(left) })
    }
}

/// Nested calls of C need their stack, whatever thread the caller is on.
fn on_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK, STACK + (1 << 20), work)
}

fn end(number: c_int) -> Result<End, HostError> {
    Ok(match number {
        sys::END_DONE => End::Done,
        sys::END_RAISED => End::Raised,
        sys::END_NOENTRY => End::NoEntry,
        sys::END_FUEL => End::OutOfFuel,
        sys::END_MEMORY => End::OutOfMemory,
        sys::END_DEEP => End::TooDeep,
        sys::END_LOUD => End::TooLoud,
        sys::END_HOST => End::HostFailed,
        sys::END_EXHAUSTED => End::Exhausted,
        sys::END_REPLY => End::BadReply,
        other => return Err(bug!("a run ended with {other}")),
    })
}

/// Ours, that every module has.
fn prelude() -> [sys::File; 1] {
    let text = include_bytes!("prelude.lua");
    [sys::File { name: sys::Bytes::of(b"drivebay\0"), text: sys::Bytes::of(text) }]
}

fn names(files: &[File]) -> Result<Vec<CString>, HostError> {
    let name = |file: &File| CString::new(file.name.as_str());
    files.iter().map(name).collect::<Result<_, _>>().map_err(|_| bug!("a file's name has a zero"))
}

/// A static text of C's.
fn text(why: *const c_char) -> String {
    if why.is_null() {
        return "no reason was given".into();
    }
    // SAFETY: not null, so it is one of the literals of `c/`.
    unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned()
}

/// Copies what C made, and gives it back.
fn taken(p: *mut c_char, len: usize) -> Vec<u8> {
    let bytes = view(p, len).to_vec();
    // SAFETY: made by C's `malloc`, or null; given back once.
    unsafe { sys::dbay_free(p.cast::<c_void>()) };
    bytes
}

fn view<'a>(p: *const c_char, len: usize) -> &'a [u8] {
    if p.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: callers have this pointer and length from C, which keeps the bytes until they return.
    unsafe { slice::from_raw_parts(p.cast(), len) }
}

extern "C" fn print(host: *mut c_void, line: *const c_char, len: usize) -> c_int {
    // SAFETY: `host` is the `Asked` that `play` was given, and nobody else uses it during the run.
    let asked = unsafe { &mut *host.cast::<Asked>() };
    asked.print(view(line, len)).into()
}

extern "C" fn read(
    host: *mut c_void,
    id: *const c_char,
    idlen: usize,
    from: u64,
    len: u64,
    out: *mut sys::Bytes,
    total: *mut u64,
) -> c_int {
    // SAFETY: as in `print`.
    let asked = unsafe { &mut *host.cast::<Asked>() };
    match asked.read(view(id, idlen), from, len) {
        Ok(Some(data)) => {
            // SAFETY: both are variables of the caller; the bytes are kept in `asked` until the next question.
            unsafe {
                *out = sys::Bytes::of(&data.bytes);
                *total = data.total;
            }
            1
        }
        Ok(None) => 0,
        Err(Failed) => -1,
    }
}
