/* cut_off.c — one frontend of three can no longer reach Redis; the others can. */
#include "tests/chaos/scenarios.h"

enum { CUT_MS = 4000 };

void chaos_cut_off(void **state) {
    struct chaos *chaos = *state;
    char direct[32], by_proxy[32];
    snprintf(direct, sizeof direct, "127.0.0.1:%u", chaos_start_single(chaos, NULL));
    struct tcp_proxy_weather *weather = chaos_start_proxy(chaos);
    snprintf(by_proxy, sizeof by_proxy, "127.0.0.1:%u", chaos->proxy.port);
    chaos_begin_at(chaos, chaos_mixed_load, (const char *const[]){by_proxy, direct, direct});

    chaos_break(chaos);
    atomic_store(&weather->is_cut, true);
    harness_sleep_ms(CUT_MS);
    atomic_store(&weather->is_cut, false);
    chaos_repair(chaos);

    /* It goes on with its third, while the others share the whole. */
    chaos_judge(chaos, "cut_off");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"timeout\"}") > 0);
    assert_true(frontend_metric(&chaos->frontends[0], "sluice_redis_breaker_opens_total") > 0);
    assert_int_equal(frontend_metric(&chaos->frontends[1], "sluice_redis_breaker_opens_total"), 0);
    assert_int_equal(frontend_metric(&chaos->frontends[2], "sluice_redis_breaker_opens_total"), 0);
    chaos_end(chaos);
}
