-- Writes records that the ring lacks, and removes those that have had their time, where they are still as they were seen.
-- KEYS: 1 ring
-- ARGV: for each record its slot, kid, the value that was seen ('' for none), the new value ('' to remove it)
for i = 1, #ARGV, 4 do
  local slot, kid, was, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if (redis.call('HGET', KEYS[1], kid) or '') == was then
    if value ~= '' then
      redis.call('HSETNX', KEYS[1], slot, kid)
      redis.call('HSET', KEYS[1], kid, value)
    else
      redis.call('HDEL', KEYS[1], kid)
      if redis.call('HGET', KEYS[1], slot) == kid then
        redis.call('HDEL', KEYS[1], slot)
      end
    end
  end
end
return redis.status_reply('OK')
