-- A node's heartbeat: proves that this server takes writes, and says who else is alive, and what their clocks say.
-- KEYS: 1 nodes, 2 head, 3 tokens, 4 clocks
-- ARGV: 1 node, 2 the last log entry it applied, 3 what it found of its clock last,
--       4 milliseconds after which a silent node does not count, 5 after which it is forgotten,
--       6 the earlier of its clock and the fleet's time, in seconds, 7 seconds that a token is kept beyond its expiry,
--       8 most tokens to forget in one call
-- Returns seconds and microseconds of this clock, the head, the number of living nodes, and of each node its name, what it
-- said last, and what it found of its clock; '' for one of an older version, which does not say.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ms) .. ' ' .. ARGV[2])

-- In a hash of its own, since nodes of older versions take all that a node says above for what it applied.
redis.call('HSET', KEYS[4], ARGV[1], ARGV[3])
local found = {}
local clocks = redis.call('HGETALL', KEYS[4])
for i = 1, #clocks, 2 do
  found[clocks[i]] = clocks[i + 1]
end

local live, heard = 0, {}
local nodes = redis.call('HGETALL', KEYS[1])
for i = 1, #nodes, 2 do
  local node, said = nodes[i], nodes[i + 1]
  -- Either way: after this clock stepped back, a node that is gone was heard in the future.
  local silent = math.abs(ms - tonumber(string.match(said, '^%d+') or 0))
  if silent > tonumber(ARGV[5]) then
    redis.call('HDEL', KEYS[1], node)
  else
    heard[#heard + 1], heard[#heard + 2], heard[#heard + 3] = node, said, found[node] or ''
    found[node] = nil
    if silent <= tonumber(ARGV[4]) then
      live = live + 1
    end
  end
end
for node in pairs(found) do -- those that are gone
  redis.call('HDEL', KEYS[4], node)
end

-- Expired is what all clocks call so: none alone may make the fleet forget.
local due = math.min(tonumber(time[1]), tonumber(ARGV[6])) - tonumber(ARGV[7])
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', due), 'LIMIT', 0, tonumber(ARGV[8]))
if #old > 0 then
  redis.call('ZREM', KEYS[3], unpack(old))
end
-- A head that is no entry's name is as good as none: the next publication sets it right.
local head = redis.call('GET', KEYS[2]) or ''
local at, seq = string.match(head, '^(%d+)%-(%d+)$')
if not at or #at > 19 or #seq > 19 then
  head = '0-0'
end
return {time[1], time[2], head, live, heard}
