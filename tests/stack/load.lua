-- For wrk: a bounded rate, and the result as one line of JSON.

-- Milliseconds that each connection waits before its next request.
function delay()
   return 50
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '{"requests": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "slowest_ms": %d}\n',
      summary.requests, e.connect, e.read, e.write, e.status, e.timeout, latency.max / 1000))
end
