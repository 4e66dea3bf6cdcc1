-- Charges every bucket of one subject, or none. The arithmetic is that of decide in Go, on Redis's own clock.
-- KEYS: the buckets. ARGV: for each bucket what the request adds and how far ahead it may be, in microseconds.
-- Answers {1 or 0, now, then each bucket's time before the charge}, in microseconds since 1 700 000 000 s.
local clock = redis.call('TIME')
local now = (tonumber(clock[1]) - 1700000000) * 1000000 + tonumber(clock[2])

-- Numbers are written with %.0f: Lua's tostring keeps 14 digits, which is less than these have.
-- The bucket is gone once it is full: an absent one and a full one are the same.
local function write(key, tat)
  local left = math.ceil((tat - now) / 1000)
  redis.call('SET', key, string.format('%.0f', tat), 'PX', string.format('%.0f', left))
end

local answer = {1, now}
for i, key in ipairs(KEYS) do
  local add, tau = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local stored = tonumber(redis.call('GET', key) or now)
  local tat = math.min(math.max(stored, now), now + tau)
  if stored > tat then
    write(key, tat) -- a clock that was set back, or a lowered burst: healed even where the request is refused
  end
  if tat + add > now + tau then
    answer[1] = 0
  end
  answer[i + 2] = tat
end

if answer[1] == 1 then
  for i, key in ipairs(KEYS) do
    local add = tonumber(ARGV[2 * i - 1])
    if add > 0 then
      write(key, answer[i + 2] + add)
    end
  end
end
return answer
