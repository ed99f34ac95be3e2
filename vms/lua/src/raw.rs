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
use crate::spare;
use drivebay_disk::{HostError, bug};
use drivebay_lua_sys as sys;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Addresses of one world. Only what is used becomes memory.
const SPAN: usize = 16 << 30;
/// Stack that nested calls of C may need: 200 of them, the largest of 10 KiB.
const STACK: usize = 4 << 20;

/// Bytes of a world for one of its image, about.
const UNFOLDED: usize = 5;

/// A live world.
pub(crate) struct World {
    memory: Arc<Memory>,
    state: *mut sys::State,
}

// SAFETY: the live half of the memory belongs to this value alone, and holds nothing that is bound to a thread.
unsafe impl Send for World {}

impl Drop for World {
    fn drop(&mut self) {
        // Without it, nobody holds a state, and the memory goes as a whole.
        if Arc::strong_count(&self.memory) > 1 {
            let _books = self.memory.books();
            // SAFETY: the live half is used through this value alone; the copy stays.
            unsafe { sys::dbay_arenaleave(self.memory.arena) }
        }
    }
}

/// Memory for a world, in which there is none: nobody else has it.
pub(crate) struct Idle(*mut sys::Arena);

// SAFETY: nobody else has it, and nothing in it is bound to a thread.
unsafe impl Send for Idle {}

impl Drop for Idle {
    fn drop(&mut self) {
        // SAFETY: made by `dbay_arenanew`, given back once. What lies in it goes with it.
        unsafe { sys::dbay_arenafree(self.0) }
    }
}

impl Idle {
    /// Fresh memory, if there are addresses left for it.
    fn new() -> Option<Self> {
        // SAFETY: reserves addresses, and gives null if there are none.
        let arena = unsafe { sys::dbay_arenanew(SPAN, 1) };
        (!arena.is_null()).then_some(Self(arena))
    }

    /// Bytes of each half that may be in memory, or 0 if it cannot be used again.
    pub(crate) fn extent(&self) -> usize {
        // SAFETY: it is there, and nobody else has it.
        unsafe { sys::dbay_arenaextent(self.0) }
    }

    /// Makes it ready for another world, of which it shows nothing. So many bytes of each half stay in memory: no more
    /// than `most`, and 0 if it cannot be used again.
    pub(crate) fn clear(&mut self, most: usize) -> usize {
        // SAFETY: as above.
        unsafe { sys::dbay_arenaretire(self.0, most) }
    }

    /// For a world, which gives it back.
    fn used(self) -> *mut sys::Arena {
        std::mem::ManuallyDrop::new(self).0
    }
}

/// A world's memory: the live half, which is the world's own, and a copy of what was last committed.
struct Memory {
    arena: *mut sys::Arena,
    /// Locked by whoever reads or writes the copy or the layers.
    books: Mutex<Books>,
}

/// States that somebody holds on to, in the order of their commits.
#[derive(Default)]
struct Books {
    held: Vec<(Weak<()>, Layer)>,
}

/// What the copy was, where it was written over since.
struct Layer(*mut sys::Layer);

// SAFETY: a plain heap object that is used under the lock of its books.
unsafe impl Send for Layer {}

impl Drop for Layer {
    fn drop(&mut self) {
        // SAFETY: made by `dbay_layernew`, given back once.
        unsafe { sys::dbay_layerfree(self.0) }
    }
}

// SAFETY: a `World` alone touches the live half and the tracking; all else happens under `books`.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // The last to have it is gone, so nobody does.
        spare::put(Idle(self.arena));
    }
}

impl Memory {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// States that nobody holds any more leave what they kept to the one before them.
    fn prune(&mut self) {
        for at in (0..self.held.len()).rev() {
            if self.held.get(at).is_some_and(|(holder, _)| holder.strong_count() > 0) {
                continue;
            }
            let (_, layer) = self.held.remove(at);
            if let Some((_, before)) = at.checked_sub(1).and_then(|at| self.held.get(at)) {
                // SAFETY: both are live, and the lock is held.
                unsafe { sys::dbay_layermerge(before.0, layer.0) }
            }
        }
    }
}

/// A committed state that somebody holds on to, whatever its world does next.
pub(crate) struct Held {
    memory: Arc<Memory>,
    state: *mut sys::State,
    holder: Arc<()>,
}

