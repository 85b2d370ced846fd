/* lease.c — grants tokens of a record to purses, and hands out of a purse; see lease.h for every formula. */
#include "server/core/lease.h"

#include <stddef.h>
#include <stdlib.h>

enum { MAX_STRETCHES = 3 };

#define PACE_STRETCH_US INT64_C(100000)
#define PACE_QUIET_US INT64_C(1000000) /* after as long, what was before says nothing */
#define PACE_FIRST_US INT64_C(5000)    /* a shorter time says nothing about a second */

static int64_t min_int64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t max_int64(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t refill(int64_t utok, int64_t elapsed_us, const struct bucket_limit *limit, int64_t cap_utok) {
    __int128 refilled = utok + (__int128)elapsed_us * limit->count / limit->period_s;
    return refilled < cap_utok ? (int64_t)refilled : cap_utok;
}

/* What nearly always fits 64 bits is divided as such: a division of 128 costs ten times as much. */
static int64_t time_to_gain_us(int64_t utok, const struct bucket_limit *limit) {
    int64_t product;
    if (utok > 0 && !__builtin_mul_overflow(utok, limit->period_s, &product) &&
        product <= INT64_MAX - limit->count) {
        return min_int64((product + limit->count - 1) / limit->count, BUCKET_MAX_EXACT);
    }
    __int128 gain_us = ((__int128)utok * limit->period_s + limit->count - 1) / limit->count;
    return gain_us < BUCKET_MAX_EXACT ? (int64_t)gain_us : BUCKET_MAX_EXACT;
}

/* Rounded down, of levels below zero too. */
static int64_t whole_tokens(int64_t utok) {
    int64_t rest = utok % BUCKET_UTOK_PER_TOKEN;
    return (utok - rest) / BUCKET_UTOK_PER_TOKEN - (rest < 0 ? 1 : 0);
}

int64_t lease_time_us(const struct bucket_limit *limits, uint32_t n_limits) {
    __int128 lease_us = LEASE_TIME_MAX_US;
    for (uint32_t i = 0; i < n_limits; i++) {
        if (limits[i].algorithm != BUCKET_TOKEN || limits[i].count < 1) {
            return 0;
        }
        __int128 quarter_us = (__int128)limits[i].burst_utok * limits[i].period_s / limits[i].count / 4;
        lease_us = quarter_us < lease_us ? quarter_us : lease_us;
    }
    return lease_us < LEASE_TIME_MIN_US ? 0 : (int64_t)lease_us;
}

/* --- the bucket's side --- */

/* Time that has passed since a record was written, cut where tokens that are out are forgotten. */
struct stretches {
    uint32_t n;
    struct {
        int64_t elapsed_us;
        int64_t held_tokens;
    } stretch[MAX_STRETCHES];
};

static int64_t out_of(const struct lease_account *account) {
    return account->out_tokens + account->out_before_tokens;
}

/* So many of them purses may hold still. */
static int64_t held_of(const struct lease_account *account) {
    return out_of(account) - account->given_tokens - account->given_before_tokens;
}

static void bound_given(struct lease_account *account) {
    account->given_before_tokens = min_int64(account->given_before_tokens, account->out_before_tokens);
    account->given_tokens = min_int64(account->given_tokens, out_of(account) - account->given_before_tokens);
}

static void pass_time(struct lease_account *account, int64_t from_us, int64_t to_us, struct stretches *passed) {
    int64_t ends_us = from_us - from_us % LEASE_EPOCH_US + LEASE_EPOCH_US;
    *passed = (struct stretches){.n = 1, .stretch[0] = {to_us - from_us, held_of(account)}};
    if (to_us < ends_us || out_of(account) + account->demand_tokens + account->demand_before_tokens == 0) {
        return;
    }
    passed->n = 2;
    passed->stretch[0].elapsed_us = ends_us - from_us;
    passed->stretch[1].elapsed_us = to_us - ends_us;
    *account = (struct lease_account){.out_before_tokens = account->out_tokens,
                                      .given_before_tokens = account->given_tokens,
                                      .demand_before_tokens = account->demand_tokens};
    bound_given(account);
    passed->stretch[1].held_tokens = held_of(account);
    if (to_us - ends_us >= LEASE_EPOCH_US) {
        passed->n = 3;
        passed->stretch[1].elapsed_us = LEASE_EPOCH_US;
        passed->stretch[2].elapsed_us = to_us - ends_us - LEASE_EPOCH_US;
        *account = (struct lease_account){0};
    }
}

static int64_t cap_of(const struct bucket_limit *limit, int64_t held_tokens) {
    return max_int64(0, limit->burst_utok - held_tokens * BUCKET_UTOK_PER_TOKEN);
}

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

bool lease_refresh(struct bucket_record *record, struct lease_account *account,
                   const struct bucket_limit *limits, uint32_t n_limits, int64_t now_us) {
    int64_t at_us = record->n_levels > 0 ? record->at_us : now_us;
    bool is_dated_anew = at_us - now_us > BUCKET_CLOCK_SLACK_US;
    struct stretches passed = {.n = 1, .stretch[0].held_tokens = held_of(account)};
    if (is_dated_anew) {
        at_us = now_us;
        account->out_tokens = out_of(account);
        account->out_before_tokens = 0;
        account->given_tokens += account->given_before_tokens;
        account->given_before_tokens = 0;
    } else if (at_us < now_us) {
        pass_time(account, at_us, now_us, &passed);
        at_us = now_us;
    }
    struct bucket_record fresh = {.at_us = at_us, .n_levels = n_limits};
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t utok = recorded_level(record, &limits[i], i);
        for (uint32_t k = 0; k < passed.n; k++) {
            utok = refill(utok, passed.stretch[k].elapsed_us, &limits[i],
                          cap_of(&limits[i], passed.stretch[k].held_tokens));
        }
        fresh.levels[i] = (struct bucket_level){limits[i].id, utok};
    }
    *record = fresh;
    return is_dated_anew;
}

