/* test_redis_conn_names.c — a connection to a node that is known by name: slow, unknown, at several addresses. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/store/redis_conn.h"
#include "tests/support/fake_names.h"
#include "tests/support/fake_redis.h"

static const char host[] = "redis.test";
static const char get[] = "*1\r\n$3\r\nGET\r\n";

struct bench {
    struct ev_loop *loop;
    struct resolver *resolver;
    struct fake_redis *fake;
    uint16_t port;
    struct redis_metrics metrics;
    struct redis_conn_options options;
    struct redis_conn *conn;
    struct redis_command command;
    int n_ends;
    enum redis_command_end end;
    int n_ups, n_downs;
    char reason[128];
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void on_up(void *arg) {
    ((struct bench *)arg)->n_ups++;
}

static void on_down(void *arg, bool was_up, enum log_level level, const char *reason) {
    (void)was_up;
    assert_int_equal(level, LOG_WARN);
    struct bench *bench = arg;
    bench->n_downs++;
    snprintf(bench->reason, sizeof bench->reason, "%s", reason);
}

static void on_end(struct redis_command *command, enum redis_command_end end, const struct redis_reply *reply) {
    (void)reply;
    struct bench *bench = list_entry(command, struct bench, command);
    bench->n_ends++;
    bench->end = end;
}

/* `numbers`: the addresses of the node's name. The node itself is at 127.0.0.1. */
static void setup(struct bench *bench, const char *numbers) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    fake_names_reset();
    fake_names_set(host, numbers);
    bench->resolver = resolver_create(bench->loop, fake_names_resolve);
    assert_non_null(bench->resolver);
    bench->fake = fake_redis_start(bench->loop, 0);
    bench->port = fake_redis_port(bench->fake);
    bench->options = (struct redis_conn_options){
        .greeting = of("*1\r\n$6\r\nSCRIPT\r\n"),
        .n_greeting_replies = 1,
        .connect_timeout_us = 500000,
        .max_inflight = 100,
        .resolver = bench->resolver,
        .metrics = &bench->metrics,
        .on_up = on_up,
        .on_down = on_down,
    };
}

static void start(struct bench *bench) {
    struct node_addr addr = {.port = bench->port};
    memcpy(addr.host, host, sizeof host);
    bench->conn = redis_conn_create(bench->loop, &addr, &bench->options, bench);
    assert_non_null(bench->conn);
}

static void teardown(struct bench *bench) {
    redis_conn_destroy(&bench->conn);
    turn_until(bench->loop, fake_names_count_inside() == 0);
    resolver_destroy(&bench->resolver);
    fake_redis_stop(&bench->fake);
    ev_loop_destroy(bench->loop);
}

static void submit(struct bench *bench) {
    bench->command = (struct redis_command){.head = of(get), .n_replies = 1, .ended = on_end};
    assert_int_equal(redis_conn_submit(bench->conn, &bench->command), REDIS_SUBMIT_QUEUED);
}

static void test_commands_wait_while_the_name_is_looked_up(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.1");
    fake_names_hold(host, true);
    start(&bench);
    submit(&bench);
    turn_until(bench.loop, fake_names_count(host) == 1);
    assert_false(redis_conn_is_up(bench.conn));
    fake_redis_reply(bench.fake, "+OK\r\n");
    fake_names_hold(host, false);
    turn_until(bench.loop, bench.n_ends == 1);
    assert_int_equal(bench.end, REDIS_COMMAND_REPLIED);
    assert_int_equal(bench.n_downs, 0);
    teardown(&bench);
}

