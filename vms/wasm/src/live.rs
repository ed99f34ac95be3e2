//! A guest in memory: store, instance, and the evaluation of one call on them.

use crate::abi;
use crate::base::Start;
use crate::host::{Asyncify, Guest, Run, World};
use crate::limits::DEPTH_UNITS;
use crate::linear::{self, Wired};
use crate::rewrite::{self, Facts};
use crate::state::{Stage, State, WASM_PAGE};
use crate::trap::{self, Stop};
use crate::watch::Watch;
use drivebay_disk::{
    Call, DirtySet, Fault, FaultCode, Fuel, Host, HostError, Limits, Meter, PAGE, Pages, Reply,
    SliceSource, bring_up, bug,
};
use std::sync::Arc;
use wasmtime::{AsContextMut, Func, Global, InstancePre, Store, StoreContextMut, Val};

/// A guest in memory.
pub(crate) struct Live {
    pub(crate) store: Store<World>,
    pub(crate) guest: Guest,
    globals: Vec<Global>,
    pub(crate) stage: Stage,
    /// A foreign checkpoint, until it is laid over the booted guest.
    pub(crate) adopted: Option<Pages>,
    /// Pages written since the memory was last equal to a state.
    watch: Watch,
    /// Pages of its memory cannot be written: it is of no use.
    is_stuck: bool,
    /// Its memory was mapped from a base, and lies there where it was not written.
    mapped: bool,
    /// The most pages that lie there no longer, as of the last time that the memory was brought to a state.
    owned: u64,
}

/// How an evaluation ended, short of a host error.
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) reply: Reply,
    pub(crate) meter: Meter,
}

/// What becomes of the state.
pub(crate) enum End {
    /// It advances.
    Commit,
    /// Evaluated, but the memory stays as it was.
    Keep,
    /// It does not advance.
    Fault(Fault),
}

impl Live {
    /// A guest that stands in `state`. Runs no guest code: start functions and data segments were
    /// taken out of the module when it was read.
    /// Its memory is mapped from `start`, if there is one, and copied otherwise.
    pub(crate) fn new(
        pre: &InstancePre<World>,
        facts: &Facts,
        rules: &'static crate::formats::Rules,
        (state, blank): (&State, &State),
        start: Option<&Start>,
    ) -> Result<Self, HostError> {
        let laid = if state.stage == Stage::Adopted { blank } else { state };
        let world = World {
            rules,
            posix: laid.posix.clone(),
            guest: None,
            direct_waits: facts.direct_waits,
            asyncify: Asyncify::Normal,
            run: None,
        };
        let mut store = Store::new(pre.module().engine(), world);
        store.limiter(|world| world);
        set_fuel(&mut store, 0)?;
        let instance = pre.instantiate(&mut store).map_err(|error| exhausted(&error))?;
        let guest = abi::guest(&mut store, instance, rules)?;
        store.data_mut().guest = Some(guest.clone());
        let globals = state_globals(&mut store, instance, facts)?;
        let adopted = (state.stage == Stage::Adopted).then(|| state.memory.clone());
        let mut live = Self {
            store,
            guest,
            globals,
            stage: state.stage,
            adopted,
            watch: Watch::new(),
            is_stuck: false,
            mapped: false,
            owned: 0,
        };
        live.lay_globals(facts, &laid.globals)?;
        live.make_room(&laid.memory)?;
        match start.filter(|_| state.stage != Stage::Adopted) {
            // Not watched before it commits: who reads never does.
            Some(start) => {
                live.map_memory(&laid.memory, start)?;
                live.mapped = true;
            }
            None => {
                fill(live.guest.memory.data_mut(&mut live.store), &laid.memory, false)?;
                live.written();
            }
        }
        Ok(live)
    }

