/* test_cluster_refusals.c — calls that a node does not carry out, for ever or for now. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "tests/support/cluster_bench.h"

static void test_other_errors_refuse_and_are_counted_by_code(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-OOM command not allowed\r\n");
    fake_redis_reply(bench.a, "-BUSY Redis is busy running a script\r\n");
    fake_redis_reply(bench.a, "-ERR something new\r\n");
    for (int i = 0; i < 3; i++) {
        cluster_bench_submit(&bench, i, SLOT_OF_A);
    }
    for (int i = 0; i < 3; i++) {
        cluster_bench_assert_ends(&bench, i, STORE_REFUSED, "");
    }
    assert_int_equal(metric_get(&bench.metrics.errors_oom), 1);
    assert_int_equal(metric_get(&bench.metrics.errors_busy), 1);
    assert_int_equal(metric_get(&bench.metrics.errors_other), 1);
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    cluster_bench_close(&bench);
}

static void test_clusterdown_refuses_and_has_the_map_read_anew(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-CLUSTERDOWN Hash slot not served\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_REFUSED, "");
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    cluster_bench_close(&bench);
}

static void test_readonly_is_sent_once_more_and_has_the_map_read_anew(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-READONLY You can't write against a read only replica.\r\n");
    fake_redis_reply(bench.a, "+master again\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "master again");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    cluster_bench_close(&bench);
}

static void test_readonly_twice_refuses(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    for (int i = 0; i < 4; i++) {
        fake_redis_reply(bench.a, "-READONLY\r\n");
    }
    for (int i = 0; i < 2; i++) { /* the second call has its own second chance */
        cluster_bench_submit(&bench, 0, SLOT_OF_A);
        cluster_bench_assert_ends(&bench, 0, STORE_REFUSED, "");
        assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2 * (i + 1));
    }
    assert_int_equal(metric_get(&bench.metrics.errors_readonly), 4);
    cluster_bench_close(&bench);
}

static void test_tryagain_is_sent_again_after_some_milliseconds(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN Multiple keys request during rehashing of slot\r\n");
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    fake_redis_reply(bench.a, "+at last\r\n");
    int64_t start_us = clock_mono_us();
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "at last");
    assert_true(clock_mono_us() - start_us >= 2 * 4000); /* libev's clock may lag by a turn */
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    cluster_bench_close(&bench);
}

static void test_tryagain_goes_to_whoever_owns_the_slot_by_then(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+first\r\n");
    fake_redis_reply(bench.b, "+second\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "first");
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "second");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    cluster_bench_close(&bench);
}

static void test_tryagain_without_time_left_refuses_at_once(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 5000), STORE_OK);
    turn_until(bench.loop, bench.notes[0].n_ends > 0);
    if (metric_get(&bench.metrics.timeouts) == 0) { /* on a slow machine the deadline comes first */
        assert_int_equal(bench.notes[0].outcome, STORE_REFUSED);
    }
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 1);
    cluster_bench_close(&bench);
}

static void test_the_deadline_holds_behind_tryagain(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 60000), STORE_OK);
    cluster_bench_assert_ends(&bench, 0, STORE_TIMEOUT, "");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    cluster_bench_close(&bench);
}

static void test_abandoned_while_it_waits_it_is_never_sent(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    turn_until(bench.loop, metric_get(&bench.metrics.errors_tryagain) == 1);
    cluster_abandon(&bench.notes[0].call);
    fake_redis_reply(bench.a, "+of a\r\n");
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "of a");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    assert_int_equal(bench.notes[0].n_ends, 0);
    cluster_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_errors_refuse_and_are_counted_by_code),
        cmocka_unit_test(test_clusterdown_refuses_and_has_the_map_read_anew),
        cmocka_unit_test(test_readonly_is_sent_once_more_and_has_the_map_read_anew),
        cmocka_unit_test(test_readonly_twice_refuses),
        cmocka_unit_test(test_tryagain_is_sent_again_after_some_milliseconds),
        cmocka_unit_test(test_tryagain_goes_to_whoever_owns_the_slot_by_then),
        cmocka_unit_test(test_tryagain_without_time_left_refuses_at_once),
        cmocka_unit_test(test_the_deadline_holds_behind_tryagain),
        cmocka_unit_test(test_abandoned_while_it_waits_it_is_never_sent),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
