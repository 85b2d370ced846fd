/* clock_step.c — the clock of Redis jumps ten seconds ahead, and later twenty back. */
#include "tests/chaos/scenarios.h"
#include "tests/system/shifted_clock.h"

enum { AFTER_MS = 3000 }; /* more than a heartbeat, which measures the drift */

/* Returns how much of the hot key's rate was admitted after the step. */
static double step_to(struct chaos *chaos, const struct shifted_clock *clock, int64_t offset_s) {
    shifted_clock_set(clock, offset_s);
    int64_t from_us = harness_now_us();
    harness_sleep_ms(AFTER_MS);
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    size_t n_admitted = count_admitted(records, n, 0, from_us, from_us + AFTER_MS * 1000);
    double share = (double)n_admitted / (chaos->classes[0].rate_per_s * AFTER_MS / 1e3);
    print_message("after the step to %+lld s %.1f %% of the rate is admitted\n", (long long)offset_s,
                  100 * share);
    return share;
}

void chaos_clock_step(void **state) {
    struct chaos *chaos = *state;
    struct shifted_clock clock;
    shifted_clock_open(chaos->harness, &clock, 0);
    char drift[96];
    uint16_t port = chaos_start_single(chaos, clock.wrapper);
    snprintf(drift, sizeof drift, "sluice_redis_clock_drift_seconds{node=\"127.0.0.1:%u\"}", port);
    chaos_begin_single(chaos, port);

    chaos_break(chaos);
    double after_ahead = step_to(chaos, &clock, 10);
    uint64_t drift_s = frontend_metric(&chaos->frontends[0], drift);
    double after_back = step_to(chaos, &clock, -10);
    chaos_repair(chaos);

    chaos_judge_with(chaos, "clock_step",
                     (struct chaos_allowance){.is_burst_again = true}); /* ten seconds ahead fill a bucket */
    assert_in_range(drift_s, 9, 10);                                    /* cut to whole seconds */
    assert_true(after_ahead >= 0.95);
    assert_true(after_back >= 0.95);
    chaos_end(chaos);
}
