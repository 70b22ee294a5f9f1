-- Claims a namespace. ARGV: the import's id.
local id = redis.call('HGET', meta, 'import')
if not id and redis.call('EXISTS', meta) == 1 then return 'there are messages already' end
if id and id ~= ARGV[1] then return 'another import was begun and is not complete' end
redis.call('DEL', meta)
redis.call('HSET', meta, 'import', ARGV[1])
return 'ok'
