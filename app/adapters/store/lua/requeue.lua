--[[
  Give a claim back although nothing was noted. Harmless when repeated.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]  hash: claimed target -> fence of its lease
    KEYS[4]  hash: target -> how often in a row its lease ran out

    ARGV[1]  target
    ARGV[2]  fence
    ARGV[3]  when to look again, ms since epoch
    ARGV[4]  1: whoever looks next begins to count anew; 0: what was lost stays counted

  Output:
    1  given back
    0  the target's fence is another: nothing was written
]]
local due, running, leases, lost = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local target, fence, due_at, forgets = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'

if redis.call('HGET', leases, target) ~= fence then
  return 0
end
redis.call('ZADD', due, 'LT', due_at, target)
redis.call('ZREM', running, target)
redis.call('HDEL', leases, target)
if forgets then
  redis.call('HDEL', lost, target)
end
return 1
