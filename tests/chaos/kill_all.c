/* kill_all.c — all of Redis is gone for half a minute; what is admitted meanwhile is what the limit allows. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

enum { OUTAGE_MS = 30000, QUICK_OUTAGE_MS = 6000 };

void chaos_kill_all(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_flood_load);

    chaos_break(chaos);
    cluster_signal_all(&chaos->cluster, SIGKILL);
    harness_sleep_ms(chaos->is_quick ? QUICK_OUTAGE_MS : OUTAGE_MS);
    int64_t outage_to_us = harness_now_us();
    cluster_restart(&chaos->cluster);
    chaos_repair(chaos);

    chaos_judge(chaos, "kill_all", (struct chaos_allowance){.bursts = 1});
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    size_t n_admitted = count_admitted(records, n, 0, chaos->broken_at_us, outage_to_us);
    double limit = chaos->classes[0].rate_per_s * (double)(outage_to_us - chaos->broken_at_us) / 1e6;
    print_message("during the outage %zu of %.0f were admitted, %.1f %%\n", n_admitted, limit,
                  100 * (double)n_admitted / limit);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") > 0);
    chaos_end(chaos);
}
