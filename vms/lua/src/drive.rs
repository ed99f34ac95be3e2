//! A process, live. Before the first call there is no world yet: it is booted by that call, on its fuel.

use crate::decode::{self, Answer};
use crate::disk::{LuaDisk, own};
use crate::host::Asked;
use crate::raw::{End, Held, Input, Played, Said, World};
use crate::source;
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{
    Call, Drive, Fault, FaultCode, Frozen, Fuel, Host, HostError, HostFailure, Image, Limits,
    Meter, Mode, Ran, Reply, Tag, bug,
};
use std::sync::{Arc, OnceLock, Weak};

/// A drive of a Lua module.
pub(crate) struct LuaDrive {
    disk: Arc<LuaDisk>,
    world: Option<World>,
    /// The module was booted in the world, and that was committed.
    booted: bool,
    /// The state at the last freeze, if somebody still holds it.
    frozen: Weak<LuaFrozen>,
}

impl LuaDrive {
    pub(crate) fn new(disk: Arc<LuaDisk>, world: Option<World>) -> Self {
        let booted = world.is_some();
        Self { disk, world, booted, frozen: Weak::new() }
    }

    fn evaluate(
        &mut self,
        call: &Call,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ended, HostError> {
        let world = match &mut self.world {
            Some(world) => world,
            none => none.insert(World::new()?),
        };
        let mut asked = Asked::new(host, limits.output_bytes.into());
        let [seed, ..] = *call.seed.as_chunks::<8>().0 else {
            return Err(bug!("a seed has 32 bytes"));
        };
        let input = Input {
            fuel: limits.fuel.0,
            memory_bytes: limits.memory_bytes,
            depth: limits.depth,
            seed: u64::from_le_bytes(seed),
            time_ms: call.timestamp_ms,
            files: (!self.booted).then_some(self.disk.files.as_slice()),
            convention: self.disk.convention,
            message: &call.json.message,
            env: &call.json.env,
            data: call.message.data.as_deref(),
            from: sender(call),
        };
        let played = world.play(&input, &mut asked);
        let ended = played.and_then(|played| ended(&self.disk, played, asked, limits));
        let good = matches!(&ended, Ok(Ended { fault: None, .. }));
        if good && call.mode != Mode::DryRun {
            world.commit();
            self.booted = true;
        } else {
            world.roll_back();
        }
        ended
    }
}

fn ended(
    disk: &LuaDisk,
    played: Played,
    mut asked: Asked,
    limits: &Limits,
) -> Result<Ended, HostError> {
    let Played { end, said, fuel } = played;
    let length = match &said {
        Said::Nothing => 0,
        Said::Text(bytes) | Said::Json(bytes) => bytes.len() as u64,
    };
    let (mut reply, mut fault) = match end {
        End::Done => answer(said),
        End::Raised => raised(disk, said),
        End::HostFailed => {
            let silent = || bug!("the host failed without an error");
            return Err(asked.error.take().unwrap_or_else(silent));
        }
        End::Exhausted => return Err(HostError::Exhausted { what: "memory" }),
        other => (Reply::default(), Some(Fault::new(code(other), note(disk, other, said, limits)))),
    };
    // An answer that is too long is none; why a run failed is worth more than how long it said so.
    let loud = length > asked.room && matches!(end, End::Done | End::Raised);
    if loud {
        let note = format!("it said more than {} bytes", limits.output_bytes);
        (reply, fault) = (Reply::default(), Some(Fault::new(FaultCode::TooLoud, note)));
    }
    reply.printed = asked.printed;
    let fuel = if end == End::OutOfFuel { limits.fuel } else { Fuel(fuel) };
    Ok(Ended { reply, fault, meter: Meter { fuel, gas: None } })
}

fn raised(disk: &LuaDisk, said: Said) -> Answer {
    let (Said::Text(bytes) | Said::Json(bytes)) = said else {
        return decode::raised(Reply::default(), Json::from(Value::Null), "an error".into());
    };
    let text = String::from_utf8_lossy(&bytes);
    let note = source::with_line(&disk.files, &text);
    decode::raised(Reply::default(), Json::from(Value::from(&*text)), note)
}

fn note(disk: &LuaDisk, end: End, said: Said, limits: &Limits) -> String {
    match (end, said) {
        (End::OutOfFuel, _) => format!("it used all of its {} fuel", limits.fuel),
        (End::OutOfMemory, _) => format!("it kept more than {} bytes", limits.memory_bytes),
        (End::TooDeep, _) => format!("a stack of more than {} slots", limits.depth),
        (End::TooLoud, _) => format!("it printed more than {} bytes", limits.output_bytes),
        (_, Said::Text(bytes)) => source::with_line(&disk.files, &String::from_utf8_lossy(&bytes)),
        _ => "no reason was given".into(),
    }
}

/// What evaluating a call came to.
struct Ended {
    reply: Reply,
    fault: Option<Fault>,
    meter: Meter,
}

fn answer(said: Said) -> Answer {
    match said {
        Said::Nothing => (Reply::default(), None),
        Said::Text(bytes) => decode::text(bytes),
        Said::Json(bytes) => decode::json(&bytes),
    }
}

fn code(end: End) -> FaultCode {
    match end {
        End::OutOfFuel => FaultCode::OutOfFuel,
        End::OutOfMemory => FaultCode::OutOfMemory,
        End::TooDeep => FaultCode::TooDeep,
        End::TooLoud => FaultCode::TooLoud,
        End::NoEntry => FaultCode::NoEntry,
        End::BadReply => FaultCode::BadReply,
        End::Done | End::Raised | End::HostFailed | End::Exhausted => FaultCode::Raised,
    }
}

/// A message speaks for a process only if one of the process's authorities signed it: nothing in Lua could
/// check that.
fn sender(call: &Call) -> &str {
    let message = &call.message;
    let authorities = call.process.tags.iter().filter(|tag| tag.name == "Authority");
    let mut values = authorities.map(|Tag { value, .. }| value);
    let trusted = message.from == message.owner || values.any(|value| *value == message.owner);
    if trusted { &message.from } else { &message.owner }
}

impl Drive for LuaDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        self.frozen = Weak::new();
        let Ended { reply, fault, meter } = match self.evaluate(&call, limits, host) {
            Ok(ended) => ended,
            Err(error) => return Err(HostFailure { error, drive: Some(self) }),
        };
        Ok(match (call.mode, fault) {
            (Mode::DryRun, fault) => Ran::Dry { drive: Some(self), fault, reply, meter },
            (_, Some(fault)) => Ran::Faulted { drive: Some(self), fault, reply, meter },
            (_, None) => Ran::Done { drive: self, reply, meter },
        })
    }

    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        if let Some(frozen) = self.frozen.upgrade() {
            return Ok(frozen);
        }
        let held = match &self.world {
            Some(world) if self.booted => Some(world.hold()?),
            _ => None,
        };
        let frozen =
            Arc::new(LuaFrozen { disk: Arc::clone(&self.disk), held, image: OnceLock::new() });
        self.frozen = Arc::downgrade(&frozen);
        Ok(frozen)
    }

    fn resident_bytes(&self) -> u64 {
        self.world.as_ref().map_or(0, World::resident_bytes)
    }
}

/// A state at rest: what is held of a world, or nothing, before the first call.
struct LuaFrozen {
    disk: Arc<LuaDisk>,
    held: Option<Held>,
    image: OnceLock<Image>,
}

impl Frozen for LuaFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        let drive = Arc::clone(&self.disk).drive(&self.image()?).map_err(own)?;
        Ok(Box::new(drive))
    }

    fn image(&self) -> Result<Image, HostError> {
        if let Some(image) = self.image.get() {
            return Ok(image.clone());
        }
        let written = match &self.held {
            Some(held) => self.disk.image(held.encode()?.as_ref()),
            None => drivebay_disk::Disk::blank(&*self.disk).clone(),
        };
        Ok(self.image.get_or_init(|| written).clone())
    }

    fn held_bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, Held::bytes)
    }
}
