//! Random logs under two conditions of chance. They must come to the same.
//!
//! A case follows from its seed and its number alone. One that diverges is made smaller, call by call, and
//! written as a text that says everything about it.

mod evm;
mod lua;
mod wasm;

use super::{
    SEED,
    logs::Subject,
    replay_file::{Recorder, ReplayFile},
};
use crate::disk::{ArtifactStore, Call, Digest, Fuel, Limits, Module, Slot, testing};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use drivebay_conformance::{
    aos,
    laws::{Broken, Entry, Log, Rng, WAYS, Way},
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Little, so that what loops or recurses ends soon.
const LIMITS: Limits = Limits {
    fuel: Fuel(100_000),
    gas: None,
    memory_bytes: 4 << 20,
    output_bytes: 4096,
    depth: 500,
};

/// The most fuel of a random program of Lua, and of a contract.
const LUA_FUEL: u64 = 300_000;
const EVM_FUEL: u64 = 2_000_000;
/// The most fuel of a message to aos, several times what its first one takes. Its format has no bound that a loop
/// without an end would meet within hours.
const AOS_FUEL: u64 = 1_000_000_000;

/// A machine on one of its engines.
pub struct On {
    /// The engine's name.
    pub engine: &'static str,
    /// The machine.
    pub subject: Subject,
}

/// A random log.
pub struct Case {
    /// Which number it has.
    pub number: u64,
    /// What kind of log it is.
    pub kind: &'static str,
    /// The log.
    pub log: Log,
    /// The program, where it was made for this case.
    pub source: String,
    sides: [Side; 2],
}

/// An engine and a way to play.
#[derive(Clone, Copy)]
struct Side {
    engine: usize,
    way: &'static Way,
}

/// Two conditions that do not agree.
pub struct Divergence {
    /// The case, with as few calls as still diverge.
    pub case: Case,
    /// What was seen.
    pub seen: Broken,
    names: [String; 2],
}

/// The case of that number. `on` is one machine on every engine that it has; the first is the usual one.
pub fn case(on: &[On], seed: u64, number: u64) -> Result<Option<Case>, Broken> {
    let Some(first) = on.first() else { return Ok(None) };
    let mut rng = Rng::new(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9)), "fuzz");
    let made = match (first.subject.proof.name, rng.below(100)) {
        ("wasm", 0..1) => aos_log(first, &mut rng)?.map(|(log, source)| ("aos", log, source)),
        ("wasm", 1..80) => {
            let source = wasm::module(&mut rng);
            Some(("module", module_log(&source, &mut rng)?, source))
        }
        ("lua", 0..85) => {
            let source = lua::program(&mut rng);
            let module = Module::new(source.clone(), "lua-5.3-1", Vec::new());
            Some(("program", program_log(&first.subject, (module, LUA_FUEL), &mut rng), source))
        }
        ("evm", 0..85) => {
            let code = evm::program(&mut rng);
            let source = HEXLOWER.encode(&code);
            let tags = vec![crate::disk::Tag::new("Code-Kind", "runtime")];
            let module = Module::new(code, crate::cu::EVM_FORMAT, tags);
            Some(("program", program_log(&first.subject, (module, EVM_FUEL), &mut rng), source))
        }
        _ => role_log(&first.subject, &mut rng).map(|log| ("roles", log, String::new())),
    };
    let Some((kind, log, source)) = made else { return Ok(None) };
    // An interpreted aos takes seconds for what others do in milliseconds.
    let engines = if kind == "aos" { on.len().min(2) } else { on.len() };
    let sides = side(engines, &mut rng).zip(side(engines, &mut rng));
    Ok(sides.map(|(one, other)| Case { number, kind, log, source, sides: [one, other] }))
}

fn side(engines: usize, rng: &mut Rng) -> Option<Side> {
    let light: Vec<&Way> = WAYS.iter().filter(|way| !way.heavy || way.name == "traffic").collect();
    let way = light.get(rng.place(light.len())).copied()?;
    Some(Side { engine: rng.place(engines), way })
}

fn module_log(source: &str, rng: &mut Rng) -> Result<Log, Broken> {
    let bytes = wat::parse_str(source).map_err(|error| Broken::new(error.to_string()))?;
    let module = Module::new(bytes, "wasm32-drivebay-1", Vec::new());
    let data = |rng: &mut Rng| -> String {
        let length = rng.place(24);
        (0..length).map(|_| char::from(b' ' + rng.byte() % 90)).collect()
    };
    let calls = (0..2 + rng.below(4)).map(|nonce| testing::call(nonce).data(data(rng)).build());
    let log = Log::new("module", (module, LIMITS), calls.collect());
    Ok(Log { artifacts: Arc::new(Compiled::default()), ..log })
}

