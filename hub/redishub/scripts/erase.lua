-- Removes messages from the tape and the histories.
--
-- ARGV: epoch; room and position of each, position 0 for all of the room.
local why = stale(ARGV[1])
if why then return {why} end
local tape = prefix .. 't'

-- histories are the rooms whose histories have, or had, an entry of either.
local function histories(entry)
  local rooms = {}
  for i = 1, #entry, 2 do
    if entry[i] == 'h' then rooms[#rooms + 1] = entry[i + 1] end
  end
  return rooms
end

local function has(rooms, room)
  for _, r in ipairs(rooms) do
    if r == room then return true end
  end
  return false
end

local function drop(room, id)
  local key = prefix .. 'h:' .. room
  local e = redis.call('XRANGE', key, id, id)[1]
  if not e then return end
  redis.call('XDEL', key, id)
  if redis.call('EXISTS', prefix .. 'b:' .. room) == 1 then
    redis.call('DECRBY', prefix .. 'b:' .. room, e[2][4]) -- after a comes n
  end
end

for i = 2, #ARGV, 2 do
  local room, position = ARGV[i], ARGV[i + 1]
  if position ~= '0' then
    local id = position .. '-0'
    local e = redis.call('XRANGE', prefix .. 'h:' .. room, id, id)[1] or redis.call('XRANGE', tape, id, id)[1]
    local rooms = e and histories(e[2]) or {}
    if has(rooms, room) then
      redis.call('XDEL', tape, id)
      for _, r in ipairs(rooms) do drop(r, id) end
    end
  else
    for _, at in ipairs(redis.call('ZRANGE', prefix .. 'i:' .. room, 0, -1)) do
      local id = at .. '-0'
      local e = redis.call('XRANGE', tape, id, id)[1]
      local rooms = e and histories(e[2]) or {}
      local others = false
      for _, r in ipairs(rooms) do others = others or r ~= room end
      if has(rooms, room) and not others then redis.call('XDEL', tape, id) end
    end
    redis.call('DEL', prefix .. 'h:' .. room, prefix .. 'b:' .. room)
  end
end
return {'ok'}
