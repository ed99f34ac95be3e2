-- Each call does twenty random things to a world of everything that Lua can keep.
local seed = 1
local function R(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n + 1
end

local T, objs, cos, fns, strs = {}, {}, {}, {}, {}
local handlers, long = {}, ("a long text that is a constant of its chunk "):rep(2)
local other = "another text that is longer than forty characters, and a constant"

local function counter()
  local n = 0
  return function() n = n + R(3) return n end, function() return n end
end

local ops = {
  function() T["k" .. R(200)] = R(1000) end,
  function() T["k" .. R(200)] = nil end,
  function() local o = { id = R(100) } objs[o] = R(10) T[R(50)] = o end,
  function() local k = next(objs) if k then objs[k] = nil end end,
  function()
    local o = T[R(50)]
    if o then
      o.link = T[R(50)]
      setmetatable(o, { __index = function(t, k) return k end, __eq = function() return true end })
    end
  end,
  function() fns[R(30)], fns[R(30)] = counter() end,
  function() local f = fns[R(30)] if f then return f() end end,
  function()
    cos[R(20)] = coroutine.create(function(a)
      local l = { a }
      for i = 1, R(10) do
        local ok = pcall(function()
          l[#l + 1] = coroutine.yield(i, function() i = i + 1 return #l end)
          if R(6) == 1 then error("e") end
        end)
        for k, v in pairs(l) do l[k] = coroutine.yield(ok, v) end
        for x = 1.5, 3 do local t = { x, coroutine.yield(x), x } l[#l + 1] = #t end
      end
      if R(3) == 1 then error("dead") end
      return #l
    end)
  end,
  function()
    local c = cos[R(20)]
    if c then
      local ok, a, f = coroutine.resume(c, R(9))
      if type(f) == "function" then fns[R(30)] = f end
      return tostring(ok) .. tostring(a) .. coroutine.status(c)
    end
  end,
  function() strs[R(20)] = ("s" .. R(9)):rep(R(60)) end,
  function()
    local s = strs[R(20)]
    if s then strs[R(20)] = s:sub(1, R(100)) .. s end
    if s and #s > 5000 then strs = {} end
  end,
  function() strs[R(20)] = R(2) == 1 and long or other T[other] = long end,
  function()
    local b = {}
    for k, v in pairs(T) do b[#b + 1] = tostring(k) .. tostring(v) end
    return table.concat(b):sub(-60)
  end,
  function()
    local b = {}
    for k, v in pairs(objs) do b[#b + 1] = tostring(k) .. v end
    return table.concat(b):sub(-60)
  end,
  function() T[R(3) + 0.5] = R(9) T[print] = 1 T[R(2) == 1] = 2 end,
  function() fns[R(30)] = load("local a=" .. R(5) .. " return function() a=a+1 return a end")() end,
  function()
    for w in ("a b c"):gmatch("%a") do T[w] = R(3) end
    table.sort(strs, function(a, b) return #a < #b end)
  end,
  function()
    fns[R(30)] = ("x y z"):gmatch("%a")
    fns[R(30)] = ipairs
    fns[R(30)] = coroutine.wrap(function() coroutine.yield(R(5)) end)
  end,
  function() local big = {} for i = 1, R(2000) do big[i] = { i } end T.big = R(2) == 1 and big or nil end,
  function() objs[cos[R(20)] or print] = R(5) objs[fns[R(30)] or true] = R(5) end,
  function()
    handlers[#handlers % 10 + 1] = { match = function(m) return R(2) == 1 end, handle = counter() }
    for i, h in ipairs(handlers) do if h.match(i) then h.handle() end end
  end,
  function() return tostring(math.random(1000)) .. math.random() .. os.time() .. collectgarbage("count") end,
  function() fns[R(30)] = select(2, pcall(setmetatable({}, { __call = function(_, x) return x end }), print)) end,
}

function handle(msg)
  local out = {}
  for _ = 1, 20 do
    local ok, r = pcall(ops[R(#ops)])
    out[#out + 1] = tostring(r)
  end
  return { Output = msg.Data .. " " .. table.concat(out, ",") }
end
