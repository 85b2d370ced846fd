/* bucket.c — decides and charges checks; see bucket.h for every formula. */
#include "server/core/bucket.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "server/core/window.h"

enum { SLOWEST_PERIOD_S = 30 * 24 * 3600 };

/* A record as one check sees it: in the order of the limits, dated anew where the clock has stepped back. */
struct bucket_view {
    int64_t at_us;
    int64_t when_us; /* max(at_us, now) */
    int64_t calendar_us;
    bool dated_anew;
    int64_t base_utok[BUCKET_MAX_LIMITS];           /* at at_us; not of windows */
    struct window_counts counts[BUCKET_MAX_LIMITS]; /* at when_us; of windows alone */
    int64_t utok[BUCKET_MAX_LIMITS];                /* at when_us */
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

bool bucket_limit_is_equal(const struct bucket_limit *a, const struct bucket_limit *b) {
    return a->id == b->id && a->algorithm == b->algorithm && a->count == b->count &&
           a->period_s == b->period_s && a->burst_utok == b->burst_utok;
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

bool bucket_set_window(struct bucket_limit *limit, enum bucket_algorithm algorithm, int64_t count,
                       enum calendar_period period, struct status *status) {
    if (count < 1 || count > BUCKET_MAX_TOKENS) {
        return status_fail(status, "%" PRId64 " in a period: a window takes 1 to %" PRId64, count,
                           BUCKET_MAX_TOKENS);
    }
    limit->algorithm = algorithm;
    limit->count = count;
    limit->period_s = period;
    limit->burst_utok = count * BUCKET_UTOK_PER_TOKEN;
    return true;
}

bool bucket_is_window(const struct bucket_limit *limit) {
    return limit->algorithm == BUCKET_FIXED_WINDOW || limit->algorithm == BUCKET_SLIDING_WINDOW;
}

static struct window window_of(const struct bucket_limit *limit) {
    return (struct window){.period = (enum calendar_period)limit->period_s,
                           .is_sliding = limit->algorithm == BUCKET_SLIDING_WINDOW,
                           .count_tokens = limit->count};
}

int64_t bucket_full_level(const struct bucket_limit *limit) {
    return bucket_is_window(limit) ? 0 : limit->burst_utok;
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

int64_t bucket_gain_us(const struct bucket_limit *limit, int64_t utok) {
    return time_to(utok, 0, limit);
}

/* A limit is usually found at its own place; a changed quota may have moved, added or dropped some. */
static int64_t recorded_level(const struct bucket_record *record, const struct bucket_limit *limit,
                              uint32_t place) {
    for (uint32_t i = 0; i < record->n_levels; i++) {
        const struct bucket_level *level = &record->levels[(place + i) % record->n_levels];
        if (level->id == limit->id) {
            return level->utok;
        }
    }
    return bucket_full_level(limit);
}

static void view_bucket(struct bucket_view *view, uint32_t i, const struct bucket_limit *limit, int64_t level) {
    view->base_utok[i] = max_int64(-limit->burst_utok, min_int64(limit->burst_utok, level));
    view->utok[i] = refill(view->base_utok[i], view->when_us - view->at_us, limit);
}

static void view_window(struct bucket_view *view, uint32_t i, const struct bucket_limit *limit, int64_t level) {
    struct window window = window_of(limit);
    int64_t when_us = view->when_us + view->calendar_us;
    view->counts[i] =
        window_move(&window, window_unpack(&window, level), view->at_us + view->calendar_us, when_us);
    view->utok[i] = window_left_tokens(&window, view->counts[i], when_us) * BUCKET_UTOK_PER_TOKEN;
}

static void view_record(struct bucket_view *view, const struct bucket_record *record,
                        const struct bucket_limit *limits, uint32_t n_limits, int64_t now_us) {
    view->at_us = record->n_levels > 0 ? record->at_us : now_us;
    view->dated_anew = view->at_us - now_us > BUCKET_CLOCK_SLACK_US;
    if (view->dated_anew) {
        view->at_us = now_us;
    }
    view->when_us = max_int64(view->at_us, now_us);
    view->calendar_us = record->calendar_us;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t level = recorded_level(record, &limits[i], i);
        if (bucket_is_window(&limits[i])) {
            view_window(view, i, &limits[i], level);
        } else {
            view_bucket(view, i, &limits[i], level);
        }
    }
}

void bucket_levels(const struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                   int64_t now_us, int64_t utok[BUCKET_MAX_LIMITS]) {
    struct bucket_view view;
    view_record(&view, record, limits, n_limits, now_us);
    memcpy(utok, view.utok, n_limits * sizeof view.utok[0]);
}

/* Both return the gain, after the bounds. */
static int64_t book_bucket(struct bucket_view *view, uint32_t i, const struct bucket_limit *limit,
                           int64_t gain_utok) {
    int64_t before_utok = view->utok[i];
    view->utok[i] = max_int64(-limit->burst_utok, min_int64(limit->burst_utok, before_utok + gain_utok));
    view->base_utok[i] = view->utok[i];
    return view->utok[i] - before_utok;
}

static int64_t floor_tokens(int64_t utok) {
    return utok / BUCKET_UTOK_PER_TOKEN - (utok % BUCKET_UTOK_PER_TOKEN < 0);
}

static int64_t book_window(struct bucket_view *view, uint32_t i, const struct bucket_limit *limit,
                           int64_t gain_utok) {
    struct window window = window_of(limit);
    struct window_counts *counts = &view->counts[i];
    int64_t least_tokens = -limit->count - view->utok[i] / BUCKET_UTOK_PER_TOKEN;
    int64_t gain_tokens = min_int64(counts->current_tokens, max_int64(floor_tokens(gain_utok), least_tokens));
    counts->current_tokens -= gain_tokens;
    view->utok[i] =
        window_left_tokens(&window, *counts, view->when_us + view->calendar_us) * BUCKET_UTOK_PER_TOKEN;
    return gain_tokens * BUCKET_UTOK_PER_TOKEN;
}

/* Adds to every limit: gains_utok[i], or without them the same. Returns the gain of the one that gained or lost the
 * least. */
static int64_t book(struct bucket_view *view, const struct bucket_limit *limits, uint32_t n_limits,
                    const int64_t *gains_utok, int64_t same_utok) {
    int64_t least_utok = INT64_MAX;
    view->at_us = view->when_us;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t gain_utok = gains_utok != NULL ? gains_utok[i] : same_utok;
        int64_t gained_utok = bucket_is_window(&limits[i]) ? book_window(view, i, &limits[i], gain_utok)
                                                           : book_bucket(view, i, &limits[i], gain_utok);
        least_utok = llabs(gained_utok) < llabs(least_utok) ? gained_utok : least_utok;
    }
    return least_utok;
}

static void write_record(struct bucket_record *record, const struct bucket_view *view,
                         const struct bucket_limit *limits, uint32_t n_limits) {
    record->at_us = view->when_us;
    record->n_levels = n_limits;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t level = bucket_is_window(&limits[i]) ? window_pack(view->counts[i]) : view->utok[i];
        record->levels[i] = (struct bucket_level){limits[i].id, level};
    }
}

