-- Reads a page of a room's history.
--
-- ARGV: epoch, room, before, after ('0': not asked), limit.
-- Returns id, entry, id, entry, … : newest first unless after was asked for.
local why = stale(ARGV[1])
if why then return {why} end
local key, before, after, limit = prefix .. 'h:' .. ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local out = {'ok'}
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
if not last then return out end
local low = '-'
local age = tonumber(last[2][2]) -- the limit that came with the last message
if age > 0 then low = text(place(clock() - age)) .. '-0' end
local list
if after ~= '0' then
  local from = '(' .. after .. '-0'
  if age > 0 and tonumber(after) < place(clock() - age) then from = low end
  list = redis.call('XRANGE', key, from, '+', 'COUNT', limit)
else
  local to = '+'
  if before ~= '0' then to = '(' .. before .. '-0' end
  list = redis.call('XREVRANGE', key, to, low, 'COUNT', limit)
end
for _, e in ipairs(list) do
  out[#out + 1] = string.match(e[1], '^%d+')
  out[#out + 1] = e[2][6] -- after a and n comes b
end
return out