/* Returns how many tokens of the purse were still accounted for. */
static int64_t resolve(struct bucket_record *record, struct lease_account *account,
                       const struct bucket_limit *limits, const struct lease_told *told) {
    int64_t epoch = record->at_us / LEASE_EPOCH_US;
    int64_t *out = NULL;
    if (told->epoch == epoch) {
        out = &account->out_tokens;
    } else if (told->epoch == epoch - 1) {
        out = &account->out_before_tokens;
    } else {
        return 0;
    }
    int64_t n_resolved = min_int64(told->n_tokens, *out);
    *out -= n_resolved;
    bound_given(account);
    int64_t unused_utok = min_int64(told->n_unused, n_resolved) * BUCKET_UTOK_PER_TOKEN;
    for (uint32_t i = 0; i < record->n_levels; i++) {
        int64_t utok = min_int64(record->levels[i].utok + unused_utok, cap_of(&limits[i], held_of(account)));
        record->levels[i].utok = max_int64(record->levels[i].utok, utok);
    }
    return n_resolved;
}

/* How many tokens to come may be granted beyond those that are there. */
static int64_t count_to_come(const struct bucket_record *record, const struct lease_account *account,
                             const struct bucket_limit *limits, const struct lease_wish *wish,
                             int64_t n_there) {
    int64_t demand = max_int64(account->demand_tokens, account->demand_before_tokens);
    demand = min_int64(max_int64(demand * LEASE_EPOCHS_PER_S, wish->pace_per_s), LEASE_MAX_PACE_PER_S);
    int64_t wanted = wish->need_tokens + wish->extra_tokens;
    int64_t most = wanted;
    bool is_short = false;
    for (uint32_t i = 0; i < record->n_levels; i++) {
        is_short = is_short || demand > limits[i].count / limits[i].period_s;
        int64_t gain = refill(0, wish->lease_us, &limits[i], limits[i].burst_utok);
        int64_t share = demand > 0 ? whole_tokens(gain) * wish->pace_per_s / demand : 0;
        int64_t rest_utok = record->levels[i].utok - n_there * BUCKET_UTOK_PER_TOKEN;
        most = min_int64(most, whole_tokens(gain) > 0 ? max_int64(share, 1) : 0);
        most = min_int64(most, whole_tokens(rest_utok + gain));
        most = min_int64(most, whole_tokens(limits[i].burst_utok) - held_of(account) - n_there);
    }
    return max_int64(0, min_int64(most, (is_short ? wanted : wish->need_tokens) - n_there));
}

