--[[
  Keep the seat of the leader, or take it; or only look. Harmless when repeated.

  Runs without a frame: it asks of no history.

  Input:
    KEYS[1]  hash: 'epoch' -> name of the store's history; 'told_at' -> the leader's time, ms;
             'engine' -> whom the store belongs to; 'engine_of' -> the instance that said so;
             'begun_at' -> since when it remembers, ms
    KEYS[2]  counter: grows with every write
    KEYS[3]  hash of the seat: 'instance', 'life', 'term', 'beat'
    KEYS[4]  sorted set: claimed target -> end of its lease, ms since epoch

    ARGV[1]  instance that would lead; empty: only look
    ARGV[2]  its life
    ARGV[3]  its time, ms since epoch
    ARGV[4]  its engine; empty: not known yet
    ARGV[5]  term of a deserted tenure; empty for none
    ARGV[6]  its beat

  Output:
    { epoch, counter, instance, life, term, beat, told_at, engine, begun_at }; numbers as text

  The seat is free where nobody has it, where an earlier life of the same instance has it, or
  where it still is as somebody found it who has watched it stand still.
]]
local meta, counter, seat, running = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local instance, life, now, engine = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local deserted_term, deserted_beat = ARGV[5], ARGV[6]

local function standing()
  local about = redis.call('HMGET', meta, 'epoch', 'told_at', 'engine', 'begun_at')
  local who = redis.call('HMGET', seat, 'instance', 'life', 'term', 'beat')
  return {
    about[1] or '',
    redis.call('GET', counter) or '0',
    who[1] or '',
    who[2] or '',
    who[3] or '0',
    who[4] or '0',
    about[2] or '',
    about[3] or '',
    about[4] or '',
  }
end

local now_is = standing()
local epoch, told_at, belongs_to = now_is[1], now_is[7], now_is[8]
if instance == '' or epoch == '' then
  return now_is
end
if belongs_to ~= '' and belongs_to ~= engine then
  -- Whoever does not see his engine leaves it to others. Whoever named it may name it anew: his
  -- host was given another name.
  if redis.call('HGET', meta, 'engine_of') ~= instance then
    return now_is
  end
end

local holder, its_life, term, beat = now_is[3], now_is[4], now_is[5], now_is[6]
if its_life ~= life then
  local is_deserted = deserted_term == term and deserted_beat == beat
  if holder ~= '' and holder ~= instance and not is_deserted then
    return now_is
  end
  redis.call('INCR', counter)
  redis.call('HSET', seat, 'instance', instance, 'life', life)
  redis.call('HINCRBY', seat, 'term', 1)
  -- Whoever had these is gone, or will be told so: nothing of it is waited for.
  for _, target in ipairs(redis.call('ZRANGEBYSCORE', running, '(' .. now, '+inf')) do
    redis.call('ZADD', running, now, target)
  end
end
redis.call('HINCRBY', seat, 'beat', 1)
if told_at == '' or tonumber(told_at) < tonumber(now) then
  redis.call('HSET', meta, 'told_at', now)
end
if engine ~= '' then
  redis.call('HSET', meta, 'engine', engine, 'engine_of', instance)
end
return standing()
