/* busy_script.c — a script that never ends blocks a master: first it is silent, then it answers BUSY. */
#include "tests/chaos/scenarios.h"

#include "tests/support/redis_fixture.h"

enum { BUSY_MS = 1500 }; /* less than the cluster's node timeout: nobody takes over */

static void start_endless_script(struct redis_link *link, uint16_t port) {
    static const char *const words[] = {"EVAL", "while true do end", "0"};
    struct bytes args[3];
    for (size_t i = 0; i < 3; i++) {
        args[i] = (struct bytes){(const uint8_t *)words[i], strlen(words[i])};
    }
    assert_true(redis_link_open(link, port));
    assert_true(redis_link_queue(link, args, 3));
    assert_true(redis_link_flush(link));
}

void chaos_busy_script(void **state) {
    struct chaos *chaos = *state;
    struct redis_link link;
    struct run run;
    chaos_begin(chaos, chaos_mixed_load);
    uint16_t master = chaos_master_of(chaos, 0);
    CLUSTER_COMMAND(&chaos->cluster, &run, master, "config", "set", "busy-reply-threshold", "300");

    chaos_break(chaos);
    start_endless_script(&link, master);
    harness_sleep_ms(BUSY_MS);
    CLUSTER_COMMAND(&chaos->cluster, &run, master, "script", "kill");
    chaos_repair(chaos);
    redis_link_close(&link);

    chaos_judge(chaos, "busy_script");
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") >= LOAD_FRONTENDS);
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"timeout\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"BUSY\"}") > 0);
    assert_int_equal(chaos_metric(chaos, "sluice_redis_breakers_open"), 0);
    chaos_end(chaos);
}
