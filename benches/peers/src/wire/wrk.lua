-- Sends each of the credentials of a file in turn, one a line, and says as JSON what came of it.
-- arguments: FILE NAME-OF-HEADER

local requests = {}
local last = 0

function init(args)
  for value in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", "/todo", { ["Host"] = wrk.headers["Host"], [args[2]] = value })
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  local socket = errors.connect + errors.read + errors.write + errors.timeout
  local numbers = '{"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n'
  io.write("\nresult ", string.format(numbers, summary.requests, summary.duration, errors.status, socket,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
