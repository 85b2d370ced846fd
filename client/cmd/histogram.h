/* histogram.h — counts durations in buckets that grow with the value, for percentiles in fixed memory.
 *
 * Values below HISTOGRAM_EXACT_BELOW have a bucket each; above, every power of two is cut into that many equal
 * buckets, so a percentile is reported at most 1/128 (0.8 %) too high and never too low. Values beyond
 * HISTOGRAM_MAX_VALUE count as that; the greatest value is kept as it came. One thread. */
#ifndef SLUICE_CLIENT_CMD_HISTOGRAM_H
#define SLUICE_CLIENT_CMD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7,
    HISTOGRAM_MAX_BITS = 40,
    HISTOGRAM_EXACT_BELOW = 1 << HISTOGRAM_SUB_BITS,
    HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};
#define HISTOGRAM_MAX_VALUE ((UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1)

/* An all-zero struct is an empty histogram. */
struct histogram {
    uint64_t n, max;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `share` (0 ... 1) of all values do not exceed; 0 when there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);

/* How many values do not exceed `value`; those in its own bucket count, the last one holds all that are beyond. */
uint64_t histogram_count(const struct histogram *histogram, uint64_t value);

#endif
