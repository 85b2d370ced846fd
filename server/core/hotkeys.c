/* hotkeys.c — the most checked keys of a worker; see hotkeys.h for the rules. */
#include "server/core/hotkeys.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"
#include "server/core/sketch.h"

#define SECOND_US INT64_C(1000000)
#define SWEEP_US ((int64_t)STEP_US * N_STEPS)

enum {
    /* A sweep: every line is halved and every entry reviewed. */
    N_STEPS = HOTKEYS_MAX,
    STEP_US = 4000,
    LINES_PER_STEP = SKETCH_LINES / N_STEPS,

    MIN_ESTIMATE = 8,   /* below it a key is not worth an entry */
    TRIES_PER_STEP = 8, /* to take somebody's entry */
    LOOKS_PER_TRY = 16, /* the lowest of so many entries may be taken */

    MEDIAN_FACTOR = 5,
    COOLING_DIVISOR = 2,
    HOT_WEIGHT = 2,

    N_HEADS = 512, /* of chains of entries, by hash */
    INDEX_BITS = 8,
};

_Static_assert(1 << INDEX_BITS == HOTKEYS_MAX, "a handle is a generation and an index");

/* Of one kind of event: in the second under way, and in the one before. */
struct tally {
    uint32_t n_now, n_before;
};

struct entry {
    struct hash128 hash;
    struct tally checks, denied;
    struct tally decided[DECISION_N_SOURCES];
    int64_t second_at_us;  /* when the second began that was under way when it was last rolled */
    int64_t entered_at_us; /* likewise, when the key got the entry */
    uint32_t estimate_per_s;
    uint32_t generation; /* of the handle, 1 ... */
    uint16_t next;       /* in its chain, or among the free: index + 1; 0 ends it */
    bool is_used, is_hot;
};

struct hotkeys {
    struct sketch sketch;
    struct hotkeys_options options;
    uint32_t threshold_per_s;
    uint32_t step; /* the next */
    int64_t next_step_at_us;
    uint32_t n_tries; /* left until the next step */
    uint32_t hand;    /* where the next try looks */
    uint32_t n_hot;
    uint32_t n_rates;
    uint32_t rates_per_s[HOTKEYS_MAX]; /* as this sweep has found them */
    uint16_t first_free;               /* index + 1 */
    uint16_t heads[N_HEADS];           /* index + 1 */
    struct entry entries[HOTKEYS_MAX];
    struct hotkey_name names[HOTKEYS_MAX];
};

_Static_assert(sizeof(struct hotkeys) <= HOTKEYS_MAX_BYTES, "memory of a worker");

struct hotkeys *hotkeys_create(const struct hotkeys_options *options, int64_t now_us) {
    ensure(options->least_hot_per_s, <=, options->hot_per_s);
    struct hotkeys *hotkeys = aligned_alloc(_Alignof(struct hotkeys), sizeof *hotkeys);
    if (hotkeys == NULL) {
        return NULL;
    }
    memset(hotkeys, 0, sizeof *hotkeys);
    hotkeys->options = *options;
    hotkeys->threshold_per_s = options->hot_per_s;
    hotkeys->next_step_at_us = now_us + STEP_US;
    hotkeys->n_tries = TRIES_PER_STEP;
    hotkeys->first_free = 1;
    for (uint16_t i = 0; i + 1 < HOTKEYS_MAX; i++) {
        hotkeys->entries[i].next = (uint16_t)(i + 2);
    }
    return hotkeys;
}

void hotkeys_destroy(struct hotkeys **hotkeys) {
    free(*hotkeys);
    *hotkeys = NULL;
}

size_t hotkeys_bytes(void) {
    return sizeof(struct hotkeys);
}

/* ---- rates ---- */

static void tally_inc(struct tally *tally) {
    tally->n_now += tally->n_now < UINT32_MAX;
}

static void tally_roll(struct tally *tally, bool is_next) {
    tally->n_before = is_next ? tally->n_now : 0;
    tally->n_now = 0;
}

static int64_t second_of(int64_t now_us) {
    return now_us - now_us % SECOND_US;
}

__attribute__((noinline)) static void roll_on(struct entry *entry, int64_t now_us) {
    bool is_next = now_us - entry->second_at_us < 2 * SECOND_US;
    tally_roll(&entry->checks, is_next);
    tally_roll(&entry->denied, is_next);
    for (size_t i = 0; i < DECISION_N_SOURCES; i++) {
        tally_roll(&entry->decided[i], is_next);
    }
    entry->second_at_us = second_of(now_us);
}

