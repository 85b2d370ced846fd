/* slow_network.c — whatever Redis answers takes 200 ms more. */
#include "tests/chaos/scenarios.h"

enum { DELAY_MS = 200, SLOW_MS = 3000 };

void chaos_slow_network(void **state) {
    struct chaos *chaos = *state;
    chaos_start_single(chaos, NULL);
    struct tcp_proxy_weather *weather = chaos_start_proxy(chaos);
    chaos_begin_single(chaos, chaos->proxy.port);

    chaos_break(chaos);
    atomic_store(&weather->delay_ms, DELAY_MS);
    harness_sleep_ms(SLOW_MS);
    atomic_store(&weather->delay_ms, 0);
    chaos_repair(chaos);

    chaos_judge(chaos, "slow_network");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"timeout\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_timeouts_total") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_late_replies_total") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") >= LOAD_FRONTENDS);
    assert_int_equal(chaos_metric(chaos, "sluice_redis_breakers_open"), 0);
    chaos_end(chaos);
}
