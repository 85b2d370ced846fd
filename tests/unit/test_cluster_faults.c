/* test_cluster_faults.c — nodes that send calls in circles, to nowhere, or into silence; every call ends. */
#include "tests/support/test_prelude.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "tests/support/cluster_bench.h"

enum { SLOT = SLOT_OF_A };

static void ask_and_assert(struct cluster_bench *bench, enum store_outcome outcome, const char *text) {
    cluster_bench_submit(bench, 0, SLOT);
    cluster_bench_assert_ends(bench, 0, outcome, text);
}

static unsigned port(const struct fake_redis *fake) {
    return fake_redis_port(fake);
}

static unsigned dead_port(struct cluster_bench *bench) {
    struct fake_redis *dead = fake_redis_start(bench->loop, 0);
    unsigned number = port(dead);
    fake_redis_stop(&dead);
    return number;
}

/* Its queue of connections is full: the kernel answers no further one, as if a cable were cut. */
struct mute {
    int fds[3];
    uint16_t port;
};

static void mute_open(struct mute *mute) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    for (int i = 0; i < 3; i++) {
        mute->fds[i] = socket(AF_INET, SOCK_STREAM | (i > 0 ? SOCK_NONBLOCK : 0), 0);
        assert_true(mute->fds[i] >= 0);
    }
    assert_int_equal(bind(mute->fds[0], (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(mute->fds[0], 0), 0);
    assert_int_equal(getsockname(mute->fds[0], (struct sockaddr *)&address, &len), 0);
    mute->port = ntohs(address.sin_port);
    for (int i = 1; i < 3; i++) {
        (void)connect(mute->fds[i], (struct sockaddr *)&address, len);
    }
}

static void mute_close(const struct mute *mute) {
    for (int i = 0; i < 3; i++) {
        close(mute->fds[i]);
    }
}

/* ---- MOVED ---- */

static void test_moved_to_itself_ends_after_five_hops(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(bench.a));
    }
    ask_and_assert(&bench, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 6);
    cluster_bench_close(&bench);
}

static void test_moved_to_an_address_that_never_answers_ends_at_the_deadline(void **state) {
    (void)state;
    struct cluster_bench bench;
    struct mute mute;
    cluster_bench_open(&bench);
    mute_open(&mute);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, (unsigned)mute.port);
    fake_redis_reply(bench.a, "+of a\r\n");
    int64_t start_us = clock_mono_us();
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT, 30000), STORE_OK);
    turn_until(bench.loop, metric_get(&bench.metrics.errors_moved) == 1);
    cluster_bench_submit(&bench, 1, SLOT + 1); /* what is not there is no burden to the rest */
    cluster_bench_assert_ends(&bench, 1, STORE_OK, "of a");
    cluster_bench_assert_ends(&bench, 0, STORE_DOWN, "");
    assert_in_range(clock_mono_us() - start_us, 25000, 400000); /* not the connect timeout's 500 ms */
    mute_close(&mute);
    cluster_bench_close(&bench);
}

static void test_moved_to_a_node_that_never_greets_ends_at_the_deadline(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    fake_redis_set_greeting(c, "");
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(c));
    assert_int_equal(cluster_bench_submit_for(&bench, 0, SLOT, 30000), STORE_OK);
    cluster_bench_assert_ends(&bench, 0, STORE_DOWN, "");
    assert_int_equal(fake_redis_count(c, "EVALSHA"), 0);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 0);
    fake_redis_stop(&c);
    cluster_bench_close(&bench);
}

/* ---- ASK ---- */

static void test_ask_to_a_dead_node_is_down_and_not_remembered(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT, dead_port(&bench));
    ask_and_assert(&bench, STORE_DOWN, "");
    fake_redis_reply(bench.a, "+of a\r\n");
    ask_and_assert(&bench, STORE_OK, "of a");
    cluster_bench_close(&bench);
}

/* It refuses ASKING as well as what comes behind it; the second reply is the one that counts. */
static void test_ask_to_a_node_that_refuses_goes_on_from_there(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "-ASK %d :%u\r\n", SLOT, port(bench.b));
    fake_redis_reply(bench.b, "-ERR This instance has cluster support disabled\r\n");
    fake_redis_reply(bench.b, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(bench.a));
    fake_redis_reply(bench.a, "+of a\r\n");
    ask_and_assert(&bench, STORE_OK, "of a");
    fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT, port(bench.b));
    fake_redis_reply(bench.b, "-ERR no\r\n");
    fake_redis_reply(bench.b, "-CLUSTERDOWN no\r\n");
    ask_and_assert(&bench, STORE_REFUSED, "");
    assert_int_equal(metric_get(&bench.metrics.errors_other), 0); /* what ASKING is told is not counted */
    cluster_bench_close(&bench);
}

static void test_ask_in_a_circle_ends_after_five_hops(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    struct fake_redis *const nodes[] = {bench.a, bench.b};
    for (int i = 0; i < 8; i++) {
        if (i > 0) {
            fake_redis_reply(nodes[i % 2], "+OK\r\n");
        }
        fake_redis_reply(nodes[i % 2], "-ASK %d 127.0.0.1:%u\r\n", SLOT, port(nodes[(i + 1) % 2]));
    }
    ask_and_assert(&bench, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVAL") + fake_redis_count(bench.b, "EVAL"), 5);
    cluster_bench_close(&bench);
}

/* ---- the stream ---- */

static void test_all_that_nodes_say_may_come_byte_by_byte(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_start(&bench);
    fake_redis_set_slice(bench.a, 1);
    fake_redis_set_slice(bench.b, 1);
    struct cluster_options options = cluster_bench_options(&bench);
    cluster_bench_create(&bench, &options);
    cluster_bench_await_ready(&bench);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(bench.b));
    fake_redis_reply(bench.b, "-ASK %d 127.0.0.1:%u\r\n", SLOT, port(bench.a));
    fake_redis_reply(bench.a, "+OK\r\n");
    fake_redis_reply(bench.a, "$4\r\nof a\r\n");
    ask_and_assert(&bench, STORE_OK, "of a");
    cluster_bench_close(&bench);
}

static void test_a_reply_that_breaks_off_is_lost_and_counted(void **state) {
    (void)state;
    struct cluster_bench bench;
    cluster_bench_open(&bench);
    fake_redis_reply(bench.a, "$4\r\nof");
    cluster_bench_submit(&bench, 0, SLOT);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 1);
    for (int i = 0; i < 3; i++) {
        ev_run(bench.loop, EVRUN_NOWAIT);
    }
    fake_redis_drop_clients(bench.a);
    cluster_bench_assert_ends(&bench, 0, STORE_LOST, "");
    assert_int_equal(metric_get(&bench.metrics.ambiguous), 1);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.a, "+of a\r\n"); /* nothing of the old stream is left */
    ask_and_assert(&bench, STORE_OK, "of a");
    cluster_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_to_itself_ends_after_five_hops),
        cmocka_unit_test(test_moved_to_an_address_that_never_answers_ends_at_the_deadline),
        cmocka_unit_test(test_moved_to_a_node_that_never_greets_ends_at_the_deadline),
        cmocka_unit_test(test_ask_to_a_dead_node_is_down_and_not_remembered),
        cmocka_unit_test(test_ask_to_a_node_that_refuses_goes_on_from_there),
        cmocka_unit_test(test_ask_in_a_circle_ends_after_five_hops),
        cmocka_unit_test(test_all_that_nodes_say_may_come_byte_by_byte),
        cmocka_unit_test(test_a_reply_that_breaks_off_is_lost_and_counted),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
