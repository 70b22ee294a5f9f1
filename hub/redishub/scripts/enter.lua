-- A node takes part in a namespace, or again after it was away. Finds out
-- whether messages are lost that somebody may have received: then the log
-- begins a new epoch.
--
-- ARGV: the epoch and the life of the server that the node knows ('': none), the
-- last position it has seen, a new epoch's name, whether the server may have
-- lost what nobody remembers (1), whether others may yet come who do (1), the
-- channel for all, the node.
if redis.call('HEXISTS', meta, 'import') == 1 then return {'import'} end
local known, was, seen, fresh = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local doubt, wait, channel = ARGV[5] == '1', ARGV[6] == '1', ARGV[7]
local lives = redis.call('HGET', meta, 'lives') or ''
local head = tonumber(state[3] or '0')
local now = clock()
local lost = not state[1]

-- The first to come in a new life of the server writes down where the head was
-- then. Who comes later compares that with what it had seen, however far the
-- head has gone meanwhile.
if state[1] and state[2] ~= LIFE then
  if known == '' and doubt then
    if wait then return {'wait'} end
    lost = true
  end
  lives = lives .. LIFE .. '=' .. text(head) .. ','
  local n = select(2, string.gsub(lives, ',', ','))
  if n > 32 then lives = string.gsub(lives, '^[^,]*,', '') end
end
if state[1] and known == state[1] then
  if was == LIFE then
    lost = lost or seen > head
  else
    local after = string.match(lives, was .. '=%d+,%x+=(%d+),')
    lost = lost or not after or seen > tonumber(after)
  end
end

if lost then
  head = math.max(head, seen, place(now)) + 1
  if lives == '' then lives = LIFE .. '=' .. text(head) .. ',' end
  redis.call('DEL', prefix .. 't', prefix .. 'e')
  redis.call('HSET', meta, 'epoch', fresh, 'start', text(head))
  redis.call('PUBLISH', channel, 'e' .. fresh .. ' ' .. text(head))
elseif known ~= state[1] then
  head = math.max(head, seen) -- positions of an older epoch that a faster clock gave
end
redis.call('HSET', meta, 'life', LIFE, 'head', text(head), 'lives', lives)

-- What became of the writes of nodes that are long gone.
if known == '' then
  local fields = redis.call('HGETALL', meta)
  for i = 1, #fields, 2 do
    local at = string.match(fields[i], '^s:') and string.match(fields[i + 1], '^%d+ (%d+)')
    if at and tonumber(at) < now - 3600000 then redis.call('HDEL', meta, fields[i]) end
  end
end
local result = redis.call('HMGET', meta, 'epoch', 'start')
return {'ok', result[1], text(head), result[2], text(now)}
