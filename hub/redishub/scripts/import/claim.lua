-- Marks a cluster as one that is being filled. ARGV: the import's id.
local mark = prefix .. 'import'
local id = redis.call('GET', mark)
if id and id ~= ARGV[1] then return 'another import was begun and is not complete' end
local live = redis.call('ZCOUNT', prefix .. 'nodes', '(' .. text(clock()), '+inf')
if live > 0 then return live .. ' nodes are running' end
redis.call('SET', mark, ARGV[1])
return 'ok'
