/* failover.c — an operator hands a shard over to its replica, and back. */
#include "tests/chaos/scenarios.h"

enum { ATTEMPTS = 3, ATTEMPT_US = 6 * 1000 * 1000, POLL_MS = 20 };

/* Redis drops the attempt after 5 s when the replica is not yet up to date. */
static void hand_over(const struct chaos *chaos) {
    uint16_t replica = cluster_replica_of(&chaos->cluster, chaos_master_of(chaos, 0));
    for (int i = 0; i < ATTEMPTS; i++) {
        struct run run;
        CLUSTER_COMMAND(&chaos->cluster, &run, replica, "cluster", "failover");
        int64_t deadline_us = harness_now_us() + ATTEMPT_US;
        while (harness_now_us() < deadline_us) {
            if (cluster_is_master(&chaos->cluster, replica)) {
                return;
            }
            harness_sleep_ms(POLL_MS);
        }
    }
    fail_msg("node %u does not become master", replica);
}

void chaos_failover(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_mixed_load);

    chaos_break(chaos);
    hand_over(chaos);
    harness_sleep_ms(1000);
    hand_over(chaos);
    chaos_repair(chaos);

    chaos_judge(chaos, "failover");
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"MOVED\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_slotmap_refreshes_total{result=\"ok\"}") > LOAD_FRONTENDS);
    chaos_end(chaos);
}
