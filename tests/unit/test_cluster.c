/* test_cluster.c — a call's way to its node, to its end, its deadline, or its loss. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "tests/support/cluster_bench.h"

/* ---- the straight way ---- */

static void open_unready(struct cluster_bench *bench) {
    cluster_bench_start(bench);
    struct cluster_options options = cluster_bench_options(bench);
    cluster_bench_create(bench, &options);
}

static void test_calls_go_to_the_owner_of_their_slot(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "$4\r\nof a\r\n");
    fake_redis_reply(bench.b, "$4\r\nof b\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_submit(&bench, 1, SLOT_OF_B);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "of a");
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "of b");
    assert_string_equal(fake_redis_last(bench.a), "EVALSHA|" CLUSTER_BENCH_SHA1 "|1|k0|arg");
    assert_string_equal(fake_redis_last(bench.b), "EVALSHA|" CLUSTER_BENCH_SHA1 "|1|k1|arg");
    cluster_bench_close(&bench);
}

static void test_before_the_map_is_known_calls_are_down(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_unready(&bench);
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 1000000), STORE_DOWN);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    assert_int_equal(bench.notes[0].n_ends, 0);
    cluster_bench_close(&bench);
}

static void test_every_connection_is_greeted_with_the_script(void **state) {
    (void)state;
    struct cluster_bench bench;
    open_unready(&bench);
    turn_until(bench.loop, fake_redis_count(bench.a, "SCRIPT") == 1);
    assert_string_equal(fake_redis_last(bench.a), "SCRIPT|LOAD|return 10\n");
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    assert_int_equal(fake_redis_count(bench.b, "SCRIPT"), 1);
    fake_redis_drop_clients(bench.b);
    turn_until(bench.loop, fake_redis_count(bench.b, "SCRIPT") == 2);
    cluster_bench_close(&bench);
}

/* To nodes that have been started. */
static void log_in(struct cluster_bench *bench, const char *user, const char *password) {
    struct cluster_options options = cluster_bench_options(bench);
    options.user = user;
    options.password = password;
    cluster_bench_create(bench, &options);
}

static void test_every_connection_logs_in_first(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_start(&bench);
    log_in(&bench, "sluice", "hunter2");
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    assert_string_equal(fake_redis_heard(bench.b), "AUTH SCRIPT ");
    fake_redis_reply(bench.b, "+of b\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_B);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "of b");
    cluster_bench_close(&bench);
}

static void test_the_password_alone_is_the_default_users(void **state) {
    (void)state;
    static const char *const words[][2] = {{"sluice", "AUTH|sluice|hunter2"}, {"", "AUTH|hunter2"}};
    for (size_t i = 0; i < 2; i++) {
        struct cluster_bench bench;
        cluster_bench_start(&bench);
        log_in(&bench, words[i][0], "hunter2");
        turn_until(bench.loop, fake_redis_count(bench.a, "SCRIPT") > 0);
        assert_string_equal(fake_redis_login(bench.a), words[i][1]);
        cluster_bench_close(&bench);
    }
}

static void test_a_wrong_password_is_tried_again(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_start(&bench);
    fake_redis_set_login(bench.a, "-WRONGPASS invalid username-password pair\r\n");
    log_in(&bench, NULL, "hunter2");
    turn_until(bench.loop, metric_get(&bench.metrics.errors_wrongpass) >= 2);
    assert_false(cluster_is_ready(bench.cluster));
    fake_redis_set_login(bench.a, "+OK\r\n");
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    cluster_bench_close(&bench);
}

static void test_a_call_may_ask_again_from_its_end(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "+first\r\n");
    fake_redis_reply(bench.a, "+second\r\n");
    bench.notes[0].asks_again = true;
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "second");
    cluster_bench_close(&bench);
}

static void test_above_the_cap_calls_are_refused_and_counted(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    for (int i = 0; i < 3; i++) {
        cluster_bench_submit(&bench, i, SLOT_OF_A);
    }
    assert_int_equal(cluster_bench_submit_for(&bench, 3, SLOT_OF_A, 1000000), STORE_OVERLOADED);
    assert_int_equal(metric_get(&bench.metrics.over_inflight), 1);
    cluster_bench_submit(&bench, 4, SLOT_OF_B);
    for (int i = 0; i < 5; i++) {
        if (i != 3) {
            cluster_abandon(&bench.notes[i].call);
        }
    }
    cluster_bench_close(&bench);
}

/* ---- loss and deadlines ---- */

