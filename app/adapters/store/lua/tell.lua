-- How scripts tell people: the outbox and the audit. Included, not a script of its own.
local tell = {}

-- Put a message at the end of the outbox; the oldest give way where there are too many.
--   outbox: sorted set: place|kind|json -> place
--   counts: hash: 'place' -> the last one given out; 'dropped:' and a kind -> how many gave way
function tell.message(outbox, counts, most, kind, json)
  local place = string.format('%d', redis.call('HINCRBY', counts, 'place', 1))
  redis.call('ZADD', outbox, place, place .. '|' .. kind .. '|' .. json)
  local too_many = redis.call('ZCARD', outbox) - tonumber(most)
  if too_many > 0 then
    local gone = redis.call('ZPOPMIN', outbox, too_many)
    for i = 1, #gone, 2 do
      local gone_kind = string.match(gone[i], '^%d+|(%l*)|') or ''
      redis.call('HINCRBY', counts, 'dropped:' .. gone_kind, 1)
    end
  end
end

-- Write a line of the audit, chained to the one before; the oldest give way where there are too many.
--   audit:  stream: ms-number -> 'chain', 'entry' (JSON); the number grows by one with each line,
--           the milliseconds never go back
--   anchor: hash: 'id', 'chain' of the newest line that gave way: the oldest that is kept is
--           chained to it
function tell.line(audit, anchor, most, now, json)
  local at, number, chain = tonumber(now), 0, ''
  local last = redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)[1]
  if last then
    local ms, count = string.match(last[1], '^(%d+)-(%d+)$')
    at, number = math.max(at, tonumber(ms)), tonumber(count)
    for i = 1, #last[2], 2 do
      if last[2][i] == 'chain' then
        chain = last[2][i + 1]
      end
    end
  end
  local id = string.format('%d-%d', at, number + 1)
  local link = redis.sha1hex(chain .. '\n' .. id .. '\n' .. json)
  local too_many = redis.call('XLEN', audit) + 1 - tonumber(most)
  if too_many > 0 then
    local gone = redis.call('XRANGE', audit, '-', '+', 'COUNT', too_many)
    local newest = gone[#gone]
    for i = 1, #newest[2], 2 do
      if newest[2][i] == 'chain' then
        redis.call('HSET', anchor, 'id', newest[1], 'chain', newest[2][i + 1])
      end
    end
  end
  redis.call('XADD', audit, 'MAXLEN', most, id, 'chain', link, 'entry', json)
end
