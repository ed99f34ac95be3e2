#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use std::path::{Path, PathBuf};
use wasmparser::{Operator, Parser, Payload, TypeRef};

mod fast;

const RULES: Rules = Rules {
    nan: Nan::X86Legacy,
    allow_legacy_eh: false,
    memory64: false,
    gas: true,
    max_initial_pages: 100,
    direct_waits: false,
    lower: Lower::Never,
    copies: &[],
};

fn build(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn rewritten(text: &str, rules: &Rules) -> Rewritten {
    let bytes = build(text);
    let once = rewrite(&bytes, rules).unwrap();
    assert_eq!(once, rewrite(&bytes, rules).unwrap(), "not a function of the bytes");
    once
}

fn refusal(bytes: &[u8], rules: &Rules) -> Refusal {
    match rewrite(bytes, rules) {
        Err(RewriteError::Refused(refusal)) => refusal,
        Err(RewriteError::Bug(text)) => panic!("bug: {text}"),
        Ok(_) => panic!("taken"),
    }
}

#[track_caller]
fn refused(text: &str, rules: &Rules, code: RefusalCode, words: &str) {
    let refusal = refusal(&build(text), rules);
    assert!(refusal.note.as_str().contains(words), "{refusal}");
    assert_eq!(refusal.code, code, "{refusal}");
}

/// The operators of a defined function, by its position.
fn operators(bytes: &[u8], position: usize) -> Vec<Operator<'_>> {
    let bodies = Parser::new(0).parse_all(bytes).filter_map(|payload| match payload.unwrap() {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    let body = bodies.into_iter().nth(position).unwrap();
    body.get_operators_reader().unwrap().into_iter().map(Result::unwrap).collect()
}

fn functions(bytes: &[u8]) -> usize {
    let bodies = Parser::new(0).parse_all(bytes);
    bodies.filter(|payload| matches!(payload, Ok(Payload::CodeSectionEntry(_)))).count()
}

fn imports(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ImportSection(section) = payload.unwrap() {
            for import in section.into_imports() {
                let import = import.unwrap();
                assert!(matches!(import.ty, TypeRef::Func(_)));
                names.push(format!("{}.{}", import.module, import.name));
            }
        }
    }
    names
}

fn count(ops: &[Operator<'_>], of: impl Fn(&Operator<'_>) -> bool) -> usize {
    ops.iter().filter(|op| of(op)).count()
}

#[test]
fn facts_say_what_was_taken_out() {
    let found = rewritten(
        r#"(module (import "env" "f" (func (param i32 f64) (result i64)))
            (memory (export "E") 2 5) (table (export "T") 3 funcref) (elem (i32.const 1) 0 1)
            (global i32 (i32.const 1)) (global (mut i64) (i64.const -2))
            (global (export "g") (mut f32) (f32.const nan:0x200000))
            (global (mut v128) (v128.const i32x4 1 2 3 -1))
            (func (export "go") (result i32) i32.const 1) (func) (start 2)
            (data (i32.const 7) "abc") (data (i32.const 131069) "end"))"#,
        &RULES,
    );
    let facts = &found.facts;
    assert_eq!(facts.memory, MemoryFacts { min_pages: 2, max_pages: Some(5), memory64: false });
    assert_eq!(facts.data, [(7, b"abc".to_vec()), (131_069, b"end".to_vec())]);
    let global = |export: &str, ty, bits| GlobalFact { export: export.into(), ty, bits };
    let globals = [
        global("drivebay:g1", ValType::I64, u128::from(u64::MAX - 1)),
        global("drivebay:g2", ValType::F32, 0x7fa0_0000),
        global("drivebay:g3", ValType::V128, 0xffff_ffff_0000_0003_0000_0002_0000_0001),
    ];
    assert_eq!(facts.globals, globals);
    assert!(facts.start && !facts.has_gas && !facts.grows_memory && !facts.has_exceptions);
    assert_eq!(facts.table_elements, Some(3));
    let taken = Signature::of(&[ValType::I32, ValType::F64], &[ValType::I64]);
    assert_eq!(facts.imports[0].signature, taken);
    assert_eq!(facts.function("go"), Some(&Signature::of(&[], &[ValType::I32])));
    assert_eq!(facts.function("E"), None);
    assert_eq!(imports(&found.bytes), ["env.f", "drivebay.too_deep"]);
    let again = reserved_exports(&found.bytes);
    let names = ["memory", "table", "g1", "g2", "g3", "start", "depth", "depth_limit"];
    assert_eq!(again, names.map(|name| format!("{RESERVED}{name}")));
}

