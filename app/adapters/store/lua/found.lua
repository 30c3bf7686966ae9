--[[
  Begin a history of the store, or add what is remembered to the one that it has. Harmless when
  repeated.

  Runs without a frame: it ends what the frame asks for.

  Input:
    KEYS[1]  hash: 'epoch' -> name of the store's history; 'told_at' -> the leader's time, ms;
             'begun_at' -> since when it remembers, ms
    KEYS[2]  counter: grows with every write
    KEYS[3]  sorted set: attempt -> when it was charged, ms since epoch
    KEYS[4]  hash of controls: 'pause'; 'hold:' and a target
    KEYS[5]  sorted set: target -> when it is looked at next, ms since epoch
    then other sorted sets whose scores are ends, ms since epoch

    ARGV[1]  name of the new history
    ARGV[2]  name of the one that it follows; empty for none
    ARGV[3]  now, ms since epoch
    ARGV[4]  the counter is this at least
    ARGV[5]  how long charges are kept, ms
    ARGV[6]  version of what the store holds
    ARGV[7]  1: what it was told before is lost, all or some of it; 0: it is not
    ARGV[8]  number of charges
    then for each charge: attempt, ms since epoch
    then for each control that the store must not have forgotten: field, value

  Output:
    1  begun, now or by an earlier call
    0  the store's history is not the one to follow: nothing was written
]]
local meta, counter, charges, control = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, before, now, least, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local schema, is_lost, charged_until = ARGV[6], ARGV[7] == '1', 8 + 2 * tonumber(ARGV[8])

local found = redis.call('HGET', meta, 'epoch') or ''
if found ~= epoch then
  if found ~= before then
    return 0
  end
  -- What was told by a clock that was wrong is told no more; everything is looked at anew.
  redis.call('HSET', meta, 'epoch', epoch, 'told_at', now)
  if is_lost then
    redis.call('HSET', meta, 'begun_at', now)
  end
  redis.call('HSETNX', meta, 'schema', schema)
  for i = 3, #KEYS do
    if i ~= 4 then
      for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. now, '+inf')) do
        redis.call('ZADD', KEYS[i], now, member)
      end
    end
  end
end
if tonumber(redis.call('GET', counter) or 0) < tonumber(least) then
  redis.call('SET', counter, least)
end
for i = 9, charged_until, 2 do
  redis.call('ZADD', charges, 'NX', ARGV[i + 1], ARGV[i])
  redis.call('PEXPIRE', charges, keep_ms)
end
for i = charged_until + 1, #ARGV, 2 do
  redis.call('HSETNX', control, ARGV[i], ARGV[i + 1])
end
return 1
