/* kill_master.c — a master is killed; its replica takes over; later the dead one joins as a replica. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

void chaos_kill_master(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_mixed_load);
    uint16_t master = chaos_master_of(chaos, 0);
    uint16_t replica = cluster_replica_of(&chaos->cluster, master);

    chaos_break(chaos);
    cluster_signal(&chaos->cluster, master, SIGKILL);
    chaos_await_master(chaos, replica);
    chaos_repair(chaos);
    cluster_restart(&chaos->cluster);

    chaos_judge(chaos, "kill_master");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"down\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_disconnects_total") >= LOAD_FRONTENDS);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") >= LOAD_FRONTENDS);
    assert_int_equal(chaos_metric(chaos, "sluice_ready"), LOAD_FRONTENDS);
    chaos_end(chaos);
}
