/* rational.h — what the buckets may admit, computed without any rounding: the judge of bucket.c.
 *
 * Levels are kept in 1/period_s utok, in which refill (elapsed * count) and charge (cost * period_s) are whole
 * numbers; 128 bits hold them all. The models follow what was admitted, they decide nothing. */
#ifndef SLUICE_TESTS_PROPERTY_RATIONAL_H
#define SLUICE_TESTS_PROPERTY_RATIONAL_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/bucket.h"

/* One limit's exact bucket, full at first. Time must not run backwards. */
struct rational_bucket {
    struct bucket_limit limit;
    int64_t at_us;
    __int128 level; /* in 1/period_s utok */
};

void rational_bucket_start(struct rational_bucket *bucket, const struct bucket_limit *limit, int64_t now_us);
void rational_bucket_advance(struct rational_bucket *bucket, int64_t now_us);
/* False when the exact bucket does not hold so much: then the charge was more than the limit allows. */
bool rational_bucket_charge(struct rational_bucket *bucket, int64_t cost_tokens)
    __attribute__((warn_unused_result));
/* How far `level_utok` falls short of the exact level, in utok, rounded up; negative when it exceeds it. */
int64_t rational_bucket_lead(const struct rational_bucket *bucket, int64_t level_utok);

/* The promise itself, without a bucket: in every window of length T at most burst + rate * T is admitted. Each
 * admission is held against all windows that end with it, in O(1). */
struct rational_window {
    struct bucket_limit limit;
    __int128 admitted;       /* in 1/period_s utok */
    __int128 least_at_start; /* of what had been admitted, less rate * time, when a window opened */
    bool is_open;
};

void rational_window_start(struct rational_window *window, const struct bucket_limit *limit);
/* False when some window that ends with this admission holds more than the promise. */
bool rational_window_admit(struct rational_window *window, int64_t cost_tokens, int64_t now_us)
    __attribute__((warn_unused_result));

#endif
