count = 0

function handle(msg)
  count = count + 1
  if #msg.Data ~= 43 then
    return { Output = count }
  end
  local data, total = drivebay.data(msg.Data)
  return { Output = count .. " " .. tostring(data ~= nil) .. " " .. (data or "") .. " " .. tostring(total) }
end
