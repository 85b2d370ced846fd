/* readonly.c — the Redis that the frontends know becomes a replica and refuses to write. */
#include "tests/chaos/scenarios.h"

enum { READONLY_MS = 1500 };

void chaos_readonly(void **state) {
    struct chaos *chaos = *state;
    uint16_t port = chaos_start_single(chaos, NULL);
    struct run run;
    chaos_begin_single(chaos, port);

    chaos_break(chaos);
    CLUSTER_COMMAND(&chaos->cluster, &run, port, "replicaof", "127.0.0.1", "1"); /* where nobody listens */
    harness_sleep_ms(READONLY_MS);
    CLUSTER_COMMAND(&chaos->cluster, &run, port, "replicaof", "no", "one");
    chaos_repair(chaos);

    chaos_judge(chaos, "readonly");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"refused\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"READONLY\"}") >= LOAD_FRONTENDS);
    assert_int_equal(chaos_metric(chaos, "sluice_redis_ambiguous_total"), 0);
    chaos_end(chaos);
}
