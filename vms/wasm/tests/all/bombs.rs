//! Guests that want too much: stopped at the limit, alike on every engine, and the process goes on.

use crate::real;
use crate::roles::{LIMITS, role};
use drivebay_conformance::aos;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{
    Call, Digest, Disk, DiskReader, Drive, FaultCode, Fuel, Limits, Meter, Module, NoArtifacts,
    Ran, Reply, Root, WireJson,
};
use drivebay_wasm::EngineKind;
use libtest_mimic::{Completion, Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("a loop ends out of fuel", || bomb("spin", "spin", Some(FaultCode::OutOfFuel))),
        Trial::test("recursion ends too deep", || bomb("deep", "deep", Some(FaultCode::TooDeep))),
        Trial::test("a hog gets what its limit allows", || bomb("hog", "hog", None)),
        Trial::test("too long an answer is too loud", loud),
        Trial::test("the deepest stack fits the native one", deepest),
        Trial::ignorable_test(CAUGHT, caught),
    ]
}

pub(crate) type Seen = (Option<FaultCode>, Meter, Root);

pub(crate) fn step(
    drive: Box<dyn Drive>,
    call: Arc<Call>,
    limits: &Limits,
) -> (Box<dyn Drive>, Seen, Reply) {
    let ran = drive.run(call, limits, Arc::new(NoHost)).unwrap_or_else(|e| panic!("{}", e.error));
    let (drive, fault, reply, meter) = match ran {
        Ran::Done { drive, reply, meter } => (drive, None, reply, meter),
        Ran::Faulted { drive, fault, reply, meter } => {
            (drive.expect("rolled back"), Some(fault.code), reply, meter)
        }
        Ran::Dry { .. } => panic!("no dry-run was asked for"),
    };
    let mut drive = drive;
    let root = drive.freeze().expect("freeze").image().expect("image").root();
    (drive, (fault, meter, root), reply)
}

fn mount(reader: &dyn DiskReader, module: &Module) -> (Arc<dyn Disk>, Box<dyn Drive>) {
    let disk = reader.read(module, &NoArtifacts).expect("read");
    let drive = Arc::clone(&disk).mount(disk.blank()).expect("mount");
    (disk, drive)
}

/// go, bomb, go: the same on all engines, and the state after a fault is the one before.
fn play(reader: &dyn DiskReader, module: &Module, data: &str, limits: &Limits) -> Vec<Seen> {
    let (_, mut drive) = mount(reader, module);
    let mut seen = Vec::new();
    for (nonce, data) in ["go", data, "go"].into_iter().enumerate() {
        let call = call(nonce as u64).data(data.to_owned()).build();
        let (next, saw, _) = step(drive, call, limits);
        drive = next;
        seen.push(saw);
    }
    seen
}

fn same_everywhere(module: &Module, data: &str, limits: &Limits) -> Result<Vec<Seen>, Failed> {
    let mut first: Option<Vec<Seen>> = None;
    for (name, reader) in crate::readers() {
        let seen = play(&*reader, module, data, limits);
        match &first {
            None => first = Some(seen),
            Some(first) if *first == seen => {}
            Some(first) => return Err(format!("{name} has {seen:?}, not {first:?}").into()),
        }
    }
    first.ok_or_else(|| "no engines".into())
}

fn bomb(name: &str, data: &str, code: Option<FaultCode>) -> Result<(), Failed> {
    let seen = same_everywhere(&role(name), data, &LIMITS)?;
    if seen[1].0 != code || seen[0].0.is_some() || seen[2].0.is_some() {
        return Err(format!("{seen:?}").into());
    }
    if code.is_some() && seen[0].2 != seen[1].2 {
        return Err("the fault left a mark".into());
    }
    Ok(())
}

fn loud() -> Result<(), Failed> {
    let limits = Limits { output_bytes: 100, ..LIMITS };
    let seen = same_everywhere(&role("echo"), &"long ".repeat(100), &limits)?;
    if seen[1].0 != Some(FaultCode::TooLoud) || seen[2].0.is_some() {
        return Err(format!("{seen:?}").into());
    }
    Ok(())
}

/// A function with many locals alive across a call has the largest native frame for its counted depth, and
/// one without any the smallest: neither may reach the end of the native stack on any engine.
fn deepest() -> Result<(), Failed> {
    let limits = Limits { fuel: Fuel(200_000_000), depth: u32::MAX, ..LIMITS };
    for locals in [0, 1, 40, 400] {
        let module = recursive(locals);
        let seen = same_everywhere(&module, "deep", &limits)?;
        if seen[1].0 != Some(FaultCode::TooDeep) {
            return Err(format!("{locals} locals: {seen:?}").into());
        }
    }
    Ok(())
}

