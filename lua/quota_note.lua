#!lua
-- quota_note.lua — notes in the stream of changes what changed no quota: an attempt refused, a bucket reset.
--
-- KEYS[1]  hash: the quotas, as quota_put.lua has them
-- KEYS[2]  stream: the changes; the note gets the id REVISION-N, N from 1, REVISION being that of the last change
-- ARGV[1]  texts, each <I4 length and bytes: what, who, from, tenant, resource, key, new, detail,
--          scope, limit
-- ARGV[2]  the time in milliseconds since 1970, for tests only; without it TIME is asked
-- Reply    the revision
-- Cost     one XINFO, one XADD

local call = redis.call
local quotas, changes, now = KEYS[1], KEYS[2], ARGV[2]

-- include lib/revision.lua

if now then
    now = now + 0
else
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local position = 1
local note = {}
for _, name in ipairs({ 'what', 'who', 'from', 'tenant', 'resource', 'key', 'new', 'detail', 'scope', 'limit' }) do
    note[#note + 1] = name
    note[#note + 1], position = struct.unpack('<I4c0', ARGV[1], position)
end
local revision = last_revision(quotas, changes)
call('XADD', changes, 'MAXLEN', '~', 100000, string.format('%d-*', revision),
    'at_ms', string.format('%d', now), unpack(note))
return revision