// SAFETY: `state` is used as an address only; the memory is behind its lock.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Held {
    fn layers(&self, books: &Books) -> Vec<*mut sys::Layer> {
        let mine = |(holder, _): &(Weak<()>, Layer)| holder.as_ptr() == Arc::as_ptr(&self.holder);
        let from = books.held.iter().position(mine).unwrap_or(books.held.len());
        books.held.iter().skip(from).map(|(_, layer)| layer.0).collect()
    }

    /// The state as bytes. The world may run meanwhile, but does not commit while the copy is read.
    pub(crate) fn encode(&self) -> Result<Written, HostError> {
        let books = self.memory.books();
        let layers = self.layers(&books);
        // SAFETY: the layers are live, and the lock is held.
        let untouched = layers.iter().all(|layer| unsafe { sys::dbay_layerbytes(*layer) } == 0);
        if untouched {
            // SAFETY: only addresses are computed.
            let off = unsafe { sys::dbay_copyoff(self.memory.arena) };
            return encode(self.state, off);
        }
        let mut view = sys::View { bytes: ptr::null_mut(), len: 0, off: 0 };
        // SAFETY: the layers are live and in order, and the lock is held.
        let made = unsafe {
            sys::dbay_viewnew(self.memory.arena, layers.as_ptr(), layers.len(), &raw mut view)
        };
        drop(books);
        if made == 0 {
            return Err(HostError::Exhausted { what: "memory" });
        }
        let bytes = encode(self.state, view.off);
        // SAFETY: made above, given back once.
        unsafe { sys::dbay_viewfree(&raw mut view) };
        bytes
    }

    /// Bytes that are kept for this state alone.
    pub(crate) fn bytes(&self) -> u64 {
        let books = self.memory.books();
        let first = self.layers(&books).first().copied();
        // SAFETY: the layer is live, and the lock is held.
        first.map_or(0, |layer| unsafe { sys::dbay_layerbytes(layer) } as u64)
    }
}

/// A world's bytes, read `off` away from its addresses. Nobody may write there meanwhile.
fn encode(state: *mut sys::State, off: isize) -> Result<Written, HostError> {
    let (mut out, mut len, mut why) = (ptr::null_mut(), 0, ptr::null());
    // SAFETY: a world at rest lies there whole; the three are written by the call.
    let status = on_stack(|| unsafe {
        sys::dbay_encode(state, off, &raw mut out, &raw mut len, &raw mut why)
    });
    match status {
        0 => Ok(Written { bytes: out.cast(), len }),
        2 => Err(HostError::Exhausted { what: "memory" }),
        _ => Err(bug!("the world holds {}", text(why))),
    }
}

/// A world as bytes: equal for equal worlds.
pub(crate) struct Written {
    bytes: *mut c_char,
    len: usize,
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        view(self.bytes, self.len)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // SAFETY: made by C's `malloc`; given back once.
        unsafe { sys::dbay_free(self.bytes.cast::<c_void>()) };
    }
}

/// What a module must have, and is called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Convention {
    /// `handle(msg, env)`.
    Handle,
    /// HyperBEAM's `compute(base, req, opts)`.
    Compute,
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
    pub(crate) convention: Convention,
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

impl From<HostError> for Undecoded {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl World {
    /// An empty world, committed.
    pub(crate) fn new() -> Result<Self, HostError> {
        let world = Self::empty(0)?;
        // SAFETY: nothing runs in the arena, which is this world's own.
        unsafe { sys::dbay_arenatrim(world.memory.arena) };
        Ok(world)
    }

    /// The same, in an arena that has some memory at hand if there is one.
    fn empty(need: usize) -> Result<Self, HostError> {
        static SETUP: OnceLock<bool> = OnceLock::new();
        // SAFETY: `OnceLock` lets one thread in, once, and all others wait for it.
        if !*SETUP.get_or_init(|| unsafe { sys::dbay_setup() != 0 }) {
            return Err(bug!("this build of Lua lacks a function of the allow-list"));
        }
        let arena = spare::take(need).or_else(Idle::new);
        let arena = arena.ok_or(HostError::Exhausted { what: "addresses" })?.used();
        let memory = Arc::new(Memory { arena, books: Mutex::default() });
        let mut world = Self { memory, state: ptr::null_mut() };
        // SAFETY: the arena is fresh, and stays where it is for as long as the state does.
        world.state = unsafe { sys::dbay_newstate(sys::dbay_arenaud(arena)) };
        if world.state.is_null() {
            return Err(HostError::Exhausted { what: "memory" });
        }
        world.commit();
        Ok(world)
    }

