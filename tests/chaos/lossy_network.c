/* lossy_network.c — of the connections to Redis, 30 % break every 100 ms. */
#include "tests/chaos/scenarios.h"

enum { DROP_PERCENT = 30, LOSSY_MS = 4000 };

void chaos_lossy_network(void **state) {
    struct chaos *chaos = *state;
    chaos_start_single(chaos, NULL);
    struct tcp_proxy_weather *weather = chaos_start_proxy(chaos);
    chaos_begin_single(chaos, chaos->proxy.port);

    chaos_break(chaos);
    atomic_store(&weather->drop_percent, DROP_PERCENT);
    harness_sleep_ms(LOSSY_MS);
    atomic_store(&weather->drop_percent, 0);
    chaos_repair(chaos);

    chaos_judge(chaos, "lossy_network");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"down\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_disconnects_total") >= LOAD_FRONTENDS);
    assert_true(chaos_metric(chaos, "sluice_redis_connects_total{result=\"ok\"}") >= 2 * LOAD_FRONTENDS);
    chaos_end(chaos);
}
