-- The ring as it is.
-- KEYS: 1 ring
return redis.call('HGETALL', KEYS[1])