/* Brings the entry to the second under way. */
static inline void roll(struct entry *entry, int64_t now_us) {
    if (now_us - entry->second_at_us >= SECOND_US) {
        roll_on(entry, now_us);
    }
}

/* What has passed of the entry's second; it has been rolled. An answer may be noted at a later time than the next
 * check is counted at, as a turn of the loop counts at its begin: nothing has passed then. */
static int64_t passed_of(const struct entry *entry, int64_t now_us) {
    return now_us > entry->second_at_us ? now_us - entry->second_at_us : 0;
}

/* In millionths of an event per second. */
static int64_t tally_level(const struct tally *tally, int64_t passed_us) {
    return tally->n_now * SECOND_US + tally->n_before * (SECOND_US - passed_us);
}

static uint32_t tally_rate(const struct tally *tally, int64_t passed_us) {
    int64_t rate_per_s = tally_level(tally, passed_us) / SECOND_US;
    return rate_per_s < UINT32_MAX ? (uint32_t)rate_per_s : UINT32_MAX;
}

/* No whole second has been measured yet. */
static bool is_young(const struct entry *entry) {
    return entry->second_at_us < entry->entered_at_us + 2 * SECOND_US;
}

static uint32_t estimate_rate(const struct hotkeys *hotkeys, struct hash128 hash, uint32_t estimate) {
    uint32_t step = sketch_line(hash) / LINES_PER_STEP;
    uint32_t n_steps_since = (hotkeys->step + N_STEPS - 1 - step) % N_STEPS;
    return (uint32_t)(estimate * SECOND_US / (STEP_US * (N_STEPS + (int64_t)n_steps_since)));
}

static void set_heat(struct hotkeys *hotkeys, struct entry *entry, bool is_hot) {
    hotkeys->n_hot = hotkeys->n_hot + is_hot - entry->is_hot;
    entry->is_hot = is_hot;
}

static void update_heat(struct hotkeys *hotkeys, struct entry *entry, int64_t now_us) {
    int64_t level = tally_level(&entry->checks, passed_of(entry, now_us));
    int64_t hot_level = hotkeys->threshold_per_s * SECOND_US;
    bool is_hot = level >= (entry->is_hot ? hot_level / COOLING_DIVISOR : hot_level);
    if (is_hot != entry->is_hot) {
        set_heat(hotkeys, entry, is_hot);
    }
}

/* ---- entries ---- */

static uint16_t *head_of(struct hotkeys *hotkeys, struct hash128 hash) {
    return &hotkeys->heads[hash.high % N_HEADS];
}

static struct entry *find_entry(struct hotkeys *hotkeys, struct hash128 hash) {
    uint16_t at = *head_of(hotkeys, hash);
    while (at != 0) {
        struct entry *entry = &hotkeys->entries[at - 1];
        if (entry->hash.high == hash.high && entry->hash.low == hash.low) {
            return entry;
        }
        at = entry->next;
    }
    return NULL;
}

static uint32_t handle_of(const struct hotkeys *hotkeys, const struct entry *entry) {
    return entry->generation << INDEX_BITS | (uint32_t)(entry - hotkeys->entries);
}

/* NULL when the handle is stale. */
static struct entry *entry_of(struct hotkeys *hotkeys, uint32_t handle) {
    struct entry *entry = &hotkeys->entries[handle % HOTKEYS_MAX];
    return entry->is_used && entry->generation == handle >> INDEX_BITS ? entry : NULL;
}

static void free_entry(struct hotkeys *hotkeys, struct entry *entry) {
    uint16_t at = (uint16_t)(entry - hotkeys->entries + 1);
    uint16_t *link = head_of(hotkeys, entry->hash);
    while (*link != at) {
        ensure(*link, !=, 0);
        link = &hotkeys->entries[*link - 1].next;
    }
    *link = entry->next;
    set_heat(hotkeys, entry, false);
    entry->is_used = false;
    entry->next = hotkeys->first_free;
    hotkeys->first_free = at;
}

