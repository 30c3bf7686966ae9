--[[
  Lease due targets, the longest due first. A repeated call gives out the same again.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]  hash: claimed target -> fence of its lease
    KEYS[4]  counter: the last fence given out
    KEYS[5]  hash of this worker: '?' -> its last call; each fence it was given then -> ''
    KEYS[6]  hash: target -> how often in a row its lease ran out

    ARGV[1]  now, ms since epoch
    ARGV[2]  end of the new leases, ms since epoch
    ARGV[3]  most targets to lease, 1000 at most
    ARGV[4]  name of this call: the same one again means that no answer has arrived
    ARGV[5]  how long to remember the call, ms
    ARGV[6]  1: this worker has a suspect: none is leased; 0: one at most
    ARGV[7]  when a suspect that is held back is due again, ms since epoch; later than now
    then each target whose step runs in this worker: where its lease ended, that is no suspect

  Output:
    { next, lost, fence, targets, fence, targets, … }
    next:    the earliest time after now at which a step falls due or an older lease ends,
             ms since epoch; -1 for none; ARGV[7] where something was held back
    lost:    target -> how often in a row its lease ran out, now included, JSON; empty for none
    targets: JSON; all that one call leases have one fence

  A suspect is a target whose lease ran out. All but one are held back here, and not given back by
  whoever claims: who dies meanwhile would leave them to be counted once more, though innocent.

  A lease is free at exactly its end. Each command takes as many targets as there are: a call of
  one costs more than what it does.
]]
local due, running, leases, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local handed, lost_leases = KEYS[5], KEYS[6]
local now, lease_end = ARGV[1], ARGV[2]
local limit = tonumber(ARGV[3])
local call, remember_ms = ARGV[4], ARGV[5]
local has_suspect, later = ARGV[6] == '1', ARGV[7]
local here = {}
for i = 8, #ARGV do
  here[ARGV[i]] = true
end

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

-- All targets that are given out; and: fence, JSON of its targets, …
local given, told = {}, {}

