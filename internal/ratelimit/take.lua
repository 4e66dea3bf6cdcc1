-- Charges every bucket of one subject for as many of a number of equal requests as there is room for, each of them wholly or
-- not at all; where all of them pass, also for permits, as many as there is room for. The arithmetic is that of decide in Go,
-- on Redis's own clock.
-- KEYS: the buckets. ARGV: how many requests, how many permits; then for each bucket what a request adds, what a permit adds,
-- and how far ahead it may be, in microseconds.
-- Answers {requests that pass, permits, now, then each bucket's time before the charge}, in microseconds since
-- 1 700 000 000 s.
local clock = redis.call('TIME')
local now = (tonumber(clock[1]) - 1700000000) * 1000000 + tonumber(clock[2])

-- Numbers are written with %.0f: Lua's tostring keeps 14 digits, which is less than these have.
-- The bucket is gone once it is full: an absent one and a full one are the same.
local function write(key, tat)
  local left = math.ceil((tat - now) / 1000)
  redis.call('SET', key, string.format('%.0f', tat), 'PX', string.format('%.0f', left))
end

local function most(wanted, room, each)
  if each == 0 then
    return wanted
  end
  return math.min(wanted, math.floor(room / each))
end

local requests, tats = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local tau = tonumber(ARGV[3 * i + 2])
  local stored = tonumber(redis.call('GET', key) or now)
  if not stored or stored ~= stored then
    stored = now -- no number, or NaN, which nobody here wrote: as if the key were lost, and replaced by the next charge
  end
  local tat = math.min(math.max(stored, now), now + tau)
  if stored > tat then
    write(key, tat) -- a clock that was set back, or a lowered burst: healed even where the request is refused
  end
  tats[i] = tat
  requests = most(requests, now + tau - tat, tonumber(ARGV[3 * i]))
end

local permits = 0
if requests == tonumber(ARGV[1]) then
  permits = tonumber(ARGV[2])
  for i = 1, #KEYS do
    local room = now + tonumber(ARGV[3 * i + 2]) - tats[i] - requests * tonumber(ARGV[3 * i])
    permits = most(permits, room, tonumber(ARGV[3 * i + 1]))
  end
end

local answer = {requests, permits, now}
for i, key in ipairs(KEYS) do
  local add = requests * tonumber(ARGV[3 * i]) + permits * tonumber(ARGV[3 * i + 1])
  if add > 0 then
    write(key, tats[i] + add)
  end
  answer[i + 3] = tats[i]
end
return answer
