#!lua
-- lease.lua — takes tokens from one record for a frontend to hand out by itself; takes back what it did not use.
--
-- KEYS[1]  the record, as lib/record.lua has it
-- ARGV[1]  '<Bi8i8i8i8i8i8i8i8' flags (1: grant nothing; 2: charges follow), then of the purse that is over its
--          epoch, tokens (0: none) and how many of them were not used; need: tokens that checks wait for; extra:
--          tokens wished for beside; seen: tokens asked of the frontend since it last told, at most 10^9; pace:
--          tokens asked of it in a second, at most 10^8; lease time in us, at most 50000. Then the limits and the
--          charges as check.lua takes them
-- ARGV[2]  the time in microseconds since 1970, for tests only; without it TIME is asked
-- Reply    '<Bi8i8i8i8i8' 4, now_us, tokens granted that are there, tokens granted that are to come, the time in
--          us until the first token that is not there will be, tokens that others may hold; then the levels as they
--          stand, as a record of format 1. The purse's epoch is that of this record: at_us / 250000
-- Cost     one TIME, one GET, at most one SET, each O(1)
--
-- server/core/lease.h has the rules.

local call, unpack, pack = redis.call, struct.unpack, struct.pack
local key, argument, now = KEYS[1], ARGV[1], ARGV[2]
local latest = 9007199254740992 -- 2^53: in the year 2255

-- include lib/now.lua
-- include lib/bucket.lua
-- include lib/record.lua

now = read_now(now)

local flags, told_epoch, told_tokens, told_unused, need, extra, seen, pace, lease_us =
    unpack('<Bi8i8i8i8i8i8i8i8', argument)
local only_returns, charges = flags % 2 == 1, flags >= 2
local n_limits = (#argument - 65) / (charges and 36 or 28)
local record = read_record(call('GET', key), now, argument, 66, n_limits)
local levels = record.levels
if charges then
    charge_record(record, argument, n_limits * 28 + 66)
end

local function whole_tokens(utok)
    return (utok - utok % utok_per_token) / utok_per_token
end

-- A purse of an earlier epoch has left the account; so have its tokens.
local epoch, resolved = (record.at - record.at % epoch_us) / epoch_us, 0
if told_epoch == epoch then
    resolved = math.min(told_tokens, record.out)
    record.out = record.out - resolved
elseif told_epoch == epoch - 1 then
    resolved = math.min(told_tokens, record.out_before)
    record.out_before = record.out_before - resolved
end
bound_given(record)
local held = held_of(record)
for i = 1, n_limits do
    local level = levels[i] + math.min(told_unused, resolved) * utok_per_token
    levels[i] = math.max(levels[i], math.min(level, cap_of(record, i)))
end
record.demand = math.min(record.demand + seen, 1000000000000)

local there, to_come, delay = only_returns and 0 or need + extra, 0, 0
for i = 1, n_limits do
    there = math.max(0, math.min(there, whole_tokens(levels[i])))
end
if not only_returns then
    local demand = math.max(record.demand, record.demand_before) * epochs_per_s
    demand = math.min(math.max(demand, pace), 100000000)
    local is_short = false
    to_come = need + extra
    for i = 1, n_limits do
        local count, period, burst = record.counts[i], record.periods[i], record.bursts[i]
        is_short = is_short or demand > (count - count % period) / period
        -- What the limit gains in a lease time: so far its level may fall below zero, in shares by demand.
        local gain = refill(0, lease_us, count, period, burst)
        local whole = whole_tokens(gain)
        local share = demand > 0 and (whole * pace - whole * pace % demand) / demand or 0
        to_come = math.min(to_come, whole > 0 and math.max(share, 1) or 0,
            whole_tokens(levels[i] - there * utok_per_token + gain), whole_tokens(burst) - held - there)
    end
    to_come = math.max(0, math.min(to_come, (is_short and need + extra or need) - there))
end
for i = 1, n_limits do
    levels[i] = levels[i] - there * utok_per_token
    if levels[i] < utok_per_token then
        local wait = time_to_gain(utok_per_token - levels[i], record.counts[i], record.periods[i])
        delay = math.max(delay, math.min(wait + (record.at - now), latest))
    end
    levels[i] = levels[i] - to_come * utok_per_token
end
record.out = record.out + there + to_come

local left
if there + to_come + resolved + seen > 0 or charges or record.is_dated_anew then
    left = write_record(key, record)
else
    left = pack_levels(record)
end
return pack('<Bi8i8i8i8i8', 4, now, there, to_come, delay, held) .. left
