//! Every import, called with what nobody calls it with.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::engine::EngineKind;
use crate::formats::FORMATS;
use crate::reader::WasmReader;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{DiskReader, Fuel, HostError, Limits, Module, NoArtifacts, Ran};
use std::fmt::Write;
use std::sync::Arc;

/// Numbers at the ends of what a parameter can be, and some that mean something: small descriptors, places in
/// the first page and at the end of memory, `AT_FDCWD`.
const NUMBERS: &[i64] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    -1,
    -2,
    -100,
    64,
    128,
    1024,
    4095,
    65_535,
    65_536,
    131_068,
    131_071,
    1 << 20,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    i64::MAX,
    i64::MIN,
    1 << 53,
    0x0200_0242,
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

fn text_of(letter: char) -> &'static str {
    match letter {
        'i' => "i32",
        'j' => "i64",
        'd' => "f64",
        _ => "f32",
    }
}

/// A module that calls `rows`, each with some numbers.
fn caller(rules: &Rules, rows: &[&Row], dice: &mut Dice) -> String {
    let pointer = if rules.wide { 'j' } else { 'i' };
    let (mut imports, mut calls) = (String::new(), String::new());
    for (index, row) in rows.iter().enumerate() {
        let signature: String =
            row.signature.chars().map(|c| if c == 'p' { pointer } else { c }).collect();
        let (params, results) = signature.split_once('>').unwrap();
        let list = |letters: &str| letters.chars().map(text_of).collect::<Vec<_>>().join(" ");
        writeln!(
            imports,
            r#"(import "{}" "{}" (func $f{index} (param {}) (result {})))"#,
            row.module,
            row.name,
            list(params),
            list(results)
        )
        .unwrap();
        let args: String = params
            .chars()
            .map(|letter| {
                let number = NUMBERS.get(dice.below(NUMBERS.len())).unwrap();
                match letter {
                    'i' => format!("(i32.const {})", *number as i32),
                    'j' => format!("(i64.const {number})"),
                    _ => format!("({}.const {number})", text_of(letter)),
                }
            })
            .collect();
        let drop = "(drop ".repeat(results.len());
        let close = ")".repeat(results.len());
        writeln!(calls, "{drop}(call $f{index} {args}){close}").unwrap();
    }
    guest(rules, &imports, &calls)
}

/// Exports under the names of every format: what is not needed does no harm.
fn guest(rules: &Rules, imports: &str, calls: &str) -> String {
    let (address, ptr) = if rules.wide { ("i64", "i64") } else { ("", "i32") };
    let minified = rules.name == "wasm32-unknown-emscripten";
    let [memory, table, handle, ctors, main, malloc, threw, save, restore, alloc] = if minified {
        ["E", "I", "G", "F", "H", "J", "L", "M", "N", "O"]
    } else {
        [
            "memory",
            "__indirect_function_table",
            "handle",
            "__wasm_call_ctors",
            "main",
            "malloc",
            "setThrew",
            "emscripten_stack_get_current",
            "_emscripten_stack_restore",
            "_emscripten_stack_alloc",
        ]
    };
    let clean = rules.abi == Abi::Clean;
    let (params, result) =
        if clean { ("i32 i32 i32 i32".to_owned(), "i64") } else { (format!("{ptr} {ptr}"), ptr) };
    format!(
        r#"(module {imports}
        (memory (export "{memory}") {address} 2 100)
        (table (export "{table}") 2 funcref)
        (data ({ptr}.const 64) "/tmp/\c3\ff%Y%j%Z%%\00/dev/urandom\00/../..//tmp/a\00")
        (data ({ptr}.const 1024) "\ff\ff\ff\7f\ff\ff\ff\7f\ff\ff\ff\7f\00\00\00\80\ff\ff\ff\7f\00\00\00\80%c")
        (data ({ptr}.const 16) "{{\"ok\":true,\"response\":{{\"Output\":1}}}}\00")
        (global $at (mut {ptr}) ({ptr}.const 120000))
        (func (export "{ctors}")) (func (export "emscripten_stack_init"))
        (func (export "{main}") (param i32 {ptr}) (result i32) (i32.const 0))
        (func (export "fflush") (param {ptr}) (result i32) (i32.const 0))
        (func (export "emscripten_stack_get_end") (result {ptr}) ({ptr}.const 2048))
        (func (export "{malloc}") (param {ptr}) (result {ptr}) ({ptr}.const 4096))
        (func (export "emscripten_builtin_memalign") (param {ptr} {ptr}) (result {ptr}) ({ptr}.const 0))
        (func (export "free") (param {ptr})) (func (export "{threw}") (param {ptr} i32))
        (func (export "{save}") (result {ptr}) (global.get $at))
        (func (export "{restore}") (param {ptr}) (global.set $at (local.get 0)))
        (func (export "{alloc}") (param {ptr}) (result {ptr})
            (global.set $at ({ptr}.sub (global.get $at) (local.get 0))) (global.get $at))
        {plain}
        (func (export "alloc") (param i32) (result i32) (i32.const 8192))
        (func (export "{handle}") (param {params}) (result {result}) {calls} ({result}.const {packed})))"#,
        packed = if clean { (16u64 << 32) | 35 } else { 16 },
        plain = if minified {
            ""
        } else {
            match rules.wide {
                true => r#"(func (export "stackSave") (result i64) (i64.const 0))"#,
                false => {
                    r#"(func (export "stackSave") (result i32) (i32.const 30000))
                    (func (export "stackRestore") (param i32))
                    (func (export "stackAlloc") (param i32) (result i32) (i32.const 20000))"#
                }
            }
        },
    )
}

