#!lua
-- heartbeat.lua — notes that a frontend lives, forgets those that have fallen silent, and counts the rest.
--
-- KEYS[1]  sorted set: the frontends' ids, each at the millisecond of its last heartbeat
-- KEYS[2]  hash: of each id, what its frontend tells about itself
-- ARGV[1]  an id of 32 bytes, then what is to be told; an id alone: this frontend leaves
-- ARGV[2]  the time in milliseconds since 1970, for tests only; without it TIME is asked
-- Reply    how many frontends live, an integer
-- Cost     one TIME, one ZADD, one HSET, two ZRANGEBYSCORE, one ZCARD: O(log frontends); two more for each that
--          is forgotten

local call = redis.call
local seen, told, now = KEYS[1], KEYS[2], ARGV[2]
local id, about = ARGV[1]:sub(1, 32), ARGV[1]:sub(33)
local silence = 10000
if now then
    now = now + 0
else
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function forget(gone)
    for _, member in ipairs(gone) do
        call('ZREM', seen, member)
        call('HDEL', told, member)
    end
end

if about == '' then
    forget({ id })
else
    call('ZADD', seen, now, id)
    call('HSET', told, id, about)
end
forget(call('ZRANGEBYSCORE', seen, '-inf', now - silence))
-- One from so far in the future was noted by a clock that has stepped back: whoever lives is noted anew.
forget(call('ZRANGEBYSCORE', seen, now + silence, '+inf'))
return call('ZCARD', seen)
