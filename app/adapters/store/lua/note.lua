--[[
  Write what a step leaves behind and give its claim back. Harmless when repeated.

  Moments are ms since epoch.

  Input:
    KEYS[1]   sorted set: target -> when it is looked at next
    KEYS[2]   sorted set: claimed target -> end of its lease
    KEYS[3]   hash: claimed target -> fence of its lease
    KEYS[4]   hash of the target: 'noted' -> last ticket; 'open', 'last': see story.lua
    KEYS[5]   hash of the target: fingerprint -> status|starts|received|notified|listed|json
    KEYS[6]   sorted set of the target: failed attempt -> time of its verdict
    KEYS[7]   sorted set: target -> time of its last failed restart
    KEYS[8]   sorted set: remediation -> when it was opened
    KEYS[9]   the same, of the target only
    KEYS[10]  the same, open ones only
    KEYS[11]  the activity, JSON
    KEYS[12]  sorted set: activity -> its start
    KEYS[13]  the same, of the group only
    KEYS[14]  hash of the group: 'until' -> end of its cooldown; 'attempt', 'since'
    KEYS[15]  sorted set: attempt|target of a restart that helped -> when
    KEYS[16]  sorted set: attempt -> end of its action slot
    KEYS[17]  sorted set of the group: target -> until when it counts as out
    KEYS[18]  hash of the target: 'id', 'json' of its pending order
    KEYS[19]  hash: name of a tally -> sum
    KEYS[20]  hash: target -> how often in a row its lease ran out
    KEYS[21]  sorted set: the outbox; see tell.lua
    KEYS[22]  hash: what is counted of it
    KEYS[23]  stream: the audit; see tell.lua
    KEYS[24]  hash: what came before its oldest line
    then the key of each remediation, JSON
    then KEYS[6] of each target whose failures are consumed

    ARGV[1]   target
    ARGV[2]   fence
    ARGV[3]   ticket: fence and digest of all that is to be written
    ARGV[4]   now
    ARGV[5]   when to look again; empty: when something new arrives
    ARGV[6]   how long records are kept, ms
    ARGV[7]   most activities to list
    ARGV[8]   attempt that is a failed restart; empty for none
    ARGV[9]   how long that failure counts, ms
    ARGV[10]  id of the activity; empty for none
    ARGV[11]  its start
    ARGV[12]  the activity, JSON
    ARGV[13]  attempt that sets or lifts a cooldown; empty for none
    ARGV[14]  end of the cooldown; empty to lift it
    ARGV[15]  attempt|target of a restart that helped; empty for none
    ARGV[16]  how long that is kept, ms
    ARGV[17]  attempt that gives its action slot back; empty for none
    ARGV[18]  1: the target no longer counts as out; 0: that stays
    ARGV[19]  id of the order that is answered; empty for none
    ARGV[20]  1: the last remediation is the one after the step, 0: none is open
    ARGV[21]  number of remediations
    ARGV[22]  number of alerts that a pull has listed for the first time
    ARGV[23]  number of alerts that are over
    ARGV[24]  number of tallies
    ARGV[25]  number of messages
    ARGV[26]  most messages in the outbox
    ARGV[27]  number of lines for the audit
    ARGV[28]  most lines of the audit
    then for each remediation: id, when it was opened, 1 when closed or 0, JSON
    then for each alert listed: fingerprint
    then for each alert over: fingerprint, status|starts|received|notified| as it was seen
    then for each tally: name, how much to add
    then for each message: kind, JSON
    then for each line: JSON

  Output:
    1  written, now or by an earlier call with this ticket
    2  the target's fence is another: nothing was written
]]
-- include story
-- include tell
local due, running, leases, target_key, alerts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local failures, failing = KEYS[6], KEYS[7]
local recoveries, slots, out, order = KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local tally, lost = KEYS[19], KEYS[20]
local history, history_of, open = KEYS[8], KEYS[9], KEYS[10]
local target, fence, ticket, now, due_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local keep_ms, most = ARGV[6], ARGV[7]
local failed_attempt, window_ms = ARGV[8], ARGV[9]
local activity = { id = ARGV[10], started = ARGV[11], json = ARGV[12] }
local attempt, until_at = ARGV[13], ARGV[14]
local recovery, recovery_ms = ARGV[15], ARGV[16]
local freed, is_back, answered_order = ARGV[17], ARGV[18] == '1', ARGV[19]
local is_open, remediations = ARGV[20] == '1', tonumber(ARGV[21])
local listed, over, tallies = tonumber(ARGV[22]), tonumber(ARGV[23]), tonumber(ARGV[24])

