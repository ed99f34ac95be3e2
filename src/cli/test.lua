-- What the files of `drivebay test` find around them. They run in a world of their own, beside the process: what they
-- send is asked of the program, which resumes them with the result.
local list, now = {}, 1700000000000
local ask = coroutine.yield

-- A test: it starts with a new process.
function test(name, run)
  list[#list + 1] = { name = name, run = run }
end

-- Sends a message, and gives its result: Output, Messages, Spawns, Assignments, Error, Fuel.
function send(message)
  now = math.max(now + 1, message.Timestamp or 0)
  message.Timestamp = now
  return ask { what = "send", message = message }
end

-- The same, without a mark.
function dryrun(message)
  return ask { what = "dryrun", message = message }
end

-- A sender by its address: from("alice"){ Action = "Balance" }. Other keys than a message's are tags.
local FIELDS = { Id = true, Data = true, Owner = true, From = true, Target = true, Tags = true, Timestamp = true,
  Anchor = true, ["Block-Height"] = true, Epoch = true, Nonce = true, Cron = true }
function from(address)
  return function(message)
    local made, tags = { From = address, Owner = address }, {}
    for key, value in pairs(message) do
      if FIELDS[key] then made[key] = value else tags[key] = tostring(value) end
    end
    for key, value in pairs(message.Tags or {}) do tags[key] = value end
    if next(tags) then made.Tags = tags end
    return send(made)
  end
end

-- Lets time pass, in milliseconds. Every message takes one.
function wait(ms)
  now = now + ms
end

-- Starts a process anew, with tags of its own, and gives the result of its first message.
function spawn(tags, data)
  return ask { what = "spawn", tags = tags or {}, data = data }
end

-- The value of a tag of a message that was sent.
function tag(message, name)
  for _, one in ipairs(message and message.Tags or {}) do
    if one.name == name then return one.value end
  end
  return message and message[name]
end

local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local ok, text = pcall(json.encode, value)
  return ok and text or tostring(value)
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key in pairs(a) do
    if not same(a[key], b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Fails unless they are the same, tables part by part.
function equal(found, expected, what)
  if not same(found, expected) then
    error((what and what .. ": " or "") .. "found " .. show(found) .. ", expected " .. show(expected), 2)
  end
end

local function all()
  for _, name in ipairs(require("tests")) do require(name) end
  for _, one in ipairs(list) do
    if ask { what = "start", name = one.name } then
      now = 1700000000000
      local ok, why = pcall(one.run)
      if not ok and type(why) ~= "string" then why = show(why) end
      ask { what = "tested", ok = ok, why = not ok and why or nil }
    end
  end
  return { what = "end" }
end

local running = coroutine.create(all)
function handle(msg)
  local ok, asked = coroutine.resume(running, json.decode(msg.Data))
  if not ok then error(asked, 0) end
  return { Output = asked }
end
