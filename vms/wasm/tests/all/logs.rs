//! Logs of real aos processes, played in every way that a host may play them, on every engine.

use crate::real;
use drivebay_conformance::laws::{Entry, Log};
use drivebay_disk::{DiskReader, Module};
use drivebay_wasm::EngineKind;
use libtest_mimic::{Completion, Failed, Trial};

/// One of each kind of thing that a process does, over and over with other numbers.
const EVALS: &[&str] = &[
    "Count = (Count or 0) + @ return Count",
    "local t = {} for k, v in pairs({a=1, b=2, c=@, d=4, [@]=5}) do t[#t+1] = tostring(k) end return table.concat(t, ',')",
    "error('boom @')",
    "return pcall(error, {code=@})",
    "Handlers.add('h@', Handlers.utils.hasMatchingTag('Action', 'Ping@'), function (m) Hits = (Hits or 0) + 1 end) return #Handlers.list",
    "return string.format('%.14g %.17g %s', 0.1 * @, 1/3, tostring(0/0))",
    "Co = coroutine.wrap(function () for i = 1, 3 do coroutine.yield(i * @) end end) return Co()",
    "return Co and Co()",
    "return os.time() .. ' ' .. os.date('!%Y-%m-%d') .. ' ' .. os.clock()",
    "this is not lua @",
    "Big = string.rep('x', @ * 1000) return #Big",
    "return require('json').encode({a={1,2,{b=@}}, c='é'})",
    "print('line @') io.write('half @') return math.random(1000)",
    "ao.send({Target='T@', Data=tostring(@), Action='Test'}) return 'sent'",
    "local f, e = io.open('/nothing/@') return tostring(e)",
    "local t = {} for i = 1, 300 do t[i] = (i * @) % 71 end table.sort(t) return t[1] .. ' ' .. t[300]",
    "ao.spawn('MODULE@', {Tags={Name='child'}}) return 'spawned'",
    "T = T or {} T[{}] = @ T[print] = 1 local n = 0 for k in pairs(T) do n = n + 1 end return n",
    "return select('#', string.byte(string.rep('ab', 20), 1, -1)) + @",
    "collectgarbage() return math.type(@ // 1)",
];

fn pairs(count: u32) -> Vec<(String, String)> {
    let birth = (real::birth(), real::env());
    let evals = (1..count).map(|nonce| {
        let at = nonce as usize % EVALS.len();
        let text = EVALS[at].replace('@', &(nonce + 1).to_string());
        (real::message(nonce, "Eval", &text), real::env())
    });
    std::iter::once(birth).chain(evals).collect()
}

fn log(reader: &dyn DiskReader, name: &str, module: Module, count: u32) -> Log {
    let limits = real::limits(reader, &module);
    let pairs = pairs(count);
    let texts = pairs.iter().map(|(message, env)| (message.as_str(), env.as_str()));
    Log::from_json(name, (module, limits), texts).expect("messages are JSON")
}

/// (file, format, messages in CI, messages in a long run)
const LOGS: &[(&str, &str, u32, u32)] = &[
    ("aos2_0_6.wasm", "wasm64-unknown-emscripten-draft_2024_02_15", 200, 200),
    ("aos2_0_4_32.wasm", "wasm32-unknown-emscripten4", 40, 200),
    ("sqlite.wasm", "wasm64-unknown-emscripten-draft_2024_02_15", 0, 200),
];

pub(crate) fn trials() -> Vec<Trial> {
    let played = LOGS.iter().map(|(file, format, short, full)| {
        let count = if crate::long() { *full } else { *short };
        let name = format!("log of {count} messages on {file}");
        Trial::ignorable_test(name, move || {
            if count == 0 {
                return Ok(Completion::ignored_with("compiles for half a minute: DRIVEBAY_LONG=1"));
            }
            play(file, format, count)
        })
    });
    let agreed = Trial::ignorable_test("engines agree on the aos log", engines);
    played.chain([agreed]).collect()
}

fn play(file: &str, format: &str, count: u32) -> Result<Completion, Failed> {
    let module = match real::module(file, format) {
        Ok(module) => module,
        Err(ignored) => return Ok(ignored),
    };
    let reader = crate::reader(EngineKind::Speed);
    let entries = log(&*reader, file, module, count).check(&*reader, 7).map_err(Failed::from)?;
    useful(&entries)?;
    Ok(Completion::Completed)
}

/// A log of nothing but errors would agree with itself too.
fn useful(entries: &[Entry]) -> Result<(), Failed> {
    let done = entries.iter().filter(|entry| entry.receipt.fault().is_none()).count();
    if done * 2 < entries.len() {
        let first = entries.first();
        let all = entries.len();
        return Err(format!("only {done} of {all} messages were evaluated: {first:?}").into());
    }
    Ok(())
}

/// The interpreter is slow: a part of the log, all of it in a long run.
fn engines() -> Result<Completion, Failed> {
    let (file, format) = ("aos2_0_6.wasm", "wasm64-unknown-emscripten-draft_2024_02_15");
    let count = if crate::long() { 200 } else { 40 };
    let mut expected: Option<(&str, Vec<Entry>)> = None;
    for (name, reader) in crate::readers() {
        let module = match real::module(file, format) {
            Ok(module) => module,
            Err(ignored) => return Ok(ignored),
        };
        let found = log(&*reader, name, module, count).play(&*reader).map_err(Failed::from)?;
        match &expected {
            None => expected = Some((name, found)),
            Some((first, entries)) => {
                for (at, (one, other)) in entries.iter().zip(&found).enumerate() {
                    if one.receipt != other.receipt || one.root != other.root {
                        let both = format!("{first}: {one:?}\n{name}: {other:?}");
                        return Err(format!("message {at} differs\n{both}").into());
                    }
                }
            }
        }
    }
    Ok(Completion::Completed)
}
