#!lua
-- check.lua — takes tokens from every limit of one record, or from none.
--
-- KEYS[1]  the record: '<Bi8' 1, at_us, then for each limit '<I4i8' id, level_utok; absent: every limit is full
-- ARGV[1]  '<Bi8' flags (1: only look; 2: charges follow), cost_utok, then for each of 1 to 8 limits '<I4i8i8i8'
--          id, count, period_s, burst_utok; then, with flag 2, for each limit '<i8' charge_utok: what a frontend
--          granted while it could not ask. It is taken before anything is decided, down to -burst at most
-- ARGV[2]  the time in microseconds since 1970, for tests only; without it TIME is asked
-- Reply    allowed: the record as it was written, dated at the time of the check
--          denied, or only looked: '<Bi8' 2, now_us, then the record that stands, if there is one
--          allowed by a clock that is behind the record: '<Bi8' 3, now_us, then the record as it was written
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

-- Nearly every check: one limit, and a record that is absent or holds just this limit. The arithmetic is that
-- of lib/bucket.lua, written out: to make and call its functions would cost a twentieth of the whole.
if #argument == 37 then
    local flags, cost, id, count, period, burst = unpack('<Bi8I4i8i8i8', argument)
    local format, at, of, level = 1, now, id, burst
    if record then
        format = 0
        if #record == 21 then
            format, at, of, level = unpack('<Bi8I4i8', record)
        end
    end
    local plain = format == 1 and of == id and at >= 0 and at <= now and level >= -burst
    if plain and flags == 0 then
        local elapsed = now - at
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
        local full_at = now + (lack - rest) / count * period + (part + -part % count) / count
        if full_at > latest then
            full_at = latest
        end
        record = pack('<Bi8I4i8', 1, now, id, level)
        call('SET', key, record, 'PXAT', string.format('%d', (full_at + 999) / 1000))
        return record
    end
end

-- include lib/bucket.lua

-- What is not a record of 1 to 8 limits is taken for none.
local at, n_recorded = now, 0
if record then
    local format = 0
    n_recorded = (#record - 9) / 12
    if n_recorded % 1 == 0 and n_recorded >= 1 and n_recorded <= 8 then
        format, at = unpack('<Bi8', record)
    end
    if format ~= 1 or at < 0 then
        record, at, n_recorded = false, now, 0
    end
end
local dated_anew = at > now + 1000000
local elapsed = 0
if dated_anew then
    at = now
elseif at < now then
    elapsed, at = now - at, now
end

-- A limit is usually found at its own place; a changed quota may have moved, added or dropped some.
local function recorded_level(id, place, burst)
    for i = place, place + n_recorded - 1 do
        local of, level = unpack('<I4i8', record, i % n_recorded * 12 + 10)
        if of == id then
            return level > burst and burst or level < -burst and -burst or level
        end
    end
    return burst
end

local flags, cost = unpack('<Bi8', argument)
local peeks, charges = flags % 2 == 1, flags >= 2
local n_limits = (#argument - 9) / (charges and 36 or 28)

-- The record that taking `take` from every limit leaves; when it is full; whether every limit had enough.
local function taken(take)
    local left, full_at, enough = pack('<Bi8', 1, at), at, true
    for place = 0, n_limits - 1 do
        local id, count, period, burst = unpack('<I4i8i8i8', argument, place * 28 + 10)
        local level = refill(recorded_level(id, place, burst), elapsed, count, period, burst)
        if charges then
            level = math.max(level - unpack('<i8', argument, n_limits * 28 + place * 8 + 10), -burst)
        end
        enough = enough and level >= take
        level = level - take
        left = left .. pack('<I4i8', id, level)
        full_at = math.max(full_at, at + time_to_gain(burst - level, count, period))
    end
    return left, math.min(full_at, latest), enough
end

local left, full_at, allowed = taken(cost)
allowed = allowed and not peeks
if not (allowed or charges or dated_anew and not peeks) then
    return pack('<Bi8', 2, now) .. (record or '')
end
if not allowed then
    left, full_at = taken(0)
end
call('SET', key, left, 'PXAT', string.format('%d', (full_at + 999) / 1000))
if allowed and at == now then
    return left
end
return pack('<Bi8', allowed and 3 or 2, now) .. left
