/* rational.c — exact buckets and windows; see rational.h. */
#include "tests/property/rational.h"

static __int128 exact_cost(const struct bucket_limit *limit, int64_t cost_tokens) {
    return (__int128)cost_tokens * BUCKET_UTOK_PER_TOKEN * limit->period_s;
}

static __int128 exact_burst(const struct bucket_limit *limit) {
    return (__int128)limit->burst_utok * limit->period_s;
}

void rational_bucket_start(struct rational_bucket *bucket, const struct bucket_limit *limit, int64_t now_us) {
    *bucket = (struct rational_bucket){.limit = *limit, .at_us = now_us, .level = exact_burst(limit)};
}

void rational_bucket_advance(struct rational_bucket *bucket, int64_t now_us) {
    bucket->level += (__int128)(now_us - bucket->at_us) * bucket->limit.count;
    bucket->at_us = now_us;
    if (bucket->level > exact_burst(&bucket->limit)) {
        bucket->level = exact_burst(&bucket->limit);
    }
}

bool rational_bucket_charge(struct rational_bucket *bucket, int64_t cost_tokens) {
    bucket->level -= exact_cost(&bucket->limit, cost_tokens);
    return bucket->level >= 0;
}

int64_t rational_bucket_lead(const struct rational_bucket *bucket, int64_t level_utok) {
    __int128 lead = bucket->level - (__int128)level_utok * bucket->limit.period_s;
    return (int64_t)((lead > 0 ? lead + bucket->limit.period_s - 1 : lead) / bucket->limit.period_s);
}

void rational_window_start(struct rational_window *window, const struct bucket_limit *limit) {
    *window = (struct rational_window){.limit = *limit};
}

/* For windows from i to j: admitted(j) - admitted(before i) <= burst + rate * (time(j) - time(i)), which is
 * admitted(j) - rate * time(j) <= burst + [admitted(before i) - rate * time(i)]; the least bracket decides. */
bool rational_window_admit(struct rational_window *window, int64_t cost_tokens, int64_t now_us) {
    __int128 refilled = (__int128)now_us * window->limit.count;
    __int128 at_start = window->admitted - refilled;
    if (!window->is_open || at_start < window->least_at_start) {
        window->least_at_start = at_start;
        window->is_open = true;
    }
    window->admitted += exact_cost(&window->limit, cost_tokens);
    return window->admitted - refilled <= exact_burst(&window->limit) + window->least_at_start;
}
