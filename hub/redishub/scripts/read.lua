-- Reads messages of rooms, and those for everyone, after a position.
--
-- ARGV: epoch, position, limit, limit of bytes, how long messages are kept in
-- ms, rooms.
-- Returns the position up to which that is all, and id, entry, id, entry, …
local why = stale(ARGV[1])
if why then return {why} end
local after, limit, budget = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local head = tonumber(state[3])
-- What is older than the window may be gone; if nothing came since, nothing is.
local floor = math.min(head, place(clock() - tonumber(ARGV[5])))
for from, to in string.gmatch(redis.call('HGET', meta, 'gaps') or '', '(%d+)-(%d+)') do
  if tonumber(from) < floor and floor < tonumber(to) then floor = tonumber(from) end
end
floor = math.max(tonumber(state[4]), floor)
if after < floor then return {'trimmed', text(floor)} end

local upTo = math.max(after, head)
local out = {'ok', ''}
local found, seen, from

local function gather(key)
  for _, at in ipairs(redis.call('ZRANGE', key, '(' .. from, '+inf', 'BYSCORE', 'LIMIT', 0, limit)) do
    if not seen[at] then
      seen[at] = true
      found[#found + 1] = tonumber(at)
    end
  end
  if #found > 8 * limit then -- only the first are wanted
    table.sort(found)
    for i = #found, limit + 1, -1 do found[i] = nil end
  end
end

-- Once, unless some of what was found is erased and there may be more.
from = ARGV[2]
repeat
  found, seen = {}, {}
  gather(prefix .. 'e')
  for i = 6, #ARGV do gather(prefix .. 'i:' .. ARGV[i]) end
  table.sort(found)
  for i = 1, math.min(#found, limit) do
    local at = text(found[i])
    from = at
    local entry = redis.call('XRANGE', prefix .. 't', at .. '-0', at .. '-0')[1]
    if entry then
      out[#out + 1] = at
      out[#out + 1] = entry[2][2]
      budget = budget - string.len(entry[2][2])
    end
    if #out == 2 + 2 * limit or budget < 0 then
      upTo = found[i]
      break
    end
  end
until #found < limit or #out == 2 + 2 * limit or budget < 0
out[2] = text(upTo)
return out
