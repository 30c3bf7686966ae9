--[[
  Around every other script: it works on the store that its caller knows, or not at all.

  After what the script itself takes:
    KEYS[#KEYS-2]  hash: 'epoch' -> name of the store's history
    KEYS[#KEYS-1]  counter: grows with every write
    KEYS[#KEYS]    hash of the leader's seat: 'life' -> which process has it

    ARGV[#ARGV-3]  epoch that the caller trusts; empty: any
    ARGV[#ARGV-2]  highest counter that the caller has heard
    ARGV[#ARGV-1]  life in whose name it acts; empty: it does what anybody may
    ARGV[#ARGV]    1: the script writes, 0: it only reads

  Output:
    { counter, what the script answers }
    An error beginning with LOST: the history is another, or older than the caller knows; or
    with NOTLEADING: another life has the seat. Nothing was written.

  The counter is the mark that every acknowledged write leaves: who has heard of it knows an
  older copy of the store when he sees one. A script that has found nothing to write says so by
  `writes = false`.
]]
local writes, life = table.remove(ARGV) == '1', table.remove(ARGV)
local known, epoch = table.remove(ARGV), table.remove(ARGV)
local seat, counter, meta = table.remove(KEYS), table.remove(KEYS), table.remove(KEYS)

if epoch ~= '' then
  local found = redis.call('HGET', meta, 'epoch')
  if not found then
    return redis.error_reply('LOST it was emptied')
  elseif found ~= epoch then
    return redis.error_reply('LOST it has another history')
  elseif tonumber(redis.call('GET', counter) or 0) < tonumber(known) then
    return redis.error_reply('LOST it is older than it was')
  end
end
if life ~= '' and redis.call('HGET', seat, 'life') ~= life then
  return redis.error_reply('NOTLEADING another controller has the seat')
end

local function body()
-- script
end

local answer = body()
if writes then
  return { redis.call('INCR', counter), answer }
end
return { tonumber(redis.call('GET', counter) or 0), answer }