int64_t bucket_book(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                    const int64_t *gains_utok, int64_t now_us) {
    struct bucket_view view;
    view_record(&view, record, limits, n_limits, now_us);
    int64_t least_utok = book(&view, limits, n_limits, gains_utok, 0);
    write_record(record, &view, limits, n_limits);
    return least_utok;
}

/* ---- what is told ---- */

static int64_t retry_after(const struct bucket_view *view, uint32_t i, const struct bucket_limit *limit,
                           int64_t cost_utok, int64_t now_us) {
    if (cost_utok <= view->utok[i]) {
        return 0;
    }
    if (cost_utok > limit->burst_utok) {
        return BUCKET_MAX_EXACT;
    }
    if (!bucket_is_window(limit)) {
        return time_to(cost_utok - view->base_utok[i], view->at_us - now_us, limit);
    }
    struct window window = window_of(limit);
    return window_grants_at(&window, view->counts[i], cost_utok / BUCKET_UTOK_PER_TOKEN,
                            view->when_us + view->calendar_us) -
           view->calendar_us - now_us;
}

static int64_t reset_after(const struct bucket_view *view, uint32_t i, const struct bucket_limit *limit,
                           int64_t now_us) {
    if (!bucket_is_window(limit)) {
        return time_to(limit->burst_utok - view->base_utok[i], view->at_us - now_us, limit);
    }
    struct window window = window_of(limit);
    return window_full_at(&window, view->counts[i], view->when_us + view->calendar_us) - view->calendar_us -
           now_us;
}

