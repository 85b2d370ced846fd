/* test_clock_watch.c — nodes whose clocks run apart or step are measured and told of. */
#include "tests/support/test_prelude.h"

#include <fcntl.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/clock_watch.h"
#include "tests/support/cluster_bench.h"

#define S INT64_C(1000000)
#define MS INT64_C(1000)
#define EXACT_US (50 * MS) /* half a round trip that is used, at most */

struct bench {
    struct cluster_bench nodes;
    int stderr_fd, log_fd;
    char log[4096];
};

static void setup(struct bench *bench, int64_t ahead_of_a_us, int64_t ahead_of_b_us) {
    *bench = (struct bench){.log_fd = -1};
    cluster_bench_start(&bench->nodes);
    fake_redis_set_ahead(bench->nodes.a, ahead_of_a_us);
    fake_redis_set_ahead(bench->nodes.b, ahead_of_b_us);
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    bench->stderr_fd = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    bench->log_fd = ends[0];
    struct cluster_options options = cluster_bench_options(&bench->nodes);
    options.watch_clocks_every_us = 5000;
    cluster_bench_create(&bench->nodes, &options);
}

/* All that was logged so far. */
static const char *read_log(struct bench *bench) {
    size_t n_old = strlen(bench->log);
    ssize_t n = read(bench->log_fd, bench->log + n_old, sizeof bench->log - 1 - n_old);
    bench->log[n_old + (n > 0 ? (size_t)n : 0)] = '\0';
    return bench->log;
}

static void teardown(struct bench *bench) {
    cluster_bench_close(&bench->nodes);
    dup2(bench->stderr_fd, STDERR_FILENO);
    close(bench->stderr_fd);
    close(bench->log_fd);
}

struct wanted {
    uint16_t port;
    bool is_known;
    int64_t ahead_us;
};

static void take_clock(void *arg, const struct node_addr *addr, int64_t ahead_us) {
    struct wanted *wanted = arg;
    if (addr->port == wanted->port) {
        wanted->is_known = true;
        wanted->ahead_us = ahead_us;
    }
}

static bool shows(const struct bench *bench, const struct fake_redis *fake, int64_t ahead_us) {
    struct wanted wanted = {.port = fake_redis_port(fake)};
    cluster_each_clock(bench->nodes.cluster, clock_mono_us(), take_clock, &wanted);
    return wanted.is_known && llabs(wanted.ahead_us - ahead_us) <= EXACT_US;
}

static void test_each_owner_is_measured(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 300 * MS, -400 * MS);
    turn_until(bench.nodes.loop,
               shows(&bench, bench.nodes.a, 300 * MS) && shows(&bench, bench.nodes.b, -400 * MS));
    turn_until(bench.nodes.loop, fake_redis_count(bench.nodes.a, "TIME") >= 4);
    assert_string_equal(read_log(&bench), "");
    teardown(&bench);
}

static void test_steps_ahead_and_back_are_followed(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0, 0);
    turn_until(bench.nodes.loop, shows(&bench, bench.nodes.a, 0));
    fake_redis_set_ahead(bench.nodes.a, 10 * S);
    turn_until(bench.nodes.loop, shows(&bench, bench.nodes.a, 10 * S));
    fake_redis_set_ahead(bench.nodes.a, -3600 * S);
    turn_until(bench.nodes.loop, shows(&bench, bench.nodes.a, -3600 * S));
    assert_true(shows(&bench, bench.nodes.b, 0));
    teardown(&bench);
}

static void test_clock_that_differs_is_told_once_a_minute(void **state) {
    (void)state;
    struct bench bench;
    char own[128], spread[128];
    setup(&bench, 5 * S + 500 * MS, -500 * MS);
    snprintf(own, sizeof own, "warn clock: node 127.0.0.1:%u: its clock is 5.",
             (unsigned)fake_redis_port(bench.nodes.a));
    snprintf(spread, sizeof spread, "s ahead of that of node 127.0.0.1:%u: when",
             (unsigned)fake_redis_port(bench.nodes.b));
    turn_until(bench.nodes.loop, strstr(read_log(&bench), spread) != NULL);
    turn_until(bench.nodes.loop, strstr(read_log(&bench), own) != NULL);
    assert_non_null(strstr(bench.log, "s ahead of this frontend's\n"));
    size_t n_bytes = strlen(bench.log);
    fake_redis_forget(bench.nodes.a);
    turn_until(bench.nodes.loop, fake_redis_count(bench.nodes.a, "TIME") >= 5);
    assert_int_equal(strlen(read_log(&bench)), n_bytes);
    teardown(&bench);
}

