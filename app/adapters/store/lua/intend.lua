--[[
  Write the intent of an action before the action. Harmless when repeated.

  Input:
    KEYS[1]   hash: claimed target -> fence of its lease
    KEYS[2]   sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]   hash of the target: 'open' -> id of its open remediation
    KEYS[4]   the remediation, JSON
    KEYS[5]   sorted set: remediation -> when it was opened, ms since epoch
    KEYS[6]   the same, of the target only
    KEYS[7]   the same, open ones only
    KEYS[8]   the activity, JSON
    KEYS[9]   sorted set: activity -> its start, ms since epoch
    KEYS[10]  the same, of the group only
    KEYS[11]  hash of the group: 'until' -> end of its cooldown, ms since epoch; 'attempt'

    ARGV[1]   target
    ARGV[2]   fence
    ARGV[3]   now, ms since epoch
    ARGV[4]   new end of the lease, ms since epoch
    ARGV[5]   how long remediations and activities are kept, ms
    ARGV[6]   most activities to list
    ARGV[7]   id of the remediation
    ARGV[8]   when it was opened, ms since epoch
    ARGV[9]   1: it is closed, 0: it is open
    ARGV[10]  the remediation, JSON
    ARGV[11]  id of the activity; empty for none
    ARGV[12]  its start, ms since epoch
    ARGV[13]  the activity, JSON
    ARGV[14]  attempt that begins a cooldown; empty for none
    ARGV[15]  end of the cooldown, ms since epoch; empty to lift the one it began

  Output:
    { 1 }        written
    { 2 }        the target's fence is another: nothing was written
    { 3, until } another attempt's cooldown lasts until then, ms since epoch: nothing was written
]]
-- include story
local leases, running, target_key = KEYS[1], KEYS[2], KEYS[3]
local target, fence, now, lease_end = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local keep_ms, most = ARGV[5], ARGV[6]
local remediation = { id = ARGV[7], opened = ARGV[8], closed = ARGV[9], json = ARGV[10] }
local activity = { id = ARGV[11], started = ARGV[12], json = ARGV[13] }
local attempt, until_at = ARGV[14], ARGV[15]

if redis.call('HGET', leases, target) ~= fence then
  return { 2 }
end
if attempt ~= '' and until_at ~= '' then
  local cooling = redis.call('HMGET', KEYS[11], 'attempt', 'until')
  if cooling[1] and cooling[1] ~= attempt and tonumber(cooling[2]) > tonumber(now) then
    return { 3, tonumber(cooling[2]) }
  end
end

if attempt ~= '' then
  story.cool(KEYS[11], attempt, until_at, now, keep_ms)
end
local lists = { record = KEYS[4], history = KEYS[5], history_of = KEYS[6], open = KEYS[7] }
story.write(lists, remediation, now, keep_ms)
story.point(target_key, remediation, keep_ms)
if activity.id ~= '' then
  local keys = { record = KEYS[8], activities = KEYS[9], activities_of = KEYS[10] }
  story.write_activity(keys, activity, keep_ms, most)
end
redis.call('ZADD', running, lease_end, target)
return { 1 }
