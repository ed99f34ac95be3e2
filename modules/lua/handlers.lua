-- An ordered list of handlers: each has a pattern that a message fits or not, and a function for it.
--
-- A pattern is a function (true or "break": handle and stop; "continue": handle and go on; else: not mine),
-- a text (the message's Action), or a table of fields: a value must be equal, "_" be there, a text that is
-- a Lua pattern match, a function agree, a list have one that does.

local Handlers = { list = {} }

local function fits(msg, pattern)
  local kind = type(pattern)
  if kind == "function" then return pattern(msg) end
  if kind == "string" then return msg.Action == pattern end
  if kind ~= "table" then return false end
  for name, want in pairs(pattern) do
    local have = msg[name]
    if have == nil then have = msg.Tags and msg.Tags[name] end
    local function agrees(want)
      if want == "_" then return have ~= nil end
      if type(want) == "function" then return want(have, msg) end
      if type(want) == "table" then
        for _, one in ipairs(want) do if agrees(one) then return true end end
        return false
      end
      if have == want then return true end
      return type(have) == "string" and type(want) == "string" and have:match("^" .. want .. "$") ~= nil
    end
    if have == nil or not agrees(want) then return false end
  end
  return true
end

local function position(name)
  for i, handler in ipairs(Handlers.list) do
    if handler.name == name then return i end
  end
end

local function made(name, pattern, handle, times)
  if handle == nil then name, pattern, handle = type(name) == "string" and name or nil, name, pattern end
  assert(type(handle) == "function", "a handler needs a function")
  assert(pattern ~= nil, "a handler needs a pattern")
  return { name = name, pattern = pattern, handle = handle, times = times }
end

local function insert(handler, at)
  local known = handler.name and position(handler.name)
  if known then Handlers.list[known] = handler
  else table.insert(Handlers.list, at or #Handlers.list + 1, handler) end
  return handler
end

function Handlers.add(name, pattern, handle) insert(made(name, pattern, handle)) end
Handlers.append = Handlers.add

function Handlers.prepend(name, pattern, handle) insert(made(name, pattern, handle), 1) end

-- Handles one message and is gone; before all others.
function Handlers.once(name, pattern, handle)
  insert(made(name, pattern, handle, 1), 1)
end

function Handlers.before(other)
  return { add = function(name, pattern, handle)
    insert(made(name, pattern, handle), position(other))
  end }
end

function Handlers.after(other)
  return { add = function(name, pattern, handle)
    local at = position(other)
    insert(made(name, pattern, handle), at and at + 1)
  end }
end

function Handlers.remove(name)
  local at = position(name)
  if at then table.remove(Handlers.list, at) end
end

-- True if a handler took the message and stopped.
function Handlers.evaluate(msg, env)
  local taken = false
  for _, handler in ipairs(table.move(Handlers.list, 1, #Handlers.list, 1, {})) do
    local fit = fits(msg, handler.pattern)
    if fit == true or fit == "break" or fit == 1 or fit == -1 or fit == "continue" then
      if handler.times then
        handler.times = handler.times - 1
        if handler.times <= 0 then
          for i, other in ipairs(Handlers.list) do
            if other == handler then table.remove(Handlers.list, i) break end
          end
        end
      end
      handler.handle(msg, env)
      taken = true
      if fit ~= "continue" and fit ~= 1 then return true end
    end
  end
  return taken
end

-- Runs a coroutine on; an error in it is the message's.
function Handlers.resume(co, ...)
  local ok, why = coroutine.resume(co, ...)
  if not ok then error(why, 0) end
end

-- The coroutine of this message waits here; the first message that fits wakes it.
function Handlers.receive(pattern)
  local co = coroutine.running()
  Handlers.once({}, pattern, function(msg) Handlers.resume(co, msg) end)
  return coroutine.yield()
end

Handlers.utils = {
  hasMatchingTag = function(name, value)
    return function(msg) return msg.Tags[name] == value end
  end,
  hasMatchingTagOf = function(name, values)
    return function(msg)
      for _, value in ipairs(values) do if msg.Tags[name] == value then return true end end
      return false
    end
  end,
  hasMatchingData = function(value)
    return function(msg) return msg.Data == value end
  end,
  continue = function(pattern)
    return function(msg)
      local fit = fits(msg, pattern)
      if fit == true or fit == "break" then return "continue" end
      return fit
    end
  end,
  reply = function(answer)
    return function(msg)
      if type(answer) == "table" then
        local copy = {}
        for key, value in pairs(answer) do copy[key] = value end
        return msg.reply(copy)
      end
      return msg.reply({ Data = tostring(answer) })
    end
  end,
}
Handlers.utils.matches = fits

return Handlers
