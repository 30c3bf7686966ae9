--[[
  Read of many targets what a list tells of each.

  Input, of each target three in a row:
    KEYS[1]  hash of the target: 'open' -> id of its open remediation
    KEYS[2]  sorted set of the target: failed attempt -> time of its verdict, ms since epoch
    KEYS[3]  hash of its group: its cooldown (story.cooling)

    ARGV[1]  now, ms since epoch
    ARGV[2]  failures after then, ms since epoch
    ARGV[3]  name of every remediation's key, without the id at its end

  Output, of each target four in a row:
    id of its open remediation; empty for none
    that remediation, JSON; empty for none
    [ failed attempt, time of its verdict, failed attempt, … ], oldest first, times in ms
    end of a cooldown that lasts, ms since epoch; empty for none

  The keys of remediations are found here and not among KEYS; they are in the same slot.
]]
-- include story
local now, since, remediation = ARGV[1], ARGV[2], ARGV[3]

local answer = {}
for i = 1, #KEYS, 3 do
  local id = redis.call('HGET', KEYS[i], 'open')
  local _, ends = story.cooling(KEYS[i + 2], now)
  local at = #answer
  answer[at + 1] = id or ''
  answer[at + 2] = id and redis.call('GET', remediation .. id) or ''
  answer[at + 3] = redis.call('ZRANGEBYSCORE', KEYS[i + 1], '(' .. since, now, 'WITHSCORES')
  answer[at + 4] = ends and ends > tonumber(now) and string.format('%d', ends) or ''
end
return answer
