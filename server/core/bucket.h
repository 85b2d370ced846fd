/* bucket.h — the arithmetic of token and leaky buckets, in integers, exact.
 *
 * Pure: no clock, no I/O, no allocation. lua/check.lua computes the same integers, bit for bit, in doubles
 * (all of them below 2^53); tests/property holds the two against each other and against a rational model.
 *
 * Units: levels in micro-tokens (utok, 10^-6 token), times in microseconds. A rate is `count` tokens per
 * `period_s` seconds, reduced to lowest terms, so the refill after e us is floor(e * count / period_s) utok.
 * Rounding is always against the caller, by less than one utok for each admission: the bound
 * burst + rate * T holds to the letter, and drift stays below 10^-6 of what is admitted.
 *
 * A leaky bucket is the same record read as a queue: burst - level is what is queued, and an admitted check
 * waits (burst - level before it) / rate, so departures are at least cost / rate apart (to the microsecond).
 *
 * All limits of a record are charged or none; a denial changes nothing. */
#ifndef SLUICE_CORE_BUCKET_H
#define SLUICE_CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/status.h"

enum { BUCKET_MAX_LIMITS = 8 };

#define BUCKET_UTOK_PER_TOKEN INT64_C(1000000)
#define BUCKET_MAX_TOKENS INT64_C(1000000000) /* burst and cost */
#define BUCKET_MAX_RATE_PER_S INT64_C(10000000)
#define BUCKET_MAX_EXACT INT64_C(9007199254740992) /* 2^53: times saturate here, and count * period_s fits */
/* A record younger than `now` by less than this waits for the clock to catch up (the bound stays exact);
 * by more, the clock has stepped back and the record is dated anew, so that nobody is locked out. */
#define BUCKET_CLOCK_SLACK_US INT64_C(1000000)

enum bucket_algorithm { BUCKET_TOKEN, BUCKET_LEAKY };

struct bucket_limit {
    uint32_t id; /* identifies the limit inside a record across quota changes */
    enum bucket_algorithm algorithm;
    int64_t count;    /* tokens ... */
    int64_t period_s; /* ... per so many seconds, in lowest terms; count * period_s <= BUCKET_MAX_EXACT */
    int64_t burst_utok;
};

struct bucket_level {
    uint32_t id;
    int64_t utok;
};

/* Level of each limit at one instant. n_levels == 0: nothing known, every bucket is full. */
struct bucket_record {
    int64_t at_us;
    uint32_t n_levels;
    struct bucket_level levels[BUCKET_MAX_LIMITS];
};

struct bucket_verdict {
    bool allowed;
    bool changed;         /* the record was changed and must be kept; a denial changes it only to re-date it */
    uint32_t limit_index; /* deny: the limit with the longest retry_after; allow: with the least remaining */
    int64_t remaining_utok; /* of that limit, after the decision; may be negative */
    int64_t retry_after_us; /* earliest time at which this cost is granted if nobody else spends; 0 on allow */
    int64_t reset_after_us; /* until that limit is full */
    int64_t wait_us;        /* longest wait among leaky limits, on allow */
    int64_t full_after_us;  /* until every limit is full: the record may be forgotten then */
};

/* Sets count and period_s of `limit` from "count tokens per period_s seconds". False, with a reason in
 * `status`, when out of range: 1 per 30 days ... 10^7 per second, and exact in 53 bits. */
bool bucket_set_rate(struct bucket_limit *limit, int64_t count, int64_t period_s, struct status *status)
    __attribute__((warn_unused_result));

/* Decides one check of `cost_tokens` (1 ... BUCKET_MAX_TOKENS) at `now_us` (0 ... 2^53) and charges `record`
 * unless it denies or `peek`. Limits the record lacks start full; levels the limits lack are dropped.
 * A cost above a limit's burst can never be granted: denied, with retry_after BUCKET_MAX_EXACT. */
void bucket_check(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                  int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict);

#endif
