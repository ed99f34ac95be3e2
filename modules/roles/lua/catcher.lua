-- Every handler that Lua has, around what must not be caught.
count = 0
local ASK = "AskNobody0000000000000000000000000000000001"

local function spin()
  while true do end
end

local function ask()
  drivebay.data(ASK)
end

local function guarded(work)
  local caught = function() return "caught" end
  local inside = coroutine.wrap(function()
    pcall(coroutine.yield, 1)
    return xpcall(work, caught)
  end)
  pcall(inside)
  local ok = pcall(pcall, inside)
  local other = coroutine.create(work)
  coroutine.resume(other)
  local meta = setmetatable({}, { __index = work, __gc = work, __tostring = work })
  pcall(function() return meta.field end)
  pcall(tostring, meta)
  pcall(table.sort, { 2, 1 }, work)
  pcall(string.gsub, "x", "x", work)
  pcall(load, work)
  return ok
end

function handle(msg)
  if msg.Data == "spin" or msg.Data == ASK then
    local work = msg.Data == "spin" and spin or ask
    while true do
      pcall(guarded, work)
      if xpcall(work, function() return "caught" end) == false then
        return { Output = "caught" }
      end
    end
  end
  count = count + 1
  return { Output = count }
end
