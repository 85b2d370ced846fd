-- window.lua — limits that count in periods of the calendar, in integers; twin of server/core/window.c.
--
-- Part of lib/record.lua. A limit whose count is below 0 is a window: '<I4i8I2I4I2I2I2I2I2' id, -count, 1 if it slides,
-- the minute (since 1970) in which a period begins, how many minutes that one and the next four have. The asker takes it
-- to be in the third of them; whether that is so, only the time here decides. Its place in a record is '<I4I4I4' id,
-- tokens used in the period of the record's time, tokens used in the one before.

local minute_us = 60000000

-- The window of the limit that stands in `argument` from byte `from` on, as it is at `at`; nil when that is in none of
-- the three periods that are known with their neighbours.
local function read_window(argument, from, at)
    local _, count, slides, start = unpack('<I4i8I2I4', argument, from)
    local minutes = { unpack('<I2I2I2I2I2', argument, from + 18) }
    start = start * minute_us
    for i = 2, 4 do
        local previous = start
        start = start + minutes[i - 1] * minute_us
        local ends = start + minutes[i] * minute_us
        if at >= start and at < ends then
            return {
                count = -count, slides = slides == 1, at = at, previous_start = previous, start = start, ends = ends,
                next_ends = ends + minutes[i + 1] * minute_us, used = 0, used_before = 0,
            }
        end
    end
end

-- Sets the counts to those that were true at `dated`.
local function set_counts(window, used, used_before, dated)
    used = math.min(used, 2 * window.count)
    if dated >= window.start then
        window.used, window.used_before = used, math.min(used_before, 2 * window.count)
    elseif dated >= window.previous_start then
        window.used_before = used
    end
end

-- floor(tokens * part / whole), for part <= whole: by digits of ten bits, since the product may need 73 bits. The rest
-- is below whole, so no intermediate is above 2^11 * whole, and whole is below 2^42: see lib/bucket.lua.
local function portion(tokens, part, whole)
    local sum, rest = 0, 0
    for shift = 3, 0, -1 do
        local unit = 1024 ^ shift
        local digit = math.floor(tokens / unit) % 1024
        local dividend = rest * 1024 + digit * part
        rest = dividend % whole
        sum = sum * 1024 + (dividend - rest) / whole
    end
    return sum
end

-- What is left, in utok.
local function window_level(window)
    local used = window.used
    if window.slides and window.used_before > 0 then
        local whole = window.ends - window.start
        used = used + window.used_before - portion(window.used_before, window.at - window.start, whole)
    end
    return math.max(window.count - used, -window.count) * 1000000
end

-- Takes `utok`, whole tokens rounded up; below 0 gives them back, rounded down.
local function used_after(window, utok)
    return math.max(0, window.used + (utok + -utok % 1000000) / 1000000)
end

-- When nothing is used any more, if `used` is now.
local function window_full_at(window, used)
    if used > 0 then
        return window.slides and window.next_ends or window.ends
    end
    return window.slides and window.used_before > 0 and window.ends or window.at
end
