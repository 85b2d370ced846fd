/* kill_all.c — all of Redis is gone for half a minute; what is admitted meanwhile is what the limit allows. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

enum { OUTAGE_MS = 30000, QUICK_OUTAGE_MS = 6000 };

/* What a limit allows from one time to another, apart from its burst. */
static double limit_of(const struct load_class *class, int64_t from_us, int64_t to_us) {
    return class->rate_per_s * (double)(to_us - from_us) / 1e6;
}

void chaos_kill_all(void **state) {
    struct chaos *chaos = *state;
    chaos->flags =
        (const char *const[]){"--fleet-size", "1", NULL}; /* the heartbeats tell how many there are */
    chaos_begin(chaos, chaos_flood_load);

    chaos_break(chaos);
    cluster_signal_all(&chaos->cluster, SIGKILL);
    harness_sleep_ms(chaos->is_quick ? QUICK_OUTAGE_MS : OUTAGE_MS);
    int64_t outage_to_us = harness_now_us();
    cluster_restart(&chaos->cluster);
    chaos_repair(chaos);

    chaos_judge(chaos, "kill_all");
    const struct load_class *class = &chaos->classes[0];
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    size_t n_meanwhile = count_admitted(records, n, 0, chaos->broken_at_us, outage_to_us);
    size_t n_in_all = count_admitted(records, n, 0, 0, INT64_MAX);
    double meanwhile = limit_of(class, chaos->broken_at_us, outage_to_us);
    double in_all = 2 * class->burst + limit_of(class, chaos->begun_at_us, records[n - 1].sent_at_us);
    print_message("during the outage %zu of %.0f were admitted (%.1f %%); in all %zu of at most %.0f\n",
                  n_meanwhile, meanwhile, 100 * (double)n_meanwhile / meanwhile, n_in_all, in_all);
    assert_true((double)n_meanwhile >= 0.95 * meanwhile);
    assert_true((double)n_meanwhile <= meanwhile + class->burst);
    assert_true((double)n_in_all <= in_all);
    assert_int_equal(chaos_metric(chaos, "sluice_fleet_size"), LOAD_FRONTENDS * LOAD_FRONTENDS);
    assert_true(chaos_metric(chaos, "sluice_heartbeats_total{result=\"failed\"}") >= LOAD_FRONTENDS);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") > 0);
    assert_true(chaos_metric(chaos, "sluice_decisions_total{decision=\"allow\",source=\"local\"}") >=
                n_meanwhile);
    chaos_end(chaos);
}
