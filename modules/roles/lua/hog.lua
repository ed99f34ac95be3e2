count = 0

function handle(msg)
  if msg.Data == "hog" then
    kept = {}
    while true do
      kept = { kept, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22 }
    end
  end
  count = count + 1
  return { Output = count }
end