/// Names with the reserved prefix; no data, start or custom section may be left beside them.
fn reserved_exports(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ExportSection(section) => {
                let all = section.into_iter().map(|export| export.unwrap().name.to_owned());
                names.extend(all.filter(|name| name.starts_with(RESERVED)));
            }
            Payload::DataSection(_) | Payload::StartSection { .. } | Payload::CustomSection(_) => {
                panic!("a section that had to go")
            }
            _ => {}
        }
    }
    names
}

use RefusalCode::{Malformed, NotAllowed, TooBig};

/// A module, why it is refused, and a part of the words.
const REFUSED: &[(&str, RefusalCode, &str)] = &[
    (r#"(module)"#, NotAllowed, "no memory"),
    (r#"(module (memory 1) (memory 1))"#, TooBig, "memories: the module has 2"),
    (r#"(module (memory 101))"#, TooBig, "initial pages"),
    (r#"(module (memory i64 1))"#, NotAllowed, "memory64"),
    (r#"(module (memory 1 1 shared))"#, NotAllowed, "threads"),
    (r#"(module (import "e" "m" (memory 1)))"#, NotAllowed, "e.m is a memory"),
    (r#"(module (import "e" "t" (table 1 funcref)) (memory 1))"#, NotAllowed, "e.t is a table"),
    (r#"(module (import "e" "g" (global i32)) (memory 1))"#, NotAllowed, "e.g is a global"),
    (r#"(module (memory 1) (table 1 funcref) (table 1 funcref))"#, TooBig, "tables"),
    (r#"(module (memory 1) (table 1 externref))"#, NotAllowed, "table must be of functions"),
    (r#"(module (memory 1) (table 1000001 funcref))"#, TooBig, "elements of the table"),
    (r#"(module (memory 1) (data "x"))"#, NotAllowed, "passive data"),
    (r#"(module (memory 1) (func) (elem func 0))"#, NotAllowed, "passive and declared"),
    (r#"(module (memory 1) (func) (elem declare func 0))"#, NotAllowed, "passive and declared"),
    (r#"(module (memory 1) (data (i32.const 65535) "xy"))"#, NotAllowed, "outside the initial"),
    (r#"(module (memory 1) (data (i32.const -1) "x"))"#, NotAllowed, "outside the initial"),
    (
        r#"(module (memory 1) (func) (table 1 funcref) (elem (i32.const 1) 0))"#,
        NotAllowed,
        "outside the table",
    ),
    (
        r#"(module (memory 1) (data "x") (func i32.const 0 i32.const 0 i32.const 0 memory.init 0))"#,
        NotAllowed,
        "memory.init",
    ),
    (r#"(module (memory 1) (data "x") (func data.drop 0))"#, NotAllowed, "data.drop"),
    (
        r#"(module (memory 1) (table 1 funcref) (func i32.const 0 table.get 0 drop))"#,
        NotAllowed,
        "table.get",
    ),
    (r#"(module (memory 1) (table 1 funcref) (func table.size 0 drop))"#, NotAllowed, "table.size"),
    (r#"(module (memory 1) (func ref.null func drop))"#, NotAllowed, "ref.null"),
    (r#"(module (memory 1) (func (param externref)))"#, NotAllowed, "reference type"),
    (r#"(module (memory 1) (func (local funcref)))"#, NotAllowed, "reference type"),
    (r#"(module (memory 1) (func return_call 0))"#, NotAllowed, "tail calls"),
    (r#"(module (memory 1) (type (struct)))"#, NotAllowed, "gc"),
    (
        r#"(module (memory 1) (func (param v128) (result v128)
            local.get 0 i32x4.relaxed_trunc_f32x4_s))"#,
        NotAllowed,
        "relaxed SIMD",
    ),
    (r#"(module (memory 1) (tag))"#, NotAllowed, "exceptions"),
    (r#"(module (memory 1) (func) (export "drivebay:x" (func 0)))"#, NotAllowed, "reserved"),
    (
        r#"(module (import "drivebay" "too_deep" (func)) (memory 1))"#,
        NotAllowed,
        "drivebay.too_deep is reserved",
    ),
    (r#"(module (memory 1) (func (result i32)))"#, Malformed, "not a valid module"),
    (r#"(component)"#, NotAllowed, "component"),
];

#[test]
fn what_is_not_allowed_is_refused_with_its_reason() {
    for (text, code, words) in REFUSED {
        let refusal = refusal(&build(text), &RULES);
        assert!(refusal.note.as_str().contains(words), "{text}: {refusal}");
        assert_eq!(refusal.code, *code, "{text}: {refusal}");
    }
    assert_eq!(refusal(b"", &RULES).code, Malformed);
    assert_eq!(refusal(b"\0asm\x01\0\0\0\x01\x80", &RULES).code, Malformed);
    let wide = Rules { memory64: true, ..RULES };
    refused("(module (memory 1))", &wide, NotAllowed, "64-bit addresses");
    assert!(rewrite(&build("(module (memory i64 1))"), &wide).is_ok());
}

#[test]
fn what_is_over_a_bound_is_refused() {
    let locals = "(module (memory 1) (func (local".to_owned() + &" i32".repeat(49_901) + ")))";
    refused(&locals, &RULES, RefusalCode::TooBig, "locals of a function");
    let results = "(module (memory 1) (type (func (result".to_owned() + &" i32".repeat(33) + "))))";
    refused(&results, &RULES, RefusalCode::TooBig, "results of a type");
    let nest = "(module (memory 1) (func ".to_owned()
        + &"block ".repeat(limits::NESTING + 1)
        + &"end ".repeat(limits::NESTING + 1)
        + "))";
    refused(&nest, &RULES, RefusalCode::TooBig, "blocks inside one another");
    let floats = "f64.sqrt ".repeat(400_000);
    let long = format!("(module (memory 1) (func (param f64) local.get 0 {floats} drop))");
    refused(&long, &RULES, RefusalCode::TooBig, "bytes of a rewritten function");
    let large = vec![0; limits::MODULE_BYTES + 1];
    assert_eq!(refusal(&large, &RULES).code, RefusalCode::TooBig);
}

#[test]
fn a_frame_is_counted_on_the_way_in_and_out() {
    let found = rewritten(
        r#"(module (memory 1) (func (param i32 i64) (result i32) (local f64 f32)
            block local.get 0 local.get 0 br_if 1 drop end
            local.get 0 local.get 0 if (param i32) (result i32) return end))"#,
        &RULES,
    );
    // Eight for a frame, two parameters, two locals, one local of ours, two operands.
    assert_eq!(found.facts.max_depth_cost, 8 + 2 + 2 + 1 + 2);
    let ops = operators(&found.bytes, 0);
    assert_eq!(count(&ops, |op| matches!(op, Operator::Return)), 0);
    let call = |op: &Operator<'_>| matches!(op, Operator::Call { function_index: 0 });
    assert_eq!(count(&ops, call), 1);
    assert!(ops.contains(&Operator::Br { relative_depth: 1 }), "{ops:?}");
    let add = [Operator::I32Const { value: 15 }, Operator::I32Add];
    let sub = [Operator::I32Const { value: 15 }, Operator::I32Sub];
    assert_eq!(ops.windows(2).filter(|pair| *pair == add).count(), 1);
    assert_eq!(ops[ops.len() - 5..][1..3], sub, "{ops:?}");
}

#[test]
fn vectors_count_twice() {
    let text = r#"(module (memory 1) (func (param v128) (local v128)
        local.get 0 local.get 1 v128.or drop))"#;
    assert_eq!(rewritten(text, &RULES).facts.max_depth_cost, 8 + 2 + 2 + 1 + 2 * 2);
}

#[test]
fn several_results_leave_through_a_block() {
    let text = r#"(module (memory 1) (func (param i32) (result i64 i32)
        i64.const 1 local.get 0 local.get 0 br_table 0 0 0))"#;
    let found = rewritten(text, &RULES);
    let ops = operators(&found.bytes, 0);
    assert_eq!(count(&ops, |op| matches!(op, Operator::Block { .. })), 1);
}

#[test]
fn calls_of_usegas_stay_inside() {
    let text = |use_of: &str| {
        format!(
            r#"(module (import "e" "a" (func)) (import "metering" "usegas" (func (param i32)))
            (import "e" "b" (func)) (memory 1) (table 1 funcref)
            (func i32.const 5 call 1 call 2 call 3) {use_of})"#
        )
    };
    let found = rewritten(&text(""), &RULES);
    assert!(found.facts.has_gas);
    let names = ["e.a", "metering.usegas", "e.b", "drivebay.too_deep", "drivebay.out_of_gas"];
    assert_eq!(imports(&found.bytes), names);
    let calls = |bytes| {
        operators(bytes, 0).into_iter().filter_map(|op| match op {
            Operator::Call { function_index } => Some(function_index),
            _ => None,
        })
    };
    // The meter is the last function: after five imports and one function of the module's own.
    assert_eq!(calls(&found.bytes).collect::<Vec<_>>(), [3, 6, 2, 5]);
    for bad in ["(export \"x\" (func 1))", "(elem (i32.const 0) 1)"] {
        refused(&text(bad), &RULES, RefusalCode::NotAllowed, "may only be called");
    }
    let left = rewritten(&text(""), &Rules { gas: false, ..RULES });
    assert!(!left.facts.has_gas);
    assert_eq!(calls(&left.bytes).collect::<Vec<_>>(), [3, 1, 2, 4]);
}

#[test]
fn nans_are_looked_after_where_arithmetic_makes_them() {
    let ops = |op: &str, rules: &Rules| {
        let (ty, _) = op.split_once('.').unwrap();
        let ty = if ty.contains('x') { "v128" } else { ty };
        let unary = ["neg", "abs", "sqrt"].iter().any(|name| op.ends_with(name));
        let second = if unary { "" } else { "local.get 0" };
        let text = format!(
            "(module (memory 1) (func (param {ty}) (result {ty}) local.get 0 {second} {op}))"
        );
        let found = rewritten(&text, rules);
        (operators(&found.bytes, 0).len(), functions(&found.bytes))
    };
    let canonical = Rules { nan: Nan::Canonical, ..RULES };
    let (bare, one) = ops("f64.neg", &RULES);
    assert_eq!(one, 1);
    for op in ["f64.abs", "f32.neg", "f32x4.abs", "f64x2.neg"] {
        assert_eq!(ops(op, &RULES), (bare, 1), "{op}");
    }
    for op in ["f32.copysign", "f64x2.pmin", "f32x4.pmax", "f32x4.eq", "f32x4.mul"] {
        let touched = op == "f32x4.mul";
        assert_eq!(ops(op, &RULES).0 > bare + 1, touched, "{op}");
        assert_eq!(ops(op, &canonical).0 > bare + 1, touched, "{op}");
    }
    for op in ["f32.add", "f64.sqrt", "f32x4.div", "f64x2.max"] {
        assert_eq!((ops(op, &RULES).1, ops(op, &canonical).1), (2, 1), "{op}");
    }
    assert_eq!(ops("f64.max", &RULES).1, 1, "any NaN of a scalar max is the default one");
}

#[test]
fn old_exceptions_become_new_ones() {
    let text = r#"(module (memory 1) (type (func (param i32) (result i32))) (tag (param i32 i64))
        (func (param i32) (result i32)
            local.get 0
            try (param i32) (result i32)
                drop
                try
                    local.get 0 local.get 0 br_if 1 drop
                    i32.const 1 i64.const 2 throw 0
                catch 0
                    drop drop
                end
                local.get 0 return
            catch 0
                drop br 0
            end))"#;
    refused(text, &RULES, RefusalCode::NotAllowed, "exceptions");
    let rules = Rules { allow_legacy_eh: true, ..RULES };
    let found = rewritten(text, &rules);
    assert!(found.facts.has_exceptions);
    let ops = operators(&found.bytes, 0);
    assert_eq!(count(&ops, |op| matches!(op, Operator::TryTable { .. })), 2);
    assert_eq!(count(&ops, |op| matches!(op, Operator::Try { .. } | Operator::Catch { .. })), 0);
    // Three labels of the outer try lie between the `return` and the block of the body; three of the inner
    // one and two of the outer between the `br_if` and what stands for the outer try.
    assert!(ops.contains(&Operator::Br { relative_depth: 3 }), "{ops:?}");
    assert!(ops.contains(&Operator::BrIf { relative_depth: 5 }), "{ops:?}");
    let clauses = [
        ("try catch 0 drop drop catch 0 drop drop end", "several catch"),
        ("try end", "without a catch"),
        ("try catch_all end", "catch_all"),
        ("try catch 0 drop drop rethrow 0 end", "rethrow"),
        ("try try delegate 0 catch 0 drop drop end", "delegate"),
        ("block try_table (catch_all 0) end end", "try_table"),
    ];
    for (code, words) in clauses {
        let text = format!("(module (memory 1) (tag (param i32 i64)) (func {code}))");
        refused(&text, &rules, RefusalCode::NotAllowed, words);
    }
}

#[test]
fn metering_counts_segments_as_the_reference_does() {
    let source = build(
        r#"(module (import "e" "f" (func)) (memory 1) (table 1 funcref) (elem (i32.const 0) 1)
            (func (export "x") (param i32) (result i32)
                local.get 0 if (result i32) call 0 i32.const 2 else i32.const 3 end
                i32.const 4 i32.div_s) (start 2) (func))"#,
    );
    // 120 and 1; 90, 1 and 90; 1 and nothing for `end`; 1 and 36000. 91 more each; the last has none.
    let expected = build(
        r#"(module (type (func)) (type (func (param i32) (result i32))) (type (func (param i32)))
            (import "e" "f" (func (type 0))) (import "metering" "usegas" (func (type 2)))
            (memory 1) (table 1 funcref) (elem (i32.const 0) 2)
            (func (export "x") (param i32) (result i32)
                i32.const 212 call 1 local.get 0 if (result i32)
                i32.const 272 call 1 call 0 i32.const 2 else
                i32.const 92 call 1 i32.const 3 end
                i32.const 36092 call 1 i32.const 4 i32.div_s) (start 3) (func))"#,
    );
    assert_eq!(meter(&source, false).unwrap(), expected);
}

#[test]
fn what_the_reference_cannot_meter_is_refused() {
    let cases = [
        (r#"(module (import "metering" "usegas" (func (param i32))))"#, "not allowed"),
        (r#"(module (func (param f32) local.get 0 i32.trunc_sat_f32_s drop))"#, "saturating"),
        (
            r#"(module (memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.fill))"#,
            "MemoryFill",
        ),
        (r#"(module (func v128.const i32x4 0 0 0 0 drop))"#, "SIMD"),
        (r#"(module (memory 1) (data "passive"))"#, "plain active segments"),
        (r#"(module (memory i64 1))"#, "memory64"),
    ];
    for (text, words) in cases {
        let refusal = meter(&build(text), false).unwrap_err();
        assert!(refusal.note.as_str().contains(words), "{text}: {refusal}");
    }
}

/// Environment variable that names a folder with modules as published; they are not in the repository.
const MODULES: &str = "DRIVEBAY_MODULES";

/// The published modules that the reference was seen to meter: BLAKE3 of the module and of the output.
const METERED: [(&str, bool, &str); 2] = [
    (
        "aa9f7e7a29492f4727b1bafab62a63b75d82b9273dff463b03f2c0810111b5de",
        false,
        "d858dac610a41022cfcbd8824fc255fec79bc9cbcf734b3b189168f989bdab6e",
    ),
    (
        "a4a6fba5bdcfb1246c903c5b42da8bfbe5e0332171a28f271dc74343434e9ca8",
        true,
        "8ffe6cca808d358f5adad2e6adf7b7c20ebb85abcc9436c3af4420622a9c4488",
    ),
];

#[test]
fn published_modules_are_metered_byte_for_byte_and_rewritten() {
    let Some(folder) = std::env::var_os(MODULES) else {
        skip(&format!("{MODULES} names no folder of modules"));
        return;
    };
    let modules = modules_below(Path::new(&folder));
    for (id, wide, output) in METERED {
        let found = modules.iter().find(|bytes| hash(bytes) == id);
        let Some(bytes) = found else {
            skip(&format!("module {id} is not in the folder"));
            continue;
        };
        let metered = meter(bytes, wide).unwrap();
        assert_eq!(hash(&metered), output, "{id}");
        let found =
            rewrite(&metered, &Rules { memory64: wide, max_initial_pages: 65_536, ..RULES });
        assert!(found.unwrap().facts.has_gas);
    }
}

#[allow(clippy::print_stderr, reason = "a test that is skipped says why")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_string()
}

fn modules_below(folder: &Path) -> Vec<Vec<u8>> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    let mut modules = Vec::new();
    for path in paths {
        if path.is_dir() {
            modules.extend(modules_below(&path));
        } else if path.extension().is_some_and(|end| end == "wasm") {
            modules.push(std::fs::read(&path).unwrap());
        }
    }
    modules
}
