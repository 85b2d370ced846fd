/* fallback.c — this frontend's own buckets for when the store cannot decide; see fallback.h for the rule.
 *
 * A set of the table and a stripe of locks are both found by the low bits of a hash, and there are at least as
 * many sets as stripes: who holds the stripe has the set to himself. While the table is widened, some stripes are
 * in the new one already. */
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

struct stripe {
    pthread_mutex_t lock;
    struct table *table; /* changed under the lock */
};

struct fallback {
    struct stripe stripes[N_STRIPES];
    pthread_mutex_t widen_lock;
    struct table *table; /* the one that all stripes are in, unless widen_lock is held */
    pthread_mutex_t overflow_lock;
    struct overflow overflow;
    _Atomic uint32_t fleet_size;
    _Atomic int64_t calendar_us; /* what is to be added to monotonic time for Unix time */
    _Atomic int64_t n_debts;     /* slots with one; while it is 0 nobody looks for any */
    struct fallback_metrics metrics;
};

struct fallback *fallback_create(uint64_t max_keys, uint32_t max_limits) {
    ensure(max_keys, >=, FALLBACK_MIN_KEYS);
    struct fallback *fallback = malloc(sizeof *fallback);
    if (fallback == NULL) {
        return NULL;
    }
    *fallback = (struct fallback){.table = table_create(max_keys, max_limits > 0 ? max_limits : 1)};
    for (size_t i = 0; i < N_STRIPES; i++) {
        fallback->stripes[i].table = fallback->table;
        pthread_mutex_init(&fallback->stripes[i].lock, NULL);
    }
    pthread_mutex_init(&fallback->widen_lock, NULL);
    pthread_mutex_init(&fallback->overflow_lock, NULL);
    fallback_set_fleet_size(fallback, 1);
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
    pthread_mutex_destroy(&fallback->widen_lock);
    for (size_t i = 0; i < N_STRIPES; i++) {
        pthread_mutex_destroy(&fallback->stripes[i].lock);
    }
    free(fallback);
}

bool fallback_widen(struct fallback *fallback, uint32_t max_limits) {
    pthread_mutex_lock(&fallback->widen_lock);
    struct table *old = fallback->table, *wider = old;
    if (max_limits > table_max_levels(old)) {
        wider = table_create_wider(old, max_limits);
    }
    for (size_t i = 0; wider != NULL && wider != old && i < N_STRIPES; i++) {
        pthread_mutex_lock(&fallback->stripes[i].lock);
        table_copy(wider, old, i, N_STRIPES);
        fallback->stripes[i].table = wider;
        pthread_mutex_unlock(&fallback->stripes[i].lock);
    }
    if (wider != NULL && wider != old) {
        fallback->table = wider;
        table_destroy(&old);
    }
    pthread_mutex_unlock(&fallback->widen_lock);
    return wider != NULL;
}

void fallback_set_fleet_size(struct fallback *fallback, uint32_t fleet_size) {
    uint32_t n = fleet_size < 1 ? 1 : fleet_size > FALLBACK_MAX_FLEET ? FALLBACK_MAX_FLEET : fleet_size;
    atomic_store_explicit(&fallback->fleet_size, n, memory_order_relaxed);
    metric_set(&fallback->metrics.fleet_size, n);
}

/* Replies take now longer, now shorter; so little is no other time. */
#define CALENDAR_SLACK_US INT64_C(1000)

static int64_t calendar(const struct fallback *fallback) {
    return atomic_load_explicit(&fallback->calendar_us, memory_order_relaxed);
}

void fallback_set_calendar(struct fallback *fallback, int64_t calendar_us) {
    int64_t change_us = calendar_us - calendar(fallback);
    if (change_us > CALENDAR_SLACK_US || change_us < -CALENDAR_SLACK_US) {
        atomic_store_explicit(&fallback->calendar_us, calendar_us, memory_order_relaxed);
    }
}

const struct fallback_metrics *fallback_metrics(const struct fallback *fallback) {
    return &fallback->metrics;
}

static int64_t fleet_size(const struct fallback *fallback) {
    return atomic_load_explicit(&fallback->fleet_size, memory_order_relaxed);
}

