--[[
  Write the intent of an action before the action, and charge it. Harmless when repeated.

  Input:
    KEYS[1]   hash: claimed target -> fence of its lease
    KEYS[2]   sorted set: claimed target -> end of its lease, ms since epoch
    KEYS[3]   hash of the target: 'open', 'last' -> id of a remediation; see story.lua;
              'intended' -> fence|attempt of the last intent in the audit
    KEYS[4]   the remediation, JSON
    KEYS[5]   sorted set: remediation -> when it was opened, ms since epoch
    KEYS[6]   the same, of the target only
    KEYS[7]   the same, open ones only
    KEYS[8]   the activity, JSON
    KEYS[9]   sorted set: activity -> its start, ms since epoch
    KEYS[10]  the same, of the group only
    KEYS[11]  hash of the group: 'until' -> end of its cooldown, ms since epoch; 'attempt', 'since'
    KEYS[12]  sorted set: attempt -> end of its action slot, ms since epoch
    KEYS[13]  sorted set: attempt -> when it was charged, ms since epoch
    KEYS[14]  sorted set of the group: target -> until when it counts as out, ms since epoch
    KEYS[15]  sorted set: target -> since when it waits for its turn, ms since epoch
    KEYS[16]  sorted set: the same target -> when it is forgotten unless it asks, ms since epoch
    KEYS[17]  stream: the audit; see tell.lua
    KEYS[18]  hash: what came before its oldest line

    ARGV[1]   target
    ARGV[2]   fence
    ARGV[3]   now, ms since epoch
    ARGV[4]   new end of the lease, and of the action slot, ms since epoch
    ARGV[5]   how long records are kept, ms
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
    ARGV[16]  attempt that is charged
    ARGV[17]  how many may have a slot at once
    ARGV[18]  how many may be charged in any burst
    ARGV[19]  how long a burst is, ms
    ARGV[20]  how many may be charged in any hour
    ARGV[21]  how long an hour is, ms
    ARGV[22]  how many targets of the group may be out; empty: this one does not go out
    ARGV[23]  until when it counts as out, ms since epoch
    ARGV[24]  how long after one was charged the next may be, ms
    ARGV[25]  since when this target needs it, ms since epoch; empty: it does not queue
    ARGV[26]  who has not asked for this long no longer waits, ms
    ARGV[27]  most lines of the audit
    ARGV[28]  the audit's line, JSON

  Output:
    { 1 }        written
    otherwise nothing was written (but for 4, that the target waits):
    { 2 }        the target's fence is another
    { 3, until } another attempt's cooldown lasts until then, ms since epoch
    { 4, until } too much is done at once, or was lately
    { 5, until } too many others of the group are out

  An attempt that was charged before is not charged again, and waits for nothing but a slot, which
  it takes anew, and for its group.
]]
-- include story
-- include budget
-- include tell
local leases, running, target_key = KEYS[1], KEYS[2], KEYS[3]
local target, fence, now, lease_end = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local keep_ms, most = ARGV[5], ARGV[6]
local remediation = { id = ARGV[7], opened = ARGV[8], closed = ARGV[9], json = ARGV[10] }
local activity = { id = ARGV[11], started = ARGV[12], json = ARGV[13] }
local attempt, until_at = ARGV[14], ARGV[15]
local bounded = { slots = KEYS[12], charges = KEYS[13], out = KEYS[14], waiting = KEYS[15], asked = KEYS[16] }
local limits = budget.limits(ARGV, 16, lease_end)

if redis.call('HGET', leases, target) ~= fence then
  return { 2 }
end
if attempt ~= '' and until_at ~= '' then
  local whose, ends = story.cooling(KEYS[11], now)
  if whose and whose ~= attempt and ends > tonumber(now) then
    return { 3, ends }
  end
end
local spent_until = budget.taken_until(bounded, limits, tonumber(now))
if not budget.is_charged(bounded, limits, tonumber(now)) then
  spent_until = budget.spent_until(bounded, limits, tonumber(now), spent_until)
    or budget.queued_until(bounded, limits, target, tonumber(now))
end
if spent_until then
  budget.wait(bounded, limits, target, tonumber(now), keep_ms)
  return { 4, spent_until }
end
local busy_until = limits.out_of_group and budget.busy_until(bounded, limits, target, tonumber(now))
if busy_until then
  return { 5, busy_until }
end

-- Before all else: what cannot be told must not be done.
local mark = fence .. '|' .. limits.attempt
if redis.call('HGET', target_key, 'intended') ~= mark then
  tell.line(KEYS[17], KEYS[18], ARGV[27], now, ARGV[28])
  redis.call('HSET', target_key, 'intended', mark)
end
budget.charge(bounded, limits, target, tonumber(now), keep_ms)
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
