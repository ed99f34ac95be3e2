//! Random WebAssembly modules of our own format: valid, small, and fond of what engines disagree about.
//!
//! Four functions of one type call each other, directly and through a table. They read and write memory and
//! globals that outlive the call, make NaNs and look at their bits, divide, truncate, shift by too much, grow
//! memory, loop and recurse without end now and then, and run over what they were given. What the first one
//! returns is the output.

use drivebay_conformance::laws::Rng;

/// The most nodes of a function.
const NODES: u32 = 60;
/// The deepest nesting of expressions.
const DEPTH: u32 = 7;
const PRELUDE: &str = include_str!("../../../modules/roles/wasm/prelude.wat");

/// The text of a module.
pub(super) fn module(rng: &mut Rng) -> String {
    let mut text = format!("(module\n{PRELUDE}\n");
    text.push_str("  (type $f (func (param i32 i64 f32 f64) (result i64)))\n");
    text.push_str("  (table 4 funcref) (elem (i32.const 0) $f0 $f1 $f2 $f3)\n");
    for (at, of) in ["i32", "i64", "f32", "f64"].iter().enumerate() {
        text.push_str(&format!("  (global $g{at} (mut {of}) ({of}.const {at}))\n"));
    }
    for function in 0..4 {
        let mut writer = Writer { rng, left: NODES, labels: 0 };
        let statements: Vec<_> = (0..3).map(|_| writer.statement(DEPTH)).collect();
        let result = writer.expr(I64, DEPTH);
        text.push_str(&format!(
            "  (func $f{function} (type $f) (param $0 i32) (param $1 i64) (param $2 f32) (param $3 f64) \
             (result i64) (local $n i32)\n    {}\n    {result})\n",
            statements.join("\n    ")
        ));
    }
    text.push_str(
        "  (func (export \"handle\") (param $m i32) (param $ml i32) (param $e i32) (param $el i32) \
         (result i64)\n    (call $begin (local.get $m) (local.get $ml))\n    (call $put_hex (call $f0 \
         (global.get $data_len) (i64.load (global.get $data)) (f32.load (global.get $data)) \
         (f64.load (global.get $data))) (i32.const 16))\n    (call $end)))\n",
    );
    text
}

/// A type of values, by its place in all the tables here.
type Type = usize;
const I32: Type = 0;
const I64: Type = 1;
const NAMES: [&str; 4] = ["i32", "i64", "f32", "f64"];

const INT_BINARY: &str = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr";
const FLOAT_BINARY: &str = "add sub mul div min max copysign";
const FLOAT_UNARY: &str = "abs neg ceil floor trunc nearest sqrt";
const INT_UNARY: &str = "clz ctz popcnt extend8_s extend16_s";
const INT_COMPARE: &str = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u";
const FLOAT_COMPARE: &str = "eq ne lt gt le ge";
/// From each type to each type: the operators, without the type's name.
const CONVERT: [[&str; 4]; 4] = [
    [
        "",
        "extend_i32_s extend_i32_u",
        "convert_i32_s convert_i32_u reinterpret_i32",
        "convert_i32_s convert_i32_u",
    ],
    ["wrap_i64", "", "convert_i64_s convert_i64_u", "convert_i64_s convert_i64_u reinterpret_i64"],
    [
        "trunc_f32_s trunc_sat_f32_u reinterpret_f32",
        "trunc_f32_u trunc_sat_f32_s",
        "",
        "promote_f32",
    ],
    [
        "trunc_f64_s trunc_sat_f64_u",
        "trunc_f64_u trunc_sat_f64_s reinterpret_f64",
        "demote_f64",
        "",
    ],
];
const INTS: [&str; 8] = ["0", "1", "-1", "7", "31", "0x7fffffff", "-0x80000000", "65535"];
const FLOATS: [&str; 9] = ["0", "-0", "1.5", "-1", "inf", "-inf", "nan", "-nan:0x200001", "1e30"];

struct Writer<'a> {
    rng: &'a mut Rng,
    left: u32,
    labels: u32,
}

