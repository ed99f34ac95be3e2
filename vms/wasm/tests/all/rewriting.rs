//! What rewriting adds for speed alone changes no reply and no gas: held against a reader without it, on every
//! recorded case, and on checkpoints that the other one made.

use crate::bombs::{eval, step};
use crate::real;
use crate::roles::root;
use drivebay_conformance::golden::{Case, ModuleIndex, Named, Options, Start, cases_in, run_case};
use drivebay_disk::{Disk, DiskReader, Drive, ImageLimits, Limits, NoArtifacts, Reply};
use drivebay_wasm::{EngineKind, WasmReader};
use libtest_mimic::{Completion, Failed, Trial};
use std::sync::Arc;

/// Larger modules take the better part of a minute to compile.
const QUICK_BYTES: usize = 1 << 20;

/// Optimising takes longer than the messages: the plain compiler says the same.
fn unrewritten() -> WasmReader {
    WasmReader::unrewritten(EngineKind::Plain).expect("the engine takes its own configuration")
}

pub(crate) fn trials() -> Vec<Trial> {
    let cases = cases_in(&root().join("conformance/golden/cases")).expect("the cases are here");
    let cases = cases.into_iter().map(|case| {
        let name = format!("rewritten or not, as recorded: {}", case.name);
        Trial::ignorable_test(name, move || golden(&case))
    });
    let checkpoints = CHECKPOINTS.iter().map(|(file, format)| {
        let name = format!("rewritten code takes a checkpoint of code that is not: {file}");
        Trial::ignorable_test(name, || checkpoint(file, format))
    });
    cases.chain(checkpoints).collect()
}

/// The module of a case, if it is here and small enough for today.
fn module(case: &Case) -> Result<Vec<u8>, Completion> {
    for folder in ["modules/aos", "conformance/golden/fixtures"] {
        let Ok(index) = ModuleIndex::scan(&root().join(folder)) else { continue };
        let Ok(Some(bytes)) = index.load(&case.module_sha256) else { continue };
        if bytes.len() > QUICK_BYTES && !crate::long() {
            return Err(Completion::ignored_with("compiles for long: DRIVEBAY_LONG=1"));
        }
        return Ok(bytes);
    }
    Err(Completion::ignored_with("its module is not here; run modules/fetch"))
}

fn golden(case: &Case) -> Result<Completion, Failed> {
    let bytes = match module(case) {
        Ok(bytes) => bytes,
        Err(ignored) => return Ok(ignored),
    };
    let named = Named::load(&root().join("conformance/golden/differences.txt"))?;
    let rewritten = crate::reader(EngineKind::Plain);
    let readers: [(&str, &dyn DiskReader); 2] =
        [("unrewritten", &unrewritten()), ("rewritten", &*rewritten)];
    for (name, reader) in readers {
        let options = Options {
            start: Start::Warm,
            memory: false,
            named: named.clone(),
            ..Options::default()
        };
        let report = run_case(reader, bytes.clone().into(), case, &NoArtifacts, &options);
        if let Some(why) = report.skipped {
            return Ok(Completion::ignored_with(why));
        }
        if let Some(difference) = report.differences.first() {
            return Err(format!("{name}: {difference}").into());
        }
    }
    Ok(Completion::Completed)
}

const CHECKPOINTS: &[(&str, &str)] = &[
    ("aos2_0_6.wasm", "wasm64-unknown-emscripten-draft_2024_02_15"),
    ("aos2_0_4_32.wasm", "wasm32-unknown-emscripten4"),
];

const EVALS: &[&str] = &[
    "Count = (Count or 0) + 1 T = {a = Count, [Count] = 'b'} return Count",
    "local t = {} for k, v in pairs(_G) do t[#t + 1] = tostring(k) end return table.concat(t, ',')",
    "return tostring(io.open('/nothing/here')) .. tostring(pcall(require, 'nothing'))",
    "Big = string.rep('x', 300000) return #Big .. Big:sub(-3)",
    "error({code = Count})",
    "ao.send({Target = 'T', Data = tostring(Count)}) return Count",
];

/// Two readers from one checkpoint of memory alone, made by the one that is unrewritten.
fn checkpoint(file: &str, format: &str) -> Result<Completion, Failed> {
    let module = match real::module(file, format) {
        Ok(module) => module,
        Err(ignored) => return Ok(ignored),
    };
    let plain = unrewritten();
    let limits = real::limits(&plain, &module);
    let donor = plain.read(&module, &NoArtifacts)?;
    let mut drive = Arc::clone(&donor).mount(donor.blank())?;
    for (nonce, code) in (0u32..).zip(["", "Hits = 7", "return require('json').encode({Hits})"]) {
        drive = step(drive, eval(nonce, code), &limits).0;
    }
    let bytes = donor.disown(&drive.freeze()?.image()?)?;
    let rewritten = crate::reader(EngineKind::Plain).read(&module, &NoArtifacts)?;
    let one = from_checkpoint(&donor, &bytes, &limits)?;
    let other = from_checkpoint(&rewritten, &bytes, &limits)?;
    for (at, (one, other)) in one.iter().zip(&other).enumerate() {
        if one != other {
            return Err(format!("message {at}: {one:?}\nrewritten: {other:?}").into());
        }
    }
    Ok(Completion::Completed)
}

type Answer = (Option<drivebay_disk::FaultCode>, Option<u64>, Reply);

fn from_checkpoint(
    disk: &Arc<dyn Disk>,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<Answer>, Failed> {
    let image = disk.adopt(&mut &*bytes, &ImageLimits::default())?;
    let mut drive: Box<dyn Drive> = Arc::clone(disk).mount(&image)?;
    let mut answers = Vec::new();
    for (nonce, code) in (3u32..).zip(EVALS) {
        let (next, (fault, meter, _), reply) = step(drive, eval(nonce, code), limits);
        answers.push((fault, meter.gas, reply));
        drive = next;
    }
    Ok(answers)
}