static struct stripe *lock_key(struct fallback *fallback, struct hash128 hash) {
    struct stripe *stripe = &fallback->stripes[hash.high & (N_STRIPES - 1)];
    pthread_mutex_lock(&stripe->lock);
    return stripe;
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

/* ---- marks: when the store was heard of a key, and whether a check was decided here since ---- */

/* A slot's mark is a time in units of 2 ms, 0 for never, and in the lowest bit that flag. */
enum { MARK_LOCAL = 1, MARK_UNIT_US = 2000, MARK_RECENT_UNITS = 125 };

static uint32_t mark_at(int64_t now_us) {
    uint32_t time = (uint32_t)(now_us / MARK_UNIT_US) << 1;
    return time > 0 ? time : 2;
}

static bool is_heard(uint32_t mark) {
    return mark > MARK_LOCAL;
}

/* The store decides this key's checks at this time, if not all of them. */
static bool is_heard_lately(uint32_t mark, int64_t now_us) {
    return is_heard(mark) && (mark_at(now_us) - (mark & ~(uint32_t)MARK_LOCAL)) >> 1 <= MARK_RECENT_UNITS;
}

/* ---- what the store says ---- */

/* Has a level for each limit, full where the record knows none: at the quota's own burst, not at a raised one. */
static void complete(struct bucket_record *record, const struct quota_part *part, int64_t now_us) {
    struct bucket_record full = {.at_us = record->n_levels > 0 ? record->at_us : now_us,
                                 .calendar_us = record->calendar_us,
                                 .n_levels = part->n_limits};
    for (uint32_t i = 0; i < part->n_limits; i++) {
        full.levels[i] = (struct bucket_level){part->limits[i].id, bucket_full_level(&part->limits[i])};
        for (uint32_t j = 0; j < record->n_levels; j++) {
            if (record->levels[j].id == full.levels[i].id) {
                full.levels[i] = record->levels[j];
            }
        }
    }
    *record = full;
}

/* For each limit the lesser of what was granted and what this share still lacks, rounded up; false: nothing. */
static bool reckon_charges(const struct bucket_record *record, const struct quota_part *part,
                           int64_t n_frontends, int64_t now_us, struct fallback_debt *debt) {
    int64_t levels_utok[BUCKET_MAX_LIMITS];
    bool is_any = false;
    bucket_levels(record, part->limits, part->n_limits, now_us, levels_utok);
    for (uint32_t i = 0; i < part->n_limits; i++) {
        int64_t lacks_utok = (part->limits[i].burst_utok - levels_utok[i] + n_frontends - 1) / n_frontends;
        debt->charges_utok[i] = debt->spent_utok < lacks_utok ? debt->spent_utok : lacks_utok;
        is_any = is_any || debt->charges_utok[i] > 0;
    }
    return is_any;
}

/* What the store says of a key that was decided here meanwhile, or that owes. What it owes comes off, all over the
 * fleet as far as anybody here can tell: the store was asked before it was granted, or is not told yet; what has
 * come back since is owed no more. And the bucket here is not refilled: what the store has too much, the fleet has
 * just granted without it. Returns after how long the record is full. */
static int64_t correct(struct fallback *fallback, struct table_slot *slot, const struct quota_part *part,
                       struct bucket_record *record, int64_t now_us) {
    struct bucket_record here = {.calendar_us = record->calendar_us};
    struct fallback_debt debt = {.spent_utok = *table_debt(slot)};
    int64_t here_utok[BUCKET_MAX_LIMITS], there_utok[BUCKET_MAX_LIMITS], gains_utok[BUCKET_MAX_LIMITS];
    int64_t owed_utok = 0;
    table_load(slot, &here);
    reckon_charges(&here, part, fleet_size(fallback), now_us, &debt);
    bucket_levels(&here, part->limits, part->n_limits, now_us, here_utok);
    bucket_levels(record, part->limits, part->n_limits, now_us, there_utok);
    for (uint32_t i = 0; i < part->n_limits; i++) {
        int64_t utok = there_utok[i] - debt.charges_utok[i] * fleet_size(fallback);
        gains_utok[i] = (utok < here_utok[i] ? utok : here_utok[i]) - there_utok[i];
        owed_utok = debt.charges_utok[i] > owed_utok ? debt.charges_utok[i] : owed_utok;
    }
    set_debt(fallback, slot, owed_utok);
    bucket_book(record, part->limits, part->n_limits, gains_utok, now_us);
    struct bucket_verdict verdict;
    bucket_check(record, part->limits, part->n_limits, 1, now_us, true, &verdict);
    return verdict.full_after_us;
}

void fallback_note(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                   const struct bucket_record *record, int64_t full_after_us, int64_t now_us) {
    if (record->calendar_us != 0) { /* else nothing was told of it */
        fallback_set_calendar(fallback, record->calendar_us);
    }
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    uint32_t max_levels = table_max_levels(stripe->table);
    /* Else nothing is known there, or of a quota with more limits than there is room for. */
    bool is_telling = record->n_levels >= 1 && record->n_levels <= max_levels && part->n_limits <= max_levels;
    if (slot != NULL && is_telling) {
        struct bucket_record noted = *record;
        noted.calendar_us = calendar(fallback);
        bool is_own =
            *table_debt(slot) > 0 || !is_heard(*table_mark(slot)) || (*table_mark(slot) & MARK_LOCAL) != 0;
        if (is_known && is_own) {
            full_after_us = correct(fallback, slot, part, &noted, now_us);
        } else {
            set_debt(fallback, slot, 0);
        }
        table_save(stripe->table, slot, hash, &noted, now_us + full_after_us);
    }
    if (slot != NULL && (is_known || is_telling)) {
        *table_mark(slot) = mark_at(now_us);
    }
    pthread_mutex_unlock(&stripe->lock);
}

/* ---- deciding without it ---- */

/* Such a check may be granted as soon as the store is back. */
#define UNPAID_RETRY_US INT64_C(1000000)

/* The check as if all N frontends made it. A burst that the check is within, but not N of it, is raised; not that of a
 * window, where nothing can be saved up from one period to the next. */
static void check_for_all(struct bucket_record *record, const struct quota_part *part, int64_t cost_tokens,
                          int64_t n_frontends, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    ensure(part->n_limits, >=, 1);
    complete(record, part, now_us);
    int64_t cost_utok = cost_tokens * BUCKET_UTOK_PER_TOKEN;
    bool is_within = true;
    for (uint32_t i = 0; i < part->n_limits; i++) {
        limits[i] = part->limits[i];
        is_within = is_within && cost_utok <= limits[i].burst_utok;
        if (!bucket_is_window(&limits[i]) && cost_utok <= limits[i].burst_utok &&
            cost_utok * n_frontends > limits[i].burst_utok) {
            limits[i].burst_utok = cost_utok * n_frontends;
        }
    }
    bucket_check(record, limits, part->n_limits, cost_tokens * n_frontends, now_us, peek, verdict);
    verdict->remaining_utok /= n_frontends;
    if (is_within && verdict->retry_after_us == BUCKET_MAX_EXACT) {
        verdict->retry_after_us = UNPAID_RETRY_US;
    }
}

static void check_overflow(struct fallback *fallback, const struct quota_part *part, int64_t cost_tokens,
                           int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    struct bucket_record none = {.calendar_us = calendar(fallback)};
    pthread_mutex_lock(&fallback->overflow_lock);
    struct bucket_record *shared = overflow_record(&fallback->overflow, part->index);
    bool is_short_of_memory = shared == NULL;
    if (!is_short_of_memory) {
        shared->calendar_us = calendar(fallback);
    }
    check_for_all(is_short_of_memory ? &none : shared, part, cost_tokens, fleet_size(fallback), now_us,
                  peek || is_short_of_memory, verdict);
    verdict->allowed = verdict->allowed && !is_short_of_memory;
    metric_inc(&fallback->metrics.overflowed);
    pthread_mutex_unlock(&fallback->overflow_lock);
}

void fallback_check(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                    int64_t cost_tokens, int64_t now_us, bool peek, struct bucket_verdict *verdict) {
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    bool has_place = slot != NULL && part->n_limits <= table_max_levels(stripe->table);
    if (has_place) {
        struct bucket_record record = {.calendar_us = calendar(fallback)};
        if (is_known) {
            table_load(slot, &record);
        }
        check_for_all(&record, part, cost_tokens, fleet_size(fallback), now_us, peek, verdict);
        if (verdict->changed || (!is_known && !peek)) { /* a denied newcomer saves up from now */
            int64_t granted_utok = verdict->allowed ? cost_tokens * BUCKET_UTOK_PER_TOKEN : 0;
            set_debt(fallback, slot, (is_known ? *table_debt(slot) : 0) + granted_utok);
            table_save(stripe->table, slot, hash, &record, now_us + verdict->full_after_us);
        }
        if (is_known || !peek) {
            *table_mark(slot) = is_known ? *table_mark(slot) | MARK_LOCAL : MARK_LOCAL;
        }
    }
    pthread_mutex_unlock(&stripe->lock);
    if (!has_place) {
        check_overflow(fallback, part, cost_tokens, now_us, peek, verdict);
    }
}

void fallback_give_back(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                        int64_t tokens, int64_t now_us) {
    int64_t utok = tokens * BUCKET_UTOK_PER_TOKEN;
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    if (slot != NULL && is_known && part->n_limits <= table_max_levels(stripe->table)) {
        struct bucket_record record = {.calendar_us = calendar(fallback)};
        struct bucket_verdict verdict;
        int64_t gains_utok[BUCKET_MAX_LIMITS];
        for (uint32_t i = 0; i < part->n_limits; i++) {
            gains_utok[i] = utok * fleet_size(fallback);
        }
        table_load(slot, &record);
        bucket_book(&record, part->limits, part->n_limits, gains_utok, now_us);
        bucket_check(&record, part->limits, part->n_limits, 1, now_us, true, &verdict);
        set_debt(fallback, slot, *table_debt(slot) > utok ? *table_debt(slot) - utok : 0);
        table_save(stripe->table, slot, hash, &record, now_us + verdict.full_after_us);
    }
    pthread_mutex_unlock(&stripe->lock);
}

/* ---- telling the store ---- */

/* All that was granted since the store was heard: it goes on there meanwhile, so nothing came back twice. */
static bool reckon_all(const struct quota_part *part, struct fallback_debt *debt) {
    for (uint32_t i = 0; i < part->n_limits; i++) {
        debt->charges_utok[i] = debt->spent_utok;
    }
    return debt->spent_utok > 0;
}

bool fallback_take_debt(struct fallback *fallback, struct hash128 hash, const struct quota_part *part,
                        int64_t now_us, struct fallback_debt *debt) {
    if (atomic_load_explicit(&fallback->n_debts, memory_order_relaxed) == 0) {
        return false;
    }
    bool is_owed = false;
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    if (slot != NULL && is_known && *table_debt(slot) > 0 && is_heard(*table_mark(slot))) {
        struct bucket_record record = {.calendar_us = calendar(fallback)};
        table_load(slot, &record);
        debt->spent_utok = *table_debt(slot);
        is_owed = is_heard_lately(*table_mark(slot), now_us)
                      ? reckon_all(part, debt)
                      : reckon_charges(&record, part, fleet_size(fallback), now_us, debt);
        set_debt(fallback, slot, 0);
    }
    pthread_mutex_unlock(&stripe->lock);
    return is_owed;
}

void fallback_return_debt(struct fallback *fallback, struct hash128 hash, int64_t spent_utok, int64_t now_us) {
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    if (slot != NULL && is_known) {
        set_debt(fallback, slot, *table_debt(slot) + spent_utok);
    }
    pthread_mutex_unlock(&stripe->lock);
}

void fallback_doubt(struct fallback *fallback, struct hash128 hash, int64_t now_us) {
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    if (slot != NULL && is_known) {
        *table_mark(slot) = MARK_LOCAL;
    }
    pthread_mutex_unlock(&stripe->lock);
}

void fallback_forget(struct fallback *fallback, struct hash128 hash, int64_t now_us) {
    static const struct bucket_record full = {.n_levels = 0};
    struct stripe *stripe = lock_key(fallback, hash);
    bool is_known;
    struct table_slot *slot = table_find(stripe->table, hash, now_us, &is_known);
    if (slot != NULL && is_known) {
        set_debt(fallback, slot, 0);
        *table_mark(slot) = mark_at(now_us);
        table_save(stripe->table, slot, hash, &full, now_us);
    }
    pthread_mutex_unlock(&stripe->lock);
}
