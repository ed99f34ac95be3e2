//! Random logs under two conditions of chance. They must come to the same.
//!
//! A case follows from its seed and its number alone. One that diverges is made smaller, call by call, and
//! written as a text that says everything about it.

mod wasm;

use super::{SEED, logs::Subject};
use crate::disk::{Fuel, Limits, Module, testing};
use drivebay_conformance::{
    aos,
    laws::{Broken, Entry, Log, Rng, WAYS, Way},
};
use std::fmt;

/// Little, so that what loops or recurses ends soon.
const LIMITS: Limits = Limits {
    fuel: Fuel(100_000),
    gas: None,
    memory_bytes: 4 << 20,
    output_bytes: 4096,
    depth: 500,
};

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
    let is_wasm = first.subject.proof.name == "wasm";
    let (kind, log, source) = match rng.below(100) {
        0..2 if is_wasm => match aos_log(first, &mut rng)? {
            Some(log) => ("aos", log, String::new()),
            None => return Ok(None),
        },
        2..80 if is_wasm => {
            let source = wasm::module(&mut rng);
            ("module", module_log(&source, &mut rng)?, source)
        }
        _ => match role_log(&first.subject, &mut rng) {
            Some(log) => ("roles", log, String::new()),
            None => return Ok(None),
        },
    };
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
    Ok(Log::new("module", (module, LIMITS), calls.collect()))
}

fn aos_log(on: &On, rng: &mut Rng) -> Result<Option<Log>, Broken> {
    let real = on.subject.logs.iter().filter_map(|named| named.logs.as_ref().ok()?.first());
    let real: Vec<&Log> = real.filter(|log| log.name.starts_with("aos")).collect();
    let Some(known) = real.get(rng.place(real.len())) else { return Ok(None) };
    let count = 3 + rng.below(6) as u32;
    let reader = &*on.subject.reader;
    let log = aos::random_log(reader, &known.name, known.module.clone(), (count, rng))?;
    Ok(Some(Log { artifacts: known.artifacts.clone(), ..log }))
}

/// A role's calls in another order, some more than once, under another limit of fuel.
fn role_log(subject: &Subject, rng: &mut Rng) -> Option<Log> {
    let roles = subject.logs.first()?.logs.as_ref().ok()?;
    let role = roles.get(rng.place(roles.len()))?;
    let first = role.calls.first()?.clone();
    let others = (1..3 + rng.below(5)).filter_map(|nonce| {
        let call = role.calls.get(rng.place(role.calls.len()))?;
        let slot = crate::disk::Slot { nonce, ..call.slot };
        Some(std::sync::Arc::new(crate::disk::Call { slot, ..(**call).clone() }))
    });
    let calls = std::iter::once(first).chain(others).collect();
    let most = role.limits.fuel.0.min(100_000);
    let fuel = Fuel(if rng.once_in(2) { most } else { rng.below(most) });
    let limits = Limits { fuel, ..role.limits };
    Some(Log { calls, limits, ..role.clone() })
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
