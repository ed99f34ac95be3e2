//! Random Lua: programs for the Lua machine, and chunks for a Lua that lives in another machine.
//!
//! They like what hosts disagree about: the order of tables without order, borders of tables with holes,
//! addresses in texts, weak tables and finalisers after a collection, closures, coroutines and metatables that
//! outlive a message, numbers as text, errors with values, deep recursion, much memory, and handlers around it.

use drivebay_conformance::laws::Rng;

/// The most statements of a program or chunk.
const STATEMENTS: u32 = 24;

/// What every program begins with. State that outlives a message is in globals and in upvalues.
const PRELUDE: &str = "\
T = T or {} W = W or setmetatable({}, { __mode = 'k' }) V = V or setmetatable({}, { __mode = 'v' })
C = C or {} F = F or {} S = S or '' N = N or 0 M = M or {}
local out, left = {}, 120
local function say(v)
  left = left - 1
  if left > 0 then out[#out + 1] = math.type(v) == 'float' and string.format('%.17g', v) or tostring(v) end
end
local function q(f, ...)
  local ok, v = pcall(f, ...)
  return v
end
";

/// A program for the Lua machine.
pub(super) fn program(rng: &mut Rng) -> String {
    let mut writer = Writer { rng, left: STATEMENTS, made: 0 };
    let first: Vec<_> = (0..2).map(|_| writer.statement(2)).collect();
    writer.left = STATEMENTS;
    let each: Vec<_> = (0..6).map(|_| writer.statement(3)).collect();
    format!(
        "{PRELUDE}local kept = {{ n = 0 }}\nlocal a, b = 0, 'start'\n{}\n\
         function handle(msg)\n  out, left, a, b = {{}}, 120, #msg.Data, msg.Data\n  kept.n = kept.n + 1\n  \
         say(kept.n)\n  {}\n  return {{ Output = table.concat(out, '|') }}\nend\n",
        first.join("\n"),
        each.join("\n  ")
    )
}

/// A chunk that answers with what it saw.
pub(super) fn chunk(rng: &mut Rng) -> String {
    let mut writer = Writer { rng, left: STATEMENTS, made: 0 };
    let all: Vec<_> = (0..4).map(|_| writer.statement(2)).collect();
    format!("{PRELUDE}local a, b = 3, 'chunk'\n{}\nreturn table.concat(out, '|')", all.join("\n"))
}

const KEYS: [&str; 9] =
    ["'k'", "1", "2.0", "7", "-1", "{}", "print", "S", "coroutine.create(print)"];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "0.1",
    "-0.0",
    "1e300",
    "math.maxinteger",
    "math.mininteger",
    "0/0",
    "1/0",
    "2^53",
    "3.0",
];
const TEXTS: [&str; 7] = ["''", "'a'", "'10'", "'0x1p4'", "'héé'", "'a,b;c d'", "'\\0\\255'"];
const BINARY: [&str; 16] =
    ["+", "-", "*", "/", "//", "%", "^", "..", "==", "<", "<=", "&", "|", "~", "<<", ">>"];
const UNARY: [&str; 4] = ["-", "#", "not ", "~"];
const OF_ONE: [&str; 17] = [
    "tostring",
    "tonumber",
    "math.floor",
    "math.sqrt",
    "math.sin",
    "math.exp",
    "math.type",
    "string.len",
    "string.reverse",
    "string.upper",
    "type",
    "#tostring",
    "math.tointeger",
    "utf8.len",
    "next",
    "string.byte",
    "math.abs",
];
const FORMATS: [&str; 8] = ["%d", "%5.3f", "%g", "%a", "%q", "%s", "%x", "%-9s|"];
const PATTERNS: [&str; 7] =
    ["'%w+'", "'.'", "'(%a)(%d*)'", "'[^,]*'", "'%s*$'", "'%f[%w]%w'", "'(.-)%1'"];
const PACKS: [&str; 6] = ["'<d'", "'>i7'", "'z'", "'s2'", "'<f'", "'!8 b d'"];

struct Writer<'a> {
    rng: &'a mut Rng,
    left: u32,
    made: u32,
}

