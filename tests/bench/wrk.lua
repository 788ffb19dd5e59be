-- Sends the lines of a file in turn, and prints what came of it as one line of JSON. A line is the
-- body of a POST, or the path of a GET where the second argument says so.
local bodies, at = {}, 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init(args)
  for line in io.lines(args[1]) do
    local get = args[2] == "GET"
    bodies[#bodies + 1] = get and wrk.format("GET", line, {}) or wrk.format(nil, nil, nil, line)
  end
end

function request()
  at = at % #bodies + 1
  return bodies[at]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
