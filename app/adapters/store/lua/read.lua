--[[
  Read all of one target in one look.

  Input:
    KEYS[1]  hash of the target: 'open', 'last' -> id of its open remediation, of the one closed last
    KEYS[2]  hash of the target: fingerprint -> status|starts|received|notified|listed|json
    KEYS[3]  sorted set of the target: failed attempt -> time of its verdict, ms since epoch
    KEYS[4]  hash of the group: 'until' -> end of its cooldown, 'left' -> when an instance left that
             was not needed any more, ms since epoch
    KEYS[5]  sorted set: target -> time of its last failed restart, ms since epoch
    KEYS[6]  hash of the target: 'json' -> its pending order
    KEYS[7]  hash of controls: 'pause', 'brake' -> JSON; 'cleared' -> when a person cleared the
             brake, ms since epoch, empty for never; field of a hold -> until|json

    ARGV[1]  now, ms since epoch
    ARGV[2]  now less the window, ms since epoch: outside of it
    ARGV[3]  the same of the window in which failing targets count
    ARGV[4]  name of every remediation's key, without the id at its end
    ARGV[5]  field of the target's hold

  Output:
    { open, record, last, record, failures, until, failing, order, pause, hold, brake, left,
      fingerprint, alert, fingerprint, alert, … }
    open, last:  id and record (JSON) of the open and of the one closed last;
                 both empty for none
    failures:    number of failures in the window
    until:       end of a cooldown that lasts, ms since epoch; empty for none
    failing:     number of failing targets
    left:        ms since epoch; empty for never
    What was told by a clock that was wrong, and lies ahead, is left out of these two.
    the others:  as they are stored; empty for none

  The keys of remediations are found here and not among KEYS; they are in the same slot.
]]
-- include story
local target, alerts, failures, cooldown = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local failing, order, control = KEYS[5], KEYS[6], KEYS[7]
local now, edge, failing_edge = ARGV[1], ARGV[2], ARGV[3]
local remediation, hold_field = ARGV[4], ARGV[5]

local answer = {}
for i, id in ipairs(redis.call('HMGET', target, 'open', 'last')) do
  answer[2 * i - 1] = id or ''
  answer[2 * i] = id and redis.call('GET', remediation .. id) or ''
end

local _, cooling = story.cooling(cooldown, now)
local left = redis.call('HGET', cooldown, 'left')
answer[5] = redis.call('ZCOUNT', failures, '(' .. edge, now)
answer[6] = cooling and cooling > tonumber(now) and cooling or ''

local controls = redis.call('HMGET', control, 'pause', hold_field, 'brake', 'cleared')
local cleared = tonumber(controls[4] or '')
if cleared and cleared > tonumber(failing_edge) then
  failing_edge = controls[4]
end
answer[7] = redis.call('ZCOUNT', failing, '(' .. failing_edge, now)
answer[8] = redis.call('HGET', order, 'json') or ''
for i = 1, 3 do
  answer[8 + i] = controls[i] or ''
end
answer[12] = left and not story.is_ahead(left, now) and left or ''

for _, part in ipairs(redis.call('HGETALL', alerts)) do
  answer[#answer + 1] = part
end
return answer
