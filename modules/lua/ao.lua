-- What a process sends, and how what it gets is shown to it.

local ao = { reference = 0, outbox = nil, env = nil, id = nil }

-- Keys of a message that are its own, and not tags.
local OWN = {}
for _, name in ipairs {
  "Target", "Data", "Anchor", "Tags", "TagArray", "From", "Owner", "Id", "Timestamp", "Block-Height",
  "Epoch", "Nonce", "Hash-Chain", "Cron", "Read-Only", "Signature", "reply", "forward", "receive", "onReply",
} do
  OWN[name] = true
end

local function byname(tags)
  local map = {}
  for _, tag in ipairs(tags or {}) do map[tag.name] = tag.value end
  return map
end

function ao.boot(env)
  ao.id = env.Process.Id
  ao.env = {
    Process = { Id = env.Process.Id, Owner = env.Process.Owner, Tags = byname(env.Process.Tags) },
    Module = { Id = env.Module and env.Module.Id, Tags = byname(env.Module and env.Module.Tags) },
  }
end

function ao.clear()
  ao.outbox = { Messages = {}, Spawns = {}, Assignments = {} }
end

-- Tags by name, and each tag as a field, unless the message has one of that name.
function ao.normalize(msg)
  msg.TagArray = msg.Tags or {}
  msg.Tags = byname(msg.TagArray)
  for _, tag in ipairs(msg.TagArray) do
    if not OWN[tag.name] and msg[tag.name] == nil then msg[tag.name] = tag.value end
  end
  function msg.reply(answer)
    answer.Target = answer.Target or msg["Reply-To"] or msg.From
    answer["X-Reference"] = msg["X-Reference"] or msg.Reference
    return ao.send(answer)
  end
  function msg.forward(target, other)
    local copy = { Target = target, Data = msg.Data, Tags = {} }
    for name, value in pairs(msg.Tags) do copy.Tags[name] = value end
    for key, value in pairs(other or {}) do copy[key] = value end
    copy.Tags["X-Origin"] = msg["X-Origin"] or msg.From
    return ao.send(copy)
  end
  return msg
end

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Tags that every message has, then fields by name, then tags as they were given.
local function tagged(kind, message)
  local reference = tostring(ao.reference)
  local tags = {
    { name = "Data-Protocol", value = "ao" },
    { name = "Variant", value = "ao.TN.1" },
    { name = "Type", value = kind },
    { name = "Reference", value = reference },
  }
  local function add(name, value)
    assert(type(value) ~= "table" and type(value) ~= "function",
      "tag " .. tostring(name) .. " must be a text or a number")
    tags[#tags + 1] = { name = name, value = tostring(value) }
  end
  local fields = {}
  for name, value in pairs(message) do
    if type(name) == "string" and not OWN[name] then fields[name] = value end
  end
  for _, name in ipairs(sorted(fields)) do add(name, fields[name]) end
  local given = message.Tags or {}
  if given[1] then
    for _, tag in ipairs(given) do add(tag.name, tag.value) end
  else
    for _, name in ipairs(sorted(given)) do add(name, given[name]) end
  end
  return tags
end

local function outgoing(kind, message)
  assert(type(message) == "table", "a message is a table")
  ao.reference = ao.reference + 1
  return {
    Target = message.Target,
    Data = message.Data == nil and "" or tostring(message.Data),
    Anchor = string.format("%032d", ao.reference),
    Tags = tagged(kind, message),
  }
end

local function answerable(message)
  local pattern = { ["X-Reference"] = tostring(ao.reference) }
  function message.receive() return Handlers.receive(pattern) end
  function message.onReply(handle) return Handlers.once(pattern, handle) end
  return message
end

function ao.send(message)
  local target = type(message) == "table" and message.Target
  assert(type(target) == "string" and target ~= "", "Send needs a Target: the id of a process or wallet")
  local out = outgoing("Message", message)
  table.insert(ao.outbox.Messages, out)
  -- The functions stay here; what is sent is data.
  return answerable(setmetatable({}, { __index = out }))
end

function ao.spawn(module, message)
  assert(type(module) == "string" and module ~= "", "Spawn needs the id of a module")
  message = message or {}
  local out = outgoing("Process", message)
  table.insert(out.Tags, { name = "Module", value = module })
  table.insert(ao.outbox.Spawns, out)
  return answerable(setmetatable({}, { __index = out }))
end

function ao.assign(assignment)
  assert(type(assignment) == "table" and type(assignment.Message) == "string"
    and type(assignment.Processes) == "table", "Assign needs a Message and a list of Processes")
  table.insert(ao.outbox.Assignments, assignment)
end

return ao
