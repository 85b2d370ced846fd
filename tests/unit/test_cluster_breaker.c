/* test_cluster_breaker.c — what opens and closes the breaker of a node, and what does not. */
#include "tests/support/test_prelude.h"

#include "server/base/log.h"
#include "tests/support/cluster_bench.h"

#define NO_SILENCE_US INT64_C(60000000)

/* Opens at four failures of four, or after `silence_us`. */
static void open_brittle(struct cluster_bench *bench, int64_t silence_us) {
    cluster_bench_start(bench);
    struct cluster_options options = cluster_bench_options(bench);
    options.breaker = (struct breaker_options){.is_on = true,
                                               .min_samples = 4,
                                               .failure_percent = 50,
                                               .silence_us = silence_us,
                                               .probe_every_us = 4000};
    cluster_bench_create(bench, &options);
    cluster_bench_await_ready(bench);
}

static void fail_by_oom(struct cluster_bench *bench, int n) {
    for (int i = 0; i < n; i++) {
        fake_redis_reply(bench->a, "-OOM command not allowed\r\n");
        cluster_bench_submit(bench, 0, SLOT_OF_A);
        cluster_bench_assert_ends(bench, 0, STORE_REFUSED, "");
    }
}

static void assert_open(struct cluster_bench *bench) {
    uint64_t n_refusals = metric_get(&bench->metrics.breaker_refusals);
    assert_int_equal(metric_get(&bench->metrics.breakers_open), 1);
    assert_int_equal(cluster_bench_submit_for(bench, 7, SLOT_OF_A, 1000000), STORE_DOWN);
    assert_int_equal(metric_get(&bench->metrics.breaker_refusals), n_refusals + 1);
}

/* Asks until the breaker lets a call pass. */
static void submit_probe(struct cluster_bench *bench) {
    turn_until(bench->loop, cluster_bench_submit_for(bench, 0, SLOT_OF_A, 1000000) == STORE_OK);
}

static void test_failures_open_the_breaker_of_their_node_alone(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, NO_SILENCE_US);
    fail_by_oom(&bench, 3);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    fail_by_oom(&bench, 1);
    assert_open(&bench);
    assert_int_equal(metric_get(&bench.metrics.breaker_opens), 1);
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 4);
    fake_redis_reply(bench.b, "+of b\r\n");
    cluster_bench_submit(&bench, 1, SLOT_OF_B);
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "of b");
    cluster_bench_close(&bench);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
}

static void test_five_good_probes_close_the_breaker(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, NO_SILENCE_US);
    fail_by_oom(&bench, 4);
    for (int i = 0; i < 5; i++) {
        submit_probe(&bench);
        assert_open(&bench); /* to all others */
        fake_redis_send(bench.a, "+probe\r\n");
        cluster_bench_assert_ends(&bench, 0, STORE_OK, "probe");
    }
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    assert_int_equal(metric_get(&bench.metrics.breaker_opens), 1);
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    cluster_abandon(&bench.notes[0].call);
    cluster_abandon(&bench.notes[1].call);
    cluster_bench_close(&bench);
}

static void test_a_probe_abandoned_or_without_its_script_does_not_stick(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, NO_SILENCE_US);
    fail_by_oom(&bench, 4);
    submit_probe(&bench);
    cluster_abandon(&bench.notes[0].call);
    for (int i = 0; i < 5; i++) {
        fake_redis_reply(bench.a, "-NOSCRIPT\r\n");
        fake_redis_reply(bench.a, "+with body\r\n");
        submit_probe(&bench);
        cluster_bench_assert_ends(&bench, 0, STORE_OK, "with body");
    }
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    cluster_bench_close(&bench);
}

static void test_a_node_that_hangs_is_left_alone(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, 20000);
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    turn_until(bench.loop, metric_get(&bench.metrics.breakers_open) == 1 ||
                               cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 1000) != STORE_OK ||
                               (cluster_abandon(&bench.notes[0].call), false));
    assert_open(&bench);
    cluster_abandon(&bench.notes[1].call);
    cluster_bench_close(&bench);
}

static void test_deadlines_and_losses_are_failures(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, NO_SILENCE_US);
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 5000), STORE_OK);
    cluster_bench_assert_ends(&bench, 0, STORE_TIMEOUT, "");
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    cluster_bench_submit(&bench, 2, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 3);
    fake_redis_drop_clients(bench.a);
    cluster_bench_assert_ends(&bench, 2, STORE_LOST, "");
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 1000000), STORE_DOWN);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 1);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.a, "+back\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A); /* a new connection is tried at once */
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "back");
    cluster_bench_close(&bench);
}

static void test_an_early_deadline_does_not_blame_the_node(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, NO_SILENCE_US);
    for (int i = 0; i < 3; i++) {
        cluster_bench_submit(&bench, i, SLOT_OF_A);
    }
    fake_redis_drop_clients(bench.a);
    turn_until(bench.loop, bench.notes[2].n_ends > 0);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 1), STORE_OK);
        cluster_bench_assert_ends(&bench, 0, STORE_TIMEOUT, "");
    }
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    cluster_bench_close(&bench);
}

static void test_redirects_and_a_full_node_are_no_failures(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_brittle(&bench, NO_SILENCE_US);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
        fake_redis_reply(bench.b, "+OK\r\n");
        fake_redis_reply(bench.b, "+of b\r\n");
        cluster_bench_submit(&bench, 0, SLOT_OF_A);
        cluster_bench_assert_ends(&bench, 0, STORE_OK, "of b");
    }
    for (int i = 0; i < 3; i++) {
        cluster_bench_submit(&bench, i, SLOT_OF_A);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(cluster_bench_submit_for(&bench, 3, SLOT_OF_A, 1000000), STORE_OVERLOADED);
    }
    assert_int_equal(metric_get(&bench.metrics.over_inflight), 8);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    for (int i = 0; i < 3; i++) {
        cluster_abandon(&bench.notes[i].call);
    }
    cluster_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_open_the_breaker_of_their_node_alone),
        cmocka_unit_test(test_five_good_probes_close_the_breaker),
        cmocka_unit_test(test_a_probe_abandoned_or_without_its_script_does_not_stick),
        cmocka_unit_test(test_a_node_that_hangs_is_left_alone),
        cmocka_unit_test(test_deadlines_and_losses_are_failures),
        cmocka_unit_test(test_an_early_deadline_does_not_blame_the_node),
        cmocka_unit_test(test_redirects_and_a_full_node_are_no_failures),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