    fn make_room(&mut self, pages: &Pages) -> Result<(), HostError> {
        let have = self.guest.memory.data_size(&self.store) as u64;
        let missing = pages.len_bytes().saturating_sub(have) / WASM_PAGE;
        if missing > 0 {
            self.guest.memory.grow(&mut self.store, missing).map_err(|error| exhausted(&error))?;
        }
        Ok(())
    }

    fn map_memory(&mut self, pages: &Pages, start: &Start) -> Result<(), HostError> {
        let memory = self.guest.memory.data_mut(&mut self.store);
        start.base.map(memory)?;
        self.owned = start.own.len() as u64;
        lay(memory, pages, &start.own)
    }

    /// Has the memory lie on a base, as far as it is equal: only what differs is kept beside it. The guest must
    /// stand in `state`. After an error it is in no known state.
    pub(crate) fn lie_on(&mut self, state: &State, start: &Start) -> Result<(), HostError> {
        self.map_memory(&state.memory, start)?;
        self.watch.forget();
        self.written();
        Ok(())
    }

    fn lay_globals(&mut self, facts: &Facts, values: &[u128]) -> Result<(), HostError> {
        for ((global, fact), bits) in self.globals.iter().zip(&facts.globals).zip(values) {
            let set = global.set(&mut self.store, val_of(fact.ty, *bits));
            set.map_err(|error| bug!("global {}: {error}", fact.export))?;
        }
        Ok(())
    }

    /// Pages written since this was last asked.
    fn written(&mut self) -> DirtySet {
        self.watch.written(self.guest.memory.data_mut(&mut self.store))
    }

    /// Pages that are written nearly every time.
    pub(crate) fn hot(&self) -> Vec<u64> {
        self.watch.hot()
    }

    /// Makes pages ready that will be written.
    pub(crate) fn warm(&mut self, pages: &[u64]) {
        self.owned += pages.len() as u64;
        linear::warm(self.guest.memory.data_mut(&mut self.store), pages);
    }

    /// Stops watching.
    pub(crate) fn unwatched(&mut self) {
        self.watch.distrust();
    }

    /// Brings `base`, the state that was captured last or mounted, up to the state as it stands. Gives how many pages
    /// were known to be written: those that did not change after all cost as much as others.
    pub(crate) fn capture(&mut self, base: &mut State) -> Result<usize, HostError> {
        let dirty = match self.mapped_own() {
            Some(own) => DirtySet::from_pages(own),
            None => self.written(),
        };
        let captured = self.captured(base, &dirty);
        if captured.is_err() {
            // `base` is no state now; the next time makes it one, by looking at everything.
            self.watch.distrust();
            self.mapped = false;
        }
        captured
    }

    fn captured(&mut self, base: &mut State, dirty: &DirtySet) -> Result<usize, HostError> {
        let live = SliceSource::new(self.guest.memory.data(&self.store));
        let equal = base.memory.advance(&live, dirty)?;
        self.watch.cool(&equal);
        base.globals.clear();
        for global in &self.globals {
            base.globals.push(bits_of(&global.get(&mut self.store))?);
        }
        base.stage = self.stage;
        base.posix.clone_from(&self.store.data().posix);
        Ok(dirty.pages().map_or(0, <[u64]>::len))
    }

    /// Back to `base`, the state that was captured last or mounted, at the cost of the pages written since.
    /// `false` if that cannot be done in place: a memory cannot shrink, and without the kernel's list all
    /// would have to be looked at.
    pub(crate) fn go_back(&mut self, base: &State, facts: &Facts) -> Result<bool, HostError> {
        if self.is_stuck || self.memory_bytes() != base.memory.len_bytes() {
            return Ok(false);
        }
        let Some(pages) = self.touched() else { return Ok(false) };
        let stands = self.stand_in(base, facts, &pages)?;
        // They were no longer on the base before.
        self.owned = pages.len() as u64;
        if self.watch.knows() {
            self.written();
        }
        Ok(stands)
    }

