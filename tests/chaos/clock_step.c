/* clock_step.c — the clock of Redis jumps ten seconds ahead, and later twenty back. */
#include "tests/chaos/scenarios.h"

#include <glob.h>

enum { NOTICED_MS = 1500, AFTER_MS = 3000 }; /* libfaketime looks into its file once a second */

static void find_libfaketime(char preload[HARNESS_PATH_BYTES]) {
    glob_t found;
    assert_int_equal(glob("/usr/lib/*/faketime/libfaketime.so.1", 0, NULL, &found), 0);
    snprintf(preload, HARNESS_PATH_BYTES, "LD_PRELOAD=%s", found.gl_pathv[0]);
    globfree(&found);
}

/* Returns how much of the hot key's rate was admitted after the step. */
static double step_to(struct chaos *chaos, const char *offset) {
    char path[HARNESS_PATH_BYTES];
    harness_write(chaos->harness, "offset", offset, path);
    harness_sleep_ms(NOTICED_MS);
    int64_t from_us = harness_now_us();
    harness_sleep_ms(AFTER_MS);
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    size_t n_admitted = count_admitted(records, n, 0, from_us, from_us + AFTER_MS * 1000);
    double share = (double)n_admitted / (chaos->classes[0].rate_per_s * AFTER_MS / 1e3);
    print_message("after the step to %s s %.1f %% of the rate is admitted\n", offset, 100 * share);
    return share;
}

void chaos_clock_step(void **state) {
    struct chaos *chaos = *state;
    char preload[HARNESS_PATH_BYTES], path[HARNESS_PATH_BYTES], file[HARNESS_PATH_BYTES + 32];
    find_libfaketime(preload);
    snprintf(file, sizeof file, "FAKETIME_TIMESTAMP_FILE=%s",
             harness_write(chaos->harness, "offset", "+0", path));
    const char *const wrapper[] = {"env", preload, file, "FAKETIME_CACHE_DURATION=1", "DONT_FAKE_MONOTONIC=1",
                                   NULL};
    chaos_begin_single(chaos, chaos_start_single(chaos, wrapper));

    chaos_break(chaos);
    double after_ahead = step_to(chaos, "+10");
    double after_back = step_to(chaos, "-10");
    chaos_repair(chaos);

    chaos_judge(chaos, "clock_step",
                (struct chaos_allowance){.bursts = 1}); /* ten seconds ahead fill a bucket */
    assert_true(after_ahead >= 0.95);
    assert_true(after_back >= 0.95);
    chaos_end(chaos);
}
