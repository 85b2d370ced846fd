#!lua
-- quota_put.lua — changes quotas, all of the changes or none, and notes each in the stream of changes.
--
-- KEYS[1]  hash: of each "TENANT\nRESOURCE" its "REVISION QUOTA"; "\ndefault" has what unknown callers get
-- KEYS[2]  stream: the changes, each under the id REVISION-0
-- ARGV[1]  packed <B: flags, then texts, each <I4 length and bytes: who, from, a revision that the first change
--          is to be above, and for each change tenant, resource, the quota (empty: delete it), the revision of the
--          quota that must be there (0: none may be; empty: whatever is)
-- ARGV[2]  the time in milliseconds since 1970, for tests only; without it TIME is asked
-- Reply    the revision of the last change; or, nothing was changed, a string: the index of the first that conflicts,
--          a space, what stands there; or "behind": the last change is not at that revision yet
-- Cost     for each change two HGET, one HSET or HDEL, one XADD
--
-- Flag 1: this is a seed. It begins only in a store that has no quotas; flag 2 says that more of it will follow, and
-- flag 4 that it goes on. Between its parts "\nseeding" stands in the hash. A seed replaces nothing.

local call = redis.call
local quotas, changes, now = KEYS[1], KEYS[2], ARGV[2]
local flags, position = struct.unpack('<B', ARGV[1])
local is_seed, is_followed, goes_on = flags % 2 == 1, math.floor(flags / 2) % 2 == 1, flags >= 4
local marker = '\nseeding'

local function take()
    local text
    text, position = struct.unpack('<I4c0', ARGV[1], position)
    return text
end

-- include lib/revision.lua

if now then
    now = now + 0
else
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local who, from, after = take(), take(), take()
local asked = {}
while position <= #ARGV[1] do
    local tenant, resource = take(), take()
    asked[#asked + 1] = {
        tenant = tenant, resource = resource, field = tenant .. '\n' .. resource, new = take(), expected = take(),
    }
end

local revision = last_revision(quotas, changes)
if is_seed then
    local is_begun = call('HEXISTS', quotas, marker) == 1
    local is_blank = revision == 0 and call('HLEN', quotas) == 0
    if not (goes_on and is_begun) and not (is_blank and not goes_on) then
        return '0 '
    end
elseif revision < after + 0 then
    return 'behind'
else
    for i, change in ipairs(asked) do
        local stands = call('HGET', quotas, change.field)
        local stood = stands and (stands:match('^(%d+) ') or '?') or '0'
        if (change.expected ~= '' and change.expected ~= stood) or (change.new == '' and not stands) then
            return (i - 1) .. ' ' .. (stands or '')
        end
    end
end

revision = math.max(revision, after + 0)
for _, change in ipairs(asked) do
    local old = call('HGET', quotas, change.field)
    if not (is_seed and old) then
        revision = revision + 1
        local number = string.format('%d', revision)
        local what = 'put'
        if change.new == '' then
            what = 'delete'
            call('HDEL', quotas, change.field)
        else
            if change.tenant == '' then
                what = 'default'
            end
            call('HSET', quotas, change.field, number .. ' ' .. change.new)
        end
        call('XADD', changes, 'MAXLEN', '~', 100000, number .. '-0', 'what', what, 'who', who, 'from', from,
            'at_ms', string.format('%d', now), 'tenant', change.tenant, 'resource', change.resource,
            'old', (old or ''):match('^%d+ (.*)$') or '', 'new', change.new)
    end
end
if is_seed then
    if is_followed then
        call('HSET', quotas, marker, string.format('%d -', revision))
    else
        call('HDEL', quotas, marker)
    end
end
return revision
