#!lua flags=no-writes
-- fleet_list.lua — the frontends that live, as heartbeat.lua has noted them.
--
-- KEYS[1]  sorted set: the frontends' ids, each at the millisecond of its last heartbeat
-- KEYS[2]  hash: of each id, what its frontend tells about itself
-- ARGV[1]  not looked at
-- Reply    for each frontend, by its id: id, milliseconds since its last heartbeat, what it tells
-- Cost     one TIME, one ZRANGE, for each frontend one HGET

local call = redis.call
local seen, told = KEYS[1], KEYS[2]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ids, at = {}, {}
local noted = call('ZRANGE', seen, 0, -1, 'WITHSCORES')
for i = 1, #noted, 2 do
    ids[#ids + 1] = noted[i]
    at[noted[i]] = noted[i + 1] + 0
end
table.sort(ids)
local reply = {}
for _, id in ipairs(ids) do
    reply[#reply + 1] = id
    reply[#reply + 1] = math.max(0, now - at[id])
    reply[#reply + 1] = call('HGET', told, id) or ''
end
return reply