fn recursive(locals: usize) -> Module {
    let declare = "(local i64)".repeat(locals);
    let set: String = (0..locals)
        .map(|n| format!("(local.set {} (i64.add (local.get 0) (i64.const {n})))", n + 1))
        .collect();
    let sum: String = (0..locals)
        .map(|n| format!("(local.set 0 (i64.xor (local.get 0) (local.get {})))", n + 1))
        .collect();
    let text = format!(
        r#"(module (memory (export "memory") 2)
            (data (i32.const 16) "{{\"Output\":1}}")
            (global $at (mut i32) (i32.const 1024))
            ;; Two places, in turn: one for the message, one for the environment.
            (func (export "alloc") (param i32) (result i32)
                (global.set $at (i32.xor (global.get $at) (i32.const 8192)))
                (global.get $at))
            (func $down (param i64) (result i64) {declare}
                {set}
                (i64.store (i32.const 8) (call $down (i64.load (i32.const 8))))
                {sum}
                (local.get 0))
            (func (export "handle") (param $m i32) (param i32 i32 i32) (result i64)
                (local $at i32)
                ;; Deep if the letter p is anywhere: "deep" has one and "go" has none.
                (loop $next
                    (if (i32.eq (i32.load (i32.add (local.get $m) (local.get $at))) (i32.const 0x70656564))
                        (then (drop (call $down (i64.const 1)))))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $at) (local.get 1))))
                (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 12))))"#
    );
    let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
    Module::new(bytes, "wasm32-drivebay-1", Vec::new())
}

/// Message 0 is the process itself; each other is an Eval.
pub(crate) fn eval(nonce: u32, code: &str) -> Arc<Call> {
    let message = if nonce == 0 { aos::birth() } else { aos::message(nonce, "Eval", code) };
    let json = WireJson { message: message.into(), env: aos::env().into() };
    let base = call(u64::from(nonce)).build();
    Arc::new(Call { json, seed: Digest::of(&nonce.to_le_bytes()).0, ..(*base).clone() })
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

const CAUGHT: &str = "a million caught errors leave no trace";
/// Set in the process that measures its own memory.
const ALONE: &str = "DRIVEBAY_TEST_ALONE";

/// On one warm drive: the host's memory does not grow, and the state is that of a drive that met them after
/// each was restored. In a process of its own, since the memory of other tests beside it would be counted too.
fn caught() -> Result<Completion, Failed> {
    let format = "wasm32-unknown-emscripten4";
    let module = match real::module("aos2_0_4_32.wasm", format) {
        Ok(module) => module,
        Err(ignored) => return Ok(ignored),
    };
    if std::env::var_os(ALONE).is_some() {
        return caught_alone(&module);
    }
    let mut alone = std::process::Command::new(std::env::current_exe()?);
    let ended = alone.args([CAUGHT, "--exact"]).env(ALONE, "1").output()?;
    let said = String::from_utf8_lossy(&ended.stdout);
    if !ended.status.success() || !said.contains("1 passed") {
        return Err(said.into_owned().into());
    }
    Ok(Completion::Completed)
}

fn caught_alone(module: &Module) -> Result<Completion, Failed> {
    let reader = crate::reader(EngineKind::Speed);
    let limits = Limits { depth: u32::MAX, ..real::limits(&*reader, module) };
    let code = "for i = 1, 100000 do pcall(error, 'x') end return 'ok'";
    let (disk, mut warm) = mount(&*reader, module);
    let mut restored = Arc::clone(&disk).mount(disk.blank())?;
    let mut after_first = 0;
    for nonce in 0..=10 {
        let (next, saw, reply) = step(warm, eval(nonce, code), &limits);
        warm = next;
        let (mut next, again, _) = step(restored, eval(nonce, code), &limits);
        let image = next.freeze()?.image()?;
        restored = Arc::clone(&disk).mount(&image)?;
        if saw.0.is_some() || saw != again {
            return Err(
                format!("message {nonce}: warm {saw:?} {reply:?}, restored {again:?}").into()
            );
        }
        if nonce == 1 {
            after_first = resident();
        }
    }
    let grown = resident().saturating_sub(after_first);
    if grown > 64 << 20 {
        return Err(format!("a million errors took {grown} bytes of the host").into());
    }
    Ok(Completion::Completed)
}
