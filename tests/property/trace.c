/* trace.c — random quotas, costs and times; see trace.h. */
#include "tests/property/trace.h"

#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)

enum { FIXED_SEED = 20250101, N_IDS = 12 };

uint64_t trace_seed(void) {
    const char *text = getenv("SLUICE_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : FIXED_SEED;
}

static uint64_t next_random(struct trace *trace) {
    uint64_t z = trace->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t trace_random(struct trace *trace, uint64_t n) {
    return next_random(trace) % n;
}

static bool one_in(struct trace *trace, uint64_t n) {
    return trace_random(trace, n) == 0;
}

/* 1 ... most, small numbers as likely as large ones. */
static int64_t random_magnitude(struct trace *trace, int64_t most) {
    int64_t below = INT64_C(2) << trace_random(trace, 62);
    return 1 + (int64_t)trace_random(trace, (uint64_t)(below < most ? below : most));
}

static void choose_rate(struct trace *trace, struct bucket_limit *limit) {
    static const int64_t rates[][2] = {{1, 30 * 86400},  {7, 86400},
                                       {5000000, 86400}, {20, 3600},
                                       {5000, 60},       {1, 1},
                                       {100, 1},         {10000000, 1},
                                       {999983, 1},      {94906265, 94906249},
                                       {1, 3},           {299999999999, 30011},
                                       {3000000001, 301}};
    enum { N_RATES = sizeof rates / sizeof *rates };
    uint64_t i = trace_random(trace, 2 * N_RATES);
    if (i < N_RATES && bucket_set_rate(limit, rates[i][0], rates[i][1], NULL)) {
        return;
    }
    while (!bucket_set_rate(limit, random_magnitude(trace, INT64_C(1) << 39),
                            random_magnitude(trace, INT64_C(1) << 38), NULL)) {
    }
}

static enum calendar_period choose_period(struct trace *trace) {
    static const enum calendar_period periods[] = {CALENDAR_MINUTE, CALENDAR_HOUR, CALENDAR_DAY, CALENDAR_WEEK,
                                                   CALENDAR_MONTH};
    return periods[trace_random(trace, sizeof periods / sizeof periods[0])];
}

static void choose_window(struct trace *trace, struct bucket_limit *limit) {
    enum bucket_algorithm algorithm = one_in(trace, 2) ? BUCKET_FIXED_WINDOW : BUCKET_SLIDING_WINDOW;
    int64_t count = one_in(trace, 8) ? BUCKET_MAX_TOKENS : random_magnitude(trace, BUCKET_MAX_TOKENS);
    if (!bucket_set_window(limit, algorithm, count, choose_period(trace), NULL)) {
        abort();
    }
}

static void choose_limit(struct trace *trace, struct bucket_limit *limit, uint32_t id) {
    limit->id = id;
    if (trace->has_windows && !one_in(trace, 3)) {
        choose_window(trace, limit);
        return;
    }
    limit->algorithm = one_in(trace, 3) ? BUCKET_LEAKY : BUCKET_TOKEN;
    choose_rate(trace, limit);
    limit->burst_utok = random_magnitude(trace, BUCKET_MAX_TOKENS) * BUCKET_UTOK_PER_TOKEN;
    if (one_in(trace, 8)) {
        limit->burst_utok = BUCKET_MAX_TOKENS * BUCKET_UTOK_PER_TOKEN;
    } else if (one_in(trace, 8)) {
        limit->burst_utok += (int64_t)trace_random(trace, BUCKET_UTOK_PER_TOKEN);
        limit->burst_utok -= limit->burst_utok > 2 * BUCKET_UTOK_PER_TOKEN ? BUCKET_UTOK_PER_TOKEN : 0;
    }
}

/* Ids are distinct inside a quota, and not in order. */
static void choose_quota(struct trace *trace) {
    static const uint32_t ids[N_IDS] = {1,   2,     3,          4,          5,          255,
                                        256, 65536, 2147483647, 2147483648, 4294967294, 4294967295};
    trace->n_limits = one_in(trace, 2) ? 1 : 1 + (uint32_t)trace_random(trace, BUCKET_MAX_LIMITS);
    uint64_t first = trace_random(trace, N_IDS);
    for (uint32_t i = 0; i < trace->n_limits; i++) {
        choose_limit(trace, &trace->limits[i], ids[(first + i * 5) % N_IDS]);
    }
}

static void change_quota(struct trace *trace) {
    struct bucket_limit *limits = trace->limits;
    uint32_t i = (uint32_t)trace_random(trace, trace->n_limits);
    switch (trace_random(trace, 4)) {
    case 0:
        choose_quota(trace);
        break;
    case 1: { /* reorder */
        uint32_t j = (uint32_t)trace_random(trace, trace->n_limits);
        struct bucket_limit limit = limits[i];
        limits[i] = limits[j];
        limits[j] = limit;
        break;
    }
    case 2: /* remove */
        limits[i] = limits[trace->n_limits - 1];
        trace->n_limits -= trace->n_limits > 1 ? 1 : 0;
        break;
    case 3: /* alter */
        choose_limit(trace, &limits[i], limits[i].id);
        break;
    }
}

static int64_t choose_step_back(struct trace *trace) {
    const int64_t steps_us[] = {1, 1000, SECOND_US - 1, SECOND_US, SECOND_US + 1, 10 * SECOND_US, HOUR_US};
    uint64_t i = trace_random(trace, sizeof steps_us / sizeof *steps_us + 1);
    return i > 0 ? steps_us[i - 1] : 1 + (int64_t)trace_random(trace, SECOND_US);
}

/* To the edge of a period before long: at it, or up to three microseconds off. */
static int64_t choose_edge(struct trace *trace) {
    int64_t edge_us = calendar_start(choose_period(trace), trace->now_us, 1 + (int)trace_random(trace, 3));
    return edge_us - trace->now_us + (int64_t)trace_random(trace, 7) - 3;
}

static int64_t choose_step(struct trace *trace, const struct bucket_verdict *last) {
    if (trace->has_windows && one_in(trace, 6)) {
        return choose_edge(trace);
    }
    int64_t retry_us = last->retry_after_us, reset_us = last->reset_after_us;
    const int64_t steps_us[] = {
        0,           0, 0, 1, SECOND_US, retry_us, retry_us, retry_us, retry_us - 1, reset_us, reset_us - 1,
        reset_us / 2};
    enum { N_STEPS = sizeof steps_us / sizeof *steps_us };
    uint64_t i = trace_random(trace, N_STEPS + 4);
    if (i < N_STEPS) {
        return steps_us[i] > 0 ? steps_us[i] : 0;
    }
    if (one_in(trace, 40)) {
        return TRACE_YEAR_US;
    }
    return random_magnitude(trace, i % 2 == 0 ? SECOND_US : 24 * HOUR_US);
}

static int64_t choose_cost(struct trace *trace, const struct bucket_verdict *last) {
    int64_t burst_tokens = BUCKET_MAX_TOKENS;
    for (uint32_t i = 0; i < trace->n_limits; i++) {
        int64_t tokens = trace->limits[i].burst_utok / BUCKET_UTOK_PER_TOKEN;
        burst_tokens = tokens < burst_tokens ? tokens : burst_tokens;
    }
    int64_t left_tokens = last->remaining_utok / BUCKET_UTOK_PER_TOKEN;
    const int64_t costs[] = {
        1, 1, 1, 1, burst_tokens, burst_tokens + 1, left_tokens, left_tokens + 1, BUCKET_MAX_TOKENS};
    enum { N_COSTS = sizeof costs / sizeof *costs };
    uint64_t i = trace_random(trace, N_COSTS + 4);
    int64_t cost =
        i < N_COSTS ? costs[i] : random_magnitude(trace, i % 4 == 0 ? BUCKET_MAX_TOKENS : burst_tokens);
    return cost < 1 ? 1 : cost > BUCKET_MAX_TOKENS ? BUCKET_MAX_TOKENS : cost;
}

static int64_t choose_told(struct trace *trace) {
    const int64_t errors_us[] = {SECOND_US, -SECOND_US, 61 * SECOND_US, -HOUR_US, 24 * HOUR_US, -TRACE_YEAR_US};
    uint64_t i = trace_random(trace, 4 * sizeof errors_us / sizeof *errors_us);
    return trace->now_us + (i < sizeof errors_us / sizeof *errors_us ? errors_us[i] : 0);
}

static void choose_charges(struct trace *trace) {
    for (uint32_t i = 0; i < trace->n_limits; i++) {
        int64_t burst_utok = trace->limits[i].burst_utok;
        const int64_t charges_utok[] = {0, 1, burst_utok, 2 * burst_utok, random_magnitude(trace, burst_utok)};
        trace->charges_utok[i] = charges_utok[trace_random(trace, sizeof charges_utok / sizeof *charges_utok)];
    }
}

void trace_begin(struct trace *trace, uint64_t seed, uint64_t number, int64_t start_us) {
    *trace = (struct trace){.random = seed ^ (number + 1) * UINT64_C(0xd1342543de82ef95),
                            .now_us = start_us,
                            .told_us = start_us,
                            .end_us = BUCKET_MAX_NOW_US,
                            .cost_tokens = 1};
    choose_quota(trace);
}

void trace_add_windows(struct trace *trace) {
    trace->has_windows = true;
    choose_quota(trace);
}

void trace_next(struct trace *trace, const struct bucket_verdict *last) {
    int64_t step_us = choose_step(trace, last);
    if (trace->may_step_back && one_in(trace, 12)) {
        step_us = -choose_step_back(trace);
    }
    if (trace->now_us + step_us >= 0 && trace->now_us + step_us < trace->end_us) {
        trace->now_us += step_us;
    }
    if (trace->may_change_quota && one_in(trace, 30)) {
        change_quota(trace);
    }
    trace->cost_tokens = choose_cost(trace, last);
    trace->told_us = trace->has_windows ? choose_told(trace) : trace->now_us;
    trace->peek = trace->may_peek && one_in(trace, 8);
    trace->charges = trace->may_charge && one_in(trace, 4);
    if (trace->charges) {
        choose_charges(trace);
    }
}

void trace_check(struct bucket_record *record, const struct trace *trace, struct bucket_verdict *verdict) {
    if (trace->charges) {
        int64_t gains_utok[BUCKET_MAX_LIMITS];
        for (uint32_t i = 0; i < trace->n_limits; i++) {
            gains_utok[i] = -trace->charges_utok[i];
        }
        bucket_book(record, trace->limits, trace->n_limits, gains_utok, trace->now_us);
    }
    bucket_check(record, trace->limits, trace->n_limits, trace->cost_tokens, trace->now_us, trace->peek,
                 verdict);
    verdict->changed = verdict->changed || trace->charges;
}

struct script_check trace_script_check(const struct trace *trace) {
    return (struct script_check){.limits = trace->limits,
                                 .n_limits = trace->n_limits,
                                 .cost_tokens = trace->cost_tokens,
                                 .unix_us = trace->told_us,
                                 .peek = trace->peek,
                                 .charges_utok = trace->charges ? trace->charges_utok : NULL};
}

bool trace_same_verdict(const struct bucket_verdict *a, const struct bucket_verdict *b) {
    return a->allowed == b->allowed && a->limit_index == b->limit_index &&
           a->remaining_utok == b->remaining_utok && a->retry_after_us == b->retry_after_us &&
           a->reset_after_us == b->reset_after_us && a->wait_us == b->wait_us &&
           a->full_after_us == b->full_after_us;
}
