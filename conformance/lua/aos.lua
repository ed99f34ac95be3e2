-- The program of a bundle of aos's own sources: what their WebAssembly host has around them, in Lua.
-- `aos.mjs` puts it there. The sources are files called `[string "NAME"]`, as errors of the original name them.
local loaded, preload = package.loaded, package.preload
for _, name in ipairs { "string", "table", "math", "coroutine", "utf8", "os", "debug", "bit32" } do
  loaded[name] = _G[name]
end
loaded._G = _G
-- With LUA_ONLY, JSON and base64 are those of the sources.
if preload.LUA_ONLY then
  for _, name in ipairs { "json", ".json", "base64", ".base64" } do loaded[name] = nil end
end

math.random = function() return 0.5 end

function require(name)
  local found = loaded[name]
  if found == nil and not preload.LUA_ONLY then found = package.native(name) end
  if found ~= nil then return found end
  local chunk = preload['[string "' .. name .. '"]'] or preload['[string "' .. name .. '.init"]']
  if not chunk then error("module '" .. name .. "' not found") end
  local value = chunk(name)
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name]
end

-- The original's host writes the answer with json.lua, which leaves functions out of objects: an equal table without
-- them, or the same if there are none. What holds itself stays for the reader to refuse.
local function told(value, open)
  if type(value) ~= "table" or open[value] then return value end
  open[value] = true
  local list, copy = rawget(value, 1) ~= nil
  for key, part in pairs(value) do
    local new = part
    if type(part) == "table" then new = told(part, open) end
    if type(part) == "function" and not list then new = nil end
    if new ~= part then
      if not copy then
        copy = {}
        for k, v in pairs(value) do copy[k] = v end
      end
      copy[key] = new
    end
  end
  open[value] = nil
  return copy or value
end

function handle(msg, env)
  local process = require(".process")
  local ok, response = pcall(function() return (process.handle(msg, env)) end)
  if not ok then error(response, 0) end
  return told(response, {})
end
