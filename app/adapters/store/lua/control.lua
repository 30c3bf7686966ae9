--[[
  Set or delete controls, and forget holds that ended long ago. Harmless when repeated.

  Input:
    KEYS[1]  hash of controls: 'pause', 'brake' -> JSON; 'cleared' -> ms since epoch; 'hold:' and
             a target -> until|json; until is in ms since epoch, empty for one that a person ends;
             'told' -> the last call that wrote to the audit
    KEYS[2]  stream: the audit; see tell.lua
    KEYS[3]  hash: what came before its oldest line

    ARGV[1]  forget holds that ended before then, ms since epoch; empty: forget none
    ARGV[2]  name of this call; empty: the audit is told nothing
    ARGV[3]  now, ms since epoch
    ARGV[4]  most lines of the audit
    ARGV[5]  the audit's line, JSON
    then for each control: field, value; an empty value deletes it

  Output:
    1
]]
-- include tell
local control, oldest = KEYS[1], tonumber(ARGV[1])
local call, now, most, line = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if call ~= '' and redis.call('HGET', control, 'told') ~= call then
  redis.call('HSET', control, 'told', call)
  -- A broken audit keeps nobody from stopping everything.
  pcall(tell.line, KEYS[2], KEYS[3], most, now, line)
end

local is_set = {}
for i = 6, #ARGV, 2 do
  is_set[ARGV[i]] = true
  if ARGV[i + 1] == '' then
    redis.call('HDEL', control, ARGV[i])
  else
    redis.call('HSET', control, ARGV[i], ARGV[i + 1])
  end
end
if not oldest then
  return 1
end
local all = redis.call('HGETALL', control)
for i = 1, #all, 2 do
  local until_at = string.sub(all[i], 1, 5) == 'hold:' and string.match(all[i + 1], '^(%-?%d+)|')
  if until_at and not is_set[all[i]] and tonumber(until_at) < oldest then
    redis.call('HDEL', control, all[i])
  end
end
return 1
