/* redis_later.c — the frontends start while there is no Redis at all, and join it when it appears. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

enum { ALONE_MS = 2000 };

void chaos_redis_later(void **state) {
    struct chaos *chaos = *state;
    const char *nodes = chaos->cluster.nodes;
    chaos_break(chaos);
    cluster_signal_all(&chaos->cluster, SIGKILL);
    chaos_start_frontends(chaos, chaos_mixed_load, (const char *const[]){nodes, nodes, nodes});
    chaos_start_load(chaos);
    harness_sleep_ms(ALONE_MS);
    uint64_t n_ready = chaos_metric(chaos, "sluice_ready");
    cluster_restart(&chaos->cluster);
    chaos_repair(chaos);

    chaos_judge(chaos, "redis_later");
    assert_int_equal(n_ready, 0);
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) { /* which the quotas of the store are needed for as well */
        frontend_await_status(&chaos->frontends[i], "/readyz", 200);
    }
    assert_true(chaos_metric(chaos, "sluice_redis_connects_total{result=\"failed\"}") >= LOAD_FRONTENDS);
    chaos_end(chaos);
}