    /// Pages that may differ from the state that was captured last or mounted, if they are known.
    fn touched(&mut self) -> Option<Vec<u64>> {
        if self.watch.knows() {
            return self.written().pages().map(<[u64]>::to_vec);
        }
        self.mapped_own()
    }

    /// All pages that were written since the memory was mapped from a base.
    fn mapped_own(&mut self) -> Option<Vec<u64>> {
        let memory = self.guest.memory.data_mut(&mut self.store);
        self.mapped.then(|| linear::own(memory)).flatten()
    }

    /// Brings a guest that differs from `state` in no more than `pages` of its memory to `state`. `false` if that
    /// cannot be done in place, and then it is in no known state, as after an error.
    pub(crate) fn stand_in(
        &mut self,
        state: &State,
        facts: &Facts,
        pages: &[u64],
    ) -> Result<bool, HostError> {
        let whole = self.stage == Stage::Booted && state.stage == Stage::Booted;
        if !whole || self.memory_bytes() > state.memory.len_bytes() {
            return Ok(false);
        }
        self.make_room(&state.memory)?;
        self.owned += pages.len() as u64;
        lay(self.guest.memory.data_mut(&mut self.store), &state.memory, pages)?;
        self.lay_globals(facts, &state.globals)?;
        let world = self.store.data_mut();
        world.posix = state.posix.clone();
        world.asyncify = Asyncify::Normal;
        world.run = None;
        Ok(true)
    }

    /// How many pages of a memory that was mapped from a base, and stands in a state, lie there no longer: no fewer
    /// than are, and if these are more than `few`, no more.
    pub(crate) fn owns(&mut self, few: u64) -> u64 {
        if self.owned > few
            && let Some(own) = self.mapped_own()
        {
            self.owned = own.len() as u64;
        }
        self.owned
    }

