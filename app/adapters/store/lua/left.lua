--[[
  Write down how a scale-in ended, or what was done to a source, and give the action slot back.
  Harmless when repeated.

  Input:
    KEYS[1]  hash: group -> id of its scale-in that is under way
    KEYS[2]  the activity, JSON
    KEYS[3]  sorted set: activity -> its start, ms since epoch
    KEYS[4]  the same, of the group only
    KEYS[5]  sorted set: attempt -> end of its action slot, ms since epoch
    KEYS[6]  hash of the group: 'left' -> when an instance left that was not needed any more
    KEYS[7]  hash: source that is isolated or stopped -> the activity that did so
    KEYS[8]  stream: the audit; see tell.lua
    KEYS[9]  hash: what came before its oldest line

    ARGV[1]  group
    ARGV[2]  now, ms since epoch
    ARGV[3]  how long records are kept, ms
    ARGV[4]  most activities to list
    ARGV[5]  id of the activity
    ARGV[6]  its start, ms since epoch
    ARGV[7]  the activity as it ended, JSON
    ARGV[8]  1: the instance has left because it was not needed any more
    ARGV[9]  the container
    ARGV[10] 1: it is off duty from now on; 0: no more; empty: neither
    ARGV[11] most lines of the audit
    ARGV[12] the audit's line, JSON

  Output:
    1  written, or it had ended before

  A store that knows nothing of it has lost its memory: it is told what happened.
]]
-- include story
-- include tell
local leaving, record, slots, cooldown = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local group, now, keep_ms, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local activity = { id = ARGV[5], started = ARGV[6], json = ARGV[7] }
local has_left = ARGV[8] == '1'
local replaced, source, is_off = KEYS[7], ARGV[9], ARGV[10]

local is_under_way = redis.call('HGET', leaving, group) == activity.id
if not is_under_way and redis.call('EXISTS', record) == 1 then
  return 1
end

local keys = { record = record, activities = KEYS[3], activities_of = KEYS[4] }
story.write_activity(keys, activity, keep_ms, most)
if is_under_way then
  redis.call('HDEL', leaving, group)
end
redis.call('ZREM', slots, activity.id)
if is_off == '1' then
  redis.call('HSET', replaced, source, activity.id)
  redis.call('PEXPIRE', replaced, keep_ms)
elseif is_off == '0' then
  redis.call('HDEL', replaced, source)
end
if has_left then
  redis.call('HSET', cooldown, 'left', now)
  -- A cooldown that lasts is none the shorter for it.
  redis.call('PEXPIRE', cooldown, keep_ms, 'NX')
  redis.call('PEXPIRE', cooldown, keep_ms, 'GT')
end
-- What is broken there keeps it from being under way no longer than it is.
pcall(tell.line, KEYS[8], KEYS[9], ARGV[11], now, ARGV[12])
return 1
