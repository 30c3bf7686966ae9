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
    then for each notice
      target
      fingerprint
      1: firing, 0: resolved
      start of the alert, ms since epoch
      1: a pull lists it now, which outranks a tombstone; 0: it came by notification
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

  What scripts compare stands before the JSON, because JSON is not read here: Lua has one
  kind of number, and an empty list and an empty table look the same to it.
]]
local due, running, asides = KEYS[1], KEYS[2], KEYS[3]
local now = ARGV[1]
local keep_ms, keep_tombs_ms = ARGV[2], ARGV[3]
local most_asides = tonumber(ARGV[4])
local notices = tonumber(ARGV[5])

local NEVER = -math.huge
local KEPT, KNOWN, RESOLVED, OLDER = 1, 2, 3, 4

local function keep(alerts, fingerprint, status, starts, received, listed, json)
  local stored = table.concat({ status, starts, received, now, listed, json }, '|')
  redis.call('HSET', alerts, fingerprint, stored)
  redis.call('PEXPIRE', alerts, keep_ms)
end

local function take(alerts, tombs, target, fingerprint, is_firing, starts, listed, json)
  local starts_ms = tonumber(starts)
  local tomb = tonumber(redis.call('HGET', tombs, fingerprint) or NEVER)
  local known = redis.call('HGET', alerts, fingerprint) or ''
  -- What does not have this form was not written by us, and is written anew.
  local status, known_starts, received, was_listed, known_json =
    string.match(known, '^(%l+)|(%-?%d+)|(%-?%d+)|%-?%d+|([01])|(.*)$')
  local known_ms = tonumber(known_starts or NEVER)

  if not is_firing then
    if math.max(known_ms, tomb) > starts_ms then
      return OLDER
    end
    redis.call('HSET', tombs, fingerprint, starts)
    redis.call('PEXPIRE', tombs, keep_tombs_ms)
    if known_ms == starts_ms then
      keep(alerts, fingerprint, 'resolved', starts, received, was_listed, json)
    elseif status then
      keep(alerts, fingerprint, 'resolved', starts, now, '0', json)
    end
    redis.call('ZADD', due, 'LT', now, target)
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
    if known_ms == starts_ms then
      known_json = json
    end
    keep(alerts, fingerprint, 'firing', known_starts, received, listed, known_json)
    -- A target with an alert and no place in the schedule has lost it.
    if not redis.call('ZSCORE', running, target) then
      redis.call('ZADD', due, 'NX', now, target)
    end
    return KNOWN
  end
  if known_ms ~= starts_ms then
    received = now
  end
  keep(alerts, fingerprint, 'firing', starts, received, listed, json)
  redis.call('ZADD', due, 'LT', now, target)
  return KEPT
end

local answers = {}
local at = 6
for i = 1, notices do
  local alerts, tombs = KEYS[2 * i + 2], KEYS[2 * i + 3]
  local is_firing = ARGV[at + 2] == '1'
  answers[i] =
    take(alerts, tombs, ARGV[at], ARGV[at + 1], is_firing, ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
  at = at + 6
end

if at <= #ARGV then
  for i = at, #ARGV, 2 do
    redis.call('ZADD', asides, ARGV[i], ARGV[i + 1])
  end
  redis.call('ZREMRANGEBYRANK', asides, 0, -most_asides - 1)
  redis.call('PEXPIRE', asides, keep_ms)
end

return answers
