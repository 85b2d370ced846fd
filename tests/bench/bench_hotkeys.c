/* bench_hotkeys.c — what does it cost to count a check for the hot keys, and are they found?
 *
 * The streams of tests/property/hot_trial.h with ten million checks each; in the flood, ten million keys are checked
 * once. Counting a check is held against hashing a key of 24 bytes, in the same turns of the same run. Times are
 * medians of turns, so other load on the machine does not blur them.
 *
 * usage: bench_hotkeys     exit 1 when it cannot measure, or fewer keys are found than promised; no time is asserted */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/property/hot_trial.h"
#include "tests/property/trace.h"

enum { N_CHECKS = 10000000, N_CHECKS_OF_FLOOD = 12510000, MAX_TURNS = 100000, N_PAUSES = 101 };

struct times {
    size_t n_turns;
    double hash_ns[MAX_TURNS], count_ns[MAX_TURNS], ratios[MAX_TURNS]; /* of one check */
};

static int64_t read_clock_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, compare_doubles);
    return values[n / 2];
}

/* Returns what keeps the hashes from being optimized away. */
static uint64_t run_turn(struct hot_trial *trial, struct times *times) {
    double n = (double)hot_trial_turn_checks(trial);
    int64_t begin_ns = read_clock_ns();
    uint64_t sum = hot_trial_hash(trial);
    int64_t hashed_ns = read_clock_ns();
    hot_trial_count(trial);
    int64_t counted_ns = read_clock_ns();
    hot_trial_judge(trial);
    times->hash_ns[times->n_turns] = (double)(hashed_ns - begin_ns) / n;
    times->count_ns[times->n_turns] = (double)(counted_ns - hashed_ns) / n;
    times->ratios[times->n_turns] = (double)(counted_ns - hashed_ns) / (double)(hashed_ns - begin_ns + 1);
    times->n_turns++;
    return sum;
}

static bool run_scenario(const struct hot_scenario *scenario, struct times *times) {
    uint64_t n_checks = scenario->has_fresh_keys ? N_CHECKS_OF_FLOOD : N_CHECKS;
    struct hot_trial *trial = hot_trial_create(scenario, n_checks, trace_seed());
    uint64_t sum = 0;
    if (trial == NULL) {
        return false;
    }
    times->n_turns = 0;
    while (times->n_turns < MAX_TURNS && hot_trial_turn(trial)) {
        sum += run_turn(trial, times);
    }
    const struct hot_result *result = hot_trial_result(trial);
    bool is_good = result->n_above > 0 && result->n_found * 1000 >= result->n_above * 999 &&
                   result->n_wrong * 100 <= result->n_hot && sum != 0;
    printf("%-22s %9" PRIu64 " %9" PRIu64 " %7" PRIu64 " %8.3f%% %7" PRIu64 " %6.3f%% %6.1f %6.1f %6.2f\n",
           scenario->name, result->n_checks, result->n_fresh_keys, result->n_above,
           100 * (double)result->n_found / (double)result->n_above, result->n_hot,
           100 * (double)result->n_wrong / (double)result->n_hot, median(times->hash_ns, times->n_turns),
           median(times->count_ns, times->n_turns), median(times->ratios, times->n_turns));
    fflush(stdout);
    hot_trial_destroy(&trial);
    return is_good;
}

/* The most that one tick can have to do: a whole sweep over a table that was full before the pause; and a copy of it. */
static bool run_pauses(void) {
    static struct hotkey rows[HOTKEYS_MAX];
    double pause_us[N_PAUSES], copy_us[N_PAUSES];
    int64_t now_us = 1000000000;
    struct hotkeys *hotkeys = hotkeys_create(&hot_scenarios[0].options, now_us);
    if (hotkeys == NULL) {
        return false;
    }
    for (size_t i = 0; i < N_PAUSES; i++) {
        for (uint64_t n = 0; n < 20 * HOTKEYS_MAX; n++) {
            uint64_t key = n % HOTKEYS_MAX;
            hotkeys_count(hotkeys, hash_bytes_wide(&key, sizeof key, 42), now_us);
        }
        now_us += 1500000;
        int64_t begin_ns = read_clock_ns();
        hotkeys_copy(hotkeys, now_us, rows);
        copy_us[i] = (double)(read_clock_ns() - begin_ns) / 1000;
        begin_ns = read_clock_ns();
        hotkeys_tick(hotkeys, now_us);
        pause_us[i] = (double)(read_clock_ns() - begin_ns) / 1000;
    }
    hotkeys_destroy(&hotkeys);
    printf("\nthe longest tick, after a pause: %.1f us; a copy of the table: %.1f us; memory of a worker: %zu "
           "bytes\n",
           median(pause_us, N_PAUSES), median(copy_us, N_PAUSES), hotkeys_bytes());
    return true;
}

int main(void) {
    struct times *times = malloc(sizeof *times);
    bool is_good = times != NULL;
    if (is_good) {
        printf("Hot keys: per key and tenth of a second; ns: one hash of 24 bytes, one check counted, ratio\n");
        printf("%-22s %9s %9s %7s %9s %7s %7s %6s %6s %6s\n", "", "checks", "once", "above", "found", "hot",
               "wrong", "hash", "count", "ratio");
    }
    for (size_t i = 0; is_good && i < HOT_SCENARIOS; i++) {
        is_good = run_scenario(&hot_scenarios[i], times);
    }
    is_good = is_good && run_pauses();
    free(times);
    if (!is_good) {
        fprintf(stderr, "bench_hotkeys: could not measure, or keys were missed\n");
    }
    return is_good ? 0 : 1;
}
