--[[
  Hold a lease for longer. Harmless when repeated; never shortens it.

  Input:
    KEYS[1]  hash: claimed target -> fence of its lease
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch

    ARGV[1]  target
    ARGV[2]  fence
    ARGV[3]  new end of the lease, ms since epoch

  Output:
    1  held
    0  the target's fence is another: nothing was written
]]
local leases, running = KEYS[1], KEYS[2]
local target, fence, lease_end = ARGV[1], ARGV[2], ARGV[3]

if redis.call('HGET', leases, target) ~= fence then
  return 0
end
redis.call('ZADD', running, 'GT', lease_end, target)
return 1
