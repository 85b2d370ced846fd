/* kill_frontend.c — a frontend is killed; callers that use the library go to the others, and come back to it. */
#include "tests/chaos/scenarios.h"

enum { WITHOUT_MS = 3000, QUICK_WITHOUT_MS = 1500, UNDER_WAY = 20 };

static void await_checks(const struct frontend *frontend) {
    int64_t deadline_us = harness_now_us() + CHAOS_RECOVERY_LIMIT_US;
    while (frontend_metric(frontend, "sluice_requests_total{call=\"check\"}") == 0) {
        assert_true(harness_now_us() < deadline_us);
        harness_sleep_ms(20);
    }
}

void chaos_kill_frontend(void **state) {
    struct chaos *chaos = *state;
    struct frontend *victim = &chaos->frontends[0];
    char address[sizeof victim->address];
    chaos->senders.by_library = true;
    chaos_begin(chaos, chaos_mixed_load);
    memcpy(address, victim->address, sizeof address);

    chaos_break(chaos);
    harness_kill(chaos->harness, victim->pid);
    victim->pid = 0;
    harness_sleep_ms(chaos->is_quick ? QUICK_WITHOUT_MS : WITHOUT_MS);
    chaos->flags = (const char *const[]){"--listen", address, NULL};
    chaos_start_frontend(chaos, 0, chaos->cluster.nodes);
    chaos_repair(chaos);
    await_checks(victim);

    /* What it had read is lost with it: nobody may ask for the same tokens again. */
    chaos_judge_with(chaos, "kill_frontend",
                     (struct chaos_allowance){.n_undecided = UNDER_WAY, .are_counts_lost = true});
    chaos_end(chaos);
}