/// Compiled code of one case: most of its time would be spent on compiling it again.
#[derive(Default)]
struct Compiled(Mutex<HashMap<Digest, Bytes>>);

impl ArtifactStore for Compiled {
    fn get(&self, key: &Digest) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
    fn put(&self, key: &Digest, sealed: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(*key, Bytes::copy_from_slice(sealed));
    }
    fn seal_key(&self) -> [u8; 32] {
        [1; 32]
    }
}

/// Messages of a kind that every process meets, or chunks of Lua that were made for it.
fn aos_log(on: &On, rng: &mut Rng) -> Result<Option<(Log, String)>, Broken> {
    let real = on.subject.logs.iter().filter_map(|named| named.logs.as_ref().ok()?.first());
    let real: Vec<&Log> = real.filter(|log| log.name.starts_with("aos")).collect();
    let Some(known) = real.get(rng.place(real.len())) else { return Ok(None) };
    let (reader, module) = (&*on.subject.reader, known.module.clone());
    let count = 3 + rng.below(6) as u32;
    let (log, source) = if rng.once_in(2) {
        (aos::random_log(reader, &known.name, module, (count, rng))?, String::new())
    } else {
        let evals: Vec<String> = (1..count).map(|_| lua::chunk(rng)).collect();
        (aos::log_of(reader, &known.name, module, &evals)?, evals.join("\n\n"))
    };
    let limits = Limits { fuel: Fuel(log.limits.fuel.0.min(AOS_FUEL)), ..log.limits };
    Ok(Some((Log { artifacts: known.artifacts.clone(), limits, ..log }, source)))
}

/// A program, and messages of chance to it, under little fuel.
fn program_log(subject: &Subject, (module, fuel): (Module, u64), rng: &mut Rng) -> Log {
    let limits = subject.roles.limits;
    let most = limits.fuel.0.min(fuel);
    let fuel = Fuel(if rng.once_in(4) { rng.below(most) } else { most });
    let calls = (0..2 + rng.below(5)).map(|nonce| {
        let data: String = (0..rng.place(40)).map(|_| char::from(b' ' + rng.byte() % 90)).collect();
        testing::call(nonce).data(data).build()
    });
    Log::new("program", (module, Limits { fuel, ..limits }), calls.collect())
}

/// A role's calls in another order, some more than once, under another limit of fuel.
fn role_log(subject: &Subject, rng: &mut Rng) -> Option<Log> {
    let roles = subject.logs.first()?.logs.as_ref().ok()?;
    let role = roles.get(rng.place(roles.len()))?;
    let first = role.calls.first()?.clone();
    let others = (1..3 + rng.below(5)).filter_map(|nonce| {
        let call = role.calls.get(rng.place(role.calls.len()))?;
        let slot = Slot { nonce, ..call.slot };
        Some(Arc::new(Call { slot, ..(**call).clone() }))
    });
    let calls = std::iter::once(first).chain(others).collect();
    let most = role.limits.fuel.0.min(100_000);
    let fuel = Fuel(if rng.once_in(2) { most } else { rng.below(most) });
    let limits = Limits { fuel, ..role.limits };
    // The roles are few, and come again and again.
    static ROLES: LazyLock<Arc<Compiled>> = LazyLock::new(Arc::default);
    let artifacts = ROLES.clone();
    Some(Log { calls, limits, artifacts, ..role.clone() })
}

impl Case {
    /// Plays it on both sides. What diverges is made smaller first.
    pub fn run(self, on: &[On]) -> Result<(), Box<Divergence>> {
        let Err(mut seen) = self.agree(on, &self.log) else { return Ok(()) };
        let mut case = self;
        let mut at = case.log.calls.len();
        while at > 0 {
            at -= 1;
            let mut fewer = case.log.clone();
            fewer.calls.remove(at);
            if let Err(still) = case.agree(on, &fewer) {
                (case.log, seen) = (fewer, still);
            }
        }
        let names = case.sides.map(|side| {
            let engine = on.get(side.engine).map_or("", |on| on.engine);
            format!("{engine} {}", side.way.name)
        });
        Err(Box::new(Divergence { case, seen, names }))
    }