fn run(reader: &WasmReader, rules: &Rules, text: &str) -> Result<bool, HostError> {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let module = Module::new(bytes, rules.name, Vec::new());
    let disk = reader.read(&module, &NoArtifacts).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let drive = Arc::clone(&disk).mount(disk.blank()).unwrap();
    let limits = Limits {
        fuel: Fuel(200_000_000),
        gas: None,
        memory_bytes: 16 << 20,
        output_bytes: 1 << 16,
        depth: 100_000,
    };
    let ran = drive.run(call(1).data("go").build(), &limits, Arc::new(NoHost));
    match ran {
        Ok(Ran::Done { mut drive, .. }) => {
            // What it left behind must be a state that can be mounted.
            let image = drive.freeze()?.image()?;
            disk.mount(&image).map(drop).map_err(|error| drivebay_disk::bug!("{error}"))?;
            Ok(true)
        }
        Ok(_) => Ok(false),
        Err(failure) => match failure.error {
            HostError::Unavailable { .. } => Ok(false),
            error => Err(error),
        },
    }
}

/// One row at a time, and then several after one another, so that one finds what the other left.
#[test]
fn no_import_is_more_than_a_verdict() {
    let reader = WasmReader::new(EngineKind::Plain).unwrap();
    let long = std::env::var_os("DRIVEBAY_LONG").is_some();
    let rounds = if long { 200 } else { 4 };
    for rules in FORMATS.iter().filter(|rules| !rules.metering) {
        let [own, _] = tables(rules);
        // Format 1 gives its imports other names.
        let known =
            |row: &&Row| answer(rules, row.module, row.name, &spelled(rules, row)).is_some();
        let rows: Vec<&Row> = own.iter().filter(known).collect();
        let mut done = 0;
        for round in 0..rounds {
            let mut dice = Dice(round);
            for row in &rows {
                let text = caller(rules, &[row], &mut dice);
                let ran = run(&reader, rules, &text);
                done += u32::from(ran.unwrap_or_else(|error| panic!("{error}\n{text}")));
            }
            let mut some: Vec<&Row> = (0..6).map(|_| rows[dice.below(rows.len())]).collect();
            some.dedup_by_key(|row| row.name);
            let mut names = BTreeSet::new();
            some.retain(|row| names.insert(row.name));
            let text = caller(rules, &some, &mut dice);
            let ran = run(&reader, rules, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            done += u32::from(ran);
        }
        // If every call trapped, the test would show little.
        assert!(done > 0, "{}: nothing ran to its end", rules.name);
    }
}

fn spelled(rules: &Rules, row: &Row) -> String {
    let pointer = if rules.wide { 'j' } else { 'i' };
    row.signature.chars().map(|c| if c == 'p' { pointer } else { c }).collect()
}
