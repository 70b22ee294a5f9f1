-- Stands before each of the other scripts, after two lines that Go writes:
--   LIFE  names the life of the server that is meant. It is a part of the text,
--         so that a script is unknown (NOSCRIPT) to a server that has begun
--         another life, restarted or promoted, until a node has looked at it.
--   BASE  is the millisecond with which positions begin.
--
-- KEYS[1] is the namespace's state: epoch, life, head (the last position), start
-- (the one after which the epoch's messages are), lives, and s:<node>:<slot>,
-- which is what became of a node's last write. All keys of a namespace begin
-- alike and have one hash tag; those of rooms are named here and not in KEYS.
local meta = KEYS[1]
local prefix = string.sub(meta, 1, -2)
local state = redis.call('HMGET', meta, 'epoch', 'life', 'head', 'start')

-- text writes a position, which a double holds exactly up to 2^53.
local function text(position) return string.format('%.0f', position) end

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- place is the first position of a millisecond.
local function place(ms) return (ms - BASE) * 4096 end

-- stale says why a node has to look at the state anew before it is served.
local function stale(epoch)
  if state[1] ~= epoch then return 'epoch' end
  if state[2] ~= LIFE then return 'life' end
  return false
end
