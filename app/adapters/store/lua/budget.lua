-- Bounds on what is done to one engine, asked by intend. Included, not a script of its own.
local budget = {}

-- Tell until when a sorted set is full (ms since epoch); nil when there is room.
--   from, to:  scores that count, as ZRANGEBYSCORE takes them
--   room:      how many there may be
--   lasts:     how long after its score each one counts, ms
--   own:       a member that does not count; nil for none
--   otherwise: what to tell where there is never any room
local function full_until(key, from, to, room, lasts, own, otherwise)
  local scores = {}
  local found = redis.call('ZRANGEBYSCORE', key, from, to, 'WITHSCORES')
  for i = 1, #found, 2 do
    if found[i] ~= own then
      scores[#scores + 1] = tonumber(found[i + 1])
    end
  end
  if #scores < room then
    return nil
  end
  local last_to_go = scores[#scores - room + 1]
  return last_to_go and last_to_go + lasts or otherwise
end

local function later(one, other)
  return one and other and math.max(one, other) or one or other
end

local function ms(number)
  return string.format('%d', number)
end

local function after(edge)
  return '(' .. ms(edge)
end

-- Read the bounds of one action from eleven arguments in a row: the attempt that is charged; how many
-- may have a slot at once; be charged in a burst, its length, in an hour, its length; how many of the
-- group may be out (nil: it takes none out), until when it counts as out; the time between two
-- charges; since when it is wanted (nil: it does not queue), how long one waits without asking.
--   first:    of them
--   slot_end: of its action slot, ms since epoch; nil: until it counts as out no more
function budget.limits(args, first, slot_end)
  local function number(offset)
    return tonumber(args[first + offset])
  end
  return {
    attempt = args[first],
    concurrent = number(1),
    burst = number(2),
    burst_span = number(3),
    per_hour = number(4),
    hour = number(5),
    out_of_group = number(6),
    out_until = number(7),
    spacing = number(8),
    since = number(9),
    forget = number(10),
    slot_end = tonumber(slot_end or args[first + 7]),
  }
end

-- Whether an attempt has been charged, within the longest span that counts.
function budget.is_charged(keys, limits, now)
  local charged = redis.call('ZSCORE', keys.charges, limits.attempt)
  return charged and tonumber(charged) > now - math.max(limits.burst_span, limits.hour)
end

-- Tell until when too much is done at once; nil when one more may be done.
function budget.taken_until(keys, limits, now)
  return full_until(
    keys.slots, after(now), '+inf', limits.concurrent, 0, limits.attempt, limits.slot_end
  )
end

-- Tell until when too much was done lately, or is done at once; nil when one more may be done.
function budget.spent_until(keys, limits, now, slots)
  local spent
  local rates = {
    { 1, limits.spacing },
    { limits.burst, limits.burst_span },
    { limits.per_hour, limits.hour },
  }
  for _, rate in ipairs(rates) do
    local most, span = rate[1], rate[2]
    local until_at =
      full_until(keys.charges, after(now - span), ms(now), most, span, nil, now + span)
    spent = later(spent, until_at)
  end
  return later(slots, spent)
end

-- Tell until when to wait for somebody who needs it more; nil when it is this one's turn.
function budget.queued_until(keys, limits, target, now)
  if not limits.since then
    return nil
  end
  local before = redis.call('ZRANGEBYSCORE', keys.waiting, '-inf', '(' .. ms(limits.since))
  for _, other in ipairs(before) do
    local asked = redis.call('ZSCORE', keys.asked, other)
    if other ~= target and asked and tonumber(asked) > now then
      return tonumber(asked)
    end
  end
  return nil
end

-- Let a target wait for its turn; whoever asks no longer is forgotten.
function budget.wait(keys, limits, target, now, keep_ms)
  if not limits.since then
    return
  end
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', keys.asked, '-inf', ms(now))) do
    redis.call('ZREM', keys.waiting, gone)
    redis.call('ZREM', keys.asked, gone)
  end
  redis.call('ZADD', keys.waiting, ms(limits.since), target)
  redis.call('ZADD', keys.asked, ms(now + limits.forget), target)
  redis.call('PEXPIRE', keys.waiting, keep_ms)
  redis.call('PEXPIRE', keys.asked, keep_ms)
end

-- Tell until when too many others of the group are out; nil when this one may go, or is out.
function budget.busy_until(keys, limits, target, now)
  local is_out = redis.call('ZSCORE', keys.out, target)
  if is_out and tonumber(is_out) > now then
    return nil
  end
  return full_until(
    keys.out, after(now), '+inf', limits.out_of_group, 0, nil, limits.out_until
  )
end

-- Charge an attempt once, let it take a slot, and its target count as out.
function budget.charge(keys, limits, target, now, keep_ms)
  local longest_ago = now - math.max(limits.burst_span, limits.hour)
  redis.call('ZADD', keys.slots, ms(limits.slot_end), limits.attempt)
  redis.call('ZREMRANGEBYSCORE', keys.slots, '-inf', ms(now))
  redis.call('ZREMRANGEBYSCORE', keys.charges, '-inf', ms(longest_ago))
  redis.call('ZADD', keys.charges, 'NX', ms(now), limits.attempt)
  redis.call('ZREM', keys.waiting, target)
  redis.call('ZREM', keys.asked, target)
  redis.call('PEXPIRE', keys.slots, keep_ms)
  redis.call('PEXPIRE', keys.charges, keep_ms)
  if limits.out_of_group then
    redis.call('ZADD', keys.out, ms(limits.out_until), target)
    redis.call('ZREMRANGEBYSCORE', keys.out, '-inf', ms(now))
    redis.call('PEXPIRE', keys.out, keep_ms)
  end
end