    /// Bytes of guest memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.guest.memory.data_size(&self.store) as u64
    }

    /// Evaluates one call. After anything but [`End::Commit`] the guest is in no known state.
    pub(crate) fn evaluate(
        &mut self,
        call: &Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ended, HostError> {
        self.open(call, limits, host)?;
        let answered = abi::evaluate(self, call);
        let run = self.store.data_mut().run.take();
        let mut reply = Reply::default();
        let end = match answered {
            Ok(answer) => match answer.end {
                // Its one form can be longer than what the guest wrote.
                End::Fault(fault)
                    if fault.payload.len() as u64 > u64::from(limits.output_bytes) =>
                {
                    let note = format!("the error is longer than {} bytes", limits.output_bytes);
                    End::Fault(Fault::new(FaultCode::TooLoud, note))
                }
                end => {
                    reply = answer.reply;
                    end
                }
            },
            Err(error) => {
                reply.error = error.downcast_ref::<Stop>().and_then(Stop::as_json);
                End::Fault(trap::classify(&error)?)
            }
        };
        reply.printed = self.store.data_mut().posix.take_printed();
        reply.printed.extend(run.map(Run::into_printed).unwrap_or_default());
        let (fuel, over) = self.fuel_used(limits)?;
        let meter = Meter { fuel, gas: self.gas_used()? };
        if over {
            let fault = Fault::new(FaultCode::OutOfFuel, "out of fuel");
            let reply = Reply { printed: reply.printed, ..Reply::default() };
            return Ok(Ended { end: End::Fault(fault), reply, meter });
        }
        Ok(Ended { end, reply, meter })
    }

    /// Sets fuel and meters, and the call for imports to see.
    pub(crate) fn open(
        &mut self,
        call: &Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<(), HostError> {
        let world = self.store.data_mut();
        let mut own = *limits;
        if world.rules.abi != crate::formats::Abi::Clean {
            // The module's own maximum bounds it, as in the reference.
            own.memory_bytes = crate::limits::memory_max(world.rules.wide);
        }
        world.run = Some(Run::new(Arc::clone(call), host, own));
        world.posix.set_seed(call.seed);
        // One more than the limit: the engine stops when nothing is left, and exactly the limit passes.
        set_fuel(&mut self.store, fuel_limit(limits) + 1)?;
        let depth = limits.depth.min(DEPTH_UNITS).cast_signed();
        self.set(self.guest.depth, Val::I32(0))?;
        self.set(self.guest.depth_limit, Val::I32(depth))?;
        let gas = limits.gas.unwrap_or(crate::limits::LEGACY_GAS).min(crate::limits::GAS_MAX);
        self.set(self.guest.gas, Val::I64(0))?;
        self.set(self.guest.gas_limit, Val::I64(gas.cast_signed()))
    }

    fn set(&mut self, global: Option<Global>, value: Val) -> Result<(), HostError> {
        let Some(global) = global else { return Ok(()) };
        global.set(&mut self.store, value).map_err(|error| bug!("meter: {error}"))
    }

    /// Begins to count the gas that `GasUsed` reports: boot counts towards the limit only.
    pub(crate) fn reset_gas(&mut self) -> Result<(), HostError> {
        self.set(self.guest.gas, Val::I64(0))
    }

    /// Forgets frames that are gone.
    pub(crate) fn reset_depth(&mut self) -> Result<(), HostError> {
        self.set(self.guest.depth, Val::I32(0))
    }

    fn fuel_used(&mut self, limits: &Limits) -> Result<(Fuel, bool), HostError> {
        let left = self.store.get_fuel().map_err(|error| bug!("fuel is off: {error}"))?;
        let limit = fuel_limit(limits);
        let used = (limit + 1).saturating_sub(left);
        Ok((Fuel(used.min(limit)), used > limit))
    }

    fn gas_used(&mut self) -> Result<Option<u64>, HostError> {
        let Some(gas) = self.guest.gas else {
            // The reference reports 0 where nothing is metered; our own format reports fuel.
            let legacy = self.store.data().rules.abi != crate::formats::Abi::Clean;
            return Ok(legacy.then_some(0));
        };
        match gas.get(&mut self.store) {
            Val::I64(used) => Ok(Some(used.max(0).cast_unsigned())),
            _ => Err(bug!("gas counter of another type")),
        }
    }

    /// Calls an export by name, if the module has it.
    pub(crate) fn call_export(
        &mut self,
        name: &str,
        args: &[Val],
    ) -> wasmtime::Result<Option<Val>> {
        let func = self.export(name)?;
        self.call(&func, args)
    }

    /// A function that the module exports.
    fn export(&mut self, name: &str) -> wasmtime::Result<Func> {
        let func = self.guest.instance.get_func(&mut self.store, name);
        func.ok_or_else(|| no_export(name))
    }

    /// Calls the export that handles a message.
    pub(crate) fn call_handle(
        &mut self,
        name: &str,
        args: &[Val],
    ) -> wasmtime::Result<Option<Val>> {
        let Some(wires) = self.watch.wires() else { return self.call_export(name, args) };
        let func = self.export(name)?;
        let call = |store: StoreContextMut<'_, World>| crate::host::call(store, &func, args);
        let (result, wired) = wires.around(&mut self.store, self.guest.memory, call);
        self.watch.was_hit(wired == Wired::Lifted);
        self.is_stuck = wired == Wired::Stuck;
        if self.is_stuck {
            let error = HostError::Exhausted { what: "mappings of memory" };
            return Err(Stop::Host(error).into());
        }
        result
    }

    /// Calls a function of the guest; its first result.
    pub(crate) fn call(&mut self, func: &Func, args: &[Val]) -> wasmtime::Result<Option<Val>> {
        crate::host::call(&mut self.store, func, args)
    }

    /// Lays a foreign checkpoint over the booted guest: bytes above it stay, as in the reference.
    pub(crate) fn lay_adopted(&mut self) -> wasmtime::Result<()> {
        let Some(pages) = self.adopted.take() else { return Ok(()) };
        let have = self.guest.memory.data_size(&self.store) as u64;
        if pages.len_bytes() > have {
            let store = self.store.as_context_mut();
            if !abi::resize(store, self.guest.memory, pages.len_bytes())? {
                return Err(Stop::trapped("offset is out of bounds").into());
            }
        }
        fill(self.guest.memory.data_mut(&mut self.store), &pages, true)?;
        Ok(())
    }
}

/// Copies those pages of a state to a memory, where they are not the same. They increase.
fn lay(memory: &mut [u8], state: &Pages, pages: &[u64]) -> Result<(), HostError> {
    let (memory, _) = memory.as_chunks_mut::<PAGE>();
    state.for_these(pages, |index, page| {
        let at = usize::try_from(index).ok();
        let target = at.and_then(|at| memory.get_mut(at));
        bring_up(target.ok_or_else(|| bug!("page {index} of a shorter memory"))?, page);
        Ok(())
    })
}

/// Writes `pages` to the start of `memory`. With `zeros`, absent pages are written too: what was there
/// is not known to be zero.
fn fill(memory: &mut [u8], pages: &Pages, zeros: bool) -> Result<(), HostError> {
    let len = usize::try_from(pages.len_bytes()).unwrap_or(usize::MAX);
    let Some(memory) = memory.get_mut(..len) else {
        return Err(bug!("memory of {} bytes under an image of {len}", memory.len()));
    };
    if zeros {
        memory.fill(0);
    }
    let mut lost = false;
    pages.for_each_page(|index, page| {
        let at = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(page.len());
        match memory.get_mut(at..at.saturating_add(page.len())) {
            Some(target) => target.copy_from_slice(page),
            None => lost = true,
        }
        Ok(())
    })?;
    if lost { Err(bug!("image page past the end of memory")) } else { Ok(()) }
}

fn no_export(name: &str) -> wasmtime::Error {
    Stop::Fault(FaultCode::NoEntry, format!("the module exports no function {name}")).into()
}

fn fuel_limit(limits: &Limits) -> u64 {
    limits.fuel.0.min(i64::MAX.cast_unsigned() - 1)
}

fn set_fuel(store: &mut Store<World>, fuel: u64) -> Result<(), HostError> {
    store.set_fuel(fuel).map_err(|error| bug!("fuel is off: {error}"))
}

fn exhausted(error: &wasmtime::Error) -> HostError {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Host(error)) => error.clone(),
        // What can fail here was validated when the module was read; what is left is the machine.
        _ => HostError::Exhausted { what: "memory for a guest" },
    }
}