impl Writer<'_> {
    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words.get(self.rng.place(words.len())).copied().unwrap_or("nil")
    }

    fn block(&mut self, depth: u32) -> String {
        let count = 1 + self.rng.below(2);
        (0..count).map(|_| self.statement(depth)).collect::<Vec<_>>().join(" ")
    }

    fn statement(&mut self, depth: u32) -> String {
        self.left = self.left.saturating_sub(1);
        if depth == 0 || self.left == 0 {
            return format!("say({})", self.expr(1));
        }
        let deeper = depth - 1;
        match self.rng.below(30) {
            0..=3 => format!("say(q(function() return {} end))", self.expr(3)),
            4 | 5 => format!("q(function() T[{}] = {} end)", self.key(), self.expr(2)),
            6 => "for k, v in pairs(T) do say(k) say(v) end".into(),
            7 => "do local k = next(T) if k ~= nil then T[k] = nil end end".into(),
            8 => format!("W[{{}}] = {} V[#V + 1] = {{ {} }}", self.expr(1), self.expr(1)),
            9 => "collectgarbage() do local n = 0 for _ in pairs(W) do n = n + 1 end say(n) end say(#V)"
                .into(),
            10 => "say(q(collectgarbage, 'count'))".into(),
            11 => format!("F[#F + 1] = function(x) N = N + 1 return {} end", self.expr(2)),
            12 => format!("if F[1] then say(q(F[#F], {})) end", self.expr(1)),
            13 => format!(
                "C[#C + 1] = coroutine.wrap(function(x) for i = 1, 3 do {} x = coroutine.yield({}) end \
                 error({}) end)",
                self.block(deeper),
                self.expr(1),
                self.expr(1)
            ),
            14 | 15 => format!(
                "if C[1] then local ok, v = pcall(C[#C], {}) say(v) if not ok then table.remove(C) end end",
                self.expr(1)
            ),
            16 => format!("for i = 1, {} do {} end", self.rng.below(9) + 1, self.block(deeper)),
            17 => format!("if {} then {} else {} end", self.expr(1), self.block(deeper), self.block(deeper)),
            18 => format!("S = (S .. tostring({})):sub(-200)", self.expr(2)),
            19 => format!(
                "do local l = {{}} for i = 1, 12 do l[i] = (i * {}) % 7 end q(table.sort, l, function(x, y) \
                 return {} end) say(q(table.concat, l, ',')) end",
                self.rng.below(13) + 1,
                self.one_of(&["x < y", "x > y", "true", "x <= y", "x + y > 5"])
            ),
            20 => format!(
                "say(q(string.gsub, S .. b, {}, {}))",
                self.one_of(&PATTERNS),
                self.one_of(&["'<%0>'", "'%%'", "string.upper", "{ a = 1 }", "function(x) N = N + 1 return x end"])
            ),
            21 => "do M = setmetatable({}, { __index = function(t, k) N = N + 1 return k end, __len = function() \
                   return N end, __lt = function() return true end, __tostring = function() return 'M' .. N end, \
                   __concat = function(x, y) return 'cat' end, __call = function(self, x) return x end }) end \
                   say(M.field) say(#M) say(tostring(M)) say(M .. 1)"
                .into(),
            22 => "setmetatable({}, { __gc = function() N = N + 1 S = S .. 'gc' end }) collectgarbage() say(N)"
                .into(),
            23 => format!("say(q(load('return {}')))", self.expr(1).replace(['\\', '\''], "")),
            24 => format!("T[#T + 1] = {} T[#T + {}] = 1 say(#T) T[#T] = nil", self.expr(1), self.rng.below(4)),
            25 => format!("say(q(string.pack, {}, {}))", self.one_of(&PACKS), self.expr(1)),
            _ if self.rng.once_in(3) => self.heavy(deeper),
            _ => format!("N = N + {} say(N)", self.rng.below(1000)),
        }
    }

    /// What runs into a limit, under a handler or not.
    fn heavy(&mut self, depth: u32) -> String {
        self.made += 1;
        let name = format!("r{}", self.made);
        let text = match self.rng.below(6) {
            0 => format!("while true do {} end", self.block(depth)),
            1 => format!("local function {name}(n) return {name}(n + 1) + 1 end {name}(1)"),
            2 => format!("S = string.rep('x', {})", self.rng.below(3_000_000)),
            3 => "local t = {} for i = 1, 1e9 do t[i] = { i } end".into(),
            4 => format!("error({{ code = {} }})", self.expr(1)),
            _ => "say(q(string.rep, 'ab', 1 << 40))".into(),
        };
        if self.rng.once_in(2) {
            return format!("do {text} end");
        }
        format!("say(select(2, pcall(function() {text} end)))")
    }

    fn key(&mut self) -> String {
        if self.rng.once_in(3) { self.expr(1) } else { self.one_of(&KEYS).to_owned() }
    }

    fn expr(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.rng.below(7) {
                0 | 1 => self.one_of(&NUMBERS).to_owned(),
                2 => self.one_of(&TEXTS).to_owned(),
                3 => "a".into(),
                4 => "b".into(),
                5 => "N".into(),
                _ => self.one_of(&["S", "#T", "T[1]", "M", "nil", "true", "{}", "T.k"]).to_owned(),
            };
        }
        let next = depth - 1;
        match self.rng.below(9) {
            0..=2 => format!("({} {} {})", self.expr(next), self.one_of(&BINARY), self.expr(next)),
            3 => format!("({}({}))", self.one_of(&UNARY), self.expr(next)),
            4 | 5 => {
                let of = self.one_of(&OF_ONE);
                match of.strip_prefix('#') {
                    Some(of) => format!("(#{of}({}))", self.expr(next)),
                    None => format!("q({of}, {})", self.expr(next)),
                }
            }
            6 => format!("q(string.format, '{}', {})", self.one_of(&FORMATS), self.expr(next)),
            7 => format!("({} and {} or {})", self.expr(next), self.expr(next), self.expr(0)),
            _ => format!("q(string.sub, {}, {})", self.expr(0), self.rng.below(5)),
        }
    }
}
