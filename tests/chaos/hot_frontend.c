/* hot_frontend.c — one key is asked for many times its rate, and a frontend dies with tokens of it in its hands. */
#include "tests/chaos/scenarios.h"

enum { WITHOUT_MS = 4000, LAPSE_MS = 2500, UNDER_WAY = 60, SERVED_PERCENT = 95 };

/* What the dead one held lapses; from then on the others get all there is. */
static void expect_all_is_served(const struct chaos *chaos, int64_t from_us, int64_t to_us) {
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    double due = chaos->load.keys[0].class->rate_per_s * (double)(to_us - from_us) / 1e6;
    size_t n_admitted = count_admitted(records, n, 0, from_us, to_us);
    if ((double)n_admitted < due * SERVED_PERCENT / 100.) {
        fail_msg("without the dead frontend %zu admitted, %.0f were due", n_admitted, due);
    }
}

void chaos_hot_frontend(void **state) {
    struct chaos *chaos = *state;
    struct frontend *victim = &chaos->frontends[0];
    char address[sizeof victim->address];
    chaos->flags = chaos_hot_flags;
    chaos->senders.by_library = true;
    chaos_begin(chaos, chaos_hot_load);
    memcpy(address, victim->address, sizeof address);

    chaos_break(chaos);
    harness_kill(chaos->harness, victim->pid);
    victim->pid = 0;
    harness_sleep_ms(WITHOUT_MS);
    int64_t restarted_at_us = harness_now_us();
    chaos->flags =
        (const char *const[]){"--listen", address, "--hot-rate", "40", "--hot-rate-least", "20", NULL};
    chaos_start_frontend(chaos, 0, chaos->cluster.nodes);
    chaos_repair(chaos);

    chaos_judge_with(chaos, "hot_frontend",
                     (struct chaos_allowance){.n_undecided = UNDER_WAY, .are_counts_lost = true});
    expect_all_is_served(chaos, chaos->broken_at_us + LAPSE_MS * 1000, restarted_at_us);
    chaos_end(chaos);
}
