/* test_hotkeys_property.c — hot keys against exact counts, in streams friendly and hostile. bench_hotkeys has the
 * same with more checks. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "tests/property/hot_trial.h"
#include "tests/property/trace.h"

enum { N_SECONDS = 8, MAX_WRONG_PER_CENT = 1, MIN_FOUND_PER_MILLE = 999 };

static void run(const struct hot_scenario *scenario) {
    uint64_t n_checks = (uint64_t)(N_SECONDS * scenario->checks_per_s);
    struct hot_trial *trial = hot_trial_create(scenario, n_checks, trace_seed());
    assert_non_null(trial);
    while (hot_trial_turn(trial)) {
        hot_trial_hash(trial);
        hot_trial_count(trial);
        hot_trial_judge(trial);
    }
    const struct hot_result *result = hot_trial_result(trial);
    print_message("%s (seed %" PRIu64 "): %" PRIu64 " checks, threshold %" PRIu32 "/s, above %" PRIu64
                  ", found %" PRIu64 ", lost %" PRIu64 ", hot %" PRIu64 ", wrong %" PRIu64 "\n",
                  scenario->name, trace_seed(), result->n_checks, result->threshold_per_s, result->n_above,
                  result->n_found, result->n_lost, result->n_hot, result->n_wrong);
    assert_true(result->n_above >= 100);
    assert_true(result->n_found * 1000 >= result->n_above * MIN_FOUND_PER_MILLE);
    assert_true(result->n_wrong * 100 <= result->n_hot * MAX_WRONG_PER_CENT);
    assert_int_equal(result->n_lost, 0);
    hot_trial_destroy(&trial);
}

static void test_the_hot_keys_of_every_stream_are_found_and_no_others(void **state) {
    (void)state;
    print_message("memory of a worker: %zu bytes\n", hotkeys_bytes());
    for (size_t i = 0; i < HOT_SCENARIOS; i++) {
        run(&hot_scenarios[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hot_keys_of_every_stream_are_found_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
