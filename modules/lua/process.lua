-- The stock process: handlers, an inbox, sending and waiting, and code evaluated on the fly.
--
-- A message goes to the handlers in order. One that nobody takes stays in the Inbox. Everything here is
-- plain state: handlers added by Eval, and coroutines that wait in Receive, are in the process's image.

local ao = require("ao")
local Handlers = require("handlers")
local stringify = require("stringify")

_G.ao, _G.Handlers = ao, Handlers
Inbox = Inbox or {}
local INBOX_MAX = 10000

local lines  -- what this message printed

function print(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    parts[i] = type(parts[i]) == "table" and stringify(parts[i]) or tostring(parts[i])
  end
  lines[#lines + 1] = table.concat(parts, "\t")
end

-- Sends, and gives back the message with ways to wait for its answer.
function Send(message)
  return ao.send(message)
end

function Spawn(module, message)
  return ao.spawn(module, message)
end

function Assign(assignment)
  return ao.assign(assignment)
end

-- Waits until a message fits; the process goes on with others meanwhile.
function Receive(pattern)
  return Handlers.receive(pattern)
end

local function prompt()
  return (Name or "process") .. "[Inbox:" .. #Inbox .. "]> "
end

-- Code from the owner, as an expression if it is one.
local function eval(msg)
  local code = msg.Data or ""
  local chunk = load("return " .. code, "=eval") or assert(load(code, "=eval"))
  local results = table.pack(chunk())
  local out = {}
  for i = 1, results.n do
    local value = results[i]
    out[i] = type(value) == "table" and stringify(value) or tostring(value)
  end
  if results.n > 0 then lines[#lines + 1] = table.concat(out, "\t") end
end

Handlers.add("_eval", function(msg)
  return msg.Action == "Eval" and msg.From == Owner
end, eval)

local function begin(msg, env)
  if not ao.id then
    ao.boot(env)
    Owner = Owner or env.Process.Owner
    Name = Name or ao.env.Process.Tags.Name
  end
  ao.clear()
  lines = {}
  return ao.normalize(msg)
end

function handle(msg, env)
  msg = begin(msg, env)
  Handlers.resume(coroutine.create(function()
    if not Handlers.evaluate(msg, ao.env) then
      if msg.Tags.Type == "Process" and msg.Id == ao.id then return end
      if #Inbox >= INBOX_MAX then table.remove(Inbox, 1) end
      Inbox[#Inbox + 1] = msg
    end
  end))
  local out = ao.outbox
  return {
    Output = { data = table.concat(lines, "\n"), prompt = prompt() },
    Messages = out.Messages,
    Spawns = out.Spawns,
    Assignments = out.Assignments,
  }
end
