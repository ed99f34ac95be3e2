-- A table with keys of every kind. It is walked as it lies.
local objects = { n = 0 }
local count = 0

function handle()
  count = count + 1
  local keys = { "text" .. count, {}, function() end, coroutine.create(print), count * 1.5, -count }
  for _, key in ipairs(keys) do
    objects[key] = count
  end
  objects["text" .. count // 2] = nil
  local out = {}
  for key, value in pairs(objects) do
    out[#out + 1] = tostring(key) .. "=" .. tostring(value)
  end
  return { Output = table.concat(out, " ") }
end
