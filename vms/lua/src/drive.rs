//! A process, live. Before the first call there is no world yet: it is booted by that call, on its fuel.

use crate::decode::{self, Answer};
use crate::disk::{LuaDisk, own};
use crate::host::Asked;
use crate::raw::{End, Input, Played, Said, World};
use crate::source;
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{
    Call, Drive, Fault, FaultCode, Frozen, Fuel, Host, HostError, HostFailure, Image, Limits,
    Meter, Mode, Ran, Reply, Tag, bug,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A drive of a Lua module.
pub(crate) struct LuaDrive {
    disk: Arc<LuaDisk>,
    live: Arc<Mutex<Live>>,
    /// The state at the last freeze, if somebody still holds it.
    frozen: Weak<LuaFrozen>,
}

/// A world, and whether the module was booted in it.
struct Live {
    world: Option<World>,
    booted: bool,
}

impl LuaDrive {
    pub(crate) fn new(disk: Arc<LuaDisk>, world: Option<World>, _image: Image) -> Self {
        let booted = world.is_some();
        let live = Arc::new(Mutex::new(Live { world, booted }));
        Self { disk, live, frozen: Weak::new() }
    }

    /// What was frozen and not yet written is written before the world moves on.
    fn shield(&mut self) -> Result<(), HostError> {
        match std::mem::take(&mut self.frozen).upgrade() {
            Some(frozen) => frozen.image().map(drop),
            None => Ok(()),
        }
    }

    fn evaluate(
        &self,
        call: &Call,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ended, HostError> {
        let live = &mut *lock(&self.live);
        let world = match &mut live.world {
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
            files: (!live.booted).then_some(self.disk.files.as_slice()),
            message: &call.json.message,
            env: &call.json.env,
            data: call.message.data.as_deref(),
            from: sender(call),
        };
        let played = world.play(&input, &mut asked);
        let ended = played.and_then(|played| self.ended(played, asked, limits));
        let good = matches!(&ended, Ok(Ended { fault: None, .. }));
        if good && call.mode != Mode::DryRun {
            world.commit();
            live.booted = true;
        } else {
            world.roll_back();
        }
        ended
    }

    fn ended(&self, played: Played, mut asked: Asked, limits: &Limits) -> Result<Ended, HostError> {
        let Played { end, said, fuel } = played;
        let length = match &said {
            Said::Nothing => 0,
            Said::Text(bytes) | Said::Json(bytes) => bytes.len() as u64,
        };
        let (mut reply, mut fault) = match end {
            End::Done => answer(said),
            End::Raised => self.raised(said),
            End::HostFailed => {
                let silent = || bug!("the host failed without an error");
                return Err(asked.error.take().unwrap_or_else(silent));
            }
            End::Exhausted => return Err(HostError::Exhausted { what: "memory" }),
            other => {
                (Reply::default(), Some(Fault::new(code(other), self.note(other, said, limits))))
            }
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

    fn raised(&self, said: Said) -> Answer {
        let (Said::Text(bytes) | Said::Json(bytes)) = said else {
            return decode::raised(Reply::default(), Json::from(Value::Null), "an error".into());
        };
        let text = String::from_utf8_lossy(&bytes);
        let note = source::with_line(&self.disk.files, &text);
        decode::raised(Reply::default(), Json::from(Value::from(&*text)), note)
    }

    fn note(&self, end: End, said: Said, limits: &Limits) -> String {
        match (end, said) {
            (End::OutOfFuel, _) => format!("it used all of its {} fuel", limits.fuel),
            (End::OutOfMemory, _) => format!("it kept more than {} bytes", limits.memory_bytes),
            (End::TooDeep, _) => format!("a stack of more than {} slots", limits.depth),
            (End::TooLoud, _) => format!("it printed more than {} bytes", limits.output_bytes),
            (_, Said::Text(bytes)) => {
                source::with_line(&self.disk.files, &String::from_utf8_lossy(&bytes))
            }
            _ => "no reason was given".into(),
        }
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

fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drive for LuaDrive {
    fn run(
        mut self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        if let Err(error) = self.shield() {
            return Err(HostFailure { error, drive: Some(self) });
        }
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
        let frozen = Arc::new(LuaFrozen {
            disk: Arc::clone(&self.disk),
            live: Arc::clone(&self.live),
            image: Mutex::new(None),
        });
        self.frozen = Arc::downgrade(&frozen);
        Ok(frozen)
    }

    fn resident_bytes(&self) -> u64 {
        lock(&self.live).world.as_ref().map_or(0, World::resident_bytes)
    }
}

/// A state at rest: the world that is in it, until that moves on; from then on its image.
struct LuaFrozen {
    disk: Arc<LuaDisk>,
    live: Arc<Mutex<Live>>,
    image: Mutex<Option<Image>>,
}

impl Frozen for LuaFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        let drive = Arc::clone(&self.disk).drive(&self.image()?).map_err(own)?;
        Ok(Box::new(drive))
    }

    fn image(&self) -> Result<Image, HostError> {
        let mut image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = &*image {
            return Ok(image.clone());
        }
        let live = &mut *lock(&self.live);
        let written = match &mut live.world {
            Some(world) if live.booted => self.disk.image(&world.encode()?),
            _ => drivebay_disk::Disk::blank(&*self.disk).clone(),
        };
        Ok(image.insert(written).clone())
    }

    fn held_bytes(&self) -> u64 {
        lock(&self.live).world.as_ref().map_or(0, World::resident_bytes)
    }
}
