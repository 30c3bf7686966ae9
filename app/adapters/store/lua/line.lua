--[[
  Write one line of the audit by itself. Harmless when repeated.

  Input:
    KEYS[1]  stands while a call may be repeated: it has written its line
    KEYS[2]  stream: the audit; see tell.lua
    KEYS[3]  hash: what came before its oldest line

    ARGV[1]  how long that stands, ms
    ARGV[2]  now, ms since epoch
    ARGV[3]  most lines of the audit
    ARGV[4]  the line, JSON

  Output:
    1  written, now or by an earlier call
]]
-- include tell
if redis.call('EXISTS', KEYS[1]) == 0 then
  tell.line(KEYS[2], KEYS[3], ARGV[3], ARGV[2], ARGV[4])
  redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
end
return 1
