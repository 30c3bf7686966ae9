--[[
  Lease due targets, the longest due first. A repeated call gives out the same again.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]  hash: claimed target -> fence of its lease
    KEYS[4]  counter: the last fence given out
    KEYS[5]  hash of this worker: '?' -> its last call; target -> fence it was given then
    KEYS[6]  hash: target -> how often in a row its lease ran out

    ARGV[1]  now, ms since epoch
    ARGV[2]  end of the new leases, ms since epoch
    ARGV[3]  most targets to lease, 1000 at most
    ARGV[4]  name of this call: the same one again means that no answer has arrived
    ARGV[5]  how long to remember the call, ms

  Output:
    { next, target, fence, lost, target, fence, lost, … }
    next: the earliest time after now at which a step falls due or an older lease ends,
          ms since epoch; -1 for none
    lost: how often in a row the lease of this target ran out, now included

  A lease is free at exactly its end.
]]
local due, running, leases, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local handed, lost_leases = KEYS[5], KEYS[6]
local now, lease_end = ARGV[1], ARGV[2]
local limit = tonumber(ARGV[3])
local call, remember_ms = ARGV[4], ARGV[5]

-- As many as one command takes here with two arguments each: Lua's stack ends at 8000.
local MOST = 1000

-- Before anything is leased here: the leases given out below are not what to wait for.
local next_at
for _, key in ipairs({ due, running }) do
  local first = redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if first[2] and (not next_at or tonumber(first[2]) < next_at) then
    next_at = tonumber(first[2])
  end
end

-- target, fence, target, fence, …
local given = {}

if redis.call('HGET', handed, '?') == call then
  local before = redis.call('HGETALL', handed)
  for i = 1, #before, 2 do
    if before[i] ~= '?' and redis.call('HGET', leases, before[i]) == before[i + 1] then
      redis.call('ZADD', running, lease_end, before[i])
      given[#given + 1] = before[i]
      given[#given + 1] = tonumber(before[i + 1])
    end
  end
end

-- Both lists come in order: time, then name. Where a lease ended as another step fell due,
-- the lost one goes first.
local room = math.min(limit, MOST) - #given / 2
local lost, found, free = {}, {}, {}
if room > 0 then
  lost = redis.call('ZRANGEBYSCORE', running, '-inf', now, 'WITHSCORES', 'LIMIT', 0, room)
  -- Of the due ones, at most as many as there are leases may be taken already.
  local most = room + redis.call('ZCARD', running)
  local all = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  for from = 1, #all, 2 * MOST do
    local names = {}
    for i = from, math.min(from + 2 * MOST - 1, #all), 2 do
      names[#names + 1] = all[i]
    end
    for k, lease in ipairs(redis.call('ZMSCORE', running, unpack(names))) do
      if not lease then
        found[#found + 1] = names[k]
        found[#found + 1] = all[from + 2 * k - 1]
      end
    end
  end
end
local l, f = 1, 1
while #free < room and (lost[l] or found[f]) do
  local is_lost = not found[f]
  if lost[l] and found[f] then
    is_lost = tonumber(lost[l + 1]) <= tonumber(found[f + 1])
  end
  if is_lost then
    free[#free + 1] = { target = lost[l], is_lost = true }
    l = l + 2
  else
    free[#free + 1] = { target = found[f] }
    f = f + 2
  end
end

local count = #free
if count > 0 then
  -- This first write is one that a full server refuses; after one that needs no memory it
  -- would let everything pass.
  local fence = redis.call('INCRBY', counter, count) - count
  local fences, ends, dues = {}, {}, {}
  for i = 1, count do
    local one = free[i]
    fence = fence + 1
    fences[2 * i - 1], fences[2 * i] = one.target, fence
    ends[2 * i - 1], ends[2 * i] = lease_end, one.target
    given[#given + 1] = one.target
    given[#given + 1] = fence
    if one.is_lost then
      redis.call('HINCRBY', lost_leases, one.target, 1)
    end
    -- What arrived during a lost step comes with this claim.
    if not one.is_lost or tonumber(redis.call('ZSCORE', due, one.target) or math.huge) <= tonumber(now) then
      dues[#dues + 1] = one.target
    end
  end
  redis.call('HSET', leases, unpack(fences))
  redis.call('ZADD', running, unpack(ends))
  if #dues > 0 then
    redis.call('ZREM', due, unpack(dues))
  end
end

if #given > 0 then
  redis.call('DEL', handed)
  redis.call('HSET', handed, '?', call, unpack(given))
  redis.call('PEXPIRE', handed, remember_ms)
else
  -- Nothing was due and nothing is written: whoever waits wakes no disk.
  writes = false
end

local answer = { next_at or -1 }
for i = 1, #given, 2 do
  answer[#answer + 1] = given[i]
  answer[#answer + 1] = given[i + 1]
  answer[#answer + 1] = tonumber(redis.call('HGET', lost_leases, given[i]) or 0)
end
return answer