impl Writer<'_> {
    fn one_of<'t>(&mut self, words: &'t str) -> &'t str {
        let count = words.split(' ').count();
        words.split(' ').nth(self.rng.place(count)).unwrap_or(words)
    }

    fn type_of_any(&mut self) -> Type {
        self.rng.place(4)
    }

    fn name(of: Type) -> &'static str {
        NAMES.get(of).copied().unwrap_or("i32")
    }

    /// Something that is done for its effect.
    fn statement(&mut self, depth: u32) -> String {
        self.left = self.left.saturating_sub(1);
        if depth == 0 || self.left == 0 {
            return "(nop)".into();
        }
        let of = self.type_of_any();
        match self.rng.below(11) {
            0 | 1 => format!("(global.set $g{of} {})", self.expr(of, depth - 1)),
            2 => format!("(local.set ${of} {})", self.expr(of, depth - 1)),
            3..=5 => self.store(of, depth),
            6 => format!(
                "(memory.fill {} {} (i32.and {} (i32.const 0xfff)))",
                self.address(depth),
                self.expr(I32, depth - 1),
                self.expr(I32, depth - 1)
            ),
            7 => format!(
                "(memory.copy {} {} (i32.and {} (i32.const 0xfff)))",
                self.address(depth),
                self.address(depth),
                self.expr(I32, depth - 1)
            ),
            8 => self.repeated(depth),
            9 => format!(
                "(drop (memory.grow (i32.and {} (i32.const 3))))",
                self.expr(I32, depth - 1)
            ),
            _ => format!(
                "(if {} (then {}) (else {}))",
                self.expr(I32, depth - 1),
                self.statement(depth - 1),
                self.statement(depth - 1)
            ),
        }
    }

    fn store(&mut self, of: Type, depth: u32) -> String {
        let width = match (of, self.rng.below(3)) {
            (0 | 1, 0) => "8",
            (0 | 1, 1) => "16",
            _ => "",
        };
        let name = Self::name(of);
        format!("({name}.store{width} {} {})", self.address(depth), self.expr(of, depth - 1))
    }

    /// A loop that counts, and once in a while one that only fuel ends.
    fn repeated(&mut self, depth: u32) -> String {
        self.labels += 1;
        let (label, turns) = (self.labels, self.rng.below(20) + 1);
        let body = self.statement(depth - 1);
        if self.rng.once_in(12) {
            return format!(
                "(loop $l{label} {body} (br_if $l{label} {}))",
                self.expr(I32, depth - 1)
            );
        }
        format!(
            "(local.set $n (i32.const {turns})) (loop $l{label} {body} (local.set $n (i32.sub (local.get $n) \
             (i32.const 1))) (br_if $l{label} (i32.gt_s (local.get $n) (i32.const 0))))"
        )
    }

    /// Within two pages mostly, and anywhere now and then.
    fn address(&mut self, depth: u32) -> String {
        let at = self.expr(I32, depth.saturating_sub(1));
        if self.rng.once_in(30) {
            return at;
        }
        format!("(i32.or (i32.const 0x10000) (i32.and {at} (i32.const 0xffff)))")
    }

    fn leaf(&mut self, of: Type) -> String {
        let name = Self::name(of);
        match self.rng.below(4) {
            0 => format!("(local.get ${of})"),
            1 => format!("(global.get $g{of})"),
            _ if of <= I64 => {
                format!("({name}.const {})", INTS.get(self.rng.place(8)).unwrap_or(&"0"))
            }
            _ => format!("({name}.const {})", FLOATS.get(self.rng.place(9)).unwrap_or(&"0")),
        }
    }

    /// A value of a type.
    fn expr(&mut self, of: Type, depth: u32) -> String {
        self.left = self.left.saturating_sub(1);
        if depth == 0 || self.left == 0 {
            return self.leaf(of);
        }
        let (name, int, next) = (Self::name(of), of <= I64, depth - 1);
        match self.rng.below(14) {
            0 => self.leaf(of),
            1..=4 => {
                let op = self.one_of(if int { INT_BINARY } else { FLOAT_BINARY });
                format!("({name}.{op} {} {})", self.expr(of, next), self.expr(of, next))
            }
            5 => {
                let op = self.one_of(if int { INT_UNARY } else { FLOAT_UNARY });
                format!("({name}.{op} {})", self.expr(of, next))
            }
            6 | 7 => self.converted(of, depth),
            8 => {
                let load = if int {
                    self.one_of("load load8_s load8_u load16_s load16_u")
                } else {
                    "load"
                };
                format!("({name}.{load} {})", self.address(depth))
            }
            9 if of == I32 => self.compared(depth),
            9 | 10 => format!(
                "(select {} {} {})",
                self.expr(of, next),
                self.expr(of, next),
                self.expr(I32, next)
            ),
            11 => format!(
                "(if (result {name}) {} (then {} {}) (else {}))",
                self.expr(I32, next),
                self.statement(next),
                self.expr(of, next),
                self.expr(of, next)
            ),
            12 if of == I64 => self.called(depth),
            12 if of == I32 => "(memory.size)".into(),
            _ => format!("(local.tee ${of} {})", self.expr(of, next)),
        }
    }

    fn converted(&mut self, to: Type, depth: u32) -> String {
        let from = (to + 1 + self.rng.place(3)) % 4;
        let words = CONVERT.get(from).and_then(|row| row.get(to)).copied().unwrap_or("");
        let op = self.one_of(words);
        format!("({}.{op} {})", Self::name(to), self.expr(from, depth - 1))
    }

    fn compared(&mut self, depth: u32) -> String {
        let of = self.type_of_any();
        let op = self.one_of(if of <= I64 { INT_COMPARE } else { FLOAT_COMPARE });
        let (one, other) = (self.expr(of, depth - 1), self.expr(of, depth - 1));
        format!("({}.{op} {one} {other})", Self::name(of))
    }

    fn called(&mut self, depth: u32) -> String {
        let given: Vec<_> = (0..4).map(|of| self.expr(of, depth.saturating_sub(2))).collect();
        let given = given.join(" ");
        if self.rng.once_in(3) {
            let which = self.expr(I32, depth - 1);
            return format!("(call_indirect (type $f) {given} (i32.and {which} (i32.const 7)))");
        }
        format!("(call $f{} {given})", self.rng.below(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_assembles() {
        for seed in 0..200 {
            let text = module(&mut Rng::new(seed, "test"));
            if let Err(error) = wat::parse_str(&text) {
                panic!("{error}\n{text}");
            }
        }
    }
}
