/* script_flush.c — somebody empties the script cache of every node, ten times a second. */
#include "tests/chaos/scenarios.h"

#include "tests/support/redis_fixture.h"

enum { FLUSHES = 100, QUICK_FLUSHES = 20, PAUSE_MS = 100 };

static void flush_all(struct redis_link links[CLUSTER_NODES]) {
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        struct redis_answer answer;
        assert_true(redis_link_call(&links[i], &answer, "SCRIPT", "FLUSH", (char *)NULL));
        assert_int_equal(answer.kind, REDIS_STATUS);
    }
}

void chaos_script_flush(void **state) {
    struct chaos *chaos = *state;
    struct redis_link links[CLUSTER_NODES];
    chaos_begin(chaos, chaos_mixed_load);
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        assert_true(redis_link_open(&links[i], chaos->cluster.ports[i]));
    }

    chaos_break(chaos);
    for (int i = 0; i < (chaos->is_quick ? QUICK_FLUSHES : FLUSHES); i++) {
        flush_all(links);
        harness_sleep_ms(PAUSE_MS);
    }
    chaos_repair(chaos);

    chaos_judge(chaos, "script_flush");
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"NOSCRIPT\"}") >= LOAD_FRONTENDS);
    assert_int_equal(chaos_metric(chaos, "sluice_redis_breaker_opens_total"), 0);
    for (size_t i = 0; i < CLUSTER_NODES; i++) {
        redis_link_close(&links[i]);
    }
    chaos_end(chaos);
}
