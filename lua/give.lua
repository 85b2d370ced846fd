#!lua
-- give.lua — gives tokens back to every limit of one record: a refund, or what a reservation did not need.
--
-- KEYS[1]  the record
-- KEYS[2]  with flag 4: what is kept of the idempotency key; else anything in the same slot
-- KEYS[3]  with flag 8: the reservation; else likewise
-- ARGV[1]  '<BBi8' flags, n_limits, tokens_utok; for each limit '<I4i8i8i8' as in check.lua; with flag 4 the memo
--          (lib/memo.lua). Flag 8: tokens is what was spent of the reservation; it ends, and the record gains what was
--          reserved less that. Without it the record gains tokens. A gain below 0 is a loss. Flag 1: it is a refund of
--          what was spent
-- ARGV[2]  the time, for tests only
-- Reply    '<Bi8i8i8' 1, now_us, reserved_utok (without flag 8: 0), booked_utok: the gain of
--          the limit that gained or lost the least;
--          then the record as it stands, if there is one
--          or '<Bi8' 3, now_us: there is no such reservation, nothing was done
--          or '<Bi8' 4, now_us: a window does not know this time, nothing was done
--          or asked again with flag 4: '<B' 2, 16 bytes of fingerprint, the reply of then
-- Cost     one TIME, one GET, at most one SET; with flag 4 one more GET and SET, with flag 8 one GETDEL
--
-- No level rises above its burst less what leases may hold, or falls below -burst. A refund is taken to be of what was
-- spent out of leases and not told yet: these hold that much less (lib/record.lua).

local call, unpack, pack = redis.call, struct.unpack, struct.pack
local latest = 9007199254740992 -- 2^53: in the year 2255
local key, argument, now = KEYS[1], ARGV[1], ARGV[2]

-- include lib/now.lua
-- include lib/bucket.lua
-- include lib/record.lua
-- include lib/memo.lua

local flags, n_limits, gain = unpack('<BBi8', argument)
local is_refund, has_memo, settles = flags % 2 >= 1, flags % 8 >= 4, flags % 16 >= 8
if has_memo then
    local reply = memo_reply(KEYS[2])
    if reply then
        return reply
    end
end
now = read_now(now)

local bytes = call('GET', key)
local record = read_record(bytes, now, argument, 11, n_limits)
if not record then
    return pack('<Bi8', 4, now)
end

local function give()
    local reserved = 0
    if settles then
        local held = call('GETDEL', KEYS[3])
        if not held then
            return pack('<Bi8', 3, now)
        end
        local _, utok = unpack('<Bi8', held)
        reserved, gain = utok, utok - gain
    end
    local told, booked = told_record(record, bytes), 0
    if gain > 0 and record.is_known or gain < 0 then
        booked = gain
        if is_refund and gain > 0 then
            record.given = record.given + (gain - gain % utok_per_token) / utok_per_token
            bound_given(record)
        end
        for i = 1, n_limits do
            local level = math.max(math.min(record.levels[i] + gain, cap_of(record, i)), -record.bursts[i])
            local gained = level - record.levels[i]
            record.levels[i] = level
            booked = math.abs(gained) < math.abs(booked) and gained or booked
        end
        told = write_record(key, record)
    end
    return pack('<Bi8i8i8', 1, now, reserved, booked) .. told
end

local reply = give()
if has_memo then
    memo_keep(KEYS[2], argument, 11 + 28 * n_limits, reply)
end
return reply
