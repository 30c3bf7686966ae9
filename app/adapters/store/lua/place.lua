--[[
  Keep an operator's order with its reply, and make its target due. Harmless when repeated.

  Input:
    KEYS[1]  sorted set: target -> when it is looked at next, ms since epoch
    KEYS[2]  hash of the target: 'id', 'json' of its pending order; 'placed': digest of the last
             one that was placed, pending or not
    KEYS[3]  the reply: call|json
    KEYS[4]  stream: the audit; see tell.lua
    KEYS[5]  hash: what came before its oldest line

    ARGV[1]  target
    ARGV[2]  now, ms since epoch
    ARGV[3]  id of the order
    ARGV[4]  digest of the order: the same one again means that no answer has arrived
    ARGV[5]  the order, JSON
    ARGV[6]  how long an order is kept, ms
    ARGV[7]  the reply, JSON; empty for none
    ARGV[8]  how long a reply is kept, ms
    ARGV[9]  most lines of the audit
    ARGV[10] the audit's line, JSON

  Output:
    { 1 }         placed, now or by an earlier call
    { 2, reply }  the reply's key was used before, with this reply, call|json: nothing was written
    { 3, order }  this order is pending, JSON: nothing was written
]]
-- include tell
local due, order, reply_key = KEYS[1], KEYS[2], KEYS[3]
local target, now = ARGV[1], ARGV[2]
local id, digest, json, keep_ms = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local reply, keep_reply_ms = ARGV[7], ARGV[8]

if redis.call('HGET', order, 'placed') == digest then
  return { 1 }
end
if reply ~= '' then
  local replied = redis.call('GET', reply_key)
  if replied then
    return { 2, replied }
  end
end
local pending = redis.call('HGET', order, 'json')
if pending then
  return { 3, pending }
end

tell.line(KEYS[4], KEYS[5], ARGV[9], now, ARGV[10])
redis.call('HSET', order, 'id', id, 'json', json, 'placed', digest)
redis.call('PEXPIRE', order, keep_ms)
if reply ~= '' then
  redis.call('SET', reply_key, digest .. '|' .. reply, 'PX', keep_reply_ms)
end
redis.call('ZADD', due, 'LT', now, target)
return { 1 }
