/* hot_trial.c — streams of checks, and the exact counts to judge by; see hot_trial.h. */
#include "tests/property/hot_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/core/sketch.h"
#include "tests/property/trace.h"

#define START_US INT64_C(3000000000)
#define TURN_US INT64_C(1000)
#define SEED UINT64_C(42)
#define FIRST_FRESH_KEY (UINT64_C(1) << 40)

enum {
    N_ZIPF_KEYS = 1000000,
    N_EXACT = 8192, /* keys below are counted exactly; no stream checks the others often */
    MAX_TURN_CHECKS = 4000,
    TURNS_PER_SLOT = 100, /* a tenth of a second */
    SLOTS_PER_S = 10,
    N_SLOTS = 32,
    WARM_UP_SLOTS = 30,
    N_FEW_LINES = 8,
};

struct exact_key {
    uint64_t id; /* what is hashed */
    uint32_t n_checks[N_SLOTS];
    bool is_hot, was_hot, is_wrong, was_found;
};

struct hot_trial {
    const struct hot_scenario *scenario;
    struct trace random;
    struct hotkeys *hotkeys;
    struct hot_result result;
    uint64_t n_wanted;
    uint64_t n_fresh;
    int64_t now_us;
    uint64_t n_turns, n_slots;
    uint64_t n_turn_checks;
    uint64_t turn_keys[MAX_TURN_CHECKS];
    struct hash128 turn_hashes[MAX_TURN_CHECKS];
    uint32_t thresholds_per_s[N_SLOTS];
    struct hotkey rows[HOTKEYS_MAX];
    struct exact_key keys[N_EXACT];
};

/* ---- streams ---- */

/* Rank k with a probability as 1 / k: drawn as log(1 + 1 / k), which is near, then accepted as that is too high. */
static uint64_t zipf_key(struct hot_trial *trial) {
    for (;;) {
        double u = (double)trace_random(&trial->random, UINT64_C(1) << 53) * 0x1p-53;
        uint64_t rank = (uint64_t)exp(u * log(N_ZIPF_KEYS + 1.0));
        double accepted = log(2.0) / ((double)rank * log1p(1.0 / (double)rank));
        if ((double)trace_random(&trial->random, UINT64_C(1) << 53) * 0x1p-53 < accepted) {
            return rank - 1;
        }
    }
}

static uint64_t fresh_key(struct hot_trial *trial) {
    trial->result.n_fresh_keys++;
    return FIRST_FRESH_KEY + trial->n_fresh++;
}

static uint64_t flooded_key(struct hot_trial *trial) {
    return trace_random(&trial->random, 5) > 0 ? fresh_key(trial) : zipf_key(trial);
}

/* 8 keys at some 2500 checks a second or more, 4000 at 35. */
static uint64_t crowded_key(struct hot_trial *trial) {
    uint64_t n = trace_random(&trial->random, 160);
    return n < 20 ? n % 8 : 8 + trace_random(&trial->random, 4000);
}

/* For three seconds each, thirty keys have a third of all checks. */
static uint64_t passing_key(struct hot_trial *trial) {
    uint64_t time = (uint64_t)(trial->now_us - START_US) / 3000000 % 8;
    bool is_passing = trace_random(&trial->random, 3) == 0;
    return is_passing ? 5000 + 100 * time + trace_random(&trial->random, 30) : zipf_key(trial);
}

/* 200 keys at 1500 checks a second. */
static uint64_t numerous_key(struct hot_trial *trial) {
    bool is_numerous = trace_random(&trial->random, 4) > 0;
    return is_numerous ? 5000 + trace_random(&trial->random, 200) : zipf_key(trial);
}

const struct hot_scenario hot_scenarios[HOT_SCENARIOS] = {
    {"Zipf", 200000, {1000, 1000}, zipf_key, false, false},
    {"Zipf, by the median", 200000, {1000, 100}, zipf_key, false, false},
    {"a flood of fresh keys", 1000000, {1000, 1000}, flooded_key, false, true},
    {"hot keys come and go", 200000, {1000, 1000}, passing_key, false, false},
    {"200 hot keys", 400000, {1000, 1000}, numerous_key, false, false},
    {"all in eight lines", 160000, {1000, 1000}, crowded_key, true, false},
};

