local function bits(x)
  return string.format("%016x", string.unpack("<I8", string.pack("<d", x)))
end

function handle()
  local huge, zero = math.huge, 0.0
  local own = string.unpack("<d", string.pack("<I8", 0x7ff0dead00000001))
  local narrow = string.unpack("<f", string.pack("<I4", 0xffc12345))
  local out = {}
  for _, x in ipairs { zero / zero, -(zero / zero), huge - huge, (-1) ^ 0.5, zero / zero + 1, own, own + 1, narrow, narrow * 2 } do
    out[#out + 1] = bits(x) .. " " .. tostring(x) .. " " .. string.format("%g %f %a", x, x, x)
  end
  for _, x in ipairs { 0.1 + 0.2, 1e21, 5e-324, -zero, 2 ^ 53, 1 / 3 } do
    out[#out + 1] = tostring(x) .. " " .. string.format("%.17g", x)
  end
  for _, f in ipairs { "sin", "cos", "tan", "exp", "log", "asin", "atan", "sqrt" } do
    out[#out + 1] = f .. " " .. bits(math[f](0.7))
  end
  out[#out + 1] = bits(1.1 ^ 2.3)
  return { Output = table.concat(out, "\n") }
end
