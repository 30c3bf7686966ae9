--[[
  Hold leases for longer. Harmless when repeated; never shortens one.

  Input:
    KEYS[1]  hash: claimed target -> fence of its lease
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch

    ARGV[1]  new end of the leases, ms since epoch
    then of each claim, 1000 at most: target, fence

  Output:
    { place, … }: of each claim, counted from 0, whose target has another fence: nothing was
    written for it
]]
local leases, running = KEYS[1], KEYS[2]
local lease_end = ARGV[1]

local targets = {}
for i = 2, #ARGV, 2 do
  targets[#targets + 1] = ARGV[i]
end
local ends, others = {}, {}
for k, fence in ipairs(redis.call('HMGET', leases, unpack(targets))) do
  if fence ~= ARGV[2 * k + 1] then
    others[#others + 1] = k - 1
  else
    ends[#ends + 1] = lease_end
    ends[#ends + 1] = targets[k]
  end
end
if #ends > 0 then
  redis.call('ZADD', running, 'GT', unpack(ends))
end
return others
