--[[
  Forget one message of the outbox. Harmless when repeated: no place is given out twice.

  Input:
    KEYS[1]  sorted set: place|kind|json -> place

    ARGV[1]  place

  Output:
    1
]]
redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])
return 1
