/* hang_master.c — a master stops for five seconds; its replica takes over meanwhile. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

enum { HANG_MS = 5000 };

void chaos_hang_master(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_mixed_load);
    uint16_t master = chaos_master_of(chaos, 0);

    chaos_break(chaos);
    cluster_signal(&chaos->cluster, master, SIGSTOP);
    harness_sleep_ms(HANG_MS);
    cluster_signal(&chaos->cluster, master, SIGCONT);
    chaos_repair(chaos);

    chaos_judge(chaos, "hang_master");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"timeout\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_timeouts_total") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") >= LOAD_FRONTENDS);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_refusals_total") > 0);
    assert_int_equal(chaos_metric(chaos, "sluice_ready"), LOAD_FRONTENDS);
    chaos_end(chaos);
}
