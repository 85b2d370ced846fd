/* test_cluster_redirects.c — calls that a node sends elsewhere, or wants to be told in full. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "tests/support/cluster_bench.h"

static void test_moved_is_followed_and_remembered(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+of b\r\n");
    fake_redis_reply(bench.b, "+again\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "of b");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "again");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 1);
    assert_int_equal(fake_redis_count(bench.b, "EVALSHA"), 2);
    assert_int_equal(metric_get(&bench.metrics.errors_moved), 1);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    cluster_bench_close(&bench);
}

static void test_moved_to_an_unknown_node_connects_and_waits(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(c));
    fake_redis_reply(c, "+of c\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "of c");
    assert_string_equal(fake_redis_heard(c), "SCRIPT EVALSHA ");
    fake_redis_stop(&c);
    cluster_bench_close(&bench);
}

static void test_moved_without_a_host_means_the_same_host(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-MOVED %d :%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+of b\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "of b");
    cluster_bench_close(&bench);
}

static void test_moved_in_a_circle_ends_after_five_hops(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    for (int i = 0; i < 4; i++) {
        fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
        fake_redis_reply(bench.b, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.a));
    }
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    assert_int_equal(fake_redis_count(bench.b, "EVALSHA"), 3);
    cluster_bench_close(&bench);
}

static void test_moved_to_a_dead_node_is_down(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    unsigned dead_port = fake_redis_port(c);
    fake_redis_stop(&c);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, dead_port);
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_DOWN, "");
    cluster_bench_close(&bench);
}

static void test_a_redirect_that_cannot_be_read_is_a_bad_reply(void **state) {
    (void)state;
    static const char *const texts[] = {"-MOVED\r\n", "-MOVED 5 nowhere\r\n", "-ASK 5 127.0.0.1:0\r\n"};
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        fake_redis_reply(bench.a, "%s", texts[i]);
        cluster_bench_submit(&bench, 0, SLOT_OF_A);
        cluster_bench_assert_ends(&bench, 0, STORE_BAD_REPLY, "");
    }
    cluster_bench_close(&bench);
}

static void test_ask_is_followed_with_asking_and_the_body_but_not_remembered(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+OK\r\n");
    fake_redis_reply(bench.b, "+asked b\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "asked b");
    assert_string_equal(fake_redis_heard(bench.b), "ASKING EVAL ");
    assert_string_equal(fake_redis_last(bench.b), "EVAL|return 10\n|1|k0|arg");
    fake_redis_reply(bench.a, "+of a\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "of a");
    assert_int_equal(metric_get(&bench.metrics.errors_ask), 1);
    assert_int_equal(metric_get(&bench.metrics.errors_moved), 0);
    cluster_bench_close(&bench);
}

static void test_a_plain_command_is_redirected_as_it_is(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    unsigned port_b = fake_redis_port(bench.b);
    fake_redis_reply(bench.a, "-ASK 5 127.0.0.1:%u\r\n", port_b);
    fake_redis_reply(bench.b, "+OK\r\n");
    fake_redis_reply(bench.b, "$2\r\nhi\r\n");
    struct cluster_bench_note *note = &bench.notes[0];
    static const char command[] = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    note->call = (struct cluster_call){.slot = SLOT_OF_A,
                                       .script = CLUSTER_PLAIN,
                                       .tail = {(const uint8_t *)command, sizeof command - 1},
                                       .done = cluster_bench_on_done};
    int64_t now_us = clock_mono_us();
    assert_int_equal(cluster_submit(bench.cluster, &note->call, now_us + 1000000, now_us), STORE_OK);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "hi");
    assert_string_equal(fake_redis_heard(bench.a), "GET ");
    assert_string_equal(fake_redis_heard(bench.b), "ASKING GET ");
    assert_string_equal(fake_redis_last(bench.b), "GET|k");
    cluster_bench_close(&bench);
}

static void test_noscript_is_answered_with_the_body(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    fake_redis_reply(bench.a, "+with body\r\n");
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_OK, "with body");
    assert_string_equal(fake_redis_heard(bench.a), "EVALSHA EVAL ");
    assert_string_equal(fake_redis_last(bench.a), "EVAL|return 10\n|1|k0|arg");
    assert_int_equal(metric_get(&bench.metrics.errors_noscript), 1);
    cluster_bench_close(&bench);
}

static void test_noscript_for_ever_ends(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.a, "-NOSCRIPT\r\n");
    }
    cluster_bench_submit(&bench, 0, SLOT_OF_A);
    cluster_bench_assert_ends(&bench, 0, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVAL"), 5);
    cluster_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_is_followed_and_remembered),
        cmocka_unit_test(test_moved_to_an_unknown_node_connects_and_waits),
        cmocka_unit_test(test_moved_without_a_host_means_the_same_host),
        cmocka_unit_test(test_moved_in_a_circle_ends_after_five_hops),
        cmocka_unit_test(test_moved_to_a_dead_node_is_down),
        cmocka_unit_test(test_a_redirect_that_cannot_be_read_is_a_bad_reply),
        cmocka_unit_test(test_ask_is_followed_with_asking_and_the_body_but_not_remembered),
        cmocka_unit_test(test_a_plain_command_is_redirected_as_it_is),
        cmocka_unit_test(test_noscript_is_answered_with_the_body),
        cmocka_unit_test(test_noscript_for_ever_ends),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
