count = 0

function handle(msg)
  if msg.Data == "spin" then
    while true do end
  end
  count = count + 1
  return { Output = count }
end
