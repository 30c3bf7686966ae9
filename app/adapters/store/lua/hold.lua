--[[
  Hold one target, and forget holds that ended long ago. Harmless when repeated.

  Input:
    KEYS[1]  hash of controls: 'hold:' and a target -> until|json; until is in ms since epoch,
             empty for one that a person ends

    ARGV[1]  field of the target
    ARGV[2]  its hold, until|json
    ARGV[3]  forget what ended before then, ms since epoch

  Output:
    1
]]
local control = KEYS[1]
local field, hold, oldest = ARGV[1], ARGV[2], tonumber(ARGV[3])

redis.call('HSET', control, field, hold)
local all = redis.call('HGETALL', control)
for i = 1, #all, 2 do
  local until_at = string.sub(all[i], 1, 5) == 'hold:' and string.match(all[i + 1], '^(%-?%d+)|')
  if until_at and all[i] ~= field and tonumber(until_at) < oldest then
    redis.call('HDEL', control, all[i])
  end
end
return 1
