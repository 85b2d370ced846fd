#!lua
-- check.lua — takes tokens from every limit of one record, or from none.
--
-- KEYS[1]  the record: '<Bi8' 1, at_us, then for each limit '<I4i8' id, level_utok; absent: every limit is full;
--          or, leased from, as lib/record.lua has it
-- ARGV[1]  '<Bi8' flags (1: only look; 2: charges follow; 4: of the limits some are windows), cost_utok, then for each
--          of 1 to 8 limits '<I4i8i8i8' id, count, period_s, burst_utok, or a window (lib/window.lua); then, with flag
--          2, for each limit '<i8' charge_utok: what a frontend granted while it could not ask. It is taken before
--          anything is decided, down to -burst at most
-- ARGV[2]  the time in microseconds since 1970, for tests only; without it TIME is asked
-- Reply    allowed: the record as it was written, dated at the time of the check; of one leased from its levels
--          alone, in the first form, here and below
--          denied, or only looked: '<Bi8' 2, now_us, then the record that stands, if there is one
--          allowed by a clock that is behind the record: '<Bi8' 3, now_us, then the record as it was written
--          a window does not know this time: '<Bi8' 4, now_us; nothing was decided
-- Cost     one TIME, one GET, at most one SET, each O(1); a denial writes nothing, except charges, or to date a
--          record anew
--
-- What a caller is told beyond that (remaining, retry_after, reset_after, wait) follows from the reply, and the
-- asker works it out: this core is shared by the whole fleet. server/core/bucket.h has the rules.

local call, unpack, pack = redis.call, struct.unpack, struct.pack
local key, argument, now = KEYS[1], ARGV[1], ARGV[2]
local latest = 9007199254740992 -- 2^53: in the year 2255
if now then
    now = now + 0
else
    local time = call('TIME')
    now = time[1] * 1000000 + time[2]
end
local record = call('GET', key)

-- Nearly every check: a record that is absent or holds just these limits, in their order. The arithmetic is that of
-- lib/bucket.lua, written out: to make and call its functions would cost a twentieth of the whole. What is not so plain
-- leaves the loop, with nothing done.
local flags, cost, id, count, period, burst, next_limit = unpack('<Bi8I4i8i8i8', argument)
local format, at, of, level, next_level = 1, now, id, burst
if record then
    format = 0
    if (#record - 9) * 28 == (#argument - 9) * 12 then
        format, at, of, level, next_level = unpack('<Bi8I4i8', record)
    end
end
if flags == 0 and format == 1 and at >= 0 and at <= now then
    local elapsed, full_at, left = now - at, now
    while of == id and level >= -burst do
        local rest = elapsed % period
        local part = rest * count
        level = level + (elapsed - rest) / period * count + (part - part % period) / period
        if level > burst then
            level = burst
        end
        if level < cost then
            return pack('<Bi8', 2, now) .. (record or '')
        end
        level = level - cost
        local lack = burst - level
        rest = lack % count
        part = rest * period
        local limit_full_at = now + (lack - rest) / count * period + (part + -part % count) / count
        if limit_full_at > full_at then
            full_at = limit_full_at
        end
        left = left and left .. pack('<I4i8', id, level) or pack('<Bi8I4i8', 1, now, id, level)
        if next_limit > #argument then
            if full_at > latest then
                full_at = latest
            end
            call('SET', key, left, 'PXAT', string.format('%d', (full_at + 999) / 1000))
            return left
        end
        id, count, period, burst, next_limit = unpack('<I4i8i8i8', argument, next_limit)
        of, level = id, burst
        if record then
            of, level, next_level = unpack('<I4i8', record, next_level)
        end
    end
end

-- include lib/bucket.lua
-- include lib/record.lua

local peeks, charges = flags % 2 == 1, flags % 4 >= 2
local n_limits = (#argument - 9) / (charges and 36 or 28)
local read = read_record(record, now, argument, 10, n_limits)
if not read then
    return pack('<Bi8', 4, now)
end
local stands = told_record(read, record)
if charges then
    charge_record(read, argument, n_limits * 28 + 10)
end
local allowed = not peeks
for i = 1, n_limits do
    allowed = allowed and read.levels[i] >= cost
end
if allowed then
    for i = 1, n_limits do
        read.levels[i] = read.levels[i] - cost
    end
elseif not (charges or read.is_dated_anew and not peeks) then
    return pack('<Bi8', 2, now) .. stands
end
local left = write_record(key, read)
if allowed and read.at == now then
    return left
end
return pack('<Bi8', allowed and 3 or 2, now) .. left
