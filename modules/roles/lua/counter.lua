local count = 0

function handle()
  count = count + 1
  return { Output = count }
end
