-- How intend and note write what they have in common. Included, not a script of its own.
local story = {}

-- Write a remediation and list it.
--   keys: record, history, history of the target, open
--   one:  id, opened (ms since epoch), closed ('1' or '0'), json
-- Lists forget what was opened longer ago than `keep_ms`; what is still written to stays.
function story.write(keys, one, now, keep_ms)
  redis.call('SET', keys.record, one.json, 'PX', keep_ms)
  local oldest = string.format('%d', tonumber(now) - tonumber(keep_ms))
  for _, list in ipairs({ keys.history, keys.history_of }) do
    redis.call('ZREMRANGEBYSCORE', list, '-inf', '(' .. oldest)
    redis.call('ZADD', list, one.opened, one.id)
    redis.call('PEXPIRE', list, keep_ms)
  end
  if one.closed == '1' then
    redis.call('ZREM', keys.open, one.id)
  else
    redis.call('ZADD', keys.open, one.opened, one.id)
    redis.call('PEXPIRE', keys.open, keep_ms)
  end
end

-- Let the target point at its open remediation, and at the one of its others that was closed last.
function story.point(target_key, one, keep_ms)
  if one.closed == '0' then
    redis.call('HSET', target_key, 'open', one.id)
  else
    -- A relapse amends one that may be older than the newest. What ends now is the last, although
    -- it may have been opened before others by a clock that was set back.
    local ends = redis.call('HGET', target_key, 'open') == one.id
    local newest = tonumber(redis.call('HGET', target_key, 'last_opened') or -math.huge)
    if ends or tonumber(one.opened) >= newest then
      redis.call('HSET', target_key, 'last', one.id, 'last_opened', one.opened)
    end
    if ends then
      redis.call('HDEL', target_key, 'open')
    end
  end
  redis.call('PEXPIRE', target_key, keep_ms)
end

-- Write an activity and list it.
--   keys: record, activities, activities of the group
--   one:  id, started (ms since epoch), json
function story.write_activity(keys, one, keep_ms, most)
  redis.call('SET', keys.record, one.json, 'PX', keep_ms)
  for _, list in ipairs({ keys.activities, keys.activities_of }) do
    redis.call('ZADD', list, one.started, one.id)
    redis.call('ZREMRANGEBYRANK', list, 0, -tonumber(most) - 1)
    redis.call('PEXPIRE', list, keep_ms)
  end
end

-- Tell whether a moment was told by a clock that was wrong: it lies ahead by more than those of
-- two hosts differ.
function story.is_ahead(moment, now)
  return moment and tonumber(moment) > tonumber(now) + 60000
end

-- Tell whose cooldown a group has, and until when (ms since epoch), over or not; nil for none.
function story.cooling(key, now)
  local running = redis.call('HMGET', key, 'attempt', 'until', 'since')
  if not running[1] or story.is_ahead(running[3], now) then
    return nil
  end
  return running[1], tonumber(running[2])
end

-- Begin, move or (without an end) lift a cooldown; another attempt's only gets longer.
function story.cool(key, attempt, until_at, now, keep_ms)
  local whose, ends = story.cooling(key, now)
  if until_at == '' then
    if redis.call('HGET', key, 'attempt') == attempt then
      redis.call('HDEL', key, 'attempt', 'until', 'since')
    end
  elseif not whose or whose == attempt or ends < tonumber(until_at) then
    redis.call('HSET', key, 'attempt', attempt, 'until', until_at, 'since', now)
    local left = math.max(0, tonumber(until_at) - tonumber(now))
    redis.call('PEXPIRE', key, string.format('%d', left + tonumber(keep_ms)))
  end
end
