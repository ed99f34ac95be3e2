-- A token: balances in whole units, kept as decimal texts, moved by `Transfer`, made by `Mint`.
-- For aos; load it with `.load-blueprint token`. Set Ticker, Denomination and Logo before or after; the name
-- is the process's.
local bint = require('.bint')(256)

Balances = Balances or { [ao.id] = "0" }
TotalSupply = TotalSupply or "0"
Name = Name or "Token"
Ticker = Ticker or "TOKEN"
Denomination = Denomination or 12
Logo = Logo or ""

local function add(a, b) return tostring(bint(a) + bint(b)) end
local function subtract(a, b) return tostring(bint(a) - bint(b)) end
local function balance(of) return Balances[of] or "0" end

-- A quantity is a text of decimal digits, greater than 0; anything else is the sender's mistake.
local function quantity(msg)
  local text = tostring(msg.Tags.Quantity or "")
  if not text:match("^%d+$") or #text > 60 or bint(text) <= bint.zero() then
    return nil, "Quantity must be a whole number greater than 0 of at most 60 digits, but is " .. text
  end
  return text
end

local function answer(msg, fields)
  if msg.reply then return msg.reply(fields) end
  fields.Target = msg.From
  ao.send(fields)
end

local function refuse(msg, why)
  answer(msg, { Action = msg.Tags.Action .. "-Error", ["Message-Id"] = msg.Id, Error = why, Data = why })
end

local function handle(action, run)
  Handlers.add("token." .. action, Handlers.utils.hasMatchingTag("Action", action), run)
end

handle("Info", function(msg)
  local about = { Name = Name, Ticker = Ticker, Logo = Logo, Denomination = tostring(Denomination) }
  about.TotalSupply = TotalSupply
  answer(msg, about)
end)

handle("Balance", function(msg)
  local account = msg.Tags.Recipient or msg.Tags.Target or msg.From
  local amount = balance(account)
  answer(msg, { Balance = amount, Ticker = Ticker, Account = account, Data = amount })
end)

handle("Balances", function(msg)
  answer(msg, { Ticker = Ticker, Data = require('json').encode(Balances) })
end)

handle("Total-Supply", function(msg)
  answer(msg, { Action = "Total-Supply", Ticker = Ticker, Data = TotalSupply })
end)

handle("Mint", function(msg)
  if msg.From ~= ao.id and msg.From ~= Owner then
    return refuse(msg, "only the owner and the process itself make new tokens")
  end
  local amount, why = quantity(msg)
  if not amount then return refuse(msg, why) end
  local account = msg.Tags.Recipient or msg.From
  Balances[account] = add(balance(account), amount)
  TotalSupply = add(TotalSupply, amount)
  answer(msg, { Action = "Mint-Notice", Recipient = account, Quantity = amount, Data = "made " .. amount })
end)

handle("Transfer", function(msg)
  local to = msg.Tags.Recipient
  if type(to) ~= "string" or to == "" then return refuse(msg, "Recipient is missing") end
  local amount, why = quantity(msg)
  if not amount then return refuse(msg, why) end
  if bint(balance(msg.From)) < bint(amount) then
    return refuse(msg, "Insufficient Balance: " .. msg.From .. " has " .. balance(msg.From))
  end
  Balances[msg.From] = subtract(balance(msg.From), amount)
  Balances[to] = add(balance(to), amount)
  if msg.Tags.Cast then return end
  local debit = { Action = "Debit-Notice", Recipient = to, Quantity = amount }
  local credit = { Target = to, Action = "Credit-Notice", Sender = msg.From, Quantity = amount }
  -- What a sender marks with X- is handed on to both sides, but for what aos itself marks.
  local own = { ["X-Reference"] = true, ["X-Origin"] = true }
  for name, value in pairs(msg.Tags) do
    if type(name) == "string" and name:sub(1, 2) == "X-" and not own[name] then
      debit[name], credit[name] = value, value
    end
  end
  debit.Data = "sent " .. amount .. " to " .. to
  credit.Data = "received " .. amount .. " from " .. msg.From
  answer(msg, debit)
  ao.send(credit)
end)

return "token: " .. Ticker
