-- A program on a bare interpreter: lua5.3 bare.lua PROGRAM.lua [TIMES]. One line of JSON: the median of CPU time.
local file, times = arg[1], tonumber(arg[2] or 1)
local folder = file:match("^(.*)/") or "."
package.path = folder .. "/?.lua;" .. package.path
local spent = {}
for i = 1, times do
  local run = assert(loadfile(file))
  collectgarbage()
  local start = os.clock()
  run()
  spent[i] = os.clock() - start
end
table.sort(spent)
print(('{"workload":"C_compute","road":"lua5.3","step":"%s","n":%d,"median_us":%.1f}'):format(
  file:match("([^/]+)%.lua$"), times, spent[#spent // 2 + 1] * 1e6))
