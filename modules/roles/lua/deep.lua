count = 0

local function deeper(n)
  return 1 + deeper(n + 1)
end

function handle(msg)
  if msg.Data == "deep" then
    return { Output = deeper(1) }
  end
  count = count + 1
  return { Output = count }
end