/* A DNS server slower than the connect timeout costs attempts, but the node is reached. */
static void test_the_connect_timeout_covers_the_lookup(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.1");
    bench.options.connect_timeout_us = 20000;
    fake_names_hold(host, true);
    start(&bench);
    submit(&bench);
    turn_until(bench.loop, bench.n_downs == 1);
    assert_string_equal(bench.reason, "looking up its name took too long");
    assert_int_equal(bench.n_ends, 1);
    assert_int_equal(bench.end, REDIS_COMMAND_UNSENT);
    assert_int_equal(metric_get(&bench.metrics.connects_failed), 1);
    turn_until(bench.loop, bench.n_downs == 2);
    fake_names_hold(host, false);
    turn_until(bench.loop, bench.n_ups == 1);
    teardown(&bench);
}

static void test_an_unknown_name_is_a_failed_attempt(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "");
    start(&bench);
    turn_until(bench.loop, bench.n_downs == 1);
    assert_string_equal(bench.reason, "no such name");
    assert_int_equal(redis_conn_submit(bench.conn, &bench.command), REDIS_SUBMIT_DOWN);
    fake_names_set(host, "127.0.0.1");
    turn_until(bench.loop, bench.n_ups == 1);
    teardown(&bench);
}

static void test_its_addresses_are_tried_in_turn(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.8,127.0.0.9,127.0.0.1");
    start(&bench);
    turn_until(bench.loop, bench.n_ups == 1);
    assert_int_equal(bench.n_downs, 2);
    assert_int_equal(fake_names_count(host), 1);
    fake_redis_drop_clients(bench.fake);
    turn_until(bench.loop, bench.n_ups == 2);
    assert_int_equal(bench.n_downs, 3); /* the one that worked came first */
    assert_int_equal(fake_names_count(host), 1);
    teardown(&bench);
}

static void test_once_all_addresses_have_failed_it_is_looked_up_anew(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.8,127.0.0.9");
    start(&bench);
    turn_until(bench.loop, bench.n_downs == 1);
    fake_names_set(host, "127.0.0.1"); /* it has moved */
    turn_until(bench.loop, bench.n_ups == 1);
    assert_int_equal(bench.n_downs, 2);
    assert_int_equal(fake_names_count(host), 2);
    teardown(&bench);
}

static void test_while_the_name_is_not_found_known_addresses_are_tried_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.1");
    start(&bench);
    turn_until(bench.loop, bench.n_ups == 1);
    fake_names_set(host, "");
    fake_redis_stop(&bench.fake);
    turn_until(bench.loop, strcmp(bench.reason, "no such name") == 0);
    bench.fake = fake_redis_start(bench.loop, bench.port);
    turn_until(bench.loop, bench.n_ups == 2);
    teardown(&bench);
}

static void test_destroyed_while_its_name_is_looked_up_it_calls_nobody(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.1");
    fake_names_hold(host, true);
    start(&bench);
    submit(&bench);
    turn_until(bench.loop, fake_names_count(host) == 1);
    redis_conn_destroy(&bench.conn);
    fake_names_hold(host, false);
    turn_until(bench.loop, fake_names_count_inside() == 0);
    ev_run(bench.loop, EVRUN_NOWAIT);
    assert_int_equal(bench.n_ups + bench.n_downs + bench.n_ends, 0);
    teardown(&bench);
}

static void test_without_a_resolver_a_name_is_a_failed_attempt(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, "127.0.0.1");
    bench.options.resolver = NULL;
    start(&bench);
    turn_until(bench.loop, bench.n_downs == 2);
    assert_string_equal(bench.reason, "cannot look up its name");
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_wait_while_the_name_is_looked_up),
        cmocka_unit_test(test_the_connect_timeout_covers_the_lookup),
        cmocka_unit_test(test_an_unknown_name_is_a_failed_attempt),
        cmocka_unit_test(test_its_addresses_are_tried_in_turn),
        cmocka_unit_test(test_once_all_addresses_have_failed_it_is_looked_up_anew),
        cmocka_unit_test(test_while_the_name_is_not_found_known_addresses_are_tried_again),
        cmocka_unit_test(test_destroyed_while_its_name_is_looked_up_it_calls_nobody),
        cmocka_unit_test(test_without_a_resolver_a_name_is_a_failed_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
