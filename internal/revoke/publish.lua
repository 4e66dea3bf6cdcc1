-- Adds revocations to the truth, and to the feed those that are new there, or all. Safe to repeat: all is for those that the feed
-- may lack although the truth has them, since an earlier call failed between the two.
-- KEYS: 1 tokens, 2 rules, 3 log, 4 head
-- ARGV: 1 length of the log, 2 seconds that a T may be ahead of the fleet's time,
--       3 milliseconds that the fleet's time is ahead of this clock, 4 what the feed gets, "new" or "all",
--       then for each entry: "token" or "rule", member, T, expiry
-- Returns the head, and the positions of the rules refused as too far ahead, from 0.
-- The fleet's time is not given as such: the node reckons it by its own clock, which may step at any moment.
local time = redis.call('TIME')
local latest = math.floor(time[1] + time[2] / 1000000 + tonumber(ARGV[3]) / 1000) + tonumber(ARGV[2])
-- A head that is no entry's name is as good as none.
local head = redis.call('GET', KEYS[4]) or ''
local at, seq = string.match(head, '^(%d+)%-(%d+)$')
if not at or #at > 19 or #seq > 19 then
  head = '0-0'
end
local refused = {}

-- Returns T and expiry as they are now, or nothing where they were that before.
local function addRule(member, t, exp)
  local old = redis.call('HGET', KEYS[2], member)
  if old then
    local oldT, oldExp = string.match(old, '^(%d+) (%d+)$')
    oldT, oldExp = tonumber(oldT or 0), tonumber(oldExp or 0)
    if oldT > latest then
      -- No node heeds it, and whoever made it offers it again when its time has come. Until then it must not swallow this one.
      oldT, oldExp = 0, 0
    end
    t, exp = math.max(tonumber(t), oldT), math.max(tonumber(exp), oldExp)
    if t == oldT and exp == oldExp then
      return nil
    end
    t, exp = string.format('%.0f', t), string.format('%.0f', exp)
  end
  redis.call('HSET', KEYS[2], member, t .. ' ' .. exp)
  return t, exp
end

-- All of the truth first: what can't be added to the feed keeps no other revocation from those who compare.
local news = {}
for i = 5, #ARGV, 4 do
  local kind, member, t, exp = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local new = ARGV[4] == 'all'
  if kind == 'token' then
    new = redis.call('ZADD', KEYS[1], 'GT', 'CH', exp, member) == 1 or new
  elseif tonumber(t) > latest then
    refused[#refused + 1] = (i - 5) / 4
    new = false
  else
    local newT, newExp = addRule(member, t, exp)
    if newT then
      t, exp, new = newT, newExp, true
    end
  end
  if new then
    news[#news + 1] = {kind, member, t, exp}
  end
end
for _, e in ipairs(news) do
  head = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[1], '*',
    'prev', head, 'kind', e[1], 'member', e[2], 't', e[3], 'exp', e[4])
  redis.call('SET', KEYS[4], head)
end
return {head, refused}
