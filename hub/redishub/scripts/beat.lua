-- Renews a node's lease, or gives it up, and returns whose have not ended.
-- KEYS[1] is the state of the cluster, which has neither epoch nor head.
--
-- ARGV: node, lease in ms (0: it is given up), what it says about itself, the
-- channel of all nodes.
local nodes, abouts = prefix .. 'nodes', prefix .. 'about'
local now, node = clock(), ARGV[1]
if ARGV[2] == '0' then
  redis.call('ZREM', nodes, node)
  redis.call('HDEL', abouts, node)
  redis.call('PUBLISH', ARGV[4], 'l' .. node)
else
  local until_ = redis.call('ZSCORE', nodes, node)
  redis.call('ZADD', nodes, now + ARGV[2], node)
  redis.call('HSET', abouts, node, ARGV[3])
  if not until_ or tonumber(until_) <= now then redis.call('PUBLISH', ARGV[4], 'j' .. node) end
  redis.call('PEXPIRE', nodes, 86400000)
  redis.call('PEXPIRE', abouts, 86400000)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', now - 3600000)) do
  redis.call('ZREM', nodes, gone)
  redis.call('HDEL', abouts, gone)
end
local out = {'ok', text(now)}
for _, other in ipairs(redis.call('ZRANGEBYSCORE', nodes, '(' .. now, '+inf')) do
  out[#out + 1] = other
  out[#out + 1] = redis.call('HGET', abouts, other) or ''
end
return out