/* ---- a turn ---- */

static struct hash128 hash_of(uint64_t id) {
    uint64_t text[3] = {id, id, id};
    return hash_bytes_wide(text, sizeof text, SEED);
}

struct hot_trial *hot_trial_create(const struct hot_scenario *scenario, uint64_t n_checks, uint64_t seed) {
    struct hot_trial *trial = calloc(1, sizeof *trial);
    if (trial == NULL) {
        return NULL;
    }
    trial->scenario = scenario;
    trial->n_wanted = n_checks;
    trial->now_us = START_US;
    trace_begin(&trial->random, seed, 0, START_US);
    trial->hotkeys = hotkeys_create(&scenario->options, START_US);
    if (trial->hotkeys == NULL) {
        hot_trial_destroy(&trial);
        return NULL;
    }
    uint64_t id = 0;
    for (size_t i = 0; i < N_EXACT; i++, id++) {
        while (scenario->is_in_few_lines && sketch_line(hash_of(id)) >= N_FEW_LINES) {
            id++;
        }
        trial->keys[i].id = id;
    }
    return trial;
}

void hot_trial_destroy(struct hot_trial **trial) {
    if (*trial != NULL) {
        hotkeys_destroy(&(*trial)->hotkeys);
        free(*trial);
    }
    *trial = NULL;
}

bool hot_trial_turn(struct hot_trial *trial) {
    if (trial->result.n_checks >= trial->n_wanted) {
        return false;
    }
    trial->n_turns++;
    trial->now_us += TURN_US;
    trial->n_turn_checks = (uint64_t)(trial->scenario->checks_per_s * TURN_US / 1000000);
    for (uint64_t i = 0; i < trial->n_turn_checks; i++) {
        uint64_t key = trial->scenario->next_key(trial);
        trial->turn_keys[i] = key;
        if (key < N_EXACT) {
            trial->keys[key].n_checks[trial->n_slots % N_SLOTS]++;
        }
    }
    trial->result.n_checks += trial->n_turn_checks;
    return true;
}

uint64_t hot_trial_hash(struct hot_trial *trial) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < trial->n_turn_checks; i++) {
        uint64_t key = trial->turn_keys[i];
        trial->turn_hashes[i] = hash_of(key < N_EXACT ? trial->keys[key].id : key);
        sum += trial->turn_hashes[i].low;
    }
    return sum;
}

void hot_trial_count(struct hot_trial *trial) {
    static const uint8_t text[] = "trial";
    hotkeys_tick(trial->hotkeys, trial->now_us);
    for (uint64_t i = 0; i < trial->n_turn_checks; i++) {
        struct hotkeys_count count = hotkeys_count(trial->hotkeys, trial->turn_hashes[i], trial->now_us);
        if (count.is_new) {
            struct bytes key = {(const uint8_t *)&trial->turn_keys[i], sizeof trial->turn_keys[i]};
            hotkeys_name(trial->hotkeys, count.handle, (struct bytes){text, 5}, (struct bytes){text, 5}, key);
        }
    }
}

uint64_t hot_trial_turn_checks(const struct hot_trial *trial) {
    return trial->n_turn_checks;
}

const struct hot_result *hot_trial_result(const struct hot_trial *trial) {
    return &trial->result;
}

/* ---- judging ---- */

/* In the `n_slots` slots that ended `n_slots_ago`. */
static uint32_t checks_in(const struct hot_trial *trial, const struct exact_key *key, uint64_t n_slots,
                          uint64_t n_slots_ago) {
    uint32_t sum = 0;
    for (uint64_t i = 0; i < n_slots; i++) {
        sum += key->n_checks[(trial->n_slots - n_slots_ago - i) % N_SLOTS];
    }
    return sum;
}

