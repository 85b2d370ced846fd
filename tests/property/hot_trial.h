/* hot_trial.h — hot keys against exact counts: streams of checks in virtual time, and who was found or mistaken.
 *
 *   while (hot_trial_turn(trial)) { hot_trial_hash(trial); hot_trial_count(trial); hot_trial_judge(trial); }
 *
 * A turn is a millisecond, like one of a worker's loop. In each tenth of a second every key is judged:
 *
 *   above    checked at least `threshold` times in the last second and in the one before, or 1.05 times as
 *            often in the last second and in the one that ended 0.2 s ago
 *   found    of those above, the ones that the table has as hot
 *   wrong    hot, though when it became so it had not been checked `threshold` times in 1.1 seconds, or though it
 *            has not been checked half as often in any second of the last three */
#ifndef SLUICE_TESTS_PROPERTY_HOT_TRIAL_H
#define SLUICE_TESTS_PROPERTY_HOT_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/hotkeys.h"

struct hot_trial;

struct hot_scenario {
    const char *name;
    int64_t checks_per_s;
    struct hotkeys_options options;
    /* Which key is checked next. */
    uint64_t (*next_key)(struct hot_trial *trial);
    bool is_in_few_lines; /* all keys but the fresh ones share a few lines of the sketch */
    bool has_fresh_keys;  /* four checks of five are of keys never seen before nor after */
};

enum { HOT_SCENARIOS = 6 };
extern const struct hot_scenario hot_scenarios[HOT_SCENARIOS];

struct hot_result {
    uint64_t n_checks, n_fresh_keys; /* checked once */
    uint64_t n_above, n_found, n_hot, n_wrong;
    uint64_t n_lost; /* above and found a tenth of a second ago, above and not hot now */
    uint32_t threshold_per_s;
};

struct hot_trial *hot_trial_create(const struct hot_scenario *scenario, uint64_t n_checks, uint64_t seed);
void hot_trial_destroy(struct hot_trial **trial);

/* False: as many checks as were asked for have been made. */
bool hot_trial_turn(struct hot_trial *trial);
uint64_t hot_trial_hash(struct hot_trial *trial);
void hot_trial_count(struct hot_trial *trial);
void hot_trial_judge(struct hot_trial *trial);
/* How many checks the turn has. */
uint64_t hot_trial_turn_checks(const struct hot_trial *trial);
const struct hot_result *hot_trial_result(const struct hot_trial *trial);

#endif