fn state_globals(
    store: &mut Store<World>,
    instance: wasmtime::Instance,
    facts: &Facts,
) -> Result<Vec<Global>, HostError> {
    let find = |fact: &rewrite::GlobalFact| {
        let global = instance.get_global(&mut *store, &fact.export);
        global.ok_or_else(|| bug!("rewritten module without global {}", fact.export))
    };
    facts.globals.iter().map(find).collect()
}

fn val_of(ty: rewrite::ValType, bits: u128) -> Val {
    // An image's globals were checked to fit their types when it was mounted.
    // The type's own bits.
    match ty {
        rewrite::ValType::I32 => Val::I32((bits as u32).cast_signed()),
        rewrite::ValType::I64 => Val::I64((bits as u64).cast_signed()),
        rewrite::ValType::F32 => Val::F32(bits as u32),
        rewrite::ValType::F64 => Val::F64(bits as u64),
        rewrite::ValType::V128 => Val::V128(bits.into()),
    }
}

fn bits_of(value: &Val) -> Result<u128, HostError> {
    Ok(match value {
        Val::I32(value) => u128::from(value.cast_unsigned()),
        Val::I64(value) => u128::from(value.cast_unsigned()),
        Val::F32(bits) => u128::from(*bits),
        Val::F64(bits) => u128::from(*bits),
        Val::V128(value) => value.as_u128(),
        other => return Err(bug!("global of a type that is not allowed: {other:?}")),
    })
}