local function tell(fence, targets)
  told[#told + 1] = fence
  told[#told + 1] = cjson.encode(targets)
end

if redis.call('HGET', handed, '?') == call then
  local of, held = {}, redis.call('HGETALL', leases)
  for _, fence in ipairs(redis.call('HKEYS', handed)) do
    of[fence] = {}
  end
  for i = 1, #held, 2 do
    local targets = of[held[i + 1]]
    if targets then
      redis.call('ZADD', running, lease_end, held[i])
      targets[#targets + 1] = held[i]
      given[#given + 1] = held[i]
    end
  end
  for _, fence in ipairs(redis.call('HKEYS', handed)) do
    if #of[fence] > 0 then
      table.sort(of[fence])
      tell(fence, of[fence])
    end
  end
end

local is_counted = redis.call('EXISTS', lost_leases) == 1
if is_counted and #given > 0 then
  for i, count in ipairs(redis.call('HMGET', lost_leases, unpack(given))) do
    has_suspect = has_suspect or (count and not here[given[i]])
  end
end

-- Both lists come in order: time, then name.
local room = math.min(limit, MOST) - #given
local lost, free, is_suspect, has_gaps = {}, {}, {}, false
if room > 0 then
  lost = redis.call('ZRANGEBYSCORE', running, '-inf', now, 'WITHSCORES', 'LIMIT', 0, MOST)
  local is_held, from, fresh = redis.call('ZCARD', running) > 0, 0, 0
  local page = is_counted and math.max(room, 100) or room
  repeat
    local names = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', from, page)
    if (is_held or is_counted) and #names > 0 then
      local counts = is_counted and redis.call('HMGET', lost_leases, unpack(names)) or {}
      for k, lease in ipairs(redis.call('ZMSCORE', running, unpack(names))) do
        if not lease then
          free[#free + 1] = names[k]
          is_suspect[names[k]] = counts[k] and true or nil
          fresh = fresh + (counts[k] and 0 or 1)
        end
      end
      has_gaps = has_gaps or #free < from + #names
    elseif #names > 0 then
      free, fresh = names, #names
    end
    from = from + page
  until fresh >= room or #free >= 2 * MOST or #names < page
end

local is_lost, held_lost, held_due = {}, {}, {}
if lost[1] or next(is_suspect) then
  -- Where a lease ended as another step fell due, the lost one goes first.
  local since = #free > 0 and redis.call('ZMSCORE', due, unpack(free)) or {}
  local both, l, f = {}, 1, 1
  while #both < room and (lost[l] or free[f]) do
    local target, was_lost = free[f], false
    if lost[l] and (not target or tonumber(lost[l + 1]) <= tonumber(since[f])) then
      target, was_lost = lost[l], true
      l = l + 2
    else
      f = f + 1
    end
    local held
    if is_suspect[target] or (was_lost and not here[target]) then
      held = has_suspect and (was_lost and held_lost or held_due)
      has_suspect = true
    end
    is_lost[target] = was_lost or nil
    local list = held or both
    list[#list + 1] = target
  end
  free, has_gaps = both, true
else
  for i = #free, room + 1, -1 do
    free[i] = nil
  end
end
local holds = #held_lost + #held_due > 0

local fence
if #free > 0 or holds then
  -- This first write is one that a full server refuses; after one that needs no memory it
  -- would let everything pass.
  fence = string.format('%d', redis.call('INCR', counter))
end
for target in pairs(is_lost) do
  redis.call('HINCRBY', lost_leases, target, 1)
end

if holds then
  local dues = {}
  if #held_lost > 0 then
    for i, score in ipairs(redis.call('ZMSCORE', due, unpack(held_lost))) do
      local at = tonumber(score or now)
      if at <= tonumber(now) or at > tonumber(later) then
        dues[#dues + 1] = later
        dues[#dues + 1] = held_lost[i]
      end
    end
  end
  for _, target in ipairs(held_due) do
    dues[#dues + 1] = later
    dues[#dues + 1] = target
  end
  for i = 1, #dues, 2 * MOST do
    redis.call('ZADD', due, unpack(dues, i, math.min(i + 2 * MOST - 1, #dues)))
  end
  if #held_lost > 0 then
    redis.call('ZREM', running, unpack(held_lost))
    redis.call('HDEL', leases, unpack(held_lost))
  end
  next_at = math.min(next_at or math.huge, tonumber(later))
end

if #free > 0 then
  local fences, ends, dues = {}, {}, {}
  local count = #free
  for i = 1, count do
    local target, at = free[i], 2 * i
    fences[at - 1], fences[at] = target, fence
    -- Backwards, since each then finds its place at the front.
    ends[2 * (count - i) + 1], ends[2 * (count - i) + 2] = lease_end, target
  end
  redis.call('HSET', leases, unpack(fences))
  redis.call('ZADD', running, unpack(ends))
  if has_gaps then
    for _, target in ipairs(free) do
      -- What arrived during a lost step comes with this claim.
      if not is_lost[target] or tonumber(redis.call('ZSCORE', due, target) or math.huge) <= tonumber(now) then
        dues[#dues + 1] = target
      end
    end
    if #dues > 0 then
      redis.call('ZREM', due, unpack(dues))
    end
  else
    redis.call('ZREMRANGEBYRANK', due, 0, #free - 1)
  end
  tell(fence, free)
  if #given == 0 then
    given = free
  else
    for _, target in ipairs(free) do
      given[#given + 1] = target
    end
  end
end

if #given == 0 then
  -- Where nothing was due nothing is written: whoever waits wakes no disk.
  writes = holds
  return { next_at or -1, '' }
end
redis.call('DEL', handed)
redis.call('HSET', handed, '?', call)
for i = 1, #told, 2 do
  redis.call('HSET', handed, told[i], '')
end
redis.call('PEXPIRE', handed, remember_ms)

local counted = {}
if redis.call('EXISTS', lost_leases) == 1 then
  for i, count in ipairs(redis.call('HMGET', lost_leases, unpack(given))) do
    counted[given[i]] = count and tonumber(count) or nil
  end
end
return { next_at or -1, next(counted) and cjson.encode(counted) or '', unpack(told) }