    fn agree(&self, on: &[On], log: &Log) -> Result<(), Broken> {
        let play = |side: Side| -> Result<Vec<Entry>, Broken> {
            let Some(on) = on.get(side.engine) else { return Ok(Vec::new()) };
            log.check_way(&*on.subject.reader, side.way, SEED)
        };
        let [one, other] = self.sides;
        let (one, other) = (play(one)?, play(other)?);
        for (at, (one, other)) in one.iter().zip(&other).enumerate() {
            if one != other {
                return Err(Broken::new(format!("call {at}: {one}\n  and: {other}")));
            }
        }
        Ok(())
    }

    /// Calls in it.
    pub fn calls(&self) -> usize {
        self.log.calls.len()
    }
}

impl Divergence {
    /// The case as a file, for `drivebay replay`.
    pub fn file(&self, on: &[On]) -> ReplayFile {
        let Case { log, .. } = &self.case;
        let recorder = Arc::new(Recorder::new(log.host.clone()));
        let watched = Log { host: recorder.clone(), ..log.clone() };
        // Where even that fails, the file has no lines: nothing that comes of it is as recorded.
        let entries = on.first().and_then(|on| watched.play(&*on.subject.reader).ok());
        let side = |side: Side| {
            let engine = on.get(side.engine).map_or("", |on| on.engine);
            (engine.to_owned(), side.way.name.to_owned())
        };
        ReplayFile {
            seen: self.to_string(),
            module: log.module.clone(),
            limits: log.limits,
            image: None,
            calls: log.calls.clone(),
            reads: recorder.told(),
            lines: entries.iter().flatten().map(ToString::to_string).collect(),
            theirs: None,
            sides: self.case.sides.map(side).to_vec(),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { number, kind, log, source, .. } = &self.case;
        let [one, other] = &self.names;
        writeln!(f, "case {number} ({kind}): {one} against {other}\n{}", self.seen)?;
        writeln!(f, "module {} of {}", log.module.id, log.module.format)?;
        writeln!(f, "limits {:?}", log.limits)?;
        for call in &log.calls {
            writeln!(f, "message {}", call.json.message)?;
        }
        f.write_str(source)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::{
        certify::{Tier, subjects},
        cu::{Engine, Readers},
        disk::NoArtifacts,
    };

    /// What nothing comes of tries nothing: most calls end well, and some fault in each way that there is.
    #[test]
    fn cases_do_something() {
        let readers = Readers::stock(Engine::Speed).unwrap();
        let artifacts = Arc::new(NoArtifacts) as _;
        for subject in subjects(&readers, &[], &artifacts, Tier::Fast) {
            let name = subject.proof.name;
            let on = [On { engine: "speed", subject }];
            let (mut ends, mut calls) = (std::collections::BTreeMap::new(), 0);
            for number in 0..60 {
                let Some(case) = case(&on, 3, number).unwrap() else { continue };
                let reader = &on[0].subject.reader;
                for entry in case.log.play(&**reader).unwrap() {
                    *ends.entry(format!("{:?}", entry.receipt.fault())).or_insert(0) += 1;
                    calls += 1;
                }
            }
            let done = ends.get("None").copied().unwrap_or(0);
            assert!(done * 4 > calls && done < calls, "{name}: {ends:?}");
            assert!(ends.len() > 2, "{name}: {ends:?}");
        }
    }

    #[test]
    fn a_case_follows_from_its_number_and_is_a_file() {
        let readers = Readers::stock(Engine::Speed).unwrap();
        let artifacts = Arc::new(NoArtifacts) as _;
        for subject in subjects(&readers, &[], &artifacts, Tier::Fast) {
            let on = [On { engine: "speed", subject }];
            let [one, other] = [4, 4].map(|number| case(&on, 9, number).unwrap().unwrap());
            assert_eq!((one.log.module.id, &one.source), (other.log.module.id, &other.source));
            let found = Divergence {
                case: one,
                seen: Broken::new("nothing"),
                names: [String::new(), String::new()],
            };
            let text = found.file(&on).json().unwrap();
            let file = ReplayFile::parse(text.as_str()).unwrap();
            let reader = &*on[0].subject.reader;
            for (_, way) in &file.sides {
                let lines = file.play_in(reader, way, SEED).unwrap();
                let lines: Vec<_> = lines.into_iter().map(|done| done.line).collect();
                assert_eq!(lines, file.lines);
            }
        }
    }
}
