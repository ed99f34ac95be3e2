-- What a file of the official Lua tests finds around it: the portable mode, and the libraries by require.
_port, _soft, _nomsg, _U = true, true, true, false
for _, name in ipairs { "package", "json", "base64", "drivebay", "debug", "string", "table", "math", "coroutine", "utf8", "os", "bit32" } do
  package.loaded[name] = _G[name]
end

function handle()
  require("test")
  return "ok"
end
