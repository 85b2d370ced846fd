/* bucket.c — the arithmetic of token and leaky buckets, in integers, exact; see bucket.h. */
#include "server/core/bucket.h"


enum { SECONDS_PER_MONTH = 30 * 24 * 3600 };

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

bool bucket_set_rate(struct bucket_limit *limit, int64_t count, int64_t period_s, struct status *status) {
    if (count < 1 || period_s < 1 || period_s > SECONDS_PER_MONTH) {
        return status_fail(status, "a rate is at least 1 per 30 days");
    }
    if (count / period_s > BUCKET_MAX_RATE_PER_S ||
        (count / period_s == BUCKET_MAX_RATE_PER_S && count % period_s > 0)) {
        return status_fail(status, "a rate is at most 10000000 per second");
    }
    int64_t divisor = greatest_common_divisor(count, period_s);
    count /= divisor;
    period_s /= divisor;
    if (count > BUCKET_MAX_EXACT / period_s) {
        return status_fail(status, "this rate cannot be kept exactly; give it per second, minute or hour");
    }
    limit->count = count;
    limit->period_s = period_s;
    return true;
}

static int64_t saturated(__int128 value) {
    return value < BUCKET_MAX_EXACT ? (int64_t)value : BUCKET_MAX_EXACT;
}

/* Level after `elapsed_us`, at most full. */
static int64_t level_after(const struct bucket_limit *limit, int64_t level_utok, int64_t elapsed_us) {
    __int128 level = level_utok + (__int128)elapsed_us * limit->count / limit->period_s;
    return level < limit->burst_utok ? (int64_t)level : limit->burst_utok;
}

/* Time in which `utok` flow in, rounded up. */
static int64_t time_to(const struct bucket_limit *limit, int64_t utok) {
    return utok > 0 ? saturated(((__int128)utok * limit->period_s + limit->count - 1) / limit->count) : 0;
}

/* Time from now until the bucket that held `base_utok` at the record's time holds `utok`. */
static int64_t time_until(const struct bucket_limit *limit, int64_t base_utok, int64_t utok, int64_t elapsed_us) {
    int64_t after_us = time_to(limit, utok - base_utok);
    return after_us < BUCKET_MAX_EXACT ? after_us - elapsed_us : BUCKET_MAX_EXACT;
}

static int64_t known_level(const struct bucket_record *record, const struct bucket_limit *limit) {
    for (uint32_t i = 0; i < record->n_levels; i++) {
        if (record->levels[i].id == limit->id) {
            int64_t utok = record->levels[i].utok;
            utok = utok < limit->burst_utok ? utok : limit->burst_utok;
            return utok > -limit->burst_utok ? utok : -limit->burst_utok;
        }
    }
    return limit->burst_utok;
}

/* One limit at one moment. */
struct reading {
    int64_t base_utok;  /* at the record's time */
    int64_t level_utok; /* now */
};

static void deny(const struct bucket_limit *limits, uint32_t n_limits, const struct reading *readings,
                 int64_t cost_utok, int64_t elapsed_us, struct bucket_verdict *verdict) {
    for (uint32_t i = 0; i < n_limits; i++) {
        const struct bucket_limit *limit = &limits[i];
        if (readings[i].level_utok >= cost_utok) {
            continue;
        }
        int64_t retry_us = cost_utok > limit->burst_utok
                               ? BUCKET_MAX_EXACT
                               : time_until(limit, readings[i].base_utok, cost_utok, elapsed_us);
        if (retry_us > verdict->retry_after_us) {
            verdict->retry_after_us = retry_us;
            verdict->limit_index = i;
        }
    }
    const struct reading *reported = &readings[verdict->limit_index];
    const struct bucket_limit *limit = &limits[verdict->limit_index];
    verdict->remaining_utok = reported->level_utok;
    verdict->reset_after_us = time_until(limit, reported->base_utok, limit->burst_utok, elapsed_us);
}

static void allow(const struct bucket_limit *limits, uint32_t n_limits, const struct reading *readings,
                  int64_t charged_utok, int64_t skew_us, struct bucket_verdict *verdict) {
    uint32_t least = 0;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t queued_utok = limits[i].burst_utok - readings[i].level_utok;
        int64_t wait_us = limits[i].algorithm == BUCKET_LEAKY ? skew_us + time_to(&limits[i], queued_utok) : 0;
        verdict->wait_us = wait_us > verdict->wait_us ? wait_us : verdict->wait_us;
        least = readings[i].level_utok < readings[least].level_utok ? i : least;
    }
    verdict->allowed = true;
    verdict->limit_index = least;
    verdict->remaining_utok = readings[least].level_utok - charged_utok;
    verdict->reset_after_us =
        skew_us + time_to(&limits[least], limits[least].burst_utok - verdict->remaining_utok);
}

/* Makes the record hold the levels of these limits, and says when all will be full. */
static void keep(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                 const struct reading *readings, int64_t charged_utok, int64_t at_us, int64_t skew_us,
                 struct bucket_verdict *verdict) {
    record->at_us = at_us;
    record->n_levels = n_limits;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t utok = readings[i].level_utok - charged_utok;
        int64_t full_us = skew_us + time_to(&limits[i], limits[i].burst_utok - utok);
        record->levels[i] = (struct bucket_level){.id = limits[i].id, .utok = utok};
        verdict->full_after_us = full_us > verdict->full_after_us ? full_us : verdict->full_after_us;
    }
    verdict->changed = true;
}

void bucket_check(struct bucket_record *record, const struct bucket_limit *limits, uint32_t n_limits,
                  int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    bool is_redated = record->n_levels > 0 && record->at_us - now_us > BUCKET_CLOCK_SLACK_US;
    int64_t at_us = record->n_levels == 0 || is_redated ? now_us : record->at_us;
    int64_t elapsed_us = now_us - at_us;
    int64_t skew_us = elapsed_us < 0 ? -elapsed_us : 0;
    struct reading readings[BUCKET_MAX_LIMITS];
    bool allowed = true;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t base_utok = known_level(record, &limits[i]);
        readings[i] = (struct reading){base_utok, level_after(&limits[i], base_utok, elapsed_us + skew_us)};
        allowed = allowed && readings[i].level_utok >= cost_utok;
    }
    *verdict = (struct bucket_verdict){0};
    int64_t charged_utok = allowed && !peek ? cost_utok : 0;
    if (allowed) {
        allow(limits, n_limits, readings, charged_utok, skew_us, verdict);
    } else {
        deny(limits, n_limits, readings, cost_utok, elapsed_us, verdict);
    }
    if (!peek && (allowed || is_redated)) {
        keep(record, limits, n_limits, readings, charged_utok, now_us + skew_us, skew_us, verdict);
    }
}
