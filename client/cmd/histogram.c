/* histogram.c — log-linear buckets. */
#include "client/cmd/histogram.h"

#include <stddef.h>

/* How many low bits the bucket of `value` leaves open. */
static unsigned open_bits(uint64_t value) {
    return value < HISTOGRAM_EXACT_BELOW ? 0 : 63u - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value);
}

/* From HISTOGRAM_EXACT_BELOW on, value >> open is in [128, 256), so each octave lies behind the one before. */
static size_t bucket_of(uint64_t value) {
    unsigned open = open_bits(value);
    return ((size_t)open << HISTOGRAM_SUB_BITS) + (size_t)(value >> open);
}

static uint64_t greatest_of(size_t bucket) {
    if (bucket < 2 * HISTOGRAM_EXACT_BELOW) {
        return bucket;
    }
    unsigned open = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t mantissa = bucket - ((size_t)open << HISTOGRAM_SUB_BITS);
    return ((mantissa + 1) << open) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->n++;
    if (value > histogram->max) {
        histogram->max = value;
    }
    histogram->counts[bucket_of(value < HISTOGRAM_MAX_VALUE ? value : HISTOGRAM_MAX_VALUE)]++;
}

uint64_t histogram_count(const struct histogram *histogram, uint64_t value) {
    size_t last = bucket_of(value < HISTOGRAM_MAX_VALUE ? value : HISTOGRAM_MAX_VALUE);
    uint64_t n = 0;
    for (size_t i = 0; i <= last; i++) {
        n += histogram->counts[i];
    }
    return n;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share) {
    double exact_rank = share * (double)histogram->n;
    uint64_t rank = (uint64_t)exact_rank;
    if ((double)rank < exact_rank || rank == 0) {
        rank++;
    }
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= rank) {
            uint64_t greatest = greatest_of(i);
            return greatest < histogram->max ? greatest : histogram->max;
        }
    }
    return histogram->max;
}