static struct entry *use_entry(struct hotkeys *hotkeys, struct hash128 hash, uint32_t estimate_per_s,
                               int64_t now_us) {
    uint16_t at = hotkeys->first_free;
    struct entry *entry = &hotkeys->entries[at - 1];
    uint16_t *head = head_of(hotkeys, hash);
    uint32_t generation = (entry->generation + 1) & (UINT32_MAX >> INDEX_BITS);
    hotkeys->first_free = entry->next;
    *entry = (struct entry){
        .hash = hash,
        .second_at_us = second_of(now_us),
        .entered_at_us = second_of(now_us),
        .estimate_per_s = estimate_per_s,
        .generation = generation > 0 ? generation : 1,
        .next = *head,
        .is_used = true,
    };
    *head = at;
    hotkey_name_set(&hotkeys->names[at - 1], (struct bytes){0}, (struct bytes){0}, (struct bytes){0});
    return entry;
}

/* What a newcomer's estimate must exceed. */
static uint32_t worth_of(struct entry *entry, int64_t now_us) {
    roll(entry, now_us);
    uint32_t rate_per_s = tally_rate(&entry->checks, passed_of(entry, now_us));
    if (is_young(entry) && entry->estimate_per_s > rate_per_s) {
        rate_per_s = entry->estimate_per_s;
    }
    bool is_doubled = entry->is_hot && rate_per_s <= UINT32_MAX / HOT_WEIGHT;
    return is_doubled ? rate_per_s * HOT_WEIGHT : rate_per_s;
}

/* Frees the entry that is worth least among the next few, if the newcomer is worth more. */
static bool make_room(struct hotkeys *hotkeys, uint32_t estimate_per_s, int64_t now_us) {
    struct entry *least = NULL;
    uint32_t least_worth = estimate_per_s;
    if (hotkeys->n_tries == 0) {
        return false;
    }
    hotkeys->n_tries--;
    for (uint32_t i = 0; i < LOOKS_PER_TRY; i++) {
        struct entry *entry = &hotkeys->entries[hotkeys->hand];
        uint32_t worth = worth_of(entry, now_us);
        hotkeys->hand = (hotkeys->hand + 1) % HOTKEYS_MAX;
        if (worth < least_worth) {
            least_worth = worth;
            least = entry;
        }
    }
    if (least == NULL) {
        return false;
    }
    free_entry(hotkeys, least);
    return true;
}

/* NULL when the key is to have none. */
static struct entry *admit(struct hotkeys *hotkeys, struct hash128 hash, uint32_t estimate, int64_t now_us) {
    uint32_t estimate_per_s = estimate_rate(hotkeys, hash, estimate);
    if (hotkeys->first_free == 0 && !make_room(hotkeys, estimate_per_s, now_us)) {
        return NULL;
    }
    return use_entry(hotkeys, hash, estimate_per_s, now_us);
}

static struct hotkeys_count count_entry(struct hotkeys *hotkeys, struct entry *entry, bool is_new,
                                        int64_t now_us) {
    roll(entry, now_us);
    tally_inc(&entry->checks);
    update_heat(hotkeys, entry, now_us);
    return (struct hotkeys_count){handle_of(hotkeys, entry), entry->is_hot, is_new};
}

/* Of a key that has no entry; kept out of the way of those that have one. */
__attribute__((noinline)) static struct hotkeys_count count_unlisted(struct hotkeys *hotkeys,
                                                                     struct hash128 hash, int64_t now_us) {
    uint32_t estimate = sketch_add(&hotkeys->sketch, hash);
    struct entry *entry = estimate >= MIN_ESTIMATE ? admit(hotkeys, hash, estimate, now_us) : NULL;
    return entry != NULL ? count_entry(hotkeys, entry, true, now_us) : (struct hotkeys_count){0};
}

struct hotkeys_count hotkeys_count(struct hotkeys *hotkeys, struct hash128 hash, int64_t now_us) {
    struct entry *entry = find_entry(hotkeys, hash);
    return entry != NULL ? count_entry(hotkeys, entry, false, now_us) : count_unlisted(hotkeys, hash, now_us);
}

void hotkeys_name(struct hotkeys *hotkeys, uint32_t handle, struct bytes tenant, struct bytes resource,
                  struct bytes key) {
    const struct entry *entry = entry_of(hotkeys, handle);
    if (entry != NULL) {
        hotkey_name_set(&hotkeys->names[entry - hotkeys->entries], tenant, resource, key);
    }
}

