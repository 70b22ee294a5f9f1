-- Reads the record of a session. ARGV: epoch, id.
local why = stale(ARGV[1])
if why then return {why} end
local s = redis.call('HMGET', prefix .. 's:' .. ARGV[1] .. ':' .. ARGV[2], 'g', 'b')
if not s[1] then return {'ok'} end
return {'ok', s[1], s[2]}
