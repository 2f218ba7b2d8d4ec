-- Spends from several quotas of one caller, or from none.
--
-- KEYS     one for each quota: the time at which it is whole again, as seconds
--          and nanoseconds; it is gone once that is over
-- ARGV     what has to be spent, what may be spent, and for each quota the
--          nanoseconds after which one more comes back, and its size
-- returns  what was spent, and for each quota the nanoseconds after which it is
--          whole again
--
-- Seconds and nanoseconds are kept apart since a number here has 53 bits: whole
-- nanoseconds are exact for quotas that come back within 104 days.
local time = redis.call('TIME')
local now, fraction = tonumber(time[1]), tonumber(time[2]) * 1000
local cost, granted = tonumber(ARGV[1]), tonumber(ARGV[2])
local intervals, backlogs = {}, {}

for i, key in ipairs(KEYS) do
  local interval, size = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local capacity, backlog = interval * size, 0
  local due = redis.call('GET', key)
  local seconds, nanos = string.match(due or '', '^(%d+) (%d+)$')
  if seconds then
    backlog = (tonumber(seconds) - now) * 1e9 + (tonumber(nanos) - fraction)
    backlog = math.max(0, backlog)
  end
  intervals[i], backlogs[i] = interval, backlog
  granted = math.min(granted, math.max(0, math.floor((capacity - backlog) / interval)))
end

if granted < cost then
  granted = 0
end

for i, key in ipairs(KEYS) do
  if granted > 0 then
    backlogs[i] = backlogs[i] + granted * intervals[i]
    local due = fraction + backlogs[i]
    local seconds, nanos = now + math.floor(due / 1e9), due % 1e9
    redis.call('SET', key, string.format('%.0f %.0f', seconds, nanos),
      'PX', string.format('%.0f', math.max(1, math.ceil(backlogs[i] / 1e6))))
  end
  backlogs[i] = string.format('%.0f', backlogs[i])
end

return {granted, backlogs}
