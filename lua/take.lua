#!lua
-- take.lua — takes many costs from every limit of one record, one after the other, each from all or from none.
--
-- KEYS[1]  the record
-- KEYS[2]  with flag 4: what is kept of the idempotency key; else anything in the same slot
-- KEYS[3]  with flag 8: the reservation; else likewise
-- ARGV[1]  '<BB' flags, n_limits; for each limit '<I4i8i8i8' as in check.lua; with flag 2 for each limit '<i8'
--          charge_utok, likewise; with flag 4 the memo (lib/memo.lua); with flag 32 38 bytes that are kept with it,
--          '<BI4Bi8i8i8i8' 6, ...: what other records said, which the asker asked before; with flag 8 16 bytes that
--          name the reservation, and '<i8' ttl_ms; then 1 to 256 costs, '<i8' in utok, but a single one with flag 1, 4
--          or 8
--          Flag 1: of the cost take what is there, in whole tokens and at least one
--          Flag 16, with flag 4: other records have denied it, so nothing is taken. With flag 32 that is kept as the
--          answer to the memo's key, without it is only looked whether there is one
-- ARGV[2]  the time, for tests only
-- Reply    '<Bi8i8' 1, now_us, granted_utok of all costs; with flag 8 the 16 bytes; then the record on which it was
--          decided, charges taken, if there is one
--          or '<Bi8' 4, now_us: a window does not know this time, nothing was done
--          or with flag 16: '<B' 5
--          or asked again with flag 4: '<B' 2, 16 bytes of fingerprint, the 38 bytes if some were kept, the reply of
--          then
-- Cost     one TIME, one GET, at most one SET; with flag 4 one more GET and SET, with flag 8 one more SET. A denial
--          writes nothing but the memo, with the exceptions of check.lua. With flag 16 one GET, at most one SET
--
-- The asker repeats the decision on the record and so works out every verdict.

local call, unpack, pack = redis.call, struct.unpack, struct.pack
local latest = 9007199254740992 -- 2^53: in the year 2255
local key, argument, now = KEYS[1], ARGV[1], ARGV[2]

-- include lib/now.lua
-- include lib/bucket.lua
-- include lib/record.lua
-- include lib/memo.lua

local flags, n_limits = unpack('<BB', argument)
local at_most, charges, has_memo, reserves = flags % 2 >= 1, flags % 4 >= 2, flags % 8 >= 4, flags % 16 >= 8
local is_denied, has_elsewhere = flags % 32 >= 16, flags % 64 >= 32
if has_memo then
    local reply = memo_reply(KEYS[2])
    if reply then
        return reply
    end
end
local memo_from = 3 + (charges and 36 or 28) * n_limits
local from = memo_from + (has_memo and 24 or 0)
local elsewhere = ''
if has_elsewhere then
    elsewhere = argument:sub(from, from + 37)
    from = from + 38
end
if is_denied then
    if has_elsewhere then
        memo_keep(KEYS[2], argument, memo_from, elsewhere .. '\5')
    end
    return '\5'
end
now = read_now(now)

local bytes = call('GET', key)
local record = read_record(bytes, now, argument, 3, n_limits)
if not record then
    return pack('<Bi8', 4, now)
end
local told = told_record(record, bytes)
if charges then
    charge_record(record, argument, 3 + 28 * n_limits)
    told = pack_levels(record)
end
local head = ''
if reserves then
    head = argument:sub(from, from + 15)
    from = from + 24
end

-- Every limit pays the same, so the one with least decides.
local least = record.levels[1]
for i = 2, n_limits do
    least = math.min(least, record.levels[i])
end
local granted = 0
for place = from, #argument, 8 do
    local cost = unpack('<i8', argument, place)
    if at_most then
        cost = math.max(math.min(cost, least - least % 1000000), 1000000)
    end
    if cost <= least then
        least = least - cost
        granted = granted + cost
    end
end

if granted > 0 then
    for i = 1, n_limits do
        record.levels[i] = record.levels[i] - granted
    end
end
if granted > 0 or charges or record.is_dated_anew then
    write_record(key, record)
end
if reserves and granted > 0 then
    local ttl = unpack('<i8', argument, from - 8)
    call('SET', KEYS[3], pack('<Bi8', 1, granted), 'PX', string.format('%d', ttl))
end
local reply = pack('<Bi8i8', 1, now, granted) .. head .. told
if has_memo then
    memo_keep(KEYS[2], argument, memo_from, elsewhere .. reply)
end
return reply
