/* hot_failover.c — one key is asked for by 64 callers, many times its rate, and the master that has it dies. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

enum { N_CALLERS = 64 };

void chaos_hot_failover(void **state) {
    struct chaos *chaos = *state;
    chaos->flags = chaos_hot_flags;
    chaos->senders.n_conns = N_CALLERS;
    chaos_begin(chaos, chaos_hot_load);
    uint16_t master = chaos_master_of(chaos, 0);
    uint16_t replica = cluster_replica_of(&chaos->cluster, master);

    chaos_break(chaos);
    cluster_signal(&chaos->cluster, master, SIGKILL);
    chaos_await_master(chaos, replica);
    chaos_repair(chaos);
    cluster_restart(&chaos->cluster);

    /* What the replica had not heard of is had again, leases that are out among it; it is a burst at most. */
    chaos_judge_with(chaos, "hot_failover", (struct chaos_allowance){.is_burst_again = true});
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"down\"}") > 0);
    chaos_end(chaos);
}
