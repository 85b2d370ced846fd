/* bucket.c — decides and charges checks; see bucket.h for every formula. */
#include "server/core/bucket.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { SLOWEST_PERIOD_S = 30 * 24 * 3600 };

/* A record as one check sees it: in the order of the limits, dated anew where the clock has stepped back. */
struct bucket_view {
    int64_t at_us;
    bool dated_anew;
    int64_t base_utok[BUCKET_MAX_LIMITS]; /* at at_us */
    int64_t utok[BUCKET_MAX_LIMITS];      /* at max(at_us, now) */
};

static int64_t min_int64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t max_int64(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Of positive numbers. */
static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b > 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

bool bucket_set_rate(struct bucket_limit *limit, int64_t count, int64_t period_s, struct status *status) {
    const char *problem = NULL;
    int64_t divisor = count < 1 ? 1 : greatest_divisor(count, period_s);
    if (count < 1 || period_s < 1) {
        problem = "both must be at least 1";
    } else if (count > (__int128)BUCKET_MAX_RATE_PER_S * period_s) {
        problem = "more than 10000000 per second";
    } else if ((__int128)count * SLOWEST_PERIOD_S < period_s) {
        problem = "less than 1 per 30 days";
    } else if ((__int128)(count / divisor) * (period_s / divisor) > BUCKET_MAX_EXACT) {
        problem = "cannot be kept exactly, use rounder numbers";
    }
    if (problem != NULL) {
        return status_fail(status, "rate %" PRId64 " per %" PRId64 " s: %s", count, period_s, problem);
    }
    limit->count = count / divisor;
    limit->period_s = period_s / divisor;
    return true;
}

static int64_t refill(int64_t utok, int64_t elapsed_us, const struct bucket_limit *limit) {
    __int128 refilled = utok + (__int128)elapsed_us * limit->count / limit->period_s;
    return refilled < limit->burst_utok ? (int64_t)refilled : limit->burst_utok;
}

/* From now until a limit has gained `utok` since `at`, which lies `ahead_us` after now (negative: before). */
static int64_t time_to(int64_t utok, int64_t ahead_us, const struct bucket_limit *limit) {
    if (limit->count == 0) {
        return utok > 0 ? BUCKET_MAX_EXACT : 0;
    }
    __int128 gain_us = ((__int128)utok * limit->period_s + limit->count - 1) / limit->count;
    if (gain_us >= BUCKET_MAX_EXACT) {
        return BUCKET_MAX_EXACT;
    }
    return max_int64(0, min_int64(BUCKET_MAX_EXACT, (int64_t)gain_us + ahead_us));
}

/* A limit is usually found at its own place; a changed quota may have moved, added or dropped some. */
static int64_t recorded_level(const struct bucket_record *record, const struct bucket_limit *limit,
                              uint32_t place) {
    for (uint32_t i = 0; i < record->n_levels; i++) {
        const struct bucket_level *level = &record->levels[(place + i) % record->n_levels];
        if (level->id == limit->id) {
            return max_int64(-limit->burst_utok, min_int64(limit->burst_utok, level->utok));
        }
    }
    return limit->burst_utok;
}

static void view_record(struct bucket_view *view, const struct bucket_record *record,
                        const struct bucket_limit *limits, uint32_t n_limits, int64_t now_us) {
    view->at_us = record->n_levels > 0 ? record->at_us : now_us;
    view->dated_anew = view->at_us - now_us > BUCKET_CLOCK_SLACK_US;
    if (view->dated_anew) {
        view->at_us = now_us;
    }
    int64_t elapsed_us = max_int64(0, now_us - view->at_us);
    for (uint32_t i = 0; i < n_limits; i++) {
        view->base_utok[i] = recorded_level(record, &limits[i], i);
        view->utok[i] = refill(view->base_utok[i], elapsed_us, &limits[i]);
    }
}

void bucket_levels(const struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                   int64_t now_us, int64_t utok[BUCKET_MAX_LIMITS]) {
    struct bucket_view view;
    view_record(&view, record, limits, n_limits, now_us);
    memcpy(utok, view.utok, n_limits * sizeof view.utok[0]);
}

static void write_record(struct bucket_record *record, const struct bucket_view *view,
                         const struct bucket_limit *limits, uint32_t n_limits, int64_t now_us,
                         int64_t charge_utok) {
    record->at_us = max_int64(view->at_us, now_us);
    record->n_levels = n_limits;
    for (uint32_t i = 0; i < n_limits; i++) {
        record->levels[i] = (struct bucket_level){limits[i].id, view->utok[i] - charge_utok};
    }
}

void bucket_describe_allowed(const struct bucket_record *left, const struct bucket_limit *limits,
                             uint32_t n_limits, int64_t cost_tokens, int64_t now_us,
                             struct bucket_verdict *verdict) {
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    int64_t ahead_us = left->at_us - now_us;
    *verdict = (struct bucket_verdict){.allowed = true, .changed = true, .remaining_utok = INT64_MAX};
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t utok = left->levels[i].utok;
        int64_t reset_us = time_to(limits[i].burst_utok - utok, ahead_us, &limits[i]);
        if (utok < verdict->remaining_utok) {
            verdict->limit_index = i;
            verdict->remaining_utok = utok;
            verdict->reset_after_us = reset_us;
        }
        if (limits[i].algorithm == BUCKET_LEAKY) {
            int64_t wait_us = time_to(limits[i].burst_utok - utok - cost_utok, ahead_us, &limits[i]);
            verdict->wait_us = max_int64(verdict->wait_us, wait_us);
        }
        verdict->full_after_us = max_int64(verdict->full_after_us, reset_us);
    }
}

