--[[
  Leave the seat of the leader to whoever asks next. Harmless when repeated.

  Runs without a frame: whoever leaves asks of no history.

  Input:
    KEYS[1]  hash of the seat: 'instance', 'life'

    ARGV[1]  life that leaves

  Output:
    1  left
    0  another life has it: nothing was written
]]
local seat, life = KEYS[1], ARGV[1]

if redis.call('HGET', seat, 'life') ~= life then
  return 0
end
redis.call('HDEL', seat, 'instance', 'life')
return 1
