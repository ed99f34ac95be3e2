-- Whole numbers of a fixed number of bits that wrap around, as token programs count with.
-- bint(256) is a maker of numbers; its operators take numbers, texts and its own.

local BASE = 1 << 24

return function(bits)
  assert(math.type(bits) == "integer" and bits >= 24 and bits % 8 == 0 and bits <= 4096, "a number of bits")
  local size = (bits + 23) // 24
  local top = bits - (size - 1) * 24
  local bint = {}
  bint.__index = bint

  -- Little-endian digits, two's complement.
  local function wrap(digits)
    local carry = 0
    for i = 1, size do
      local digit = (digits[i] or 0) + carry
      carry = digit >> 24
      if digit < 0 then carry = -((-digit + BASE - 1) // BASE) end
      digits[i] = digit & (BASE - 1)
    end
    for i = #digits, size + 1, -1 do digits[i] = nil end
    digits[size] = digits[size] & ((1 << top) - 1)
    return setmetatable(digits, bint)
  end

  local function negative(x) return x[size] >> (top - 1) & 1 == 1 end

  local function frominteger(n)
    local digits = {}
    for i = 1, size do
      digits[i] = n & (BASE - 1)
      n = n >> 24 | (n < 0 and ~(-1 >> 24) or 0)
    end
    return wrap(digits)
  end

  local function muladd(x, by, add)
    local digits, carry = {}, add
    for i = 1, size do
      local digit = x[i] * by + carry
      digits[i] = digit & (BASE - 1)
      carry = digit >> 24
    end
    return wrap(digits)
  end

  local function fromtext(text)
    local sign, digits = text:match("^%s*([+-]?)(%d+)%s*$")
    if not digits then return nil end
    local x = frominteger(0)
    for digit in digits:gmatch("%d") do x = muladd(x, 10, tonumber(digit)) end
    return sign == "-" and -x or x
  end

  local function tobint(x)
    if getmetatable(x) == bint then return x end
    if math.type(x) == "integer" then return frominteger(x) end
    if math.type(x) == "float" and x == math.floor(x) and math.tointeger(x) then
      return frominteger(math.tointeger(x))
    end
    if type(x) == "string" then return fromtext(x) end
    return nil
  end

  local function need(x)
    return tobint(x) or error("'" .. tostring(x) .. "' is no whole number", 3)
  end

  -- Division of magnitudes by long division, a bit at a time.
  local function divmod(a, b)
    local quotient, rest = frominteger(0), frominteger(0)
    for i = size, 1, -1 do
      for bit = 23, 0, -1 do
        rest = muladd(rest, 2, a[i] >> bit & 1)
        quotient = muladd(quotient, 2, 0)
        if not bint.ult(rest, b) then
          rest = rest - b
          quotient[1] = quotient[1] | 1
        end
      end
    end
    return quotient, rest
  end

  function bint.ult(a, b)
    for i = size, 1, -1 do
      if a[i] ~= b[i] then return a[i] < b[i] end
    end
    return false
  end

  function bint.__add(a, b)
    a, b = need(a), need(b)
    local digits = {}
    for i = 1, size do digits[i] = a[i] + b[i] end
    return wrap(digits)
  end

  function bint.__sub(a, b)
    a, b = need(a), need(b)
    local digits = {}
    for i = 1, size do digits[i] = a[i] - b[i] end
    return wrap(digits)
  end

  function bint.__unm(a) return bint.__sub(0, a) end

  function bint.__mul(a, b)
    a, b = need(a), need(b)
    local digits = {}
    for i = 1, size do
      local carry = 0
      for j = 1, size - i + 1 do
        local at = i + j - 1
        local digit = (digits[at] or 0) + a[i] * b[j] + carry
        digits[at] = digit & (BASE - 1)
        carry = digit >> 24
      end
    end
    return wrap(digits)
  end

  function bint.abs(a)
    a = need(a)
    return negative(a) and -a or a
  end

  -- Rounded down, as // and % of Lua.
  function bint.idivmod(a, b)
    a, b = need(a), need(b)
    assert(not bint.iszero(b), "attempt to divide by zero")
    local quotient, rest = divmod(bint.abs(a), bint.abs(b))
    if negative(a) ~= negative(b) then
      quotient = -quotient
      if not bint.iszero(rest) then
        quotient = quotient - 1
        rest = bint.abs(b) - rest
      end
    end
    if negative(b) then rest = -rest end
    return quotient, rest
  end

  function bint.__idiv(a, b) return (bint.idivmod(a, b)) end
  function bint.__mod(a, b) return (select(2, bint.idivmod(a, b))) end
  function bint.udiv(a, b) return (divmod(need(a), need(b))) end
  function bint.umod(a, b) return (select(2, divmod(need(a), need(b)))) end

  function bint.__eq(a, b)
    a, b = tobint(a), tobint(b)
    if not a or not b then return false end
    for i = 1, size do if a[i] ~= b[i] then return false end end
    return true
  end
  bint.eq = bint.__eq

  function bint.__lt(a, b)
    a, b = need(a), need(b)
    if negative(a) ~= negative(b) then return negative(a) end
    return bint.ult(a, b)
  end

  function bint.__le(a, b) return not bint.__lt(b, a) end

  function bint.iszero(a)
    a = need(a)
    for i = 1, size do if a[i] ~= 0 then return false end end
    return true
  end

  function bint.ispos(a) return not negative(need(a)) and not bint.iszero(a) end
  function bint.isneg(a) return negative(need(a)) end
  function bint.isbint(a) return getmetatable(a) == bint end
  function bint.tobint(a) return tobint(a) end

  function bint.tointeger(a)
    a = tobint(a)
    if not a then return nil end
    local n = 0
    for i = size, 1, -1 do n = n << 24 | a[i] end
    if negative(a) and bits < 64 then n = n | -1 << bits end
    return n
  end

  function bint.tonumber(a)
    local x = tobint(a)
    if not x then return tonumber(a) end
    if bint.__eq(frominteger(bint.tointeger(x)), x) then return bint.tointeger(x) end
    return tonumber(tostring(x))
  end

  function bint.__tostring(a)
    if bint.iszero(a) then return "0" end
    local sign = negative(a) and "-" or ""
    local x, out = bint.abs(a), {}
    x = setmetatable(table.move(x, 1, size, 1, {}), bint)
    while not bint.iszero(x) do
      local rest = 0
      for i = size, 1, -1 do
        local digit = rest << 24 | x[i]
        x[i], rest = digit // 10000000, digit % 10000000
      end
      out[#out + 1] = string.format("%07d", rest)
    end
    local digits = {}
    for i = #out, 1, -1 do digits[#digits + 1] = out[i] end
    return sign .. table.concat(digits):gsub("^0+", "")
  end

  function bint.zero() return frominteger(0) end
  function bint.one() return frominteger(1) end
  bint.fromstring = fromtext

  return setmetatable(bint, { __call = function(_, x)
    return tobint(x) or error("'" .. tostring(x) .. "' is no whole number", 2)
  end })
end
