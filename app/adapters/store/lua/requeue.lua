--[[
  Give claims back although nothing was noted. Harmless when repeated.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]  hash: claimed target -> fence of its lease
    KEYS[4]  hash: target -> how often in a row its lease ran out

    ARGV[1]  when to look again, ms since epoch
    ARGV[2]  1: whoever looks next begins to count anew; 0: what was lost stays counted
    then of each claim, 1000 at most: target, fence

  Output:
    number of those given back; nothing is written for one whose target has another fence
]]
local due, running, leases, lost = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local due_at, forgets = ARGV[1], ARGV[2] == '1'

local targets = {}
for i = 3, #ARGV, 2 do
  targets[#targets + 1] = ARGV[i]
end
local dues, ours = {}, {}
for k, fence in ipairs(redis.call('HMGET', leases, unpack(targets))) do
  if fence == ARGV[2 * k + 2] then
    dues[#dues + 1] = due_at
    dues[#dues + 1] = targets[k]
    ours[#ours + 1] = targets[k]
  end
end
if #ours > 0 then
  redis.call('ZADD', due, 'LT', unpack(dues))
  redis.call('ZREM', running, unpack(ours))
  redis.call('HDEL', leases, unpack(ours))
  if forgets then
    redis.call('HDEL', lost, unpack(ours))
  end
end
return #ours
