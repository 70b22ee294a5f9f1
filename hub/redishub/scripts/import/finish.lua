-- Makes what was written a log. The import goes on to keep nodes away.
--
-- ARGV: the import's id, epoch, start, head.
if redis.call('HGET', meta, 'import') ~= ARGV[1] then return 'the server has lost what was imported' end
redis.call('HSET', meta, 'epoch', ARGV[2], 'life', LIFE, 'start', ARGV[3], 'head', ARGV[4], 'lives', LIFE .. '=' .. ARGV[4] .. ',')
return 'ok'
