/* lease_trial.h — workers that lease from one record, in virtual time, judged by every window of time.
 *
 * The bucket's side is the C twin of lease.lua; the workers do what a frontend does, without its sockets: one call
 * under way, checks that wait for it, denials kept for a while, purses given back when they are over. One thread. */
#ifndef SLUICE_TESTS_PROPERTY_LEASE_TRIAL_H
#define SLUICE_TESTS_PROPERTY_LEASE_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/bucket.h"

enum { LEASE_TRIAL_MAX_WORKERS = 8 };

struct lease_trial {
    uint64_t seed;
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    uint32_t n_limits;
    uint32_t n_workers;
    bool is_skewed; /* 90 % of the checks at one worker */
    double checks_per_s;
    int64_t max_cost_tokens;       /* of a check; mostly 1 */
    int64_t seconds;               /* the first two warm up */
    int64_t latency_us;            /* from a call to its reply: 100 ... so many */
    uint32_t losses_per_million;   /* of calls: half of them lose the reply alone */
    uint32_t deaths_per_million;   /* of calls: the worker dies, and another is there 100 ms later */
    uint32_t plain_checks_percent; /* of the checks: decided by the store alone, as check.lua does */
    uint32_t refunds_percent;      /* of the checks, also of those that were denied: given back later */
};

struct lease_result {
    int64_t lease_us;
    double over_tokens; /* the most by which a window exceeded burst + rate * T and what was given back in it or
                           in the two epochs before, over limits; <= 0 is exact */
    double served;      /* of the lesser of what was asked for and what the rate gave, after warm-up */
    double calls;       /* calls of lease.lua for each check of the workers */
    uint64_t n_checks, n_admitted, n_refunds;
};

/* False when memory is short. */
bool lease_trial_run(const struct lease_trial *trial, struct lease_result *result)
    __attribute__((warn_unused_result));

#endif
