-- What every module has of ours that is not C: require, over the files of its bundle.
local package = ...
local loaded = {}
package.loaded = loaded
_G.package = package

local function file(name)
  local path = name:gsub("^%.", ""):gsub("%.", "/")
  return package.preload[name] or package.preload[path .. ".lua"] or package.preload[path]
    or package.preload[path .. "/init.lua"]
end

-- What is native under a name that aos has in Lua, or nothing.
function package.native(name)
  if not name:find("^%.?crypto") then return nil end
  local digests = loaded["drivebay.crypto"]
  if not digests then
    digests = package.preload["drivebay/crypto.lua"]()
    loaded["drivebay.crypto"] = digests
  end
  return digests[name]
end

function require(name)
  local found = loaded[name]
  if found == nil then found = package.native(name) end
  if found ~= nil then return found end
  local chunk = file(name)
  if not chunk then
    found = (name == ".crypto.init" or name == "crypto") and package.native(".crypto")
    if found then return found end
    error("module '" .. tostring(name) .. "' not found: the bundle has no file of that name", 2)
  end
  loaded[name] = true
  local value = chunk(name)
  if value ~= nil then loaded[name] = value end
  return loaded[name]
end

-- An alphabet of base64 as aos has it: codes to bytes to write, bytes to codes to read; 64 is what fills up.
function base64.makeencoder(s62, s63, spad)
  local letters, encoder = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", {}
  for i = 0, 61 do encoder[i] = letters:byte(i + 1) end
  encoder[62], encoder[63] = (s62 or "+"):byte(), (s63 or "/"):byte()
  encoder[64] = (spad or "="):byte()
  return encoder
end

function base64.makedecoder(s62, s63, spad)
  local decoder = {}
  for code, byte in pairs(base64.makeencoder(s62, s63, spad)) do decoder[byte] = code end
  return decoder
end

local encode, decode = base64.encode, base64.decode

function base64.encode(text, encoder)
  local plain = encode(text)
  if not encoder then return plain end
  local swap = { ["+"] = string.char(encoder[62]), ["/"] = string.char(encoder[63]), ["="] = string.char(encoder[64]) }
  return (plain:gsub("[+/=]", swap))
end

function base64.decode(text, decoder)
  if not decoder then return decode(text) end
  local swap = { ["+"] = "", ["/"] = "" }
  for byte, code in pairs(decoder) do
    if code == 62 then swap[string.char(byte)] = "+" elseif code == 63 then swap[string.char(byte)] = "/" end
  end
  return decode((text:gsub("[^%w=]", swap)))
end

-- Native ones, under the names that aos has them by.
json._version = "0.2.0"
loaded.json, loaded[".json"] = json, json
loaded.base64, loaded[".base64"] = base64, base64