static void take_tokens(struct bucket_record *record, const struct bucket_limit *limits, int64_t now_us,
                        struct lease_grant *grant) {
    for (uint32_t i = 0; i < record->n_levels; i++) {
        int64_t utok = record->levels[i].utok - grant->n_there * BUCKET_UTOK_PER_TOKEN;
        if (utok < BUCKET_UTOK_PER_TOKEN) {
            int64_t wait_us = time_to_gain_us(BUCKET_UTOK_PER_TOKEN - utok, &limits[i]);
            wait_us = min_int64(wait_us + record->at_us - now_us, BUCKET_MAX_EXACT);
            grant->delay_us = max_int64(grant->delay_us, wait_us);
        }
        record->levels[i].utok = utok - grant->n_to_come * BUCKET_UTOK_PER_TOKEN;
    }
}

bool lease_grant_tokens(struct bucket_record *record, struct lease_account *account,
                        const struct bucket_limit *limits, uint32_t n_limits, const struct lease_wish *wish,
                        const int64_t *charges_utok, int64_t now_us, struct lease_grant *grant) {
    bool is_dated_anew = lease_refresh(record, account, limits, n_limits, now_us);
    for (uint32_t i = 0; charges_utok != NULL && i < n_limits; i++) {
        record->levels[i].utok = max_int64(record->levels[i].utok - charges_utok[i], -limits[i].burst_utok);
    }
    int64_t n_resolved = resolve(record, account, limits, &wish->told);
    account->demand_tokens = min_int64(account->demand_tokens + wish->seen_tokens, LEASE_MAX_DEMAND_TOKENS);
    *grant = (struct lease_grant){.epoch = record->at_us / LEASE_EPOCH_US, .n_others = held_of(account)};
    if (!wish->only_returns) {
        grant->n_there = wish->need_tokens + wish->extra_tokens;
        for (uint32_t i = 0; i < n_limits; i++) {
            grant->n_there = max_int64(0, min_int64(grant->n_there, whole_tokens(record->levels[i].utok)));
        }
        grant->n_to_come = count_to_come(record, account, limits, wish, grant->n_there);
    }
    take_tokens(record, limits, now_us, grant);
    account->out_tokens += grant->n_there + grant->n_to_come;
    return grant->n_there + grant->n_to_come + n_resolved + wish->seen_tokens > 0 || charges_utok != NULL ||
           is_dated_anew;
}

bool lease_give_tokens(struct bucket_record *record, struct lease_account *account,
                       const struct bucket_limit *limits, uint32_t n_limits, struct lease_gift *gift,
                       int64_t now_us) {
    bool is_full = record->n_levels == 0;
    gift->booked_utok = 0;
    lease_refresh(record, account, limits, n_limits, now_us);
    if (gift->gain_tokens == 0 || (gift->gain_tokens > 0 && is_full)) {
        return false;
    }
    if (gift->is_refund && gift->gain_tokens > 0) {
        account->given_tokens += gift->gain_tokens;
        bound_given(account);
    }
    int64_t gain_utok = gift->gain_tokens * BUCKET_UTOK_PER_TOKEN, least_utok = gain_utok;
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t before_utok = record->levels[i].utok;
        int64_t utok = min_int64(before_utok + gain_utok, cap_of(&limits[i], held_of(account)));
        utok = max_int64(utok, -limits[i].burst_utok);
        record->levels[i].utok = utok;
        least_utok = llabs(utok - before_utok) < llabs(least_utok) ? utok - before_utok : least_utok;
    }
    gift->booked_utok = least_utok;
    return true;
}