/* Marks the keys that the table has as hot; counts those that nobody can have checked so often. */
static void take_table(struct hot_trial *trial) {
    size_t n_rows = hotkeys_copy(trial->hotkeys, trial->now_us, trial->rows);
    for (size_t i = 0; i < N_EXACT; i++) {
        trial->keys[i].was_hot = trial->keys[i].is_hot;
        trial->keys[i].is_hot = false;
    }
    for (size_t i = 0; i < n_rows; i++) {
        uint64_t key = 0;
        memcpy(&key, hotkey_name_key(&trial->rows[i].name).data, sizeof key);
        if (trial->rows[i].is_hot && key < N_EXACT) {
            trial->keys[key].is_hot = true;
        } else if (trial->rows[i].is_hot) {
            trial->result.n_hot++;
            trial->result.n_wrong++;
        }
    }
}

/* The threshold may have moved lately: nobody is blamed for what was right by either. */
static void threshold_range(const struct hot_trial *trial, uint32_t *low_per_s, uint32_t *high_per_s) {
    *low_per_s = UINT32_MAX;
    *high_per_s = 0;
    for (uint64_t i = 0; i < N_SLOTS; i++) {
        uint32_t threshold_per_s = trial->thresholds_per_s[i];
        *low_per_s = threshold_per_s < *low_per_s ? threshold_per_s : *low_per_s;
        *high_per_s = threshold_per_s > *high_per_s ? threshold_per_s : *high_per_s;
    }
}

static bool was_cold_for_3s(const struct hot_trial *trial, const struct exact_key *key, uint32_t cold_per_s) {
    for (uint64_t ago = 0; ago <= 2 * SLOTS_PER_S; ago++) {
        if (checks_in(trial, key, SLOTS_PER_S, ago) >= cold_per_s) {
            return false;
        }
    }
    return true;
}

/* In the last second, and in the one that ended so long ago. */
static bool was_above(const struct hot_trial *trial, const struct exact_key *key, uint64_t n_slots_ago,
                      uint32_t per_s) {
    return checks_in(trial, key, SLOTS_PER_S, 0) >= per_s &&
           checks_in(trial, key, SLOTS_PER_S, n_slots_ago) >= per_s;
}

static void judge_key(struct hot_trial *trial, struct exact_key *key, uint32_t low_per_s, uint32_t high_per_s) {
    struct hot_result *result = &trial->result;
    bool is_above =
        was_above(trial, key, SLOTS_PER_S, high_per_s) || was_above(trial, key, 2, high_per_s / 20 * 21);
    bool is_found = is_above && key->is_hot;
    result->n_above += is_above;
    result->n_found += is_found;
    result->n_lost += is_above && !is_found && key->was_found;
    key->was_found = is_found;
    if (!key->is_hot) {
        key->is_wrong = false;
        return;
    }
    if (!key->was_hot) {
        key->is_wrong = checks_in(trial, key, SLOTS_PER_S + 1, 0) < low_per_s;
    }
    result->n_hot++;
    result->n_wrong += key->is_wrong || was_cold_for_3s(trial, key, low_per_s / 2);
}

void hot_trial_judge(struct hot_trial *trial) {
    if (trial->n_turns % TURNS_PER_SLOT != 0) {
        return;
    }
    uint32_t low_per_s, high_per_s;
    trial->result.threshold_per_s = hotkeys_threshold_per_s(trial->hotkeys);
    trial->thresholds_per_s[trial->n_slots % N_SLOTS] = trial->result.threshold_per_s;
    threshold_range(trial, &low_per_s, &high_per_s);
    take_table(trial);
    for (size_t i = 0; i < N_EXACT && trial->n_slots > WARM_UP_SLOTS; i++) {
        judge_key(trial, &trial->keys[i], low_per_s, high_per_s);
    }
    trial->n_slots++;
    for (size_t i = 0; i < N_EXACT; i++) {
        trial->keys[i].n_checks[trial->n_slots % N_SLOTS] = 0;
    }
}
