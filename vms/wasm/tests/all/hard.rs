//! Modules that are valid, and meant to hurt: whatever they export, import, grow, print or unwind, they end
//! in a refusal or a verdict, the same on every engine and however their state is kept.

use crate::hard_guests::{EMPTY_REPLY, emscripten, shell};
use crate::roles::LIMITS;
use drivebay_disk::testing::{MapHost, NoHost, call};
use drivebay_disk::{
    Call, Disk, DiskReader, Drive, FaultCode, Fuel, Host, HostError, Limits, Meter, Module,
    NoArtifacts, Ran, ReadError, Reply, Resource, Root,
};
use drivebay_wasm::EngineKind;
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("hard: exports of other kinds and types", exports),
        Trial::test("hard: imports named twice", twice),
        Trial::test("hard: callbacks of other types", callbacks),
        Trial::test("hard: unwinding out of place", unwinding),
        Trial::test("hard: recursion through the host", recursion),
        Trial::test("hard: the host's own stack bounds no verdict", deep_invokes),
        Trial::test("hard: exceptions that nobody catches", uncaught),
        Trial::test("hard: no drive keeps its host", hosts),
        Trial::test("hard: a kept state is the one before", kept),
    ]
}

/// What a run came to, as far as every host must agree.
pub(crate) type Seen = (Option<FaultCode>, Meter, Root);

pub(crate) fn module(format: &str, text: &str) -> Module {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Module::new(bytes, format, Vec::new())
}

pub(crate) fn mount(disk: &Arc<dyn Disk>) -> Result<Box<dyn Drive>, Failed> {
    Ok(Arc::clone(disk).mount(disk.blank())?)
}

pub(crate) struct Step {
    pub(crate) drive: Option<Box<dyn Drive>>,
    pub(crate) fault: Option<FaultCode>,
    pub(crate) note: String,
    pub(crate) reply: Reply,
    pub(crate) meter: Meter,
}

pub(crate) fn step(
    drive: Box<dyn Drive>,
    call: Arc<Call>,
    limits: &Limits,
    host: Arc<dyn Host>,
) -> Result<Step, HostError> {
    let ran = drive.run(call, limits, host).map_err(|failure| failure.error)?;
    Ok(match ran {
        Ran::Done { drive, reply, meter } => {
            Step { drive: Some(drive), fault: None, note: String::new(), reply, meter }
        }
        Ran::Faulted { drive, fault, reply, meter } => {
            let note = fault.note.to_string();
            Step { drive, fault: Some(fault.code), note, reply, meter }
        }
        Ran::Dry { drive, fault, reply, meter } => {
            Step { drive, fault: fault.map(|f| f.code), note: String::new(), reply, meter }
        }
    })
}

pub(crate) fn root(drive: &mut Box<dyn Drive>) -> Result<Root, HostError> {
    Ok(drive.freeze()?.image()?.root())
}

/// Some calls on one engine: on a warm drive, and on one that is restored before each. Both must agree.
fn play(reader: &dyn DiskReader, module: &Module, limits: &Limits) -> Result<Vec<Seen>, Failed> {
    let disk = reader.read(module, &NoArtifacts)?;
    let (mut warm, mut restored) = (mount(&disk)?, mount(&disk)?);
    let mut seen = Vec::new();
    for nonce in 0..3 {
        let id = "I".repeat(43);
        let host = Arc::new(MapHost::new().with(Resource::Data(id), vec![7u8; 100]));
        let call = call(nonce).data("go").build();
        let one = step(warm, Arc::clone(&call), limits, host.clone())?;
        let two = step(restored, call, limits, host)?;
        let note = format!("{} / {}", one.note, two.note);
        warm = one.drive.ok_or("the warm drive is lost")?;
        restored = two.drive.ok_or("the restored drive is lost")?;
        let (a, b) = (
            (one.fault, one.meter, root(&mut warm)?),
            (two.fault, two.meter, root(&mut restored)?),
        );
        if a != b {
            return Err(format!("call {nonce}: warm {a:?}, restored {b:?} ({note})").into());
        }
        let image = restored.freeze()?.image()?;
        restored = Arc::clone(&disk).mount(&image)?;
        seen.push(a);
    }
    Ok(seen)
}

