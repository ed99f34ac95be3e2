//! What is done for speed alone (addresses, copies, folding): code with it and without answers alike.

use super::*;
use crate::engine::{EngineKind, engine};
use wasmtime::{Linker, Module, Store, Val};

const WIDE: Rules = Rules { memory64: true, ..RULES };

/// How a call ended: its result and the memory after it, or the trap.
type Outcome = Result<(Option<i64>, Vec<u8>), String>;

struct Guest {
    store: Store<()>,
    instance: wasmtime::Instance,
}

impl Guest {
    fn new(text: &str, rules: &Rules) -> Self {
        let engine = engine(EngineKind::Plain, false).unwrap();
        let module = Module::new(&engine, rewritten(text, rules).bytes).unwrap();
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&module).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(1 << 40).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let limit = instance.get_global(&mut store, DEPTH_LIMIT).unwrap();
        limit.set(&mut store, Val::I32(1 << 20)).unwrap();
        Self { store, instance }
    }

    fn memory(&mut self) -> wasmtime::Memory {
        self.instance.get_memory(&mut self.store, "m").unwrap()
    }

    fn call(&mut self, name: &str, args: &[Val]) -> Outcome {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, args, &mut results).map_err(|error| {
            error
                .downcast_ref::<wasmtime::Trap>()
                .map_or_else(|| error.to_string(), |trap| trap.to_string())
        })?;
        let memory = self.memory();
        let bytes = memory.data(&self.store).to_vec();
        let number = results.first().map(|value| match value {
            Val::I32(value) => i64::from(*value),
            Val::I64(value) => *value,
            Val::F64(bits) => bits.cast_signed(),
            other => panic!("{other:?}"),
        });
        Ok((number, bytes))
    }
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 20
}

/// Addresses at every edge: of the memory, of 4 GiB, of 64 bits.
fn edges() -> Vec<i64> {
    let ends = [0, 1 << 16, 2 << 16, 1 << 31, 1 << 32, (1 << 32) + (1 << 16), 1 << 33, 1 << 63];
    let around =
        |end: u64| (0..20u64).map(move |off| end.wrapping_sub(10).wrapping_add(off).cast_signed());
    ends.into_iter().flat_map(around).collect()
}

/// The same calls on a memory of 64-bit addresses and on one that was given 32-bit ones.
#[test]
fn lowered_addresses_answer_and_trap_as_wide_ones() {
    let text = r#"(module (memory (export "m") i64 2 2)
        (func (export "read") (param i64) (result i64) (i64.load offset=3 (local.get 0)))
        (func (export "byte") (param i64) (result i32) (i32.load8_s (local.get 0)))
        (func (export "far") (param i64) (result i64) (i64.load32_u offset=4294967290 (local.get 0)))
        (func (export "write") (param i64) (i64.store16 offset=1 (local.get 0) (i64.const 0x1234)))
        (func (export "float") (param i64) (f64.store (local.get 0) (f64.const 1.5)))
        (func (export "both") (param i64) (result i64)
            (i64.store (local.get 0) (i64.load (i64.add (local.get 0) (i64.const 8))))
            (i64.add (i64.load (local.get 0)) (i64.load8_u (i64.sub (local.get 0) (i64.const 1)))))
        (func (export "fill") (param i64) (memory.fill (local.get 0) (i32.const 7) (i64.const 5)))
        (func (export "copy") (param i64) (memory.copy (local.get 0) (i64.const 3) (i64.const 9)))
        (func (export "long") (param i64) (memory.copy (i64.const 0) (i64.const 3) (local.get 0)))
        (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
        (func (export "size") (param i64) (result i64) (memory.size)))"#;
    let lowered = Rules { lower: Lower::Bounded, ..WIDE };
    assert_ne!(rewritten(text, &WIDE).bytes, rewritten(text, &lowered).bytes);
    let mut guests = [Guest::new(text, &WIDE), Guest::new(text, &lowered)];
    for name in
        ["read", "byte", "far", "write", "float", "both", "fill", "copy", "long", "grow", "size"]
    {
        // A copy of so many bytes costs more fuel than there is, which is looked at first by one of them.
        for at in edges().into_iter().filter(|at| name != "long" || (0..1 << 34).contains(at)) {
            let [wide, low] = &mut guests;
            let (wide, low) = (wide.call(name, &[Val::I64(at)]), low.call(name, &[Val::I64(at)]));
            assert!(
                wide == low,
                "{name}({at:#x}): {:?}, {:?}",
                wide.map(|it| it.0),
                low.map(|it| it.0)
            );
        }
    }
}

/// A memory that could reach 4 GiB stays as it is.
#[test]
fn only_bounded_memories_are_lowered() {
    let lowered = Rules { lower: Lower::Bounded, ..WIDE };
    for (limits, is_lowered) in [("1", false), ("1 65536", false), ("1 65535", true)] {
        let text = format!(
            r#"(module (memory (export "m") i64 {limits}) (func (param i64) (result i64) (i64.load (local.get 0))))"#
        );
        let same = rewritten(&text, &WIDE).bytes == rewritten(&text, &lowered).bytes;
        assert_eq!(same, !is_lowered, "{limits}");
    }
}

/// `TypedArray.copyWithin`, as the reference's import calls it.
fn copy_within(memory: &mut [u8], [to, from, len]: [u64; 3]) {
    let size = memory.len() as u64;
    let (to, from) = (to.min(size), from.min(size));
    let len = len.min(size - from).min(size - to);
    memory.copy_within(from as usize..(from + len) as usize, to as usize);
}

