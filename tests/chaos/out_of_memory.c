/* out_of_memory.c — every master is over its maxmemory and refuses to write. */
#include "tests/chaos/scenarios.h"

enum { FULL_MS = 3000, QUICK_FULL_MS = 1500 };

static void set_maxmemory(const struct chaos *chaos, const char *bytes) {
    for (unsigned shard = 0; shard < LOAD_SHARDS; shard++) {
        struct run run;
        CLUSTER_COMMAND(&chaos->cluster, &run, chaos_master_of(chaos, shard), "config", "set", "maxmemory",
                        bytes);
    }
}

void chaos_out_of_memory(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_mixed_load);

    chaos_break(chaos);
    set_maxmemory(chaos, "1mb"); /* less than an empty node uses */
    harness_sleep_ms(chaos->is_quick ? QUICK_FULL_MS : FULL_MS);
    set_maxmemory(chaos, "0");
    chaos_repair(chaos);

    chaos_judge(chaos, "out_of_memory");
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"refused\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"OOM\"}") >= LOAD_FRONTENDS);
    assert_int_equal(chaos_metric(chaos, "sluice_redis_ambiguous_total"), 0);
    chaos_end(chaos);
}
