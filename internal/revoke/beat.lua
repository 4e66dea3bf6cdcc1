-- A node's heartbeat: proves that this server takes writes, and says who else is alive.
-- KEYS: 1 nodes, 2 head, 3 tokens
-- ARGV: 1 node, 2 the last log entry it applied, 3 its clock in seconds,
--       4 milliseconds after which a silent node does not count, 5 after which it is forgotten,
--       6 seconds that a token is kept beyond its expiry, 7 most tokens to forget in one call
-- Returns seconds and microseconds of this clock, the head, the number of living nodes, and what each node said last.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ms) .. ' ' .. ARGV[2])

local live, heard = 0, {}
local nodes = redis.call('HGETALL', KEYS[1])
for i = 1, #nodes, 2 do
  -- Either way: after this clock stepped back, a node that is gone was heard in the future.
  local silent = math.abs(ms - tonumber(string.match(nodes[i + 1], '^%d+') or 0))
  if silent > tonumber(ARGV[5]) then
    redis.call('HDEL', KEYS[1], nodes[i])
  else
    heard[#heard + 1], heard[#heard + 2] = nodes[i], nodes[i + 1]
    if silent <= tonumber(ARGV[4]) then
      live = live + 1
    end
  end
end

-- Expired is what both clocks call so: neither alone may make the fleet forget.
local due = math.min(tonumber(time[1]), tonumber(ARGV[3])) - tonumber(ARGV[6])
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', due), 'LIMIT', 0, tonumber(ARGV[7]))
if #old > 0 then
  redis.call('ZREM', KEYS[3], unpack(old))
end
return {time[1], time[2], redis.call('GET', KEYS[2]) or '0-0', live, heard}
