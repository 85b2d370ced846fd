-- bucket.lua — a bucket's arithmetic, in integers that doubles hold exactly; twin of server/core/bucket.c.
--
-- Joined to scripts by lua/embed.sh. Levels in micro-tokens (utok), times in microseconds; a rate of `count`
-- tokens per `period` seconds is count / period utok per microsecond, and count * period <= 2^53.
--
-- Lua computes a % b as a - floor(a / b) * b. For integers a >= 0 and b > 0 that is exact as long as the next
-- multiple of b above a is at most 2^53: a / b is then further below the next integer than rounding can carry
-- it. The same holds for -a % b. All operands here keep to that (times up to 2^52), so no fmod is needed.

-- min(burst, level + floor(elapsed * count / period)). Whole periods may come to more than 2^53 and be rounded,
-- but then the bucket is full long since.
local function refill(level, elapsed, count, period, burst)
    local rest = elapsed % period
    local part = rest * count
    level = level + (elapsed - rest) / period * count + (part - part % period) / period
    return level < burst and level or burst
end

-- ceil(utok * period / count): how long it takes to gain `utok`; rounded when above 2^53.
local function time_to_gain(utok, count, period)
    local rest = utok % count
    local part = rest * period
    return (utok - rest) / count * period + (part + -part % count) / count
end
