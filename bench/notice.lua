-- For wrk: notices as Alertmanager posts them, each alert with a fingerprint and a start of its own.
--   NOTICE  file with one alert, in which @FINGERPRINT@, @AT@ and @NAME@ stand for what changes
--   ALERTS  alerts in one body
--   NAMES   the containers that they are about, comma-separated
--   POOL    fingerprints go round after so many: no target is given more than it keeps
--   FIRST   number of the first alert: starts go on from run to run, so that all are new ones
--   SECOND  start of alert 0, seconds since epoch
--   TOKEN   shown with each request

local function pieces(text)
  local found, at = {}, 1
  for before, mark in text:gmatch('(.-)(@%u+@)') do
    found[#found + 1] = before
    found[#found + 1] = mark
    at = at + #before + #mark
  end
  found[#found + 1] = text:sub(at)
  return found
end

local file = assert(io.open(os.getenv('NOTICE')))
local template = pieces(file:read('*a'))
file:close()

local names = {}
for name in os.getenv('NAMES'):gmatch('[^,]+') do
  names[#names + 1] = name
end

local alerts, pool = tonumber(os.getenv('ALERTS')), tonumber(os.getenv('POOL'))
local number, second = tonumber(os.getenv('FIRST')), tonumber(os.getenv('SECOND'))
local headers = {
  ['Content-Type'] = 'application/json',
  ['Authorization'] = 'Bearer ' .. os.getenv('TOKEN'),
}
local head = '{"receiver":"relevo","status":"firing","version":"4","groupKey":"{}:{}",'
  .. '"truncatedAlerts":0,"groupLabels":{},"commonLabels":{},"commonAnnotations":{},'
  .. '"externalURL":"http://alertmanager:9093","alerts":['

-- One day is written once: formatting it each time would be what is measured.
local day, days = nil, nil
local function moment(ms)
  local whole = second + math.floor(ms / 1000)
  if whole ~= day then
    day, days = whole, os.date('!%Y-%m-%dT%H:%M:%S', whole)
  end
  return string.format('%s.%03dZ', days, ms % 1000)
end

function request()
  local parts = { head }
  for i = 1, alerts do
    local of = number % pool
    local said = {
      ['@FINGERPRINT@'] = string.format('%016x', of),
      ['@AT@'] = moment(number),
      ['@NAME@'] = names[of % #names + 1],
    }
    for _, piece in ipairs(template) do
      parts[#parts + 1] = said[piece] or piece
    end
    parts[#parts + 1] = i < alerts and ',' or ']}'
    number = number + 1
  end
  return wrk.format('POST', nil, headers, table.concat(parts))
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "us": %d, "errors": %d, "refused": %d, "p50_us": %.1f, "p99_us": %.1f}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
