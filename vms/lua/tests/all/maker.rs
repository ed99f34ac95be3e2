//! Makes programs of Lua by number: each statement shows what came of it, errors too. They end with a table
//! of lines, `out`.

/// The program of that number.
pub(crate) fn program(number: u64) -> String {
    Maker { seed: number + 1 }.program()
}

struct Maker {
    seed: u64,
}

const PRELUDE: &str = r#"local out = {}
local function nn(...) local x = ... if x ~= x then return 0 end return ... end
local function text(x)
  if x ~= x then return 'nan' end
  if math.type(x) == 'float' then return string.format('%.12g', x) end
  if type(x) == 'string' then return (x:gsub('^.-:%d+: ', '')) end
  if type(x) == "table" then local t = {} for i = 1, math.min(rawlen(x), 20) do t[i] = type(rawget(x, i)) end return '{' .. table.concat(t, ',') .. '}' end
  if type(x) == 'number' or type(x) == 'boolean' or x == nil then return tostring(x) end
  return type(x)
end
local function show(...)
  local t = table.pack(...)
  for i = 1, t.n do t[i] = text(t[i]) end
  out[#out + 1] = table.concat(t, ' ')
end
local a, b, c, d, e = 7, -2.5, 'word 12 x', {3, 1, 2, 'z', 5.5}, '0x10'
local mt = setmetatable({}, {__index = function(_, k) return k end, __add = function(x, y) return 'add' end, __call = function(_, x) return x end, __len = function() return 42 end, __lt = function() return true end, __concat = function() return 'cat' end})
"#;

impl Maker {
    fn below(&mut self, n: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn program(mut self) -> String {
        let mut text = PRELUDE.to_owned();
        for _ in 0..25 {
            let statement = self.statement();
            text.push_str(&format!("show(pcall(function() {statement} end))\n"));
        }
        text
    }

    fn statement(&mut self) -> String {
        let value = self.value(3);
        match self.below(9) {
            0 => format!("a = {}", self.number(2)),
            1 => format!("c = tostring({})", self.text(2)),
            2 => format!("d = {{{}, {}, {value}}}", self.value(1), self.value(1)),
            3 => format!(
                "do local n, f = 0, nil for i = {}, {}, {} do n = n + 1 if n > 50 then break end f = function() n = n + i return n end end show(n, f and f(), f and f()) end",
                self.below(9),
                self.below(30),
                self.pick(&["1", "2", "-1", "0.5", "3"])
            ),
            4 => format!(
                "do local co = coroutine.wrap(function(x) for i = 1, 3 do x = coroutine.yield(i, x) end return {value} end) for i = 1, 4 do show(pcall(co, i)) end end"
            ),
            5 => format!(
                "do local s = {} for w, n in tostring(s):gmatch('{}') do show(w, n) end end",
                self.text(2),
                self.pick(&["%a+", "(%w)(%d)", "%S", "[^%s]+()", ".", "%d*"])
            ),
            6 => format!(
                "do local t = {{{}, {}, {}, 4, 9}} show(pcall(table.sort, t, {})) show(t) end",
                self.number(1),
                self.number(1),
                self.value(1),
                self.pick(&["nil", "function(x, y) return x > y end"])
            ),
            _ => format!("return {value}"),
        }
    }

    fn value(&mut self, depth: u64) -> String {
        match self.below(8) {
            0..=2 => self.number(depth),
            3..=5 => self.text(depth),
            6 => self.pick(&["d", "nil", "true", "mt", "{}", "d[2]", "print", "mt.key"]).to_owned(),
            _ if depth > 0 => {
                let op = self.pick(&["==", "<", "<=", "~=", "and", "or", ">"]);
                format!("({} {op} {})", self.value(depth - 1), self.value(depth - 1))
            }
            _ => "false".to_owned(),
        }
    }

    fn number(&mut self, depth: u64) -> String {
        if depth == 0 || self.below(4) == 0 {
            let literals = [
                "a",
                "b",
                "0",
                "1",
                "-3",
                "2.5",
                "1e15",
                "3.0",
                "0x7fffffffffffffff",
                "math.mininteger",
                "e",
                "#c",
                "#d",
                "1/0",
                "0.1",
                "-0.0",
            ];
            return self.pick(&literals).to_owned();
        }
        let (x, y) = (self.value(depth - 1), self.number(depth - 1));
        let number = self.number(depth - 1);
        match self.below(6) {
            0..=2 => {
                let op =
                    self.pick(&["+", "-", "*", "/", "//", "%", "^", "&", "|", "~", "<<", ">>"]);
                format!("nn({number} {op} {y})")
            }
            3 => format!("({} {x})", self.pick(&["-", "~", "#", "-"])),
            4 => {
                let f = self.pick(&[
                    "math.floor",
                    "math.abs",
                    "math.tointeger",
                    "tonumber",
                    "math.ceil",
                    "math.sqrt",
                    "utf8.len",
                    "string.len",
                ]);
                format!("nn({f}({number}))")
            }
            _ => {
                let f = self.pick(&["math.max", "math.min", "math.fmod", "math.ult", "select"]);
                format!("nn({f}({number}, {y}))")
            }
        }
    }

    fn text(&mut self, depth: u64) -> String {
        if depth == 0 || self.below(4) == 0 {
            return self
                .pick(&["c", "''", "'abc'", "'a\\0b'", "'%d'", "'x=1, y=22'", "e", "'é漢'"])
                .to_owned();
        }
        let (x, n) = (self.text(depth - 1), self.number(depth - 1));
        match self.below(8) {
            0 => format!("({x} .. {})", self.value(depth - 1)),
            1 => format!("string.sub({x}, {}, {n})", self.below(5)),
            2 => {
                let (pattern, with) = (
                    self.pick(&["%w", "(%a)(.)", "%d+", "^.", "[a-y]*", "%s"]),
                    self.pick(&["'<%0>'", "'%%'", "{a = 1}", "string.upper", "'%1'"]),
                );
                format!("(string.gsub({x}, '{pattern}', {with}))")
            }
            3 => {
                let format = self
                    .pick(&["%d", "%5.2f", "%s", "%q", "%x", "%-8s|", "%g", "%05d", "%c", "%i"]);
                // A table or a function would show its address.
                format!(
                    "string.format('{format}', {} or 0)",
                    if depth.is_multiple_of(2) {
                        self.number(depth - 1)
                    } else {
                        self.text(depth - 1)
                    }
                )
            }
            4 => format!("string.{}({x})", self.pick(&["upper", "lower", "reverse", "byte"])),
            5 => format!("table.concat(d, {x}, 1, {})", self.below(7)),
            6 => format!("string.rep({x}, {}, ',')", self.below(5)),
            _ => format!(
                "select(2, pcall(string.unpack, '{}', {x}))",
                self.pick(&["b", "<i2", "z", "s1", ">I3"])
            ),
        }
    }
}
