/* trace.h — random sequences of checks, from a seed: quotas, costs and times that hurt.
 *
 * Rates from 1 per 30 days to 10^7 per second, costs from 1 to 10^9, exactly the burst, the last token, one
 * microsecond before and exactly at retry_after and reset_after, idle years, and, where allowed, clocks that
 * step back, quotas that change, charges of what was granted elsewhere, and windows: then also just before, at and
 * just after the edges of the calendar, and frontends whose clock is wrong. */
#ifndef SLUICE_TESTS_PROPERTY_TRACE_H
#define SLUICE_TESTS_PROPERTY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/bucket.h"
#include "server/store/script.h"

#define TRACE_YEAR_US (INT64_C(365) * 24 * 3600 * 1000000)

struct trace {
    uint64_t random;
    /* Options, set between begin and the first next; off at first. */
    bool may_step_back;    /* the clock, by any amount */
    bool may_change_quota; /* add, remove, reorder and alter limits */
    bool may_peek;
    bool may_charge;
    bool has_windows; /* by trace_add_windows */
    /* The next check. */
    int64_t now_us;
    int64_t told_us; /* what the frontend takes Unix time to be: any time, in every fourth check or so */
    int64_t end_us;  /* the clock stays below */
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    uint32_t n_limits;
    int64_t cost_tokens;
    bool peek;
    bool charges;
    int64_t charges_utok[BUCKET_MAX_LIMITS];
};

/* From $SLUICE_SEED, or fixed. */
uint64_t trace_seed(void);

/* A new trace with a random quota; the same for the same seed and number. */
void trace_begin(struct trace *trace, uint64_t seed, uint64_t number, int64_t start_us);
/* Makes windows of some of its limits, and of those to come. */
void trace_add_windows(struct trace *trace);
/* Chooses the next check, knowing the verdict of the last. */
void trace_next(struct trace *trace, const struct bucket_verdict *last);
/* What the scripts do, in C: takes the charges, if there are any, then decides. */
void trace_check(struct bucket_record *record, const struct trace *trace, struct bucket_verdict *verdict);
/* The same as the scripts take it. */
struct script_check trace_script_check(const struct trace *trace);
/* Do both tell the caller the same? */
bool trace_same_verdict(const struct bucket_verdict *a, const struct bucket_verdict *b);
/* 0 ... n - 1; n at least 1. */
uint64_t trace_random(struct trace *trace, uint64_t n);

#endif
