//! One call from the guest: its arguments, its memory, its fuel, and the world behind it.

use crate::formats::Rules;
use crate::limits;
use crate::posix::Posix;
use crate::trap::Stop;
use drivebay_disk::{Call, FaultCode, Host, HostError, Limits, bug};
use std::sync::Arc;
use wasmtime::{
    AsContextMut, Caller, Func, FuncType, Global, Memory, ResourceLimiter, StoreContextMut, Table,
    Val, ValType,
};

/// What a store knows besides the guest's memory and globals.
pub(crate) struct World {
    pub(crate) rules: &'static Rules,
    /// Clock, files, open lines: what the reference keeps outside the memory. Part of the state.
    pub(crate) posix: Posix,
    /// The guest's exports, once instantiated.
    pub(crate) guest: Option<Guest>,
    /// Asyncify was taken out of the module.
    pub(crate) direct_waits: bool,
    /// Where an unwinding stands. Never at rest.
    pub(crate) asyncify: Asyncify,
    /// The call being evaluated; `None` at rest.
    pub(crate) run: Option<Run>,
}

/// The call being evaluated.
pub(crate) struct Run {
    pub(crate) call: Arc<Call>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) limits: Limits,
    /// Lines printed, for the author.
    pub(crate) printed: Vec<String>,
    /// Bytes of `printed`.
    pub(crate) printed_bytes: usize,
    /// The unfinished line of each of stdout and stderr (formats whose lines end with the call).
    pub(crate) half_lines: [Vec<u8>; 2],
    /// Random bytes handed out so far.
    pub(crate) random_at: u64,
}

impl Run {
    pub(crate) fn new(call: Arc<Call>, host: Arc<dyn Host>, limits: Limits) -> Self {
        let half_lines = [Vec::new(), Vec::new()];
        Self { call, host, limits, printed: Vec::new(), printed_bytes: 0, half_lines, random_at: 0 }
    }

    /// Takes bytes written to a stream: whole lines are kept, a half line waits for its end.
    pub(crate) fn print_stream(&mut self, fd: i32, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let [out, err] = &mut self.half_lines;
            let half = if fd == 2 { err } else { out };
            let room = limits::PRINTED_BYTES.saturating_sub(half.len());
            half.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if piece.ends_with(b"\n") {
                let line = std::mem::take(half);
                self.print(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            }
        }
    }

    /// Lines printed, half lines too.
    pub(crate) fn into_printed(mut self) -> Vec<String> {
        for half in std::mem::take(&mut self.half_lines) {
            if !half.is_empty() {
                self.print(&String::from_utf8_lossy(&half));
            }
        }
        self.printed
    }

    /// Keeps a printed line, as far as the bound allows. An empty line counts too.
    pub(crate) fn print(&mut self, line: &str) {
        let room = limits::PRINTED_BYTES.saturating_sub(self.printed_bytes);
        if line.len() < room {
            self.printed_bytes += line.len() + 1;
            self.printed.push(line.to_owned());
        }
    }
}

/// The exports that the host calls. Handles only: cheap to clone.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) memory: Memory,
    pub(crate) table: Option<Table>,
    pub(crate) instance: wasmtime::Instance,
    pub(crate) stack_save: Option<Func>,
    pub(crate) stack_restore: Option<Func>,
    pub(crate) stack_alloc: Option<Func>,
    pub(crate) set_threw: Option<Func>,
    pub(crate) malloc: Option<Func>,
    pub(crate) free: Option<Func>,
    pub(crate) depth: Option<Global>,
    pub(crate) depth_limit: Option<Global>,
    pub(crate) gas: Option<Global>,
    pub(crate) gas_limit: Option<Global>,
}

/// Emscripten's Asyncify, between an import that must wait and the top of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asyncify {
    #[default]
    Normal,
    /// Nothing unwinds: who waits is answered at once.
    Direct,
    /// Frames are being saved at `data`; `action` is what the guest waits for.
    Unwinding { data: u64, action: Action },
    /// Frames are being rebuilt from `data`.
    Rewinding { data: u64 },
}

/// What an unwound guest waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// `weavedrive_open` of a path.
    Open(Vec<u8>),
    /// `weavedrive_read` of `len` bytes from `fd` into `at`.
    Read { fd: i32, at: u64, len: u64 },
    /// `weavedrive_close` of `fd`.
    Close(i32),
}

