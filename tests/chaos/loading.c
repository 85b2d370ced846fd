/* loading.c — Redis reads its data set from disk, slowly, and answers LOADING meanwhile. */
#include "tests/chaos/scenarios.h"

void chaos_loading(void **state) {
    struct chaos *chaos = *state;
    uint16_t port = chaos_start_single(chaos, NULL);
    struct run run;
    chaos_begin_single(chaos, port);
    CLUSTER_COMMAND(&chaos->cluster, &run, port, "debug", "populate", "2000", "other", "100");
    /* 2000 keys at 1 ms each, and a look at the clients after every ten or so. */
    CLUSTER_COMMAND(&chaos->cluster, &run, port, "config", "set", "key-load-delay", "1000",
                    "loading-process-events-interval-bytes", "1024");

    chaos_break(chaos);
    CLUSTER_COMMAND(&chaos->cluster, &run, port, "debug", "reload");
    chaos_repair(chaos);

    chaos_judge(chaos, "loading");
    assert_true(chaos->repaired_at_us - chaos->broken_at_us > 1000000);
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"refused\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"LOADING\"}") >= LOAD_FRONTENDS);
    chaos_end(chaos);
}