/* Of a check that charged nothing. */
static void describe_standing(const struct bucket_view *view, const struct bucket_limit *limits,
                              uint32_t n_limits, int64_t cost_utok, int64_t now_us,
                              struct bucket_verdict *verdict) {
    int64_t ahead_us = view->at_us - now_us;
    for (uint32_t i = 0; i < n_limits; i++) {
        const struct bucket_limit *limit = &limits[i];
        int64_t reset_us = time_to(limit->burst_utok - view->base_utok[i], ahead_us, limit);
        int64_t retry_us = 0;
        if (cost_utok > limit->burst_utok) {
            retry_us = BUCKET_MAX_EXACT;
        } else if (cost_utok > view->utok[i]) {
            retry_us = time_to(cost_utok - view->base_utok[i], ahead_us, limit);
        }
        bool decides =
            verdict->allowed ? view->utok[i] < verdict->remaining_utok : retry_us > verdict->retry_after_us;
        if (decides) {
            verdict->limit_index = i;
            verdict->remaining_utok = view->utok[i];
            verdict->retry_after_us = retry_us;
            verdict->reset_after_us = reset_us;
        }
        if (verdict->allowed && limit->algorithm == BUCKET_LEAKY) {
            int64_t wait_us = time_to(limit->burst_utok - view->utok[i], max_int64(0, ahead_us), limit);
            verdict->wait_us = max_int64(verdict->wait_us, wait_us);
        }
        verdict->full_after_us = max_int64(verdict->full_after_us, reset_us);
    }
}

void bucket_check(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                  int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    struct bucket_view view;
    view_record(&view, record, limits, n_limits, now_us);
    bool allowed = true;
    for (uint32_t i = 0; i < n_limits; i++) {
        allowed = allowed && view.utok[i] >= cost_utok;
    }
    if (allowed && !peek) {
        write_record(record, &view, limits, n_limits, now_us, cost_utok);
        bucket_describe_allowed(record, limits, n_limits, cost_tokens, now_us, verdict);
        return;
    }
    *verdict = (struct bucket_verdict){.allowed = allowed, .remaining_utok = INT64_MAX};
    describe_standing(&view, limits, n_limits, cost_utok, now_us, verdict);
    if (view.dated_anew && !peek) {
        write_record(record, &view, limits, n_limits, now_us, 0);
        verdict->changed = true;
    }
}

int64_t bucket_book(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                    const int64_t *gains_utok, int64_t now_us) {
    struct bucket_view view;
    view_record(&view, record, limits, n_limits, now_us);
    int64_t least_utok = INT64_MAX;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t burst_utok = limits[i].burst_utok, before_utok = view.utok[i];
        view.utok[i] = max_int64(-burst_utok, min_int64(burst_utok, before_utok + gains_utok[i]));
        int64_t gained_utok = view.utok[i] - before_utok;
        least_utok = llabs(gained_utok) < llabs(least_utok) ? gained_utok : least_utok;
    }
    write_record(record, &view, limits, n_limits, now_us, 0);
    return least_utok;
}