int64_t lease_full_at_us(const struct bucket_record *record, const struct lease_account *account,
                         const struct bucket_limit *limits, uint32_t n_limits) {
    int64_t full_at_us = record->at_us;
    int64_t lapses_at_us = record->at_us - record->at_us % LEASE_EPOCH_US + 2 * LEASE_EPOCH_US;
    int64_t held_utok = held_of(account) * BUCKET_UTOK_PER_TOKEN;
    bool is_accounted = out_of(account) + account->demand_tokens + account->demand_before_tokens > 0;
    int64_t lost_utok = is_accounted ? MAX_STRETCHES - 1 : 0; /* by rounding where a stretch ends */
    for (uint32_t i = 0; i < n_limits; i++) {
        int64_t lack_utok = limits[i].burst_utok - record->levels[i].utok + lost_utok;
        full_at_us = max_int64(full_at_us, record->at_us + time_to_gain_us(lack_utok, &limits[i]));
        if (out_of(account) > 0) {
            full_at_us = max_int64(full_at_us, lapses_at_us + time_to_gain_us(held_utok, &limits[i]));
        }
    }
    return min_int64(full_at_us, BUCKET_MAX_EXACT);
}

/* --- the purse --- */

/* Until so many tokens more have come at the purse's rate. */
static int64_t coming_us(const struct lease_purse *purse, int64_t n_tokens) {
    const struct bucket_limit limit = {.count = purse->count, .period_s = purse->period_s};
    return n_tokens > 0 ? time_to_gain_us(n_tokens * BUCKET_UTOK_PER_TOKEN, &limit) : 0;
}

void lease_purse_fill(struct lease_purse *purse, const struct lease_grant *grant,
                      const struct bucket_limit *limits, uint32_t n_limits, int64_t lease_us,
                      int64_t sent_at_us, int64_t now_us) {
    *purse = (struct lease_purse){.epoch = grant->epoch,
                                  .n_there = grant->n_there,
                                  .n_to_come = grant->n_to_come,
                                  .sent_at_us = sent_at_us,
                                  .first_at_us = now_us + grant->delay_us,
                                  .until_us = max_int64(sent_at_us + lease_us, now_us),
                                  .count = limits[0].count,
                                  .period_s = limits[0].period_s};
    for (uint32_t i = 1; i < n_limits; i++) {
        if ((__int128)limits[i].count * purse->period_s < (__int128)purse->count * limits[i].period_s) {
            purse->count = limits[i].count;
            purse->period_s = limits[i].period_s;
        }
    }
    if (grant->n_to_come > 0) {
        purse->until_us = purse->first_at_us + coming_us(purse, grant->n_to_come - 1) + lease_us;
    }
    purse->until_us = min_int64(purse->until_us, sent_at_us + LEASE_LIFE_US);
}

/* Whole tokens that come in so long a time. */
static int64_t whole_gain(int64_t elapsed_us, const struct lease_purse *purse) {
    int64_t product, token_us = purse->period_s * BUCKET_UTOK_PER_TOKEN;
    if (!__builtin_mul_overflow(elapsed_us, purse->count, &product)) {
        return product / token_us;
    }
    return (int64_t)((__int128)elapsed_us * purse->count / token_us);
}

static int64_t n_tokens_of(const struct lease_purse *purse) {
    return purse->n_there + purse->n_to_come;
}

int64_t lease_purse_ready(const struct lease_purse *purse, int64_t now_us) {
    if (now_us > purse->until_us) {
        return 0;
    }
    int64_t n_come = 0;
    if (purse->n_to_come > 0 && now_us >= purse->first_at_us) {
        n_come = min_int64(whole_gain(now_us - purse->first_at_us, purse) + 1, purse->n_to_come);
    }
    return purse->n_there + n_come - purse->n_used;
}

int64_t lease_purse_left(const struct lease_purse *purse, int64_t now_us) {
    return now_us > purse->until_us ? 0 : n_tokens_of(purse) - purse->n_used;
}

bool lease_purse_is_over(const struct lease_purse *purse, int64_t now_us) {
    return lease_purse_left(purse, now_us) == 0;
}

