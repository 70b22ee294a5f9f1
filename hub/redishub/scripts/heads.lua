-- Returns epoch and head of each of KEYS but the first, at one moment.
local out = {'ok', text(clock())}
for i = 2, #KEYS do
  local s = redis.call('HMGET', KEYS[i], 'epoch', 'head')
  out[#out + 1] = s[1] or ''
  out[#out + 1] = s[2] or '0'
end
return out
