-- Writes a batch and publishes it, in one step that nothing comes between.
--
-- ARGV: epoch, node, slot, number; how long messages are kept and how long ids,
-- in ms; the count of messages and for each: id ('': none), channel, entry,
-- size of the body, the count of indices and those, the count of histories and
-- for each: room, count, bytes, age in ms; the count of sessions and for each:
-- id, generation, how long it is kept in ms (-1: remove it), body.
--
-- Returns the first position, which messages have from on, one after another;
-- then "i:position" for a message that was written before, "-i" for a
-- session that is fenced.
local epoch, node, number = ARGV[1], ARGV[2], tonumber(ARGV[4])
local why = stale(epoch)
if why then return {why} end

-- A write that is tried again has the number of the first try. If a later one
-- of its slot was written, nobody waits for this one any more.
local slot = 's:' .. node .. ':' .. ARGV[3]
local written = redis.call('HGET', meta, slot)
if written then
  local last, reply = string.match(written, '^(%d+) %d+ (.*)$')
  last = tonumber(last)
  if last == number then return {'ok', reply} end
  if last > number then return {'late'} end
end

local now = clock()
local keep, remember = ARGV[5], ARGV[6]
local floor = text(place(now - tonumber(keep)))
local base = math.max(tonumber(state[3]) + 1, place(now))
local position = base
local out = {text(base)}
local touched = {}
local tape = prefix .. 't'

local function field(entry, name)
  for i = 1, #entry, 2 do
    if entry[i] == name then return entry[i + 1] end
  end
end

-- shorten drops the oldest until the limits hold, for a history that is bounded
-- in bytes: their sum has to be known, so they go one by one.
local function shorten(key, sum, size, count, bytes, age)
  local total = redis.call('GET', sum)
  if total then
    total = total + size
  else
    total = 0
    for _, e in ipairs(redis.call('XRANGE', key, '-', '+')) do total = total + field(e[2], 'n') end
  end
  local length = redis.call('XLEN', key)
  local oldest = age > 0 and place(now - age) or 0
  while length > 0 do
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    local at = tonumber(string.match(first[1], '^%d+'))
    if total <= bytes and (count == 0 or length <= count) and at >= oldest then break end
    redis.call('XDEL', key, first[1])
    total = total - field(first[2], 'n')
    length = length - 1
  end
  redis.call('SET', sum, text(total))
  if age > 0 then redis.call('PEXPIRE', sum, age) end
end

-- remembered puts a message into a room's history, which keeps the age with each
-- so that who reads knows the last one's.
local function remembered(entry, fields, i, size)
  local room, count, bytes, age = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local key, sum = prefix .. 'h:' .. room, prefix .. 'b:' .. room
  if bytes == 0 and count > 0 then
    redis.call('XADD', key, 'MAXLEN', '=', count, entry, 'a', age, 'n', size, unpack(fields))
  else
    redis.call('XADD', key, entry, 'a', age, 'n', size, unpack(fields))
  end
  if bytes > 0 then
    shorten(key, sum, size, count, bytes, age)
  else
    redis.call('DEL', sum)
    if age > 0 then redis.call('XTRIM', key, 'MINID', text(place(now - age))) end
  end
  if age > 0 then redis.call('PEXPIRE', key, age) else redis.call('PERSIST', key) end
end

local a = 8
for i = 1, tonumber(ARGV[7]) do
  local id, channel, body, size = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local rooms = a + 5
  local histories = rooms + tonumber(ARGV[a + 4]) + 1
  a = histories + 4 * tonumber(ARGV[histories - 1])
  local at = text(position)
  local first = id ~= '' and redis.call('SET', prefix .. 'd:' .. id, at, 'NX', 'GET', 'PX', remember)
  if first then
    out[#out + 1] = (i - 1) .. ':' .. first
  else
    local entry, fields = at .. '-0', {'b', body}
    for h = histories, a - 1, 4 do
      fields[#fields + 1] = 'h'
      fields[#fields + 1] = ARGV[h]
    end
    redis.call('XADD', tape, entry, unpack(fields))
    for h = histories, a - 1, 4 do remembered(entry, fields, h, size) end
    for r = rooms, histories - 2 do
      local key = prefix .. ARGV[r]
      redis.call('ZADD', key, at, at)
      touched[key] = true
    end
    redis.call('PUBLISH', channel, 'm' .. at .. ' ' .. body)
    position = position + 1
  end
end
-- For long nothing was written: so nothing is lost of what is older than what is
-- kept, and later than the last before that.
if position > base and base - tonumber(state[3]) > place(BASE + keep / 8) then
  local gaps = state[3] .. '-' .. text(base)
  for from, to in string.gmatch(redis.call('HGET', meta, 'gaps') or '', '(%d+)-(%d+)') do
    if tonumber(to) > tonumber(floor) then gaps = gaps .. ',' .. from .. '-' .. to end
  end
  redis.call('HSET', meta, 'gaps', gaps)
end
if position > base then
  redis.call('XTRIM', tape, 'MINID', '~', floor)
  redis.call('PEXPIRE', tape, keep)
  for key in pairs(touched) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. floor)
    redis.call('PEXPIRE', key, keep)
  end
end

local count = tonumber(ARGV[a])
a = a + 1
for i = 1, count do
  local key, generation = prefix .. 's:' .. epoch .. ':' .. ARGV[a], tonumber(ARGV[a + 1])
  local s = redis.call('HMGET', key, 'g', 'n')
  local there = tonumber(s[1] or '-1')
  if there > generation or there == generation and s[2] ~= node then
    out[#out + 1] = '-' .. (i - 1)
  elseif ARGV[a + 2] == '-1' then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'g', ARGV[a + 1], 'n', node, 'b', ARGV[a + 3])
    redis.call('PEXPIRE', key, ARGV[a + 2])
  end
  a = a + 4
end

local reply = table.concat(out, ' ')
redis.call('HSET', meta, 'head', text(math.max(position - 1, tonumber(state[3]))), slot, ARGV[4] .. ' ' .. text(now) .. ' ' .. reply)
return {'ok', reply}