impl ResourceLimiter for World {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Past the limit or the declared maximum is the guest's affair, and answers -1.
        let limit = self.run.as_ref().map_or(u64::MAX, |run| run.limits.memory_bytes);
        Ok(desired as u64 <= limit && maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // The engine asks `memory_growing` first, and comes here only with what it allowed: the host
        // has no memory.
        Err(wasmtime::Error::new(Stop::Host(HostError::Exhausted { what: "memory" }))
            .context(error))
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Arguments of an import, by position. The signature was checked when the module was read.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [Val]);

impl Args<'_> {
    /// A pointer or length of the format's width, or a 32-bit unsigned number.
    pub(crate) fn ptr(&self, at: usize) -> u64 {
        match self.0.get(at) {
            Some(Val::I32(value)) => u64::from(value.cast_unsigned()),
            Some(Val::I64(value)) => value.cast_unsigned(),
            _ => 0,
        }
    }

    /// A 32-bit number.
    pub(crate) fn i32(&self, at: usize) -> i32 {
        match self.0.get(at) {
            Some(Val::I32(value)) => *value,
            // As JavaScript's |0 does.
            Some(Val::I64(value)) => *value as i32,
            _ => 0,
        }
    }

    /// A 64-bit number.
    pub(crate) fn i64(&self, at: usize) -> i64 {
        match self.0.get(at) {
            Some(Val::I32(value)) => i64::from(*value),
            Some(Val::I64(value)) => *value,
            _ => 0,
        }
    }

    /// A 64-bit number in two halves, low first.
    pub(crate) fn halves(&self, at: usize) -> i64 {
        let low = u64::from(self.i32(at).cast_unsigned());
        (i64::from(self.i32(at + 1)) << 32) | low.cast_signed()
    }
}

/// What an import answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Out {
    None,
    I32(i32),
    I64(i64),
    F64(f64),
    /// A pointer or length of the format's width.
    Ptr(u64),
}

impl Out {
    /// The value as a result, 64 bits wide or 32.
    pub(crate) fn into_val(self, wide: bool) -> Val {
        let number = match self {
            Self::None => 0,
            Self::I32(value) => i64::from(value),
            Self::I64(value) => value,
            Self::Ptr(value) => value.cast_signed(),
            Self::F64(value) => return Val::F64(value.to_bits()),
        };
        // The low half is the 32-bit result.
        if wide { Val::I64(number) } else { Val::I32(number as i32) }
    }
}