static void test_lost_in_flight_is_reported_once_and_never_sent_again(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 2);
    fake_redis_drop_clients(bench.a);
    cluster_bench_assert_ends(&bench, 0, STORE_LOST, "");
    cluster_bench_assert_ends(&bench, 1, STORE_LOST, "");
    assert_int_equal(metric_get(&bench.metrics.ambiguous), 2);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.a, "+of a\r\n");
    cluster_bench_submit(&bench, 2, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 2, STORE_OK, "of a");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    assert_int_equal(bench.notes[0].n_ends, 1);
    cluster_bench_close(&bench);
}

static void test_a_call_may_ask_again_from_its_loss(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    bench.notes[0].asks_again = true;
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 1);
    fake_redis_drop_clients(bench.a);
    cluster_bench_assert_ends(&bench, 0, STORE_DOWN, ""); /* the node is backing off */
    cluster_bench_close(&bench);
}

static void test_a_failover_is_learnt_from_the_nodes_left(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_set_owners(bench.b, "127.0.0.1", bench.b, CLUSTER_BENCH_SPLIT, bench.b, 0);
    fake_redis_stop(&bench.a);
    turn_until(bench.loop, !cluster_is_ready(bench.cluster));
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 1000000), STORE_DOWN);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.b, "+promoted\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "promoted");
    cluster_bench_close(&bench);
}

static void test_at_the_deadline_a_call_ends_and_its_late_reply_is_dropped(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 5000), STORE_OK);
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_TIMEOUT, "");
    assert_int_equal(bench.notes[1].n_ends, 0);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 1);
    fake_redis_send(bench.a, "+late\r\n+in time\r\n");
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "in time");
    assert_int_equal(bench.notes[0].n_ends, 1);
    assert_int_equal(metric_get(&bench.metrics.late_replies), 1);
    cluster_bench_close(&bench);
}

static void test_after_a_pause_of_our_own_a_reply_that_is_there_counts(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    int64_t deadline_us = clock_mono_us() + 100000;
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 100000), STORE_OK);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 1);
    fake_redis_send(bench.a, "+in time\r\n");
    ev_run(bench.loop, EVRUN_NOWAIT); /* the node writes */
    while (clock_mono_us() < deadline_us + 5000) {
    }
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "in time");
    cluster_bench_close(&bench);
}

static void test_the_deadline_holds_through_redirects(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    int64_t start_us = clock_mono_us();
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 30000), STORE_OK);
    cluster_bench_assert_ends(&bench, 0, STORE_TIMEOUT, "");
    assert_true(clock_mono_us() - start_us >= 25000);
    assert_int_equal(fake_redis_count(bench.b, "EVALSHA"), 1);
    cluster_bench_close(&bench);
}

static void test_a_deadline_that_has_passed_sends_nothing(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT_OF_A, 0), STORE_TIMEOUT);
    fake_redis_reply(bench.a, "+of a\r\n");
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "of a");
    assert_string_equal(fake_redis_last(bench.a), "EVALSHA|" CLUSTER_BENCH_SHA1 "|1|k1|arg");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 1);
    cluster_bench_close(&bench);
}

static void test_an_abandoned_call_is_never_done(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_submit(&bench, 1, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 2);
    cluster_abandon(&bench.notes[0].call);
    fake_redis_send(bench.a, "+late\r\n+mine\r\n");
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "mine");
    assert_int_equal(bench.notes[0].n_ends, 0);
    cluster_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_go_to_the_owner_of_their_slot),
        cmocka_unit_test(test_before_the_map_is_known_calls_are_down),
        cmocka_unit_test(test_every_connection_is_greeted_with_the_script),
        cmocka_unit_test(test_every_connection_logs_in_first),
        cmocka_unit_test(test_the_password_alone_is_the_default_users),
        cmocka_unit_test(test_a_wrong_password_is_tried_again),
        cmocka_unit_test(test_a_call_may_ask_again_from_its_end),
        cmocka_unit_test(test_above_the_cap_calls_are_refused_and_counted),
        cmocka_unit_test(test_lost_in_flight_is_reported_once_and_never_sent_again),
        cmocka_unit_test(test_a_call_may_ask_again_from_its_loss),
        cmocka_unit_test(test_a_failover_is_learnt_from_the_nodes_left),
        cmocka_unit_test(test_at_the_deadline_a_call_ends_and_its_late_reply_is_dropped),
        cmocka_unit_test(test_after_a_pause_of_our_own_a_reply_that_is_there_counts),
        cmocka_unit_test(test_the_deadline_holds_through_redirects),
        cmocka_unit_test(test_a_deadline_that_has_passed_sends_nothing),
        cmocka_unit_test(test_an_abandoned_call_is_never_done),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
