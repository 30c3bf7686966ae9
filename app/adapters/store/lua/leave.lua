--[[
  Write down that an instance leaves, before anything is done to it, and charge it. Harmless when
  repeated, also after it has ended.

  Input:
    KEYS[1]   hash: group -> id of its scale-in that is under way
    KEYS[2]   the activity, JSON
    KEYS[3]   sorted set: activity -> its start, ms since epoch
    KEYS[4]   the same, of the group only
    KEYS[5]   sorted set: attempt -> end of its action slot, ms since epoch
    KEYS[6]   sorted set: attempt -> when it was charged, ms since epoch
    KEYS[7]   nothing: it takes no target out
    KEYS[8]   sorted set: who -> since when it waits for its turn, ms since epoch
    KEYS[9]   sorted set: the same -> when it is forgotten unless it asks, ms since epoch
    KEYS[10]  the reply: call|json
    KEYS[11]  stream: the audit; see tell.lua
    KEYS[12]  hash: what came before its oldest line

    ARGV[1]   group
    ARGV[2]   the instance that leaves: who waits for a turn
    ARGV[3]   now, ms since epoch
    ARGV[4]   how long records are kept, ms
    ARGV[5]   most activities to list
    ARGV[6]   name of every activity's key, without the id at its end
    ARGV[7]   id of the activity
    ARGV[8]   its start, ms since epoch
    ARGV[9]   the activity, JSON
    ARGV[10]  its id again: what is charged
    ARGV[11]  how many may have a slot at once
    ARGV[12]  how many may be charged in any burst
    ARGV[13]  how long a burst is, ms
    ARGV[14]  how many may be charged in any hour
    ARGV[15]  how long an hour is, ms
    ARGV[16]  empty: it takes no target out
    ARGV[17]  end of its action slot, ms since epoch
    ARGV[18]  how long after one was charged the next may be, ms
    ARGV[19]  since when it is wanted, ms since epoch; empty: it does not queue
    ARGV[20]  who has not asked for this long no longer waits, ms
    ARGV[21]  name of this call; empty for no reply
    ARGV[22]  the reply, JSON
    ARGV[23]  how long a reply is kept, ms
    ARGV[24]  most lines of the audit
    ARGV[25]  the audit's line, JSON

  Output:
    { 1, activity, id }  written, now or by an earlier call; as it is by now, JSON
    { 2, reply }         the reply's key was used before, with this reply, call|json
    { 3, activity, id }  this one of the group is under way, JSON
    { 4, until }         too much is done at once, or was lately; ms since epoch
    With 2 to 4 nothing was written (but for 4, that it waits).

  The key of another activity is found here and not among KEYS; it is in the same slot.
]]
-- include story
-- include budget
-- include tell
local leaving, record, reply_key = KEYS[1], KEYS[2], KEYS[10]
local group, who, now, keep_ms, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local activity = { id = ARGV[7], started = ARGV[8], json = ARGV[9] }
local call, reply, keep_reply_ms = ARGV[21], ARGV[22], ARGV[23]
local bounded = { slots = KEYS[5], charges = KEYS[6], waiting = KEYS[8], asked = KEYS[9] }
local limits = budget.limits(ARGV, 10)

local written = redis.call('GET', record)
if written then
  return { 1, written, activity.id }
end
local replied = call ~= '' and redis.call('GET', reply_key)
if replied then
  return { 2, replied }
end
local other_id = redis.call('HGET', leaving, group)
local other = other_id and redis.call('GET', ARGV[6] .. other_id)
if other then
  return { 3, other, other_id }
end
local spent_until = budget.taken_until(bounded, limits, tonumber(now))
spent_until = budget.spent_until(bounded, limits, tonumber(now), spent_until)
  or budget.queued_until(bounded, limits, who, tonumber(now))
if spent_until then
  budget.wait(bounded, limits, who, tonumber(now), keep_ms)
  return { 4, spent_until }
end

-- Before all else: what cannot be told must not be done.
tell.line(KEYS[11], KEYS[12], ARGV[24], now, ARGV[25])
budget.charge(bounded, limits, who, tonumber(now), keep_ms)
local keys = { record = record, activities = KEYS[3], activities_of = KEYS[4] }
story.write_activity(keys, activity, keep_ms, most)
redis.call('HSET', leaving, group, activity.id)
redis.call('PEXPIRE', leaving, keep_ms)
if call ~= '' then
  redis.call('SET', reply_key, call .. '|' .. reply, 'PX', keep_reply_ms)
end
return { 1, activity.json, activity.id }
