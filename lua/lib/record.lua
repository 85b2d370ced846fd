-- record.lua — how scripts read and write a record, be it leased from or not; twin of server/core/lease.c.
--
-- Joined to scripts by lua/embed.sh, behind lib/bucket.lua; it wants `call`, `pack`, `unpack` and `latest`.
--
-- A record is '<Bi8' 1, at_us, then '<I4i8' id, level_utok of each limit. One that has been leased from is
-- '<Bi8i8i8i8i8i8i8' 2, at_us, out, out_before, given, given_before, demand, demand_before, then the levels. Each pair
-- is of the epoch of at and of the one before: tokens granted to purses that nobody has told of yet, tokens refunded
-- (give.lua), tokens that were asked for. What was refunded is taken to have been spent out of the purses, so these hold
-- out + out_before - given - given_before at most, and at every instant the levels are capped at burst less that. What
-- is granted in an epoch is accounted for until the end of the next, and only then, or when it is told of or refunded,
-- does its room refill.

-- A limit may be a window (lib/window.lua): then record.windows[i] has it, and its level is what is left.

-- include lib/window.lua

local epoch_us, epochs_per_s = 250000, 4
local utok_per_token = 1000000
local leased_format, leased_head = '<Bi8i8i8i8i8i8i8', 57

-- Levels at record.at = max(at, now) of the n limits that stand in `argument` from byte `from` on. Bytes that no
-- script wrote are taken for none. record.is_known: there was one; record.is_dated_anew: it was dated more than a
-- second ahead of the clock, which must have stepped back. nil: a window's periods do not hold record.at, and the asker
-- has to be told the time.
local function read_record(bytes, now, argument, from, n)
    local format, at, out, out_before, given, given_before, demand, demand_before = 0, now, 0, 0, 0, 0, 0, 0
    local head, n_recorded = 9, 0
    if bytes and #bytes >= 21 then
        format, at = unpack('<Bi8', bytes)
        if format == 2 and #bytes >= leased_head + 12 then
            head = leased_head
            format, at, out, out_before, given, given_before, demand, demand_before = unpack(leased_format, bytes)
        end
        n_recorded = (#bytes - head) / 12
    end
    local held = out + out_before - given - given_before
    local is_known = (format == 1 or head == leased_head) and at >= 0 and n_recorded % 1 == 0 and n_recorded >= 1
        and n_recorded <= 8 and out >= 0 and given >= 0 and given_before >= 0 and given_before <= out_before
        and out + out_before <= latest and held >= 0 and held <= 1000000000
        and demand >= 0 and demand_before >= 0 and demand <= 1000000000000 and demand_before <= 1000000000000
    if not is_known then
        at, out, out_before, given, given_before, demand, demand_before, n_recorded = now, 0, 0, 0, 0, 0, 0, 0
        held = 0
    end

    -- Up to three stretches of time, each with its cap: until the epoch of `at` ends, the next one, the rest.
    local is_dated_anew = at > now + 1000000
    local dated = is_dated_anew and now or at
    local elapsed, cap_less, n_stretches = { 0 }, { held * utok_per_token }, 1
    if is_dated_anew then
        at, out, out_before, given, given_before = now, out + out_before, 0, given + given_before, 0
    elseif at < now then
        local ends = at - at % epoch_us + epoch_us
        if now < ends or out + out_before + demand + demand_before == 0 then
            elapsed[1] = now - at
        else
            out, out_before, given, given_before, demand, demand_before = 0, out, 0, math.min(given, out), 0, demand
            held = out_before - given_before
            elapsed[1], elapsed[2], cap_less[2], n_stretches = ends - at, now - ends, held * utok_per_token, 2
            if elapsed[2] >= epoch_us then
                elapsed[2], elapsed[3], cap_less[3], n_stretches = epoch_us, elapsed[2] - epoch_us, 0, 3
                out_before, given_before, demand_before = 0, 0, 0
            end
        end
        at = now
    end

    local record = {
        at = at, is_known = is_known, is_dated_anew = is_dated_anew, n = n, ids = {}, counts = {}, periods = {},
        bursts = {}, levels = {}, windows = {}, out = out, out_before = out_before, given = given,
        given_before = given_before, demand = demand, demand_before = demand_before,
        is_leased = head == leased_head and is_known,
    }
    for i = 1, n do
        local id, count, period, burst = unpack('<I4i8i8i8', argument, (i - 1) * 28 + from)
        -- A limit is usually found at its own place; a changed quota may have moved, added or dropped some.
        local level, found
        for place = i - 1, i - 2 + n_recorded do
            local start = place % n_recorded * 12 + head + 1
            local of, recorded = unpack('<I4i8', bytes, start)
            if of == id then
                level, found = recorded, start + 4
                break
            end
        end
        if count < 0 then
            local window = read_window(argument, (i - 1) * 28 + from, at)
            if not window then
                return nil
            end
            if found then
                local used, used_before = unpack('<I4I4', bytes, found)
                set_counts(window, used, used_before, dated)
            end
            level, burst = window_level(window), -count * utok_per_token
            window.level, record.windows[i] = level, window
        else
            level = math.max(-burst, math.min(level or burst, burst))
            for stretch = 1, n_stretches do
                level = refill(level, elapsed[stretch], count, period, math.max(0, burst - cap_less[stretch]))
            end
        end
        record.ids[i], record.counts[i], record.periods[i], record.bursts[i] = id, count, period, burst
        record.levels[i] = level
    end
    return record
end

-- So many tokens purses may hold still.
local function held_of(record)
    return record.out + record.out_before - record.given - record.given_before
end

-- No more of what is out was refunded than is out; and what was refunded in the epoch before is of none that was granted
-- since.
local function bound_given(record)
    record.given_before = math.min(record.given_before, record.out_before)
    record.given = math.min(record.given, record.out + record.out_before - record.given_before)
end

-- How high the level of limit i may be.
local function cap_of(record, i)
    local window = record.windows[i]
    if window then
        return window.level + window.used * utok_per_token
    end
    return math.max(0, record.bursts[i] - held_of(record) * utok_per_token)
end

-- Takes the '<i8' charges that stand in `argument` from byte `from` on: no level falls below -burst by them.
local function charge_record(record, argument, from)
    for i = 1, record.n do
        local charge = unpack('<i8', argument, (i - 1) * 8 + from)
        if record.windows[i] then
            charge = charge + -charge % utok_per_token
        end
        record.levels[i] = math.max(record.levels[i] - charge, -record.bursts[i])
    end
end

-- The levels, as a record of format 1: all that a frontend has to know of one that is leased from.
local function pack_levels(record)
    local packed = pack('<Bi8', 1, record.at)
    for i = 1, record.n do
        local window = record.windows[i]
        if window then
            local used = used_after(window, window.level - record.levels[i])
            packed = packed .. pack('<I4I4I4', record.ids[i], used, window.used_before)
        else
            packed = packed .. pack('<I4i8', record.ids[i], record.levels[i])
        end
    end
    return packed
end

-- What a reply tells of a record that is left as it was: `bytes` are those that were read.
local function told_record(record, bytes)
    if not record.is_known then
        return ''
    end
    return record.is_leased and pack_levels(record) or bytes
end

-- Keeps the record until every limit is full and nothing is out. Returns its levels, as pack_levels does.
local function write_record(key, record)
    local levels, full_at = pack_levels(record), record.at
    local bytes, out, lost = levels, record.out + record.out_before, 0
    local lapses_at = record.at - record.at % epoch_us + 2 * epoch_us
    if out + record.demand + record.demand_before > 0 then
        bytes = pack(leased_format, 2, record.at, record.out, record.out_before, record.given, record.given_before,
            record.demand, record.demand_before) .. levels:sub(10)
        lost = 2 -- utok, by rounding where a stretch of time ends
    end
    for i = 1, record.n do
        local count, period, window = record.counts[i], record.periods[i], record.windows[i]
        if window then
            local used = used_after(window, window.level - record.levels[i])
            full_at = math.max(full_at, window_full_at(window, used))
        else
            local lack = record.bursts[i] - record.levels[i] + lost
            full_at = math.max(full_at, record.at + time_to_gain(lack, count, period))
            if out > 0 then
                local held = held_of(record) * utok_per_token
                full_at = math.max(full_at, lapses_at + time_to_gain(held, count, period))
            end
        end
    end
    full_at = math.min(full_at, latest)
    call('SET', key, bytes, 'PXAT', string.format('%d', (full_at + 999) / 1000))
    return levels
end
