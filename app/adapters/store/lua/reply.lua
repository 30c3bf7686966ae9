--[[
  Keep what a request was answered, unless its key is taken. Harmless when repeated.

  Input:
    KEYS[1]  the reply: call|json

    ARGV[1]  name of this call: the same one again means that no answer has arrived
    ARGV[2]  the reply, JSON
    ARGV[3]  how long it is kept, ms

  Output:
    call|json of the reply that was there first; empty: this one is kept
]]
local key = KEYS[1]
local call, json, keep_ms = ARGV[1], ARGV[2], ARGV[3]

local stored = redis.call('GET', key)
if stored and string.sub(stored, 1, #call + 1) ~= call .. '|' then
  return stored
end
redis.call('SET', key, call .. '|' .. json, 'PX', keep_ms)
return ''