void hotkeys_note_decision(struct hotkeys *hotkeys, uint32_t handle, const struct decision *decision,
                           int64_t now_us) {
    struct entry *entry = entry_of(hotkeys, handle);
    if (entry != NULL) {
        roll(entry, now_us);
        tally_inc(&entry->decided[decision->source]);
        if (!decision->allowed) {
            tally_inc(&entry->denied);
        }
    }
}

/* ---- the sweep ---- */

/* The lower median, found bit by bit: the least value that half of the rates do not exceed. */
static uint32_t median_of(const uint32_t *rates_per_s, uint32_t n_rates) {
    uint32_t median = 0;
    for (uint32_t bit = UINT32_C(1) << 31; bit > 0; bit >>= 1) {
        uint32_t n_below = 0;
        for (uint32_t i = 0; i < n_rates; i++) {
            n_below += rates_per_s[i] < (median | bit);
        }
        if (n_below < (n_rates + 1) / 2) {
            median |= bit;
        }
    }
    return median;
}

static void set_threshold(struct hotkeys *hotkeys) {
    const struct hotkeys_options *options = &hotkeys->options;
    uint64_t high_per_s = options->hot_per_s;
    if (hotkeys->n_rates > 0) {
        high_per_s = (uint64_t)MEDIAN_FACTOR * median_of(hotkeys->rates_per_s, hotkeys->n_rates);
        hotkeys->n_rates = 0;
    }
    if (high_per_s < options->least_hot_per_s) {
        high_per_s = options->least_hot_per_s;
    }
    hotkeys->threshold_per_s = high_per_s < options->hot_per_s ? (uint32_t)high_per_s : options->hot_per_s;
}

/* Cools it, takes its rate down for the median, frees it when nobody has asked for it in a whole second. */
static void review(struct hotkeys *hotkeys, struct entry *entry, int64_t now_us) {
    if (!entry->is_used) {
        return;
    }
    roll(entry, now_us);
    update_heat(hotkeys, entry, now_us);
    if (is_young(entry)) {
        return;
    }
    if (entry->checks.n_now == 0 && entry->checks.n_before == 0) {
        free_entry(hotkeys, entry);
        return;
    }
    hotkeys->rates_per_s[hotkeys->n_rates++] = tally_rate(&entry->checks, passed_of(entry, now_us));
}

void hotkeys_tick(struct hotkeys *hotkeys, int64_t now_us) {
    if (hotkeys->next_step_at_us <= now_us - SWEEP_US) {
        hotkeys->next_step_at_us = now_us - SWEEP_US + 1;
    }
    while (hotkeys->next_step_at_us <= now_us) {
        sketch_halve(&hotkeys->sketch, hotkeys->step * LINES_PER_STEP, LINES_PER_STEP);
        review(hotkeys, &hotkeys->entries[hotkeys->step], now_us);
        hotkeys->n_tries = TRIES_PER_STEP;
        hotkeys->next_step_at_us += STEP_US;
        hotkeys->step = (hotkeys->step + 1) % N_STEPS;
        if (hotkeys->step == 0) {
            set_threshold(hotkeys);
        }
    }
}

/* ---- listing ---- */

static void write_row(const struct entry *entry, const struct hotkey_name *name, int64_t now_us,
                      struct hotkey *row) {
    int64_t passed_us = passed_of(entry, now_us);
    *row = (struct hotkey){
        .name = *name,
        .checks_per_s = tally_rate(&entry->checks, passed_us),
        .denied_per_s = tally_rate(&entry->denied, passed_us),
        .is_hot = entry->is_hot,
    };
    for (size_t i = 0; i < DECISION_N_SOURCES; i++) {
        row->decided_per_s[i] = tally_rate(&entry->decided[i], passed_us);
    }
}

uint32_t hotkeys_threshold_per_s(const struct hotkeys *hotkeys) {
    return hotkeys->threshold_per_s;
}

uint32_t hotkeys_n_hot(const struct hotkeys *hotkeys) {
    return hotkeys->n_hot;
}

size_t hotkeys_copy(const struct hotkeys *hotkeys, int64_t now_us, struct hotkey rows[HOTKEYS_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < HOTKEYS_MAX; i++) {
        struct entry entry = hotkeys->entries[i];
        if (entry.is_used) {
            roll(&entry, now_us);
            write_row(&entry, &hotkeys->names[i], now_us, &rows[n++]);
        }
    }
    return n;
}
