/* failover.c — an operator hands a shard over to its replica, and back. */
#include "tests/chaos/scenarios.h"

static void hand_over(const struct chaos *chaos) {
    uint16_t replica = cluster_replica_of(&chaos->cluster, chaos_master_of(chaos, 0));
    struct run run;
    CLUSTER_COMMAND(&chaos->cluster, &run, replica, "cluster", "failover");
    chaos_await_master(chaos, replica);
}

void chaos_failover(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_mixed_load);

    chaos_break(chaos);
    hand_over(chaos);
    harness_sleep_ms(1000);
    hand_over(chaos);
    chaos_repair(chaos);

    chaos_judge(chaos, "failover", (struct chaos_allowance){.bursts = 1});
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"MOVED\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_slotmap_refreshes_total{result=\"ok\"}") > LOAD_FRONTENDS);
    chaos_end(chaos);
}
