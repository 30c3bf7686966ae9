--[[
  Tell since when the longest due target has been waiting for a claim.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch

    ARGV[1]  now, ms since epoch

  Output:
    ms since epoch; -1 when none is due
]]
local due, running = KEYS[1], KEYS[2]
local now = ARGV[1]

local since = redis.call('ZRANGEBYSCORE', running, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)[2]
local most = 1 + redis.call('ZCARD', running)
local found = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #found, 2 do
  if not redis.call('ZSCORE', running, found[i]) then
    if not since or tonumber(found[i + 1]) < tonumber(since) then
      since = found[i + 1]
    end
    break
  end
end

return since and tonumber(since) or -1
