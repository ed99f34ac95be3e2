-- The digests that aos has in Lua, under its names and with its results, natively. `require` finds them.
local hash = drivebay.hash

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function bytes(text)
  local all = {}
  for i = 1, #text do all[i] = text:byte(i) end
  return all
end

-- What a digest answers with. Not every one of aos's has its bytes.
local function shown(text, asBytes)
  return {
    asString = function() return text end,
    asHex = function() return hex(text) end,
    asBytes = asBytes and function() return asBytes(text) end,
  }
end

-- One that is fed with streams: functions that give the next byte.
local function fed(name)
  return function()
    local parts, text, public = {}, nil, {}
    public.init = function()
      parts, text = {}, nil
      return public
    end
    public.update = function(stream)
      local piece = {}
      for byte in stream do
        piece[#piece + 1] = string.char(byte)
        if #piece == 1000 then
          parts[#parts + 1] = table.concat(piece)
          piece = {}
        end
      end
      parts[#parts + 1] = table.concat(piece)
      return public
    end
    public.finish = function()
      text = hash(name, table.concat(parts))
      return public
    end
    public.asString = function() return text end
    public.asHex = function() return hex(text) end
    public.asBytes = function() return bytes(text) end
    return public
  end
end

local function whole(name, asBytes)
  return function(text) return shown(hash(name, text), asBytes) end
end

local function words(text) return { (">i8i8i8i8i8i8i8i8"):unpack(text) } end

local function letters(text)
  local all = {}
  for i = 1, #text do all[i] = text:sub(i, i) end
  return all
end

local SHA1, SHA2_256, MD5 = fed("sha1"), fed("sha2-256"), fed("md5")
local sha1 = { SHA1 = SHA1, sha1 = function(stream) return SHA1().update(stream).finish() end }
local sha2_256 = {
  SHA2_256 = SHA2_256,
  sha2_256 = function(stream) return SHA2_256().update(stream).finish() end,
}
local sha3 = {
  sha3_256 = whole("sha3-256"), sha3_512 = whole("sha3-512"),
  keccak256 = whole("keccak-256"), keccak512 = whole("keccak-512"),
}
local sha2_512 = whole("sha2-512", words)
local function blake2b(text, length, key)
  return shown(hash("blake2b", text, length, key), letters)
end

return {
  [".crypto.digest.md5"] = MD5,
  [".crypto.digest.sha1"] = sha1,
  [".crypto.digest.sha2_256"] = sha2_256,
  [".crypto.digest.sha2_512"] = sha2_512,
  [".crypto.digest.sha3"] = sha3,
  [".crypto.digest.blake2b"] = blake2b,
  -- Where the module brings no .crypto.init of its own.
  [".crypto"] = {
    digest = {
      md5 = MD5, sha1 = sha1.sha1, sha2_256 = sha2_256.sha2_256, sha2_512 = sha2_512, blake2b = blake2b,
      sha3_256 = sha3.sha3_256, sha3_512 = sha3.sha3_512, keccak256 = sha3.keccak256, keccak512 = sha3.keccak512,
    },
    utils = {
      hex = { stringToHex = hex },
      stream = {
        fromString = function(text)
          local i = 0
          return function()
            i = i + 1
            return text:byte(i)
          end
        end,
      },
    },
  },
}