/// One call from the guest.
pub(crate) struct Cx<'a> {
    caller: Caller<'a, World>,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(caller: Caller<'a, World>) -> Self {
        Self { caller }
    }

    pub(crate) fn store(&mut self) -> StoreContextMut<'_, World> {
        self.caller.as_context_mut()
    }

    pub(crate) fn world(&mut self) -> &mut World {
        self.caller.data_mut()
    }

    pub(crate) fn posix(&mut self) -> &mut Posix {
        &mut self.caller.data_mut().posix
    }

    pub(crate) fn run(&mut self) -> Result<&mut Run, Stop> {
        self.world().run.as_mut().ok_or_else(|| Stop::Host(bug!("guest runs outside a call")))
    }

    pub(crate) fn wide(&self) -> bool {
        self.caller.data().rules.wide
    }

    /// Does what the guest waits for.
    pub(crate) fn act(&mut self, action: &Action) -> Result<i32, Stop> {
        let memory = self.memory()?;
        super::act(&mut self.store(), memory, action)
    }

    pub(crate) fn guest(&self) -> Result<Guest, Stop> {
        let guest = self.caller.data().guest.clone();
        guest.ok_or_else(|| Stop::Host(bug!("import called before the guest was set up")))
    }

    fn memory(&self) -> Result<Memory, Stop> {
        let guest = self.caller.data().guest.as_ref();
        guest.map(|g| g.memory).ok_or_else(|| Stop::Host(bug!("import called without a memory")))
    }

    /// Charges for entering the host.
    pub(crate) fn charge_call(&mut self) -> Result<(), Stop> {
        self.charge(limits::HOST_CALL_FUEL)
    }

    /// Charges fuel before the work it is for.
    pub(crate) fn charge(&mut self, fuel: u64) -> Result<(), Stop> {
        charge(&mut self.store(), fuel)
    }

    /// All of the guest's memory.
    pub(crate) fn bytes(&mut self) -> Result<&mut [u8], Stop> {
        let memory = self.memory()?;
        Ok(memory.data_mut(&mut self.caller))
    }

    /// `len` bytes of the guest's memory. Charged.
    pub(crate) fn slice(&mut self, at: u64, len: u64) -> Result<&mut [u8], Stop> {
        self.charge(limits::fuel_for_bytes(len))?;
        window(self.bytes()?, at, len)
    }

    /// Memory and world at once.
    pub(crate) fn slice_and_posix(
        &mut self,
        at: u64,
        len: u64,
    ) -> Result<(&mut [u8], &mut Posix), Stop> {
        self.charge(limits::fuel_for_bytes(len))?;
        let memory = self.memory()?;
        let (bytes, world) = memory.data_and_store_mut(&mut self.caller);
        Ok((window(bytes, at, len)?, &mut world.posix))
    }

    /// Memory and the call being evaluated at once.
    pub(crate) fn slice_and_run(
        &mut self,
        at: u64,
        len: u64,
    ) -> Result<(&mut [u8], &mut Run), Stop> {
        self.charge(limits::fuel_for_bytes(len))?;
        let memory = self.memory()?;
        let (bytes, world) = memory.data_and_store_mut(&mut self.caller);
        let run =
            world.run.as_mut().ok_or_else(|| Stop::Host(bug!("guest runs outside a call")))?;
        Ok((window(bytes, at, len)?, run))
    }

    /// Writes `bytes` at `at`.
    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Stop> {
        self.slice(at, bytes.len() as u64)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes a 32-bit number.
    pub(crate) fn put_i32(&mut self, at: u64, value: i32) -> Result<(), Stop> {
        window(self.bytes()?, at, 4)?.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Writes a 64-bit number.
    pub(crate) fn put_i64(&mut self, at: u64, value: i64) -> Result<(), Stop> {
        window(self.bytes()?, at, 8)?.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Writes a number of the format's width.
    pub(crate) fn put_ptr(&mut self, at: u64, value: u64) -> Result<(), Stop> {
        if self.wide() {
            return self.put_i64(at, value.cast_signed());
        }
        // 32-bit formats store the low half.
        self.put_i32(at, (value as u32).cast_signed())
    }

    /// Reads a 32-bit number.
    pub(crate) fn get_i32(&mut self, at: u64) -> Result<i32, Stop> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(window(self.bytes()?, at, 4)?);
        Ok(i32::from_le_bytes(bytes))
    }

    /// Reads a 64-bit number.
    pub(crate) fn get_i64(&mut self, at: u64) -> Result<i64, Stop> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(window(self.bytes()?, at, 8)?);
        Ok(i64::from_le_bytes(bytes))
    }

    /// Reads a number of the format's width.
    pub(crate) fn get_ptr(&mut self, at: u64) -> Result<u64, Stop> {
        if !self.wide() {
            return Ok(u64::from(self.get_i32(at)?.cast_unsigned()));
        }
        Ok(self.get_i64(at)?.cast_unsigned())
    }

    /// The C string at `at`, without its NUL, at most `max` bytes. Charged by its length.
    pub(crate) fn c_string(&mut self, at: u64, max: usize) -> Result<Vec<u8>, Stop> {
        let bytes = self.bytes()?;
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let tail = bytes.get(start..).unwrap_or_default();
        let tail = tail.get(..max.min(tail.len())).unwrap_or_default();
        let len = tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len());
        let text = tail.get(..len).unwrap_or_default().to_vec();
        self.charge(limits::fuel_for_bytes(len as u64))?;
        Ok(text)
    }

    /// The (pointer, length) pairs of an iovec array. At most 1,024 of them (`IOV_MAX`) are read.
    pub(crate) fn iovecs(&mut self, at: u64, count: u64) -> Result<Vec<(u64, u64)>, Stop> {
        const IOV_MAX: u64 = 1024;
        let width = if self.wide() { 8 } else { 4 };
        self.charge(count.min(IOV_MAX) * 2)?;
        let mut pairs = Vec::new();
        for n in 0..count.min(IOV_MAX) {
            let here = at.saturating_add(n * 2 * width);
            pairs.push((self.get_ptr(here)?, self.get_ptr(here.saturating_add(width))?));
        }
        Ok(pairs)
    }

    /// Calls a function of the guest from within an import. The host's frames between count as depth: a
    /// guest could come back through the host over and over.
    pub(crate) fn call(&mut self, func: &Func, args: &[Val]) -> wasmtime::Result<Option<Val>> {
        let depth = self.deeper()?;
        let result = call(&mut self.caller, func, args)?;
        self.set_depth(depth)?;
        Ok(result)
    }

    /// Counts the host's own frames in the guest's depth; the depth before.
    pub(crate) fn deeper(&mut self) -> Result<i32, Stop> {
        let guest = self.guest()?;
        let (Some(depth), Some(limit)) = (guest.depth, guest.depth_limit) else {
            return Err(Stop::Host(bug!("module without a depth meter")));
        };
        let mut store = self.store();
        let (Val::I32(now), Val::I32(limit)) = (depth.get(&mut store), limit.get(&mut store))
        else {
            return Err(Stop::Host(bug!("depth meter of another type")));
        };
        let deeper = now.saturating_add(limits::INVOKE_UNITS);
        if deeper.cast_unsigned() > limit.cast_unsigned() {
            return Err(super::too_deep());
        }
        self.set_depth(deeper)?;
        Ok(now)
    }

    /// Puts the depth back that [`Cx::deeper`] found.
    pub(crate) fn set_depth(&mut self, value: i32) -> Result<(), Stop> {
        let Some(depth) = self.guest()?.depth else { return Ok(()) };
        depth.set(self.store(), Val::I32(value)).map_err(|e| Stop::Host(bug!("depth meter: {e}")))
    }

    /// A number in the format's width.
    pub(crate) fn number(&self, value: u64) -> Val {
        number(self.wide(), value)
    }
}

