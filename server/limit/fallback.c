/* fallback.c — this frontend's own buckets for when the store cannot decide; see fallback.h for the rule.
 *
 * A set of the table and a stripe of locks are both found by the low bits of a hash, and there are at least as
 * many sets as stripes: who holds the stripe has the set to himself. */
#include "server/limit/fallback.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/base/ensure.h"
#include "server/core/overflow.h"
#include "server/core/table.h"

enum { N_STRIPES = FALLBACK_MIN_KEYS / TABLE_WAYS };

/* No bucket lacks more: it holds at most burst, and at least -burst. */
#define MAX_DEBT_UTOK (2 * BUCKET_MAX_TOKENS * BUCKET_UTOK_PER_TOKEN)

struct fallback {
    pthread_mutex_t stripes[N_STRIPES];
    struct table *table;
    uint32_t max_limits;
    pthread_mutex_t overflow_lock;
    struct overflow overflow;
    _Atomic uint32_t fleet_size;
    _Atomic int64_t n_debts; /* slots with one; while it is 0 nobody looks for any */
    struct fallback_metrics metrics;
};

struct fallback *fallback_create(uint64_t max_keys, uint32_t max_limits) {
    ensure(max_keys, >=, FALLBACK_MIN_KEYS);
    struct fallback *fallback = malloc(sizeof *fallback);
    if (fallback == NULL) {
        return NULL;
    }
    *fallback = (struct fallback){.max_limits = max_limits > 0 ? max_limits : 1};
    for (size_t i = 0; i < N_STRIPES; i++) {
        pthread_mutex_init(&fallback->stripes[i], NULL);
    }
    pthread_mutex_init(&fallback->overflow_lock, NULL);
    fallback_set_fleet_size(fallback, 1);
    fallback->table = table_create(max_keys, fallback->max_limits);
    if (fallback->table == NULL) {
        fallback_destroy(&fallback);
    }
    return fallback;
}

void fallback_destroy(struct fallback **handle) {
    struct fallback *fallback = *handle;
    *handle = NULL;
    if (fallback == NULL) {
        return;
    }
    table_destroy(&fallback->table);
    overflow_deinit(&fallback->overflow);
    pthread_mutex_destroy(&fallback->overflow_lock);
    for (size_t i = 0; i < N_STRIPES; i++) {
        pthread_mutex_destroy(&fallback->stripes[i]);
    }
    free(fallback);
}

void fallback_set_fleet_size(struct fallback *fallback, uint32_t fleet_size) {
    uint32_t n = fleet_size < 1 ? 1 : fleet_size > FALLBACK_MAX_FLEET ? FALLBACK_MAX_FLEET : fleet_size;
    atomic_store_explicit(&fallback->fleet_size, n, memory_order_relaxed);
    metric_set(&fallback->metrics.fleet_size, n);
}

const struct fallback_metrics *fallback_metrics(const struct fallback *fallback) {
    return &fallback->metrics;
}

static int64_t fleet_size(const struct fallback *fallback) {
    return atomic_load_explicit(&fallback->fleet_size, memory_order_relaxed);
}

static pthread_mutex_t *lock_key(struct fallback *fallback, struct hash128 hash) {
    pthread_mutex_t *lock = &fallback->stripes[hash.high & (N_STRIPES - 1)];
    pthread_mutex_lock(lock);
    return lock;
}

/* The only place where a debt changes. */
static void set_debt(struct fallback *fallback, struct table_slot *slot, int64_t utok) {
    int64_t *debt_utok = table_debt(slot);
    int change = (utok > 0) - (*debt_utok > 0);
    if (change != 0) {
        atomic_fetch_add_explicit(&fallback->n_debts, change, memory_order_relaxed);
    }
    *debt_utok = utok < MAX_DEBT_UTOK ? utok : MAX_DEBT_UTOK;
}

/* ---- what the store says ---- */

/* What the store says may lower a bucket here, never raise it: what it has too much, the fleet has just granted
 * without it, and while a store comes back each answer would be a refill. (A bucket that the store alone charges
 * is fuller here than there.) And what was granted here after the store was asked, all over the fleet as far as
 * anybody here can tell, comes off. Returns whether `record` was lowered, so that it holds more than it may. */
static bool lower(struct fallback *fallback, const struct quota *quota, struct table_slot *slot,
                  struct bucket_record *record, int64_t now_us) {
    struct bucket_record known;
    int64_t here_utok[BUCKET_MAX_LIMITS], there_utok[BUCKET_MAX_LIMITS];
    bool is_lowered = false;
    table_load(slot, &known);
    bucket_levels(&known, quota->limits, quota->n_limits, now_us, here_utok);
    bucket_levels(record, quota->limits, quota->n_limits, now_us, there_utok);
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        int64_t utok = there_utok[i] - *table_debt(slot) * fleet_size(fallback);
        utok = utok < here_utok[i] ? utok : here_utok[i];
        is_lowered = is_lowered || utok < there_utok[i];
        known.levels[i] = (struct bucket_level){quota->limits[i].id, utok};
    }
    if (is_lowered) {
        known.at_us = now_us;
        known.n_levels = quota->n_limits;
        *record = known;
    }
    return is_lowered;
}

