/* bucket.h — the arithmetic of limits in integers, exact: token and leaky buckets, and all limits of a record together.
 *
 * Pure: no clock, no I/O, no allocation. The scripts decide and charge by the same integers, bit for bit, in doubles
 * (all of them below 2^53); tests/property holds the two against each other and against plain models. What a window
 * counts is in window.h; here it is a bucket of `count` tokens that is filled by the calendar instead of by a rate.
 *
 * Units: levels in micro-tokens (utok, 10^-6 token), times in microseconds. A rate is `count` tokens per
 * `period_s` seconds, reduced to lowest terms, so the refill after e us is floor(e * count / period_s) utok.
 * Rounding is always against the caller, by less than one utok for each admission: the bound
 * burst + rate * T holds to the letter, and drift stays below 10^-6 of what is admitted.
 *
 * A record holds levels at one instant, `at`. At `now`, with elapsed = max(0, now - at):
 *
 *   level         min(burst, recorded level + floor(elapsed * count / period_s)); a recorded level outside
 *                 [-burst, burst], as a changed quota may leave it, is first clamped into it
 *   allow         every level >= cost; then every level drops by cost, and at becomes max(at, now)
 *   time_to(utok) ceil(utok * period_s / count) from `at` of the record that stands after the decision: charged
 *                 on allow, untouched on deny and on peek. The times of a verdict are counted from now, so
 *                 at - now is added; they are clamped to 0 ... 2^53
 *   retry_after   time_to(cost - recorded level): to the microsecond the first instant that grants
 *   reset_after   time_to(burst - recorded level)
 *                 of a window, from `at`, the first instant that grants and the first at which all is left
 *   wait          of a leaky limit, time_to(burst - level before the charge) from max(at, now): burst - level
 *                 is what is queued, so departures are at least cost / rate apart (to the microsecond)
 *
 * All limits of a record are charged or none; a denial changes nothing. */
#ifndef SLUICE_CORE_BUCKET_H
#define SLUICE_CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/status.h"
#include "server/core/calendar.h"

enum { BUCKET_MAX_LIMITS = 8 };

#define BUCKET_UTOK_PER_TOKEN INT64_C(1000000)
#define BUCKET_MAX_TOKENS INT64_C(1000000000) /* burst and cost */
#define BUCKET_MAX_RATE_PER_S INT64_C(10000000)
#define BUCKET_MAX_EXACT INT64_C(9007199254740992) /* 2^53: times saturate here, and count * period_s fits */
#define BUCKET_MAX_NOW_US (INT64_C(1) << 52)       /* in the year 2112 */
/* A record ahead of `now` by no more than this waits for the clock to catch up (the bound stays exact); by
 * more, the clock has stepped back and the record is dated anew, levels kept, so that nobody is locked out. */
#define BUCKET_CLOCK_SLACK_US INT64_C(1000000)

enum bucket_algorithm { BUCKET_TOKEN, BUCKET_LEAKY, BUCKET_FIXED_WINDOW, BUCKET_SLIDING_WINDOW };

struct bucket_limit {
    uint32_t id; /* identifies the limit inside a record across quota changes */
    enum bucket_algorithm algorithm;
    int64_t count;      /* tokens ...; 0: it gains none, ever (a ban, which no script takes) */
    int64_t period_s;   /* ... per so many seconds, in lowest terms; count * period_s <= BUCKET_MAX_EXACT. Of a
                         window: its enum calendar_period */
    int64_t burst_utok; /* of a window: count, in utok */
};

bool bucket_limit_is_equal(const struct bucket_limit *a, const struct bucket_limit *b);

struct bucket_level {
    uint32_t id;
    int64_t utok; /* of a window: its counts, packed as window.h has it */
};

/* Level of each limit at one instant. n_levels == 0: nothing known, every bucket is full. */
struct bucket_record {
    int64_t at_us;
    uint32_t n_levels;
    struct bucket_level levels[BUCKET_MAX_LIMITS];
    /* at_us + calendar_us is Unix time, and so is now_us + calendar_us: 0 in Redis. Only windows look at it; who keeps
     * records by another clock sets it anew before each call. */
    int64_t calendar_us;
};

struct bucket_verdict {
    bool allowed;
    bool changed;         /* the record was changed and must be kept; a denial changes it only to re-date it */
    uint32_t limit_index; /* deny: the limit with the longest retry_after; allow: with the least remaining; of
                             equals the first. The figures down to reset_after_us are of this limit */
    int64_t remaining_utok; /* after the charge; on deny and peek the level now; may be negative */
    int64_t retry_after_us; /* earliest time at which this cost is granted if nobody else spends; 0 on allow */
    int64_t reset_after_us; /* until that limit is full */
    int64_t wait_us;        /* longest wait among leaky limits, on allow */
    int64_t full_after_us;  /* until every limit is full: the record may be forgotten then */
};

/* Sets count and period_s of `limit` from "count tokens per period_s seconds". False, with a reason in
 * `status`, when out of range: 1 per 30 days ... 10^7 per second, and exact in 53 bits. */
bool bucket_set_rate(struct bucket_limit *limit, int64_t count, int64_t period_s, struct status *status)
    __attribute__((warn_unused_result));

/* Makes `limit` a window of 1 ... BUCKET_MAX_TOKENS tokens per period; `algorithm` is one of the two. */
bool bucket_set_window(struct bucket_limit *limit, enum bucket_algorithm algorithm, int64_t count,
                       enum calendar_period period, struct status *status) __attribute__((warn_unused_result));
bool bucket_is_window(const struct bucket_limit *limit);

/* How long a limit that is no window takes to gain `utok` (> 0), rounded up; BUCKET_MAX_EXACT at most. */
int64_t bucket_gain_us(const struct bucket_limit *limit, int64_t utok);
/* What a record holds of a limit that is full. */
int64_t bucket_full_level(const struct bucket_limit *limit);
/* Can a check of `cost_tokens` at `now_us` have left this record, one level for each limit in their order? */
bool bucket_is_left_by(const struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                       int64_t cost_tokens, int64_t now_us);

/* Decides one check of `cost_tokens` (1 ... BUCKET_MAX_TOKENS) at `now_us` (0 ... BUCKET_MAX_NOW_US) and
 * charges `record`, unless it denies. With `peek` the verdict is the one that a check would get, except that
 * nothing is charged or written, so the figures are those of the buckets as they stand. Limits the record lacks
 * start full; levels the limits lack are dropped when it is next changed. A cost above a limit's burst can
 * never be granted: denied, with retry_after BUCKET_MAX_EXACT. */
void bucket_check(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                  int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict);

/* What is in each bucket at `now_us`, in the order of `limits`. */
void bucket_levels(const struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                   int64_t now_us, int64_t utok[BUCKET_MAX_LIMITS]);

/* Adds `gains_utok` to the levels, below 0 to take whatever they are: none rises above its burst or falls below
 * -burst. Of a window whole tokens, rounded against the caller, and it gains no more than was taken in this period.
 * All limits are then in the record, in the order of `limits`. Returns the gain of the limit that gained or lost the
 * least, after these bounds; a refill since the record's time is no gain. */
int64_t bucket_book(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                    const int64_t *gains_utok, int64_t now_us);

/* The verdict of a check that was allowed elsewhere by the same rules, worked out from the record that it left:
 * one level for each limit, in the order of `limits`. */
void bucket_describe_allowed(const struct bucket_record *left, const struct bucket_limit *limits,
                             uint32_t n_limits, int64_t cost_tokens, int64_t now_us,
                             struct bucket_verdict *verdict);

#endif
