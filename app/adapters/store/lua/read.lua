--[[
  Read all of one target in one look.

  Input:
    KEYS[1]  hash of the target: 'open' -> id of its open remediation
    KEYS[2]  hash of the target: fingerprint -> status|starts|received|notified|listed|json
    KEYS[3]  sorted set of the target: failed attempt -> time of its verdict, ms since epoch
    KEYS[4]  hash of the group: 'until' -> end of its cooldown, ms since epoch

    ARGV[1]  now, ms since epoch
    ARGV[2]  now less the window, ms since epoch: outside of it
    ARGV[3]  name of every remediation's key, without the id at its end

  Output:
    { id, record, failures, until, fingerprint, alert, fingerprint, alert, … }
    id, record:  of the open remediation, JSON; empty for none
    failures:    number of failures in the window
    until:       end of a cooldown that lasts, ms since epoch; empty for none

  The key of the remediation is found here and not among KEYS; it is in the same slot.
]]
local target, alerts, failures, cooldown = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, edge, remediation = ARGV[1], ARGV[2], ARGV[3]

local id = redis.call('HGET', target, 'open') or ''
local record = id ~= '' and redis.call('GET', remediation .. id) or ''
local count = redis.call('ZCOUNT', failures, '(' .. edge, now)
local cooling = redis.call('HGET', cooldown, 'until') or ''
if cooling ~= '' and tonumber(cooling) <= tonumber(now) then
  cooling = ''
end

local answer = { id, record, count, cooling }
for _, part in ipairs(redis.call('HGETALL', alerts)) do
  answer[#answer + 1] = part
end
return answer