void fallback_note(struct fallback *fallback, struct hash128 hash, const struct quota *quota,
                   const struct bucket_record *record, int64_t full_after_us, int64_t now_us) {
    if (record->n_levels < 1 || record->n_levels > fallback->max_limits ||
        quota->n_limits > fallback->max_limits) {
        return; /* nothing is known there, or of a quota with more limits than any had */
    }
    struct bucket_record noted = *record;
    pthread_mutex_t *lock = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(fallback->table, hash, now_us, &is_known);
    if (slot != NULL && !is_known) {
        set_debt(fallback, slot, 0);
    } else if (slot != NULL && lower(fallback, quota, slot, &noted, now_us)) {
        struct bucket_verdict verdict;
        bucket_check(&noted, quota->limits, quota->n_limits, 1, now_us, true, &verdict);
        full_after_us = verdict.full_after_us;
    }
    if (slot != NULL) {
        table_save(fallback->table, slot, hash, &noted, now_us + full_after_us);
    }
    pthread_mutex_unlock(lock);
}

/* ---- deciding without it ---- */

/* Has a level for each limit, full where the record knows none: at the quota's own burst, not at a raised one. */
static void complete(struct bucket_record *record, const struct quota *quota, int64_t now_us) {
    struct bucket_record full = {.at_us = record->n_levels > 0 ? record->at_us : now_us,
                                 .n_levels = quota->n_limits};
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        full.levels[i] = (struct bucket_level){quota->limits[i].id, quota->limits[i].burst_utok};
        for (uint32_t j = 0; j < record->n_levels; j++) {
            if (record->levels[j].id == full.levels[i].id) {
                full.levels[i] = record->levels[j];
            }
        }
    }
    *record = full;
}

/* The check as if all N frontends made it. A burst that the check is within, but not N of it, is raised. */
static void check_for_all(struct bucket_record *record, const struct quota *quota, int64_t cost_tokens,
                          int64_t n_frontends, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    complete(record, quota, now_us);
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        limits[i] = quota->limits[i];
        if (cost_utok <= limits[i].burst_utok && cost_utok * n_frontends > limits[i].burst_utok) {
            limits[i].burst_utok = cost_utok * n_frontends;
        }
    }
    bucket_check(record, limits, quota->n_limits, cost_tokens * n_frontends, now_us, peek, verdict);
    verdict->remaining_utok /= n_frontends;
}

static void check_overflow(struct fallback *fallback, const struct quota *quota, int64_t cost_tokens,
                           int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    struct bucket_record none = {0};
    pthread_mutex_lock(&fallback->overflow_lock);
    struct bucket_record *shared = overflow_record(&fallback->overflow, quota->index);
    bool is_short_of_memory = shared == NULL;
    check_for_all(is_short_of_memory ? &none : shared, quota, cost_tokens, fleet_size(fallback), now_us,
                  peek || is_short_of_memory, verdict);
    verdict->allowed = verdict->allowed && !is_short_of_memory;
    metric_inc(&fallback->metrics.overflowed);
    pthread_mutex_unlock(&fallback->overflow_lock);
}

void fallback_check(struct fallback *fallback, struct hash128 hash, const struct quota *quota,
                    int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    pthread_mutex_t *lock = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(fallback->table, hash, now_us, &is_known);
    bool has_place = slot != NULL && quota->n_limits <= fallback->max_limits;
    if (has_place) {
        struct bucket_record record = {0};
        if (is_known) {
            table_load(slot, &record);
        }
        check_for_all(&record, quota, cost_tokens, fleet_size(fallback), now_us, peek, verdict);
        if (verdict->changed || (!is_known && !peek)) { /* a denied newcomer saves up from now */
            int64_t granted_utok = verdict->allowed ? cost_tokens * BUCKET_UTOK_PER_TOKEN : 0;
            set_debt(fallback, slot, (is_known ? *table_debt(slot) : 0) + granted_utok);
            table_save(fallback->table, slot, hash, &record, now_us + verdict->full_after_us);
        }
    }
    pthread_mutex_unlock(lock);
    if (!has_place) {
        check_overflow(fallback, quota, cost_tokens, now_us, peek, verdict);
    }
}

/* ---- telling the store ---- */

/* For each limit the lesser of what was granted and what this share still lacks, rounded up; false: nothing. */
static bool reckon_charges(const struct bucket_record *record, const struct quota *quota, int64_t n_frontends,
                           int64_t now_us, struct fallback_debt *debt) {
    int64_t levels_utok[BUCKET_MAX_LIMITS];
    bool is_any = false;
    bucket_levels(record, quota->limits, quota->n_limits, now_us, levels_utok);
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        int64_t lacks_utok = (quota->limits[i].burst_utok - levels_utok[i] + n_frontends - 1) / n_frontends;
        debt->charges_utok[i] = debt->spent_utok < lacks_utok ? debt->spent_utok : lacks_utok;
        is_any = is_any || debt->charges_utok[i] > 0;
    }
    return is_any;
}

bool fallback_take_debt(struct fallback *fallback, struct hash128 hash, const struct quota *quota,
                        int64_t now_us, struct fallback_debt *debt) {
    if (atomic_load_explicit(&fallback->n_debts, memory_order_relaxed) == 0) {
        return false;
    }
    bool is_owed = false;
    pthread_mutex_t *lock = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(fallback->table, hash, now_us, &is_known);
    if (slot != NULL && is_known && *table_debt(slot) > 0) {
        struct bucket_record record;
        table_load(slot, &record);
        debt->spent_utok = *table_debt(slot);
        is_owed = reckon_charges(&record, quota, fleet_size(fallback), now_us, debt);
        set_debt(fallback, slot, 0);
    }
    pthread_mutex_unlock(lock);
    return is_owed;
}

void fallback_return_debt(struct fallback *fallback, struct hash128 hash, int64_t spent_utok, int64_t now_us) {
    pthread_mutex_t *lock = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(fallback->table, hash, now_us, &is_known);
    if (slot != NULL && is_known) {
        set_debt(fallback, slot, *table_debt(slot) + spent_utok);
    }
    pthread_mutex_unlock(lock);
}
