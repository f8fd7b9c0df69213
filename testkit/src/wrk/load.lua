-- Sends whole HTTP requests from a file: ten digits of length, then the request, and so on.
-- wrk ... -- <file> <around|once>
local requests = {}
local sent = 0
local once = false
local loaders = {}
local looked_at = false

-- In the main state: remembers the thread, whose variables `done` may read.
function setup(thread)
  loaders[#loaders + 1] = thread
end

function init(args)
  exhausted = false
  local file = assert(io.open(args[1], "rb"))
  once = args[2] == "once"
  while true do
    local length = file:read(10)
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  if not looked_at then
    -- Before the load wrk looks at one request, without sending it, to count how many it holds.
    looked_at = true
    return requests[1]
  end
  if once and sent >= #requests then
    exhausted = true
    -- Nothing to send: this connection falls silent, and no request is sent twice.
    return ""
  end
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  local ran_out = false
  for _, thread in ipairs(loaders) do
    ran_out = ran_out or thread:get("exhausted") == true
  end
  io.write(string.format(
    '\nREPORT {"requests":%d,"duration_us":%d,"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f,"max_us":%.1f,"failed":%d,"broken":%d,"exhausted":%s}\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, tostring(ran_out)))
end
