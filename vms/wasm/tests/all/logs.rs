//! Logs of real aos processes, played in every way that a host may play them, on every engine.

use crate::real;
use drivebay_conformance::{
    aos,
    laws::{Entry, Log},
};
use drivebay_disk::{DiskReader, Module};
use drivebay_wasm::EngineKind;
use libtest_mimic::{Completion, Failed, Trial};

fn log(reader: &dyn DiskReader, name: &str, module: Module, count: u32) -> Log {
    aos::log(reader, name, module, count).expect("messages are JSON")
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
    // What aos was sent and did not evaluate, it puts into its inbox.
    let lost = |entry: &Entry| format!("{:?}", entry.receipt.reply.output).contains("New Message");
    if let Some((at, entry)) = entries.iter().enumerate().skip(1).find(|(_, entry)| lost(entry)) {
        return Err(format!("message {at} was not evaluated: {entry:?}").into());
    }
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
