-- A value as text that a person can read: names in order, loops shown as such.

local function key(name)
  if type(name) == "string" and name:match("^[%a_][%w_]*$") then return name end
  if type(name) == "string" then return "[" .. string.format("%q", name) .. "]" end
  return "[" .. tostring(name) .. "]"
end

local function order(a, b)
  if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
  return type(a) < type(b)
end

local function show(value, indent, seen)
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) ~= "table" then return tostring(value) end
  if seen[value] then return "<loop>" end
  seen[value] = true
  local inner, parts, names = indent .. "  ", {}, {}
  local length = #value
  for i = 1, length do parts[i] = show(value[i], inner, seen) end
  for name in pairs(value) do
    if not (math.type(name) == "integer" and name >= 1 and name <= length) then names[#names + 1] = name end
  end
  table.sort(names, order)
  for _, name in ipairs(names) do
    parts[#parts + 1] = key(name) .. " = " .. show(value[name], inner, seen)
  end
  seen[value] = nil
  if #parts == 0 then return "{}" end
  if #names == 0 then return "{ " .. table.concat(parts, ", ") .. " }" end
  return "{\n" .. inner .. table.concat(parts, ",\n" .. inner) .. "\n" .. indent .. "}"
end

return function(value) return show(value, "", {}) end
