count = 0

function handle(msg)
  count = count + 1
  print("found " .. count - 1)
  if msg.Data == "fault" then
    error("after " .. count - 1)
  end
  return { Output = count }
end