/* Of a check that took `taken_utok` from every limit, or nothing; `view` is what it left. */
static void describe(const struct bucket_view *view, const struct bucket_limit *limits, uint32_t n_limits,
                     int64_t cost_utok, int64_t taken_utok, int64_t now_us, struct bucket_verdict *verdict) {
    for (uint32_t i = 0; i < n_limits; i++) {
        const struct bucket_limit *limit = &limits[i];
        int64_t reset_us = reset_after(view, i, limit, now_us);
        int64_t retry_us = verdict->allowed ? 0 : retry_after(view, i, limit, cost_utok, now_us);
        bool decides =
            verdict->allowed ? view->utok[i] < verdict->remaining_utok : retry_us > verdict->retry_after_us;
        if (decides) {
            verdict->limit_index = i;
            verdict->remaining_utok = view->utok[i];
            verdict->retry_after_us = retry_us;
            verdict->reset_after_us = reset_us;
        }
        if (verdict->allowed && limit->algorithm == BUCKET_LEAKY) {
            int64_t wait_us =
                time_to(limit->burst_utok - view->utok[i] - taken_utok, view->when_us - now_us, limit);
            verdict->wait_us = max_int64(verdict->wait_us, wait_us);
        }
        verdict->full_after_us = max_int64(verdict->full_after_us, reset_us);
    }
}

void bucket_describe_allowed(const struct bucket_record *left, const struct bucket_limit *limits,
                             uint32_t n_limits, int64_t cost_tokens, int64_t now_us,
                             struct bucket_verdict *verdict) {
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    struct bucket_view view;
    view_record(&view, left, limits, n_limits, now_us);
    *verdict = (struct bucket_verdict){.allowed = true, .changed = true, .remaining_utok = INT64_MAX};
    describe(&view, limits, n_limits, cost_utok, cost_utok, now_us, verdict);
}

void bucket_check(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                  int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    struct bucket_view view;
    view_record(&view, record, limits, n_limits, now_us);
    *verdict = (struct bucket_verdict){.allowed = true, .remaining_utok = INT64_MAX};
    for (uint32_t i = 0; i < n_limits; i++) {
        verdict->allowed = verdict->allowed && view.utok[i] >= cost_utok;
    }
    bool takes = verdict->allowed && !peek;
    if (takes) {
        book(&view, limits, n_limits, NULL, -cost_utok);
    }
    describe(&view, limits, n_limits, cost_utok, takes ? cost_utok : 0, now_us, verdict);
    if (takes || (view.dated_anew && !peek)) {
        write_record(record, &view, limits, n_limits);
        verdict->changed = true;
    }
}

/* ---- what a check can have left ---- */

static bool is_left_of_bucket(const struct bucket_limit *limit, int64_t utok, int64_t cost_tokens) {
    return utok >= 0 && utok <= limit->burst_utok - cost_tokens * BUCKET_UTOK_PER_TOKEN;
}

static bool is_left_of_window(const struct bucket_limit *limit, int64_t packed, int64_t cost_tokens,
                              int64_t unix_us) {
    struct window window = window_of(limit);
    struct window_counts counts = window_unpack(&window, packed);
    return window_pack(counts) == packed && counts.current_tokens >= cost_tokens &&
           window_left_tokens(&window, counts, unix_us) >= 0;
}

bool bucket_is_left_by(const struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                       int64_t cost_tokens, int64_t now_us) {
    if (record->n_levels != n_limits || record->at_us < now_us ||
        record->at_us > now_us + BUCKET_CLOCK_SLACK_US) {
        return false;
    }
    for (uint32_t i = 0; i < n_limits; i++) {
        const struct bucket_level *level = &record->levels[i];
        bool is_left = bucket_is_window(&limits[i]) ? is_left_of_window(&limits[i], level->utok, cost_tokens,
                                                                        record->at_us + record->calendar_us)
                                                    : is_left_of_bucket(&limits[i], level->utok, cost_tokens);
        if (level->id != limits[i].id || !is_left) {
            return false;
        }
    }
    return true;
}