#[test]
fn copies_are_clamped_and_never_trap() {
    let text = r#"(module (import "env" "copy" (func $copy (param i64 i64 i64)))
        (memory (export "m") i64 1 1)
        (func (export "go") (param i64 i64 i64)
            (call $copy (local.get 0) (local.get 1) (local.get 2))))"#;
    for lower in [Lower::Never, Lower::Bounded] {
        let rules = Rules { copies: &[("env", "copy")], lower, ..WIDE };
        let mut guest = Guest::new(text, &rules);
        let memory = guest.memory();
        let mut model: Vec<u8> = (0..65_536u32).map(|at| ((at * 31) >> 3) as u8).collect();
        memory.data_mut(&mut guest.store).copy_from_slice(&model);
        let mut seed = 7;
        for round in 0..2000 {
            let mut number = || match next(&mut seed) % 4 {
                0 => next(&mut seed) % 65_536,
                1 => 65_536 - next(&mut seed) % 300,
                2 => next(&mut seed) % 300,
                _ => (1 << 32) | (next(&mut seed) % 70_000),
            };
            let args = [number(), number(), number()];
            copy_within(&mut model, args);
            let args = args.map(|arg| Val::I64(arg.cast_signed()));
            let (_, bytes) = guest.call("go", &args).unwrap();
            assert!(bytes == model, "round {round}: {args:?}");
        }
    }
}

/// An expression of `i32`, of a state that Asyncify keeps, parameters and constants.
fn expression(seed: &mut u64, depth: u32, out: &mut String) {
    let pick = next(seed) % if depth == 0 { 4 } else { 12 };
    let mut parts = |head: &str, count: u32, tail: &str| {
        out.push_str(head);
        for _ in 0..count {
            out.push(' ');
            expression(seed, depth - 1, out);
        }
        out.push_str(tail);
    };
    match pick {
        0 | 1 => out.push_str("(global.get $state)"),
        2 => out.push_str("(local.get 0)"),
        3 => out.push_str(
            ["(i32.const 0)", "(i32.const 1)", "(i32.const 2)"][(next(seed) % 3) as usize],
        ),
        4 => parts("(i32.eqz", 1, ")"),
        5 => parts("(i32.eq", 2, ")"),
        6 => parts("(i32.ne", 2, ")"),
        7 => parts("(i32.or", 2, ")"),
        8 => parts("(i32.and", 2, ")"),
        9 => parts("(select", 3, ")"),
        10 => {
            out.push_str("(if (result i32) ");
            expression(seed, depth - 1, out);
            out.push_str(" (then ");
            expression(seed, depth - 1, out);
            out.push_str(") (else ");
            expression(seed, depth - 1, out);
            out.push_str("))");
        }
        _ => {
            out.push_str("(block (result i32) (drop (br_if 0 ");
            expression(seed, depth - 1, out);
            out.push(' ');
            expression(seed, depth - 1, out);
            out.push_str(")) ");
            expression(seed, depth - 1, out);
            out.push(')');
        }
    }
}

fn asyncified(body: &str, more: &str) -> String {
    format!(
        r#"(module (memory (export "m") 1) (global $state (mut i32) (i32.const 0))
        (func (export "f") (param i32) (result i32) {body}) {more}
        (func (export "asyncify_start_unwind") (param i32) (global.set $state (i32.const 1)))
        (func (export "asyncify_stop_unwind") (global.set $state (i32.const 0)))
        (func (export "asyncify_start_rewind") (param i32) (global.set $state (i32.const 2)))
        (func (export "asyncify_stop_rewind") (global.set $state (i32.const 0)))
        (func (export "asyncify_get_state") (result i32) (global.get $state)))"#
    )
}

#[test]
fn what_follows_from_asyncifys_state_is_folded_and_answers_alike() {
    let direct = Rules { direct_waits: true, ..RULES };
    let mut shorter = 0;
    for case in 0..150u64 {
        let (mut seed, mut body) = (case, String::new());
        expression(&mut seed, 5, &mut body);
        let text = asyncified(&body, "");
        let [plain, folded] = [RULES, direct].map(|rules| rewritten(&text, &rules).bytes);
        // New globals come last, so the state is still the first.
        let reads = |bytes: &[u8]| {
            count(&operators(bytes, 0), |op| matches!(op, Operator::GlobalGet { global_index: 0 }))
        };
        assert_eq!(reads(&folded), 0, "{body}");
        shorter += usize::from(operators(&folded, 0).len() < operators(&plain, 0).len());
        let mut guests = [Guest::new(&text, &RULES), Guest::new(&text, &direct)];
        for arg in [0, 1, 2, -1] {
            let [plain, folded] = &mut guests;
            assert_eq!(
                plain.call("f", &[Val::I32(arg)]).unwrap().0,
                folded.call("f", &[Val::I32(arg)]).unwrap().0,
                "f({arg}) of {body}"
            );
        }
    }
    assert!(shorter > 75, "folded in {shorter} of 150");
}

/// Where anything but Asyncify's own exports can change the state, it is no constant.
#[test]
fn a_state_that_others_can_change_is_left_alone() {
    let direct = Rules { direct_waits: true, ..RULES };
    for more in [
        r#"(func (export "g") (global.set $state (i32.const 2)))"#,
        r#"(export "state" (global $state))"#,
        r#"(func $x (export "g") (call 2 (i32.const 0)))"#,
        r#"(table 1 funcref) (elem (i32.const 0) 1)"#,
    ] {
        let text = asyncified("(global.get $state)", more);
        let ops = operators(&rewritten(&text, &direct).bytes, 0).len();
        let plain = operators(&rewritten(&text, &RULES).bytes, 0).len();
        assert_eq!(ops, plain, "{more}");
    }
}
