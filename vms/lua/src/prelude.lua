-- What every module has of ours that is not C: require, over the files of its bundle.
local package = ...
local loaded = {}
package.loaded = loaded
_G.package = package

local function file(name)
  local path = name:gsub("^%.", ""):gsub("%.", "/")
  return package.preload[name] or package.preload[path .. ".lua"] or package.preload[path]
end

function require(name)
  local found = loaded[name]
  if found ~= nil then return found end
  local chunk = file(name)
  if not chunk then
    error("module '" .. tostring(name) .. "' not found: the bundle has no file of that name", 2)
  end
  loaded[name] = true
  local value = chunk(name)
  if value ~= nil then loaded[name] = value end
  return loaded[name]
end

-- Native ones, under the names that aos has them by.
loaded.json, loaded[".json"] = json, json
loaded.base64, loaded[".base64"] = base64, base64
