-- Random values and texts through the reader's own JSON and through that of aos, which `json.mjs` puts beside it: the
-- same texts, values and refusals. A message has a seed; the answer is what differs, or how much was tried.
local ours, theirs = json, require("theirs")

local random = math.random
local value

local function number()
  local kind = random(10)
  if kind <= 3 then return random(-1000, 1000) end
  if kind == 4 then return math.maxinteger >> random(0, 62) end
  if kind == 5 then return -(math.maxinteger >> random(0, 62)) - random(0, 1) end
  if kind == 6 then return random(-1000, 1000) / 8 end
  if kind == 7 then return (random() - 0.5) * 10.0 ^ random(-20, 25) end
  if kind == 8 then return 10 ^ random(0, 20) + random(-1, 1) end
  if kind == 9 then return (({ 0.0, -0.0, 1 / 3, 2.0 ^ 53, math.mininteger, 1e308, 5e-324, 99999999999999, 100000000000000 })[random(9)]) end
  local bits = string.unpack("<d", string.pack("<I4I4", random(0, 0xffffffff), random(0, 0xffffffff)))
  if bits ~= bits or bits == math.huge or bits == -math.huge then bits = random(50) == 1 and bits or 1.5 end
  return bits
end

local some = { "a", "key", "\0", "\127", "\n", "\t\r\b\f", '"', "\\", "/", "é", "\u{10ffff}", "\xff\xfe", "\1\31", "x", ("long "):rep(20) }
local function text()
  local parts = {}
  for i = 1, random(0, 4) do parts[i] = some[random(#some)] end
  return table.concat(parts)
end

local function array(depth)
  local t = {}
  for i = 1, random(0, 6) do t[i] = value(depth - 1) end
  if random(30) == 1 then t[#t + random(1, 3)] = 7 end
  if random(40) == 1 then t[random(40) == 1 and 1.5 or "x"] = 1 end
  return t
end

local function object(depth)
  local t = {}
  for _ = 1, random(0, 6) do t[text()] = value(depth - 1) end
  if random(40) == 1 then t[random(2, 9)] = 1 end
  if random(40) == 1 then t.back = t end
  return t
end

-- Tables that say themselves what is in them.
local function posing(depth)
  local inner = object(depth)
  local meta = ({
    { __pairs = function() return next, inner, nil end },
    { __len = function() return 2 end },
    { __index = function(_, i) return i end },
    { __len = function() return "no" end },
  })[random(4)]
  return setmetatable(random(2) == 1 and array(depth) or object(depth), meta)
end

function value(depth)
  local kind = random(depth > 0 and 14 or 8)
  if kind <= 3 then return number() end
  if kind <= 6 then return text() end
  if kind == 7 then return random(2) == 1 end
  if kind == 8 then
    if random(20) > 1 then return nil end
    return random(2) == 1 and print or coroutine.create(print)
  end
  if kind <= 11 then return object(depth) end
  if kind == 12 and random(8) == 1 then return posing(depth) end
  return array(depth)
end

-- A text that is JSON, and then changed.
local bits = { "{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "\\ud83d\\ude00", "\\ud800\\u0041", "\\udc00", "\\u00e9", "\\x", "\\/", "\n",
  " ", "\t", "1", "-", "0x1F", "1e5", "1e999", "01", ".5", "5.", "-.", "1_", "true", "false", "null", "nul", "truex", "nan", "a", "\0",
  "\127", "\v", "123456789012345678901234567890", ("1"):rep(300), "0x1p4", "\\udbff\\uffff" }
local function spoiled(source)
  for _ = 1, random(0, 3) do
    local at, with = random(0, #source), bits[random(#bits)]
    local cut = random(3) == 1 and random(0, 3) or 0
    source = source:sub(1, at) .. (random(4) == 1 and "" or with) .. source:sub(at + 1 + cut)
  end
  return source
end

local function why(message)
  return (tostring(message):gsub("^[^\n]-:%d+: ", ""):gsub("0x%x+", "ADDRESS"))
end

-- Equal, and laid out in the same order.
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and math.type(a) == math.type(b) and tostring(a) == tostring(b) or (a ~= a and b ~= b)
  end
  local k, v = next(a)
  local l, w = next(b)
  while k ~= nil and l ~= nil do
    if k ~= l or math.type(k) ~= math.type(l) or not same(v, w) then return false end
    k, v = next(a, k)
    l, w = next(b, l)
  end
  return k == nil and l == nil and #a == #b
end

local function shown(ok, result)
  return (ok and "" or "refused: ") .. (type(result) == "string" and ("%q"):format(result) or tostring(result))
end

local counts
local function try(name, what, shows)
  local ok, mine = pcall(ours[name], what)
  local fine, reference = pcall(theirs[name], what)
  if not ok then mine = why(mine) end
  if not fine then reference = why(reference) end
  if ok ~= fine or not same(mine, reference) then
    error(("json.%s(%s)\n  ours   %s\n  theirs %s"):format(name, shows, shown(ok, mine), shown(fine, reference)), 0)
  end
  local key = name .. (ok and "d" or " refused")
  counts[key] = (counts[key] or 0) + 1
  return ok and mine
end

local function deep(n)
  local t = {}
  for i = 1, n do t = i % 2 == 0 and { t } or { t = t } end
  return t
end

function handle(msg)
  counts = {}
  math.randomseed(tonumber(msg.Data))
  for i = 1, 400 do
    local source = try("encode", value(5), "value " .. i)
    if source then
      try("decode", source, ("%q"):format(source))
      source = spoiled(source)
      try("decode", source, ("%q"):format(source))
    end
    source = spoiled("[1,{\"a\":\"\\u0041\"}]")
    try("decode", source, ("%q"):format(source))
  end
  try("decode", try("encode", deep(random(60, 70)), "deep"), "deep")
  try("decode", try("encode", deep(5000), "very deep"), "very deep")
  local loop = deep(random(60, 200))
  local inner = loop
  while next(inner) do inner = inner[1] or inner.t end
  inner.t = loop
  try("encode", loop, "a loop")
  for _, odd in ipairs { 7, true, {}, 1.5 } do try("decode", odd, tostring(odd)) end
  return json.encode(counts)
end
