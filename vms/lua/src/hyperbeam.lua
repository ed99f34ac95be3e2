-- HyperBEAM's convention over ours. A process is a message, `base`; the module's global function
-- compute(base, req, opts) makes the next one of it, with what it says under `results`. Keys are in small letters, as
-- they are there.
local base

-- What its device gives a module.
ao = { event = function() end }

function ao.set(message, key, value)
  local made = {}
  for k, v in pairs(message) do made[k] = v end
  if type(key) == "table" then
    for k, v in pairs(key) do made[k] = v end
  else
    made[key] = value
  end
  return made
end

function ao.resolve(message, ...)
  for _, step in ipairs { ... } do
    local path = type(step) == "table" and step.path or step
    for key in tostring(path):gmatch("[^/]+") do
      if type(message) ~= "table" then return "error", "not_found" end
      message = message[key]
    end
  end
  if message == nil then return "error", "not_found" end
  return "ok", message
end

-- A message of ao as one of HyperBEAM's: tags are keys, and who signed it is a commitment.
local function flat(message)
  local made = {}
  for _, tag in ipairs(message.Tags or {}) do made[tag.name:lower()] = tag.value end
  made.data, made.target, made.anchor = message.Data, message.Target, message.Anchor
  if message.From ~= message.Owner then made["from-process"] = message.From end
  made.commitments = {
    [message.Id or "unsigned"] = {
      alg = "rsa-pss-sha512", ["commitment-device"] = "ans104@1.0", committer = message.Owner,
    },
  }
  return made
end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local m, n = tonumber(a), tonumber(b)
    if m and n then return m < n end
    if m or n then return m ~= nil end
    return tostring(a) < tostring(b)
  end)
  return keys
end

-- An entry of the outbox as a message of ao: its other keys are tags, in the order of their names.
local function sent(entry)
  local tags = {}
  for _, key in ipairs(sorted(entry)) do
    local name, value = tostring(key), entry[key]
    local plain = type(value) == "string" or type(value) == "number" or type(value) == "boolean"
    local own = name == "target" or name == "data" or name == "anchor" or name == "tags"
    if plain and not own then tags[#tags + 1] = { name = name, value = tostring(value) } end
  end
  for name, value in pairs(type(entry.tags) == "table" and entry.tags or {}) do
    if type(value) == "table" then tags[#tags + 1] = value else tags[#tags + 1] = { name = name, value = value } end
  end
  return { Target = entry.target, Data = entry.data, Anchor = entry.anchor, Tags = tags }
end

local function answer(results)
  local messages = {}
  if type(results) ~= "table" then return { Output = results, Messages = messages } end
  if type(results.outbox) == "table" then
    for _, key in ipairs(sorted(results.outbox)) do messages[#messages + 1] = sent(results.outbox[key]) end
  end
  return { Output = results.output, Messages = messages, Error = results.error }
end

local program = package.preload["main.lua"] or package.preload["process.lua"]
program()

_G["drivebay.compute"] = function(msg, env)
  if not base then
    base = { device = "process@1.0", ["execution-device"] = "lua@5.3a", process = flat(env.Process) }
    base.process.id = env.Process.Id
  end
  local req = {
    path = "compute", method = "POST", body = flat(msg), slot = msg.Nonce, epoch = msg.Epoch, process = env.Process.Id,
    timestamp = msg.Timestamp, ["block-height"] = msg["Block-Height"], ["block-timestamp"] = msg.Timestamp,
    ["hash-chain"] = msg["Hash-Chain"],
  }
  if type(compute) ~= "function" then
    error("the module has no global function 'compute'; it must define one", 0)
  end
  local status, after = compute(base, req, {})
  if after == nil then status, after = "ok", status end
  if status ~= "ok" then error(type(after) == "table" and after.body or tostring(after), 0) end
  if type(after) ~= "table" then error("compute returned no message", 0) end
  base = after
  return answer(base.results)
end