static void test_nodes_apart_are_told_though_each_is_near(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, -700 * MS, 700 * MS);
    turn_until(bench.nodes.loop, strstr(read_log(&bench), "s ahead of that of node") != NULL);
    assert_null(strstr(bench.log, "this frontend's"));
    teardown(&bench);
}

static void test_node_that_hangs_is_asked_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0, 0);
    turn_until(bench.nodes.loop, shows(&bench, bench.nodes.a, 0) && shows(&bench, bench.nodes.b, 0));
    uint64_t n_commands = metric_get(&bench.nodes.metrics.commands);
    fake_redis_set_deaf(bench.nodes.a, true);
    fake_redis_set_deaf(bench.nodes.b, true);
    struct fake_clock clock;
    for (fake_clock_start(&clock, bench.nodes.loop); clock.n_ticks < 20;) {
        fake_clock_turn(&clock, "twenty ticks");
    }
    fake_clock_stop(&clock);
    assert_in_range(metric_get(&bench.nodes.metrics.commands) - n_commands, 1, 4);
    teardown(&bench);
}

/* Nobody calls a script, so no redirect tells. */
static void test_new_owner_is_found(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0, 0);
    struct fake_redis *c = fake_redis_start(bench.nodes.loop, 0);
    fake_redis_set_ahead(c, 500 * MS);
    turn_until(bench.nodes.loop, shows(&bench, bench.nodes.b, 0));
    fake_redis_set_owners(bench.nodes.a, "127.0.0.1", bench.nodes.a, CLUSTER_BENCH_SPLIT, c, 0);
    fake_redis_set_owners(bench.nodes.b, "127.0.0.1", bench.nodes.a, CLUSTER_BENCH_SPLIT, c, 0);
    fake_redis_set_owners(c, "127.0.0.1", bench.nodes.a, CLUSTER_BENCH_SPLIT, c, 0);
    turn_until(bench.nodes.loop, shows(&bench, c, 500 * MS));
    assert_false(shows(&bench, bench.nodes.b, 0));
    fake_redis_stop(&c);
    teardown(&bench);
}

static void test_what_is_no_time_is_refused(void **state) {
    (void)state;
    static const char *const replies[] = {"+OK\r\n",
                                          "*0\r\n",
                                          "*1\r\n$1\r\n1\r\n",
                                          "*2\r\n$1\r\n1\r\n:5\r\n",
                                          "*2\r\n$2\r\n-1\r\n$1\r\n1\r\n",
                                          "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
                                          "*2\r\n$13\r\n1234567890123\r\n$1\r\n1\r\n"};
    const struct redis_reply *reply;
    int64_t time_us;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct redis_reader *reader = redis_reader_create();
        redis_reader_feed(reader, (const uint8_t *)replies[i], strlen(replies[i]));
        assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_REPLY);
        assert_false(clock_watch_parse(reply, &time_us));
        redis_reader_destroy(&reader);
    }
    static const char good[] = "*2\r\n$10\r\n1800000000\r\n$3\r\n042\r\n";
    struct redis_reader *reader = redis_reader_create();
    redis_reader_feed(reader, (const uint8_t *)good, sizeof good - 1);
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READER_REPLY);
    assert_true(clock_watch_parse(reply, &time_us));
    assert_int_equal(time_us, 1800000000 * S + 42);
    redis_reader_destroy(&reader);
}

int main(void) {
    log_configure(LOG_WARN, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_owner_is_measured),
        cmocka_unit_test(test_steps_ahead_and_back_are_followed),
        cmocka_unit_test(test_clock_that_differs_is_told_once_a_minute),
        cmocka_unit_test(test_nodes_apart_are_told_though_each_is_near),
        cmocka_unit_test(test_node_that_hangs_is_asked_once),
        cmocka_unit_test(test_new_owner_is_found),
        cmocka_unit_test(test_what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