-- First of all: an answer that was lost is asked for again, maybe after the next claim.
if redis.call('HGET', target_key, 'noted') == ticket then
  return 1
end
if redis.call('HGET', leases, target) ~= fence then
  return 2
end

local key, at = 25, 29
for _ = 1, remediations do
  local one = { id = ARGV[at], opened = ARGV[at + 1], closed = ARGV[at + 2], json = ARGV[at + 3] }
  local lists = { record = KEYS[key], history = history, history_of = history_of, open = open }
  story.write(lists, one, now, keep_ms)
  story.point(target_key, one, keep_ms)
  key, at = key + 1, at + 4
end
if not is_open then
  local id = redis.call('HGET', target_key, 'open')
  if id then
    redis.call('HDEL', target_key, 'open')
    redis.call('ZREM', open, id)
  end
end

if activity.id ~= '' then
  local keys = { record = KEYS[11], activities = KEYS[12], activities_of = KEYS[13] }
  story.write_activity(keys, activity, keep_ms, most)
end
if attempt ~= '' then
  story.cool(KEYS[14], attempt, until_at, now, keep_ms)
end

if failed_attempt ~= '' then
  if redis.call('ZADD', failures, 'NX', now, failed_attempt) == 1 then
    redis.call('ZADD', failing, 'GT', now, target)
  end
  local edge = string.format('%d', tonumber(now) - tonumber(window_ms))
  redis.call('ZREMRANGEBYSCORE', failures, '-inf', edge)
  -- Twice the window: the server's clock may run faster than the caller's.
  redis.call('PEXPIRE', failures, string.format('%d', 2 * tonumber(window_ms)))
  edge = string.format('%d', tonumber(now) - tonumber(keep_ms))
  redis.call('ZREMRANGEBYSCORE', failing, '-inf', edge)
  redis.call('PEXPIRE', failing, keep_ms)
end
for i = key, #KEYS do
  redis.call('DEL', KEYS[i])
end
if recovery ~= '' then
  redis.call('ZADD', recoveries, 'NX', now, recovery)
  local edge = string.format('%d', tonumber(now) - tonumber(recovery_ms))
  redis.call('ZREMRANGEBYSCORE', recoveries, '-inf', edge)
  redis.call('PEXPIRE', recoveries, recovery_ms)
end

if freed ~= '' then
  redis.call('ZREM', slots, freed)
end
if is_back then
  redis.call('ZREM', out, target)
end
if answered_order ~= '' and redis.call('HGET', order, 'id') == answered_order then
  redis.call('HDEL', order, 'id', 'json')
end

local listed_from, over_from = at, at + listed
for i = over_from, over_from + 2 * over - 1, 2 do
  local stored = redis.call('HGET', alerts, ARGV[i])
  if stored and string.sub(stored, 1, #ARGV[i + 1]) == ARGV[i + 1] then
    redis.call('HDEL', alerts, ARGV[i])
  end
end
for i = listed_from, over_from - 1 do
  local stored = redis.call('HGET', alerts, ARGV[i])
  if stored then
    local flagged = string.gsub(stored, '^(%l+|%-?%d+|%-?%d+|%-?%d+|)[01]|', '%11|')
    redis.call('HSET', alerts, ARGV[i], flagged)
  end
end

local tallies_from = over_from + 2 * over
for i = tallies_from, tallies_from + 2 * tallies - 1, 2 do
  -- What is no number there keeps no step from being noted.
  redis.pcall('HINCRBY', tally, ARGV[i], ARGV[i + 1])
end

-- What is broken there keeps no step from being noted.
local messages_from = tallies_from + 2 * tallies
local lines_from = messages_from + 2 * tonumber(ARGV[25])
for i = messages_from, lines_from - 1, 2 do
  pcall(tell.message, KEYS[21], KEYS[22], ARGV[26], ARGV[i], ARGV[i + 1])
end
for i = lines_from, lines_from + tonumber(ARGV[27]) - 1 do
  pcall(tell.line, KEYS[23], KEYS[24], ARGV[28], now, ARGV[i])
end

redis.call('HSET', target_key, 'noted', ticket)
redis.call('PEXPIRE', target_key, keep_ms)
redis.call('ZREM', running, target)
redis.call('HDEL', leases, target)
redis.call('HDEL', lost, target)
if due_at ~= '' then
  redis.call('ZADD', due, 'LT', due_at, target)
end
return 1
