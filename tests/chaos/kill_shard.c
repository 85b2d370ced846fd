/* kill_shard.c — master and replica of a shard are gone; the other shards do not notice. */
#include "tests/chaos/scenarios.h"

#include <signal.h>

/* The quick half measures few seconds, beside other work and with sanitizers: noise of the machine is let pass. */
enum { QUICK_NOISE_US = 2000 };
enum { BEFORE_S = 3, DOWN_S = 10, QUICK_DOWN_S = 4, MAX_SECONDS = 16 };

/* Of the checks of the other shards, a second at a time: the medians of how many Redis decided, and of p99. */
struct seconds {
    double n_decided, p99_us;
};

static int compare_doubles(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, compare_doubles);
    return values[n / 2];
}

static struct seconds look_at_others(const struct chaos *chaos, int64_t from_us, size_t n_seconds) {
    bool others[LOAD_MAX_KEYS] = {false};
    for (size_t i = 0; i < chaos->load.n_keys; i++) {
        others[i] = chaos->load.keys[i].shard != 0;
    }
    double decided[MAX_SECONDS], p99[MAX_SECONDS];
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    for (size_t i = 0; i < n_seconds; i++, from_us += 1000000) {
        struct tally tally;
        assert_true(tally_part(records, n, (struct part){from_us, from_us + 1000000, others}, &tally));
        decided[i] = (double)(tally.n_allowed + tally.n_denied - tally.n_local);
        p99[i] = (double)tally.p99_us;
    }
    return (struct seconds){median(decided, n_seconds), median(p99, n_seconds)};
}

void chaos_kill_shard(void **state) {
    struct chaos *chaos = *state;
    size_t down_s = chaos->is_quick ? QUICK_DOWN_S : DOWN_S;
    chaos_begin(chaos, chaos_mixed_load);
    harness_sleep_ms(BEFORE_S * 1000);
    uint16_t master = chaos_master_of(chaos, 0);
    uint16_t replica = cluster_replica_of(&chaos->cluster, master);

    chaos_break(chaos);
    cluster_signal(&chaos->cluster, replica, SIGKILL);
    cluster_signal(&chaos->cluster, master, SIGKILL);
    harness_sleep_ms((int64_t)down_s * 1000);
    cluster_restart(&chaos->cluster);
    chaos_repair(chaos);

    chaos_judge(chaos, "kill_shard");
    struct seconds before = look_at_others(chaos, chaos->broken_at_us - BEFORE_S * 1000000, BEFORE_S);
    struct seconds during = look_at_others(chaos, chaos->broken_at_us, down_s);
    print_message("the other shards, in a second: before %.0f decided, p99 %.0f us; meanwhile %.0f, %.0f us\n",
                  before.n_decided, before.p99_us, during.n_decided, during.p99_us);
    assert_true(during.n_decided >= 0.9 * before.n_decided);
    assert_true(during.p99_us <= 2 * before.p99_us + (chaos->is_quick ? QUICK_NOISE_US : 0));
    assert_true(chaos_metric(chaos, "sluice_degraded_total{reason=\"down\"}") > 0);
    assert_true(chaos_metric(chaos, "sluice_redis_breaker_opens_total") >= LOAD_FRONTENDS);
    chaos_end(chaos);
}