/// Charges fuel in a store that has one more than its limit left, so that exactly the limit passes.
pub(crate) fn charge(store: &mut StoreContextMut<'_, World>, fuel: u64) -> Result<(), Stop> {
    let left = store.get_fuel().map_err(|error| bug!("fuel is off: {error}"))?;
    let rest = left.checked_sub(fuel).filter(|rest| *rest > 0);
    store.set_fuel(rest.unwrap_or(0)).map_err(|error| bug!("fuel is off: {error}"))?;
    if rest.is_some() { Ok(()) } else { Err(Stop::out_of_fuel()) }
}

/// Calls a function of the guest; its first result, if it has one.
pub(crate) fn call(
    mut store: impl AsContextMut<Data = World>,
    func: &Func,
    args: &[Val],
) -> wasmtime::Result<Option<Val>> {
    let ty = func.ty(&store);
    let mut results = [Val::I32(0)];
    let Some(results) = results.get_mut(..ty.results().len()) else {
        return Err(Stop::trapped("an export of the module returns several values").into());
    };
    if !takes(&ty, args) {
        return Err(Stop::Fault(FaultCode::NoEntry, "an export has other parameters".into()).into());
    }
    func.call(&mut store, args, results)?;
    Ok(results.first().copied())
}

/// Whether a function takes just these arguments. The engine's own check is an error without a name.
pub(crate) fn takes(ty: &FuncType, args: &[Val]) -> bool {
    ty.params().len() == args.len() && ty.params().zip(args).all(|(ty, arg)| is_of(arg, &ty))
}

/// Whether a value is a number of that type.
pub(crate) fn is_of(value: &Val, ty: &ValType) -> bool {
    matches!(
        (ty, value),
        (ValType::I32, Val::I32(_))
            | (ValType::I64, Val::I64(_))
            | (ValType::F32, Val::F32(_))
            | (ValType::F64, Val::F64(_))
            | (ValType::V128, Val::V128(_))
    )
}

/// A number in the width of a format.
pub(crate) fn number(wide: bool, value: u64) -> Val {
    // 32-bit formats take the low half.
    if wide { Val::I64(value.cast_signed()) } else { Val::I32((value as u32).cast_signed()) }
}

fn window(bytes: &mut [u8], at: u64, len: u64) -> Result<&mut [u8], Stop> {
    let range = usize::try_from(at).ok().zip(usize::try_from(len).ok());
    let range = range.and_then(|(at, len)| Some(at..at.checked_add(len)?));
    range
        .and_then(|range| bytes.get_mut(range))
        .ok_or_else(|| Stop::trapped("memory access out of bounds"))
}
