-- Removes rules that have expired, unless one was renewed since it was read.
-- KEYS: 1 rules. ARGV: for each rule its name and the value that was read.
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return redis.status_reply('OK')
