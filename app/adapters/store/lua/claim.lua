--[[
  Lease due targets, the longest due first. A repeated call gives out the same again.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]  hash: claimed target -> fence of its lease
    KEYS[4]  counter: the last fence given out
    KEYS[5]  hash of this worker: '?' -> its last call; target -> fence it was given then

    ARGV[1]  now, ms since epoch
    ARGV[2]  end of the new leases, ms since epoch
    ARGV[3]  most targets to lease
    ARGV[4]  name of this call: the same one again means that no answer has arrived
    ARGV[5]  how long to remember the call, ms

  Output:
    { next, target, fence, target, fence, … }
    next: the earliest time after now at which a step falls due or an older lease ends,
          ms since epoch; -1 for none

  A lease is free at exactly its end.
]]
local due, running, leases, counter, handed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now, lease_end = ARGV[1], ARGV[2]
local limit = tonumber(ARGV[3])
local call, remember_ms = ARGV[4], ARGV[5]

local answer = { -1 }
local claims = 0
local given = {}

local function give(target, fence)
  claims = claims + 1
  answer[2 * claims] = target
  answer[2 * claims + 1] = fence
  given[2 * claims - 1] = target
  given[2 * claims] = fence
  redis.call('ZADD', running, lease_end, target)
end

-- Before anything is leased here: the leases given out below are not what to wait for.
local next_at
for _, key in ipairs({ due, running }) do
  local first = redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if first[2] and (not next_at or tonumber(first[2]) < next_at) then
    next_at = tonumber(first[2])
  end
end
answer[1] = next_at or -1

if redis.call('HGET', handed, '?') == call then
  local before = redis.call('HGETALL', handed)
  for i = 1, #before, 2 do
    if before[i] ~= '?' and redis.call('HGET', leases, before[i]) == before[i + 1] then
      give(before[i], tonumber(before[i + 1]))
    end
  end
end

local free = {}
local function add(found)
  for i = 1, #found, 2 do
    free[#free + 1] = { target = found[i], since = tonumber(found[i + 1]) }
  end
end

local room = limit - claims
if room > 0 then
  add(redis.call('ZRANGEBYSCORE', running, '-inf', now, 'WITHSCORES', 'LIMIT', 0, room))
  -- Of the due ones, at most as many as there are leases may be taken already.
  local most = room + redis.call('ZCARD', running)
  local found = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  local untaken = {}
  for i = 1, #found, 2 do
    if not redis.call('ZSCORE', running, found[i]) then
      untaken[#untaken + 1] = found[i]
      untaken[#untaken + 1] = found[i + 1]
    end
  end
  add(untaken)
  table.sort(free, function(a, b)
    if a.since == b.since then
      return a.target < b.target
    end
    return a.since < b.since
  end)
end

for i = 1, math.min(room, #free) do
  local target = free[i].target
  local fence = redis.call('INCR', counter)
  redis.call('HSET', leases, target, fence)
  if tonumber(redis.call('ZSCORE', due, target) or math.huge) <= tonumber(now) then
    redis.call('ZREM', due, target)
  end
  give(target, fence)
end

-- Not before the first write: a server that is full refuses a script at the first command
-- that needs memory, and lets everything pass after one that needs none.
if claims > 0 then
  redis.call('DEL', handed)
  redis.call('HSET', handed, '?', call)
  for i = 1, #given, 2 do
    redis.call('HSET', handed, given[i], given[i + 1])
  end
  redis.call('PEXPIRE', handed, remember_ms)
end

return answer