enum lease_take lease_purse_take(struct lease_purse *purse, int64_t cost_tokens, int64_t now_us,
                                 int64_t *when_us) {
    if (cost_tokens > lease_purse_left(purse, now_us)) {
        return LEASE_EMPTY;
    }
    if (cost_tokens > lease_purse_ready(purse, now_us)) {
        *when_us = purse->first_at_us + coming_us(purse, purse->n_used + cost_tokens - purse->n_there - 1);
        return *when_us <= purse->until_us ? LEASE_NOT_YET : LEASE_EMPTY;
    }
    purse->n_used += cost_tokens;
    return LEASE_TAKEN;
}

int64_t lease_purse_give_back(struct lease_purse *purse, int64_t n_tokens) {
    int64_t n_back = min_int64(n_tokens, purse->n_used);
    purse->n_used -= n_back;
    return n_back;
}

/* What was granted is forgotten after two epochs at most. Told later it could meet the tokens of others, should
 * the store's clock have been set back. */
static bool is_accounted_for(const struct lease_purse *purse, int64_t now_us) {
    return n_tokens_of(purse) > 0 && now_us - purse->sent_at_us <= 2 * LEASE_EPOCH_US;
}

bool lease_purse_has_to_be_told(const struct lease_purse *purse, int64_t now_us) {
    return is_accounted_for(purse, now_us) && purse->n_used < n_tokens_of(purse);
}

struct lease_told lease_purse_tell(struct lease_purse *purse, int64_t now_us) {
    struct lease_told told = {0};
    if (is_accounted_for(purse, now_us)) {
        told = (struct lease_told){purse->epoch, n_tokens_of(purse), n_tokens_of(purse) - purse->n_used};
    }
    *purse = (struct lease_purse){0};
    return told;
}

/* --- the pace --- */

static int64_t per_second(int64_t n_tokens, int64_t elapsed_us) {
    __int128 per_s = (__int128)n_tokens * 1000000 / elapsed_us;
    return per_s < LEASE_MAX_PACE_PER_S ? (int64_t)per_s : LEASE_MAX_PACE_PER_S;
}

void lease_pace_note(struct lease_pace *pace, int64_t cost_tokens, int64_t now_us) {
    int64_t elapsed_us = now_us - pace->begun_at_us;
    if (pace->begun_at_us == 0) {
        pace->begun_at_us = now_us;
    } else if (elapsed_us >= PACE_STRETCH_US) {
        int64_t per_s = per_second(pace->n_stretch, elapsed_us);
        bool is_known = pace->per_s > 0 && elapsed_us < PACE_QUIET_US;
        pace->per_s = is_known ? (pace->per_s + per_s + 1) / 2 : per_s;
        pace->begun_at_us = now_us;
        pace->n_stretch = 0;
    }
    pace->n_stretch = min_int64(pace->n_stretch + cost_tokens, LEASE_MAX_DEMAND_TOKENS);
    pace->n_seen = min_int64(pace->n_seen + cost_tokens, LEASE_MAX_SEEN_TOKENS);
}

int64_t lease_pace_per_s(const struct lease_pace *pace, int64_t now_us) {
    int64_t stretch_us = max_int64(now_us - pace->begun_at_us, PACE_FIRST_US);
    return pace->per_s > 0 ? pace->per_s : per_second(pace->n_stretch, stretch_us);
}

struct lease_wish lease_next_wish(struct lease_purse *purse, struct lease_pace *pace, int64_t need_tokens,
                                  int64_t lease_us, int64_t now_us) {
    struct lease_wish wish = lease_last_wish(purse, pace, now_us);
    wish.only_returns = false;
    wish.need_tokens = need_tokens;
    wish.pace_per_s = lease_pace_per_s(pace, now_us);
    wish.lease_us = lease_us;
    int64_t ahead = wish.pace_per_s * lease_us / 1000000;
    wish.extra_tokens = min_int64(ahead, BUCKET_MAX_TOKENS);
    return wish;
}

struct lease_wish lease_last_wish(struct lease_purse *purse, struct lease_pace *pace, int64_t now_us) {
    struct lease_wish wish = {
        .only_returns = true, .told = lease_purse_tell(purse, now_us), .seen_tokens = pace->n_seen};
    pace->n_seen = 0;
    return wish;
}