    /// The world that `len` bytes say, committed. `fill` writes them, all, to where they are read; nobody vouches for
    /// them.
    pub(crate) fn decode(
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), HostError>,
    ) -> Result<Self, Undecoded> {
        let mut world = Self::empty(len.saturating_mul(UNFOLDED))?;
        let mut why = ptr::null();
        let (state, arena) = (world.state, world.memory.arena);
        // SAFETY: the arena is this world's own.
        let room = unsafe { sys::dbay_arenalend(arena, len, 1) }.cast::<u8>();
        if room.is_null() {
            return Err(HostError::Exhausted { what: "addresses" }.into());
        }
        // SAFETY: so many bytes were lent, which are the kernel's zeros or what was written there; nobody else reads or
        // writes them until the world is committed, and C only reads them.
        let bytes = unsafe { slice::from_raw_parts_mut(room, len) };
        fill(bytes)?;
        // SAFETY: the arena is this world's own.
        unsafe { sys::dbay_arenafill(arena, 1) };
        // SAFETY: a fresh state; the bytes are read only during the call; `why` is set to a static text.
        let status = on_stack(|| unsafe {
            sys::dbay_decode(state, arena, bytes.as_ptr(), bytes.len(), &raw mut why)
        });
        // SAFETY: as above.
        unsafe { sys::dbay_arenafill(arena, 0) };
        match status {
            0 => {}
            2 => return Err(HostError::Exhausted { what: "memory" }.into()),
            _ => return Err(Undecoded::Refused(text(why))),
        }
        world.commit();
        // SAFETY: as above; what a commit copied is not given back.
        unsafe { sys::dbay_arenatrim(arena) };
        Ok(world)
    }

    /// What is there now is what [`World::roll_back`] goes back to.
    pub(crate) fn commit(&mut self) {
        let mut books = self.memory.books();
        books.prune();
        let newest = books.held.last().map_or(ptr::null_mut(), |(_, layer)| layer.0);
        // SAFETY: nothing runs in the arena, since `self` is borrowed alone; the lock is held.
        unsafe { sys::dbay_commit(self.memory.arena, newest) }
    }

    /// Back to the last commit.
    pub(crate) fn roll_back(&mut self) {
        // SAFETY: as above; the copy is only read. The state's own address is part of what it goes back to.
        unsafe { sys::dbay_rollback(self.memory.arena) }
    }

    /// The last committed state, kept from what comes next: that costs what is written then.
    pub(crate) fn hold(&self) -> Result<Held, HostError> {
        let holder = Arc::new(());
        let mut books = self.memory.books();
        books.prune();
        // SAFETY: the lock is held, so nothing is committed meanwhile.
        let layer = unsafe { sys::dbay_layernew(self.memory.arena) };
        if layer.is_null() {
            return Err(HostError::Exhausted { what: "memory" });
        }
        books.held.push((Arc::downgrade(&holder), Layer(layer)));
        drop(books);
        Ok(Held { memory: Arc::clone(&self.memory), state: self.state, holder })
    }

    /// Steps that the collector took so far, and its rounds.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> (u64, u64) {
        // SAFETY: only reads two counters of this world's.
        unsafe { (sys::dbay_work(self.state), sys::dbay_rounds(self.state)) }
    }

    /// The first bytes of both halves, in use or not: what lives, and its copy.
    #[cfg(test)]
    pub(crate) fn halves(&self, bytes: usize) -> [&[u8]; 2] {
        // SAFETY: only addresses are computed.
        let off = unsafe { sys::dbay_copyoff(self.memory.arena) };
        // SAFETY: as above.
        let live = unsafe { sys::dbay_arenaud(self.memory.arena) }.cast_const().cast::<u8>();
        [live, live.wrapping_offset(off)].map(|half| {
            assert!(bytes <= SPAN, "a half is smaller");
            // SAFETY: either half has so many bytes, all can be read, and nothing runs while `self` is borrowed.
            unsafe { slice::from_raw_parts(half, bytes) }
        })
    }

    /// Bytes of memory held: live, and the copy beside it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        // SAFETY: only reads the arena's head, which is this world's.
        2 * unsafe { sys::dbay_arenaused(self.memory.arena) } as u64
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
                .chain(adapter(input.convention))
                .collect(),
        };
        let given = sys::Input {
            fuel: i64::try_from(input.fuel).unwrap_or(i64::MAX),
            memory_bytes: input.memory_bytes,
            depth: input.depth.into(),
            seed: input.seed,
            files: files.as_ptr(),
            nfiles: files.len(),
            entry: match input.convention {
                Convention::Handle => c"handle".as_ptr(),
                Convention::Compute => c"drivebay.compute".as_ptr(),
            },
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
fn prelude() -> [sys::File; 2] {
    [
        file(b"drivebay\0", include_bytes!("prelude.lua")),
        file(b"drivebay/crypto.lua\0", include_bytes!("crypto.lua")),
    ]
}

/// Ours, that runs the program of a module of another convention.
fn adapter(convention: Convention) -> Option<sys::File> {
    let adapter = || file(b"drivebay/hyperbeam.lua\0", include_bytes!("hyperbeam.lua"));
    (convention == Convention::Compute).then(adapter)
}

/// The name ends with a zero.
fn file(name: &[u8], text: &[u8]) -> sys::File {
    sys::File { name: sys::Bytes::of(name), text: sys::Bytes::of(text) }
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
