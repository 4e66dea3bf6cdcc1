-- Gives a slot to a key, if it is free, and withdraws others in the same moment.
-- KEYS: 1 ring
-- ARGV: 1 slot, then pairs of kid and record: the key's own, and those of the keys that are withdrawn
-- Returns 1, or 0 where the slot was taken and nothing was done.
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