/// The verdicts on every engine, if they agree; `None` if the module is refused.
pub(crate) fn verdicts(module: &Module, limits: &Limits) -> Result<Option<Vec<Seen>>, Failed> {
    let mut first: Option<Vec<Seen>> = None;
    for (name, reader) in crate::readers() {
        match reader.read(module, &NoArtifacts) {
            Err(ReadError::Refused(_)) if first.is_none() => return Ok(None),
            Err(error) => return Err(format!("{name}: {error}").into()),
            Ok(_) => {}
        }
        let seen = play(&*reader, module, limits).map_err(|e| format!("{name}: {e:?}"))?;
        match &first {
            None => first = Some(seen),
            Some(first) if *first == seen => {}
            Some(first) => return Err(format!("{name} has {seen:?}, not {first:?}").into()),
        }
    }
    Ok(first)
}

/// Each module must be refused or come to a verdict; what is wrong with any is told at the end.
fn all(cases: Vec<(String, Module)>, limits: &Limits) -> Result<(), Failed> {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, module)| {
            let error = verdicts(module, limits).err()?;
            Some(format!("{name}: {}", error.message().unwrap_or_default()))
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn exports() -> Result<(), Failed> {
    let plain = r#"(func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32 i32 i32) (result i64) (i64.const 0))"#;
    let many = "i32 ".repeat(200);
    let clean_cases = [
        ("handle takes a float", r#"(func (export "handle") (param f64 i32 i32 i32) (result i64) (i64.const 0))"#.to_owned()),
        ("handle takes a vector", r#"(func (export "handle") (param v128 i32 i32 i32) (result i64) (i64.const 0))"#.into()),
        ("handle takes many", format!(r#"(func (export "handle") (param {many}) (result i64) (i64.const 0))"#)),
        ("handle takes nothing", r#"(func (export "handle"))"#.into()),
        ("handle gives a float", r#"(func (export "handle") (param i32 i32 i32 i32) (result f64) (f64.const 0))"#.into()),
        ("handle gives a vector", r#"(func (export "handle") (param i32 i32 i32 i32) (result v128) (v128.const i64x2 1 1))"#.into()),
        ("handle gives two", r#"(func (export "handle") (param i32 i32 i32 i32) (result i64 i64) (i64.const 0) (i64.const 0))"#.into()),
        ("handle is a global", r#"(global (export "handle") i32 (i32.const 0))"#.into()),
        ("handle is a table", r#"(table (export "handle") 1 funcref)"#.into()),
    ];
    let mut cases: Vec<(String, Module)> = Vec::new();
    for (name, handle) in clean_cases {
        let text = format!(
            r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 1024)) {handle})"#
        );
        cases.push((name.into(), module("wasm32-drivebay-1", &text)));
    }
    for (name, alloc) in [
        ("alloc takes i64", r#"(func (export "alloc") (param i64) (result i32) (i32.const 1024))"#),
        ("alloc gives i64", r#"(func (export "alloc") (param i32) (result i64) (i64.const 1024))"#),
        ("alloc gives f32", r#"(func (export "alloc") (param i32) (result f32) (f32.const 7))"#),
        ("alloc is the memory", r#"(export "alloc" (memory 0))"#),
    ] {
        let text = format!(
            r#"(module (memory (export "memory") 1) {alloc}
            (func (export "handle") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#
        );
        cases.push((name.into(), module("wasm32-drivebay-1", &text)));
    }
    for (name, more) in [
        ("memory is a function", r#"(memory 1) (func (export "memory"))"#),
        ("memory is a global", r#"(memory 1) (global (export "memory") i32 (i32.const 0))"#),
        ("two names of one memory", r#"(memory (export "memory") (export "other") 1)"#),
        (
            "_initialize takes one",
            r#"(memory (export "memory") 1) (func (export "_initialize") (param i32))"#,
        ),
        (
            "_initialize is a global",
            r#"(memory (export "memory") 1) (global (export "_initialize") i32 (i32.const 0))"#,
        ),
    ] {
        let text = format!("(module {more} {plain})");
        cases.push((name.into(), module("wasm32-drivebay-1", &text)));
    }
    cases.extend(loader_exports());
    all(cases, &LIMITS)
}

/// The same of the loader's formats.
fn loader_exports() -> Vec<(String, Module)> {
    let mut cases = Vec::new();
    for (name, find, put) in [
        (
            "handle takes a float",
            r#"(export "handle") (param $m i32)"#,
            r#"(export "handle") (param $m f64)"#,
        ),
        (
            "ctors takes one",
            r#"(export "__wasm_call_ctors")"#,
            r#"(export "__wasm_call_ctors") (param i32)"#,
        ),
        (
            "init takes one",
            r#"(export "emscripten_stack_init")"#,
            r#"(export "emscripten_stack_init") (param f32)"#,
        ),
        ("no init", r#"(export "emscripten_stack_init")"#, ""),
        (
            "stack end is a float",
            r#"(result i32) (i32.const 1024)"#,
            r#"(result f32) (f32.const 1024)"#,
        ),
        (
            "restore takes a float",
            r#"(param i32) (global.set $sp (local.get 0))"#,
            r#"(param f64) (nop)"#,
        ),
        (
            "alloc gives nothing",
            "(param i32) (result i32)\n    (global.set $sp (i32.and (i32.sub (global.get $sp) (local.get 0)) (i32.const -16)))\n    (global.get $sp)",
            "(param i32)",
        ),
        (
            "memory is a function",
            r#"(memory (export "memory") 1024)"#,
            r#"(memory 1024) (func (export "memory"))"#,
        ),
    ] {
        let text = emscripten("");
        assert!(text.contains(find), "{name}");
        cases.push((
            format!("fmt4: {name}"),
            module("wasm32-unknown-emscripten4", &text.replace(find, put)),
        ));
    }
    cases
}

fn twice() -> Result<(), Failed> {
    let text = |types: &str| format!(r#"(module {types} {})"#, shell());
    let same = r#"(import "env" "emscripten_date_now" (func (result f64)))
        (import "env" "emscripten_date_now" (func (result f64)))"#;
    let other = r#"(import "env" "_gmtime_js" (func (param i32 i32)))
        (import "env" "_gmtime_js" (func (param i32 i32 i32)))"#;
    let invokes = r#"(import "env" "invoke_x" (func (param i32)))
        (import "env" "invoke_x" (func (param i32) (result f64)))"#;
    let cases = [("same", same), ("other", other), ("invokes", invokes)];
    let cases = cases
        .map(|(name, types)| (name.to_owned(), module("wasm32-unknown-emscripten4", &text(types))));
    all(cases.into(), &LIMITS)?;
    let meters = r#"(module (import "metering" "usegas" (func (param i32)))
        (import "metering" "usegas" (func (param i64)))
        (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#;
    all(vec![("meters".into(), module("wasm32-drivebay-1", meters))], &LIMITS)
}

const OPEN: &str = r#"(drop (call $open (i32.const 64) (i32.const 0)))"#;
const INVOKE: &str = r#"(call $invoke (i32.const 1) (i32.const 0) (i32.const 0))"#;

/// A name, what the guest does, and what is changed of the sound guest.
const SWAPS: &[(&str, &str, &str, &str)] = &[
    (
        "malloc takes i64",
        OPEN,
        r#"(export "malloc") (param i32)"#,
        r#"(export "malloc") (param i64)"#,
    ),
    (
        "malloc is the memory",
        OPEN,
        r#"(func (export "malloc") (param i32) (result i32) (global.get $top))"#,
        r#"(export "malloc" (memory 0))"#,
    ),
    (
        "malloc gives far",
        OPEN,
        r#"(result i32) (global.get $top)"#,
        r#"(result i32) (i32.const -1)"#,
    ),
    (
        "unwind takes none",
        OPEN,
        r#"(export "asyncify_start_unwind") (param i32)"#,
        r#"(export "asyncify_start_unwind")"#,
    ),
    (
        "stop gives a float",
        OPEN,
        r#"(export "asyncify_stop_unwind")"#,
        r#"(export "asyncify_stop_unwind") (param f64)"#,
    ),
    (
        "get_current gives f64",
        INVOKE,
        r#"(result i32) (global.get $sp)"#,
        r#"(result f64) (f64.const 0)"#,
    ),
    (
        "dynCall gives one",
        INVOKE,
        r#"(export "dynCall_vii") (param i32 i32 i32)"#,
        r#"(export "dynCall_vii") (param i32 i32 i32) (result i32) (i32.const 0)"#,
    ),
    (
        "dynCall takes floats",
        INVOKE,
        r#"(export "dynCall_vii") (param i32 i32 i32)"#,
        r#"(export "dynCall_vii") (param f32 i32 i32)"#,
    ),
    ("dynCall is a global", INVOKE, r#"(export "dynCall_vii")"#, r#"(export "dynCall_other")"#),
    (
        "the table is a memory",
        INVOKE,
        r#"(export "__indirect_function_table")"#,
        r#"(export "other")"#,
    ),
    (
        "setThrew takes none",
        r#"(call $invoke (i32.const 2) (i32.const 0) (i32.const 0))"#,
        r#"(export "setThrew") (param i32 i32)"#,
        r#"(export "setThrew")"#,
    ),
    (
        "tempret takes i64",
        r#"(drop (call $mktime (i32.const 64)))"#,
        r#"(export "_emscripten_tempret_set") (param i32)"#,
        r#"(export "_emscripten_tempret_set") (param i64)"#,
    ),
];

/// What the host calls back has types that the host does not expect.
fn callbacks() -> Result<(), Failed> {
    let mut cases = Vec::new();
    for (name, body, find, put) in SWAPS {
        let text = emscripten(body);
        assert!(text.contains(find), "{name}: {find}");
        cases.push((
            (*name).to_owned(),
            module("wasm32-unknown-emscripten4", &text.replace(find, put)),
        ));
    }
    for (name, call) in [
        ("table past the end", "(call $invoke (i32.const 9) (i32.const 0) (i32.const 0))"),
        ("table at a null", "(call $invoke (i32.const 0) (i32.const 0) (i32.const 0))"),
        ("an entry of another type", "(call $invoke (i32.const 3) (i32.const 0) (i32.const 0))"),
        ("an entry with another result", "(drop (call $invoke_ii (i32.const 4) (i32.const 0)))"),
        ("a long jump without a catch", "(call $jump)"),
    ] {
        let text = emscripten(call).replace("dynCall_vii", "none");
        cases.push((name.to_owned(), module("wasm32-unknown-emscripten4", &text)));
    }
    all(cases, &LIMITS)
}

fn unwinding() -> Result<(), Failed> {
    let open = "(drop (call $open (i32.const 64) (i32.const 0)))";
    let swap = |text: String, find: &str, put: &str| {
        assert!(text.contains(find), "{find}");
        text.replace(find, put)
    };
    let cases = [
        (
            "the stack's restorer waits",
            swap(
                emscripten(""),
                "(param i32) (global.set $sp (local.get 0))",
                &format!("(param i32) (global.set $sp (local.get 0)) {open}"),
            ),
        ),
        (
            "constructors wait",
            swap(
                emscripten(""),
                r#"(func (export "__wasm_call_ctors"))"#,
                &format!(r#"(func (export "__wasm_call_ctors") {open})"#),
            ),
        ),
        (
            "handle returns while it is rewound",
            emscripten(&format!(
                "(if (i32.eqz (global.get $seen)) (then (global.set $seen (i32.const 1)) {open}))"
            )),
        ),
        ("two waits at once", emscripten(&format!("{open} {open}"))),
        ("a wait for ever", emscripten(&format!("(global.set $seen (i32.const 0)) {open}"))),
        ("a sound wait", emscripten(open)),
    ];
    let cases =
        cases.map(|(name, text)| (name.to_owned(), module("wasm32-unknown-emscripten4", &text)));
    all(cases.into(), &LIMITS)
}

/// Deeper by way of the host, with every import that calls back. The native stack must never end it.
fn recursion() -> Result<(), Failed> {
    let limits = Limits { fuel: Fuel(50_000_000), depth: u32::MAX, ..LIMITS };
    let swap = |text: String, find: &str, put: &str| {
        assert!(text.contains(find), "{find}");
        text.replace(find, put)
    };
    let open = "(drop (call $open (i32.const 64) (i32.const 0)))";
    let mktime = "(drop (call $mktime (i32.const 64)))";
    let invoke = "(call $invoke (i32.const 1) (i32.const 0) (i32.const 0))";
    let cases = [
        ("malloc waits", swap(emscripten(open), "(result i32) (global.get $top)", &format!("(result i32) {open} (global.get $top)"))),
        (
            "tempret makes time",
            swap(emscripten(mktime), r#"(export "_emscripten_tempret_set") (param i32)"#, &format!(r#"(export "_emscripten_tempret_set") (param i32) {mktime}"#)),
        ),
        ("the stack's saver invokes", swap(emscripten(invoke), "(result i32) (global.get $sp)", &format!("(result i32) (if (global.get $seen) (then {invoke})) (global.get $sp)"))
            .replace("(func (export \"handle\") (param $m i32) (param $e i32) (result i32)", "(func (export \"handle\") (param $m i32) (param $e i32) (result i32) (global.set $seen (i32.const 1))")),
        ("an invoked function invokes", swap(emscripten(invoke), "(func $one (param i32 i32)", &format!("(func $one (param i32 i32) {invoke}"))),
    ];
    for (name, text) in cases {
        let module = module("wasm32-unknown-emscripten4", &text);
        let seen = verdicts(&module, &limits)
            .map_err(|error| format!("{name}: {}", error.message().unwrap_or_default()))?
            .ok_or("refused")?;
        if seen[2].0 != Some(FaultCode::TooDeep) {
            return Err(format!("{name}: {:?}", seen[2]).into());
        }
    }
    Ok(())
}

/// Fat frames between the host's own.
fn deep_invokes() -> Result<(), Failed> {
    let limits = Limits { fuel: Fuel(200_000_000), depth: u32::MAX, ..LIMITS };
    let invoke = "(call $invoke (i32.const 1) (i32.const 0) (i32.const 0))";
    for locals in [1, 30, 300] {
        let declare = "(local i64)".repeat(locals);
        let set: String = (0..locals)
            .map(|n| format!("(local.set {} (i64.load (i32.const {})))", n + 2, n * 8))
            .collect();
        let sum: String = (0..locals)
            .map(|n| format!("(i64.store (i32.const {}) (local.get {}))", n * 8, n + 2))
            .collect();
        let fat = format!("(func $one (param i32 i32) {declare} {set} {invoke} {sum}");
        let text = emscripten(invoke).replace("(func $one (param i32 i32)", &fat);
        let seen = verdicts(&module("wasm32-unknown-emscripten4", &text), &limits)?;
        let seen = seen.ok_or("refused")?;
        if seen[0].0 != Some(FaultCode::TooDeep) {
            return Err(format!("{locals}: {:?}", seen[0]).into());
        }
    }
    Ok(())
}

/// Nobody catches it, over and over on one drive: the engine must not keep the exception.
fn uncaught() -> Result<(), Failed> {
    for body in ["(throw $t)", "(call $invoke (i64.const 1))"] {
        let text = format!(
            r#"(module (import "env" "invoke_v" (func $invoke (param i64)))
            (tag $t)
            (memory (export "memory") i64 2)
            (table (export "__indirect_function_table") 2 funcref)
            (elem (i32.const 1) $throws)
            (func $throws (throw $t))
            (func (export "emscripten_stack_get_current") (result i64) (i64.const 4096))
            (func (export "malloc") (param i64) (result i64) (i64.const 65536))
            (func (export "handle") (param i64 i64) (result i64) {body} (i64.const 16)))"#
        );
        let seen = verdicts(&module("wasm64-hyperbeam-1", &text), &LIMITS)?.ok_or("refused")?;
        if seen.iter().any(|(fault, ..)| *fault != Some(FaultCode::Trapped)) {
            return Err(format!("{body}: {seen:?}").into());
        }
    }
    Ok(())
}

fn hosts() -> Result<(), Failed> {
    let reader = crate::reader(EngineKind::Speed);
    let open = "(drop (call $open (i32.const 64) (i32.const 0)))";
    for body in ["", "unreachable", "(loop $ever (br $ever))", open, "(call $exit (i32.const 1))"] {
        let module = module("wasm32-unknown-emscripten4", &emscripten(body));
        let disk = reader.read(&module, &NoArtifacts)?;
        let host: Arc<dyn Host> = Arc::new(NoHost);
        let ran = mount(&disk)?.run(call(0).data("go").build(), &LIMITS, host.clone());
        if Arc::strong_count(&host) != 1 {
            return Err(format!("{body}: {} hold the host", Arc::strong_count(&host)).into());
        }
        if let Err(failure) = &ran
            && (failure.drive.is_none() || body != open)
        {
            return Err(format!("{body}: {failure:?}").into());
        }
        drop(ran);
    }
    Ok(())
}

/// The reference's rule for a guest that says it had no memory: evaluated, and the state is the old one.
fn kept() -> Result<(), Failed> {
    let text = emscripten("").replace(
        EMPTY_REPLY,
        r#"{\"ok\":true,\"response\":{\"Output\":\"not enough memory for buffer allocation\"}}\00"#,
    );
    let module = module("wasm32-unknown-emscripten4", &text);
    let seen = verdicts(&module, &LIMITS)?.ok_or("refused")?;
    let reader = crate::reader(EngineKind::Speed);
    let disk = reader.read(&module, &NoArtifacts)?;
    let blank = disk.blank().root();
    if seen.iter().any(|(fault, _, root)| fault.is_some() || *root != blank)
        || seen[0].1 != seen[2].1
    {
        return Err(format!("{seen:?}").into());
    }
    Ok(())
}
