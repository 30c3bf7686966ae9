--[[
  Keep a batch of notices and make their targets due. Harmless when repeated.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]  sorted set: alert that was not taken on -> when, ms since epoch
    then for each notice
      hash of its target: fingerprint -> status|starts|received|notified|listed|json
      hash of its target: fingerprint of a resolved alert -> its start, ms since epoch

    ARGV[1]  now, ms since epoch
    ARGV[2]  how long alerts are kept after their last notice, ms
    ARGV[3]  how long the starts of resolved alerts are kept, ms
    ARGV[4]  most asides to keep
    ARGV[5]  number of notices
    ARGV[6]  most alerts of one target to keep, and most starts of resolved ones
    then for each notice
      target
      fingerprint
      1: firing, 0: resolved
      start of the alert, ms since epoch
      1: a pull lists it now, which outranks a tombstone; 0: it came by notification
      when its target is looked at for it, ms since epoch; empty: now
      the alert, JSON
    then for each aside
      when, ms since epoch
      the member to keep

  Output:
    for each notice, in order:
      1  kept
      2  known already
      3  kept as resolved
      4  changes nothing: older than what is known
      5  not kept: the target has as many alerts as are kept

  What scripts compare stands before the JSON, because JSON is not read here: Lua has one
  kind of number, and an empty list and an empty table look the same to it.
]]
local due, running, asides = KEYS[1], KEYS[2], KEYS[3]
local now = ARGV[1]
local keep_ms, keep_tombs_ms = ARGV[2], ARGV[3]
local most_asides = tonumber(ARGV[4])
local notices, most = tonumber(ARGV[5]), tonumber(ARGV[6])

local NEVER = -math.huge
local KEPT, KNOWN, RESOLVED, OLDER, FULL = 1, 2, 3, 4, 5

-- What is done once for each target, whatever the number of its notices.
local touched, buried, wanted, missed = {}, {}, {}, {}
-- Number of a target's alerts, once it was asked for.
local number_of = {}

local function keep(alerts, fingerprint, status, starts, received, listed, json)
  local stored = status .. '|' .. starts .. '|' .. received .. '|' .. now .. '|' .. listed .. '|' .. json
  local added = redis.call('HSET', alerts, fingerprint, stored)
  number_of[alerts] = number_of[alerts] and number_of[alerts] + added
  touched[alerts] = true
end

local function want(target, at)
  wanted[target] = math.min(wanted[target] or math.huge, tonumber(at))
end

-- Forget the older half of too many resolved alerts: a notice that is older than all of these
-- has long been told.
local function thin(tombs)
  if redis.call('HLEN', tombs) <= most then
    return
  end
  local found, all = redis.call('HGETALL', tombs), {}
  for i = 1, #found, 2 do
    all[#all + 1] = { found[i], tonumber(found[i + 1]) or NEVER }
  end
  table.sort(all, function(one, other)
    return one[2] < other[2] or (one[2] == other[2] and one[1] < other[1])
  end)
  for i = 1, math.floor(#all / 2) do
    redis.call('HDEL', tombs, all[i][1])
  end
end

local function take(alerts, tombs, target, fingerprint, is_firing, starts, listed, at, json)
  local starts_ms = tonumber(starts)
  local tomb = tonumber(redis.call('HGET', tombs, fingerprint) or NEVER)
  local known = redis.call('HGET', alerts, fingerprint) or ''
  -- What does not have this form was not written by us, and is written anew.
  local status, known_starts, received, was_listed, json_at =
    string.match(known, '^(%l+)|(%-?%d+)|(%-?%d+)|%-?%d+|([01])|()')
  local known_ms = tonumber(known_starts or NEVER)

  if not is_firing then
    if math.max(known_ms, tomb) > starts_ms then
      return OLDER
    end
    redis.call('HSET', tombs, fingerprint, starts)
    buried[tombs] = true
    if known_ms == starts_ms then
      keep(alerts, fingerprint, 'resolved', starts, received, was_listed, json)
    elseif status then
      keep(alerts, fingerprint, 'resolved', starts, now, '0', json)
    end
    want(target, at)
    return RESOLVED
  end

  if listed == '1' then
    redis.call('HDEL', tombs, fingerprint)
  elseif tomb >= starts_ms or (status == 'resolved' and known_ms >= starts_ms) then
    return OLDER
  end
  if was_listed == '1' and known_ms >= starts_ms then
    listed = '1'
  end
  if status == 'firing' and known_ms >= starts_ms then
    if known_ms > starts_ms then
      json = string.sub(known, json_at)
    end
    keep(alerts, fingerprint, 'firing', known_starts, received, listed, json)
    missed[target] = math.min(missed[target] or math.huge, tonumber(at))
    return KNOWN
  end
  if not status then
    number_of[alerts] = number_of[alerts] or redis.call('HLEN', alerts)
    if number_of[alerts] >= most then
      -- Its target is treated for those that are known.
      return FULL
    end
  end
  if known_ms ~= starts_ms then
    received = now
  end
  keep(alerts, fingerprint, 'firing', starts, received, listed, json)
  want(target, at)
  return KEPT
end

local answers = {}
local at = 7
for i = 1, notices do
  local alerts, tombs = KEYS[2 * i + 2], KEYS[2 * i + 3]
  local is_firing = ARGV[at + 2] == '1'
  local due_at = ARGV[at + 5] ~= '' and ARGV[at + 5] or now
  answers[i] = take(
    alerts, tombs, ARGV[at], ARGV[at + 1], is_firing, ARGV[at + 3], ARGV[at + 4], due_at, ARGV[at + 6]
  )
  at = at + 7
end
for alerts in pairs(touched) do
  redis.call('PEXPIRE', alerts, keep_ms)
end
for tombs in pairs(buried) do
  redis.call('PEXPIRE', tombs, keep_tombs_ms)
  thin(tombs)
end
-- A target with an alert and no place in the schedule has lost it.
for target, first in pairs(missed) do
  if not redis.call('ZSCORE', running, target) then
    redis.call('ZADD', due, 'NX', string.format('%.0f', first), target)
  end
end
-- After these: of both, the earlier one counts.
for target, first in pairs(wanted) do
  redis.call('ZADD', due, 'LT', string.format('%.0f', first), target)
end

if at <= #ARGV then
  for i = at, #ARGV, 2 do
    redis.call('ZADD', asides, ARGV[i], ARGV[i + 1])
  end
  redis.call('ZREMRANGEBYRANK', asides, 0, -most_asides - 1)
  redis.call('PEXPIRE', asides, keep_ms)
end

return answers
