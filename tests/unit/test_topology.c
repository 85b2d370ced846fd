/* test_topology.c — how nodes and their slots become known, and stay known. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/topology.h"
#include "tests/support/fake_names.h"
#include "tests/support/fake_redis.h"

#define REFRESH_EVERY_US INT64_C(50000)

struct bench {
    struct ev_loop *loop;
    int64_t refresh_every_us;
    struct fake_redis *a, *b;
    struct redis_metrics metrics;
    struct topology *topology;
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .refresh_every_us = REFRESH_EVERY_US};
    fake_names_reset();
    bench->a = fake_redis_start(bench->loop, 0);
    bench->b = fake_redis_start(bench->loop, 0);
    fake_redis_set_owners(bench->a, "127.0.0.1", bench->a, 100, bench->b, 0);
    fake_redis_set_owners(bench->b, "127.0.0.1", bench->a, 100, bench->b, 0);
}

static struct topology *create(struct bench *bench, const char *nodes, struct status *status) {
    struct topology_options options = {
        .nodes = nodes,
        .greeting = of("*1\r\n$6\r\nSCRIPT\r\n"),
        .n_greeting_replies = 1,
        .connect_timeout_us = 500000,
        .refresh_every_us = bench->refresh_every_us,
        .max_inflight_per_node = 100,
        .resolve = fake_names_resolve,
    };
    return topology_create(bench->loop, &options, &bench->metrics, status);
}

static void begin(struct bench *bench, bool with_both) {
    char nodes[64];
    int n = snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->a));
    if (with_both) {
        snprintf(nodes + n, sizeof nodes - (size_t)n, ",127.0.0.1:%u", (unsigned)fake_redis_port(bench->b));
    }
    struct status status;
    bench->topology = create(bench, nodes, &status);
    assert_non_null(bench->topology);
}

static void teardown(struct bench *bench) {
    topology_destroy(&bench->topology);
    assert_int_equal(metric_get(&bench->metrics.nodes_connected), 0);
    fake_redis_stop(&bench->a);
    fake_redis_stop(&bench->b);
    ev_loop_destroy(bench->loop);
}

static uint16_t owner_port(struct bench *bench, uint16_t slot) {
    const struct topology_node *node = topology_owner(bench->topology, slot);
    return node != NULL ? redis_conn_addr(node->conn)->port : 0;
}

static void test_the_rest_is_learnt_from_one_seed(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, false);
    assert_null(topology_owner(bench.topology, 0));
    assert_false(topology_is_ready(bench.topology));
    turn_until(bench.loop, topology_is_ready(bench.topology));
    assert_int_equal(owner_port(&bench, 0), fake_redis_port(bench.a));
    assert_int_equal(owner_port(&bench, 99), fake_redis_port(bench.a));
    assert_int_equal(owner_port(&bench, 100), fake_redis_port(bench.b));
    assert_int_equal(owner_port(&bench, 16383), fake_redis_port(bench.b));
    assert_int_equal(metric_get(&bench.metrics.nodes_connected), 2);
    assert_int_equal(metric_get(&bench.metrics.slots_covered), 16384);
    assert_int_equal(metric_get(&bench.metrics.refreshes), 1);
    teardown(&bench);
}

static void test_a_lost_owner_is_not_ready_and_has_the_map_read_anew(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    fake_redis_drop_clients(bench.b);
    turn_until(bench.loop, !topology_is_ready(bench.topology));
    turn_until(bench.loop, topology_is_ready(bench.topology));
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    teardown(&bench);
}

static void test_hosts_left_out_are_that_of_the_seed(void **state) {
    (void)state;
    static const char *const hosts[] = {NULL, "", "?"};
    for (size_t i = 0; i < 3; i++) {
        struct bench bench;
        setup(&bench);
        fake_redis_set_owners(bench.a, hosts[i], bench.a, 100, bench.b, 0);
        begin(&bench, false);
        turn_until(bench.loop, topology_is_ready(bench.topology));
        assert_int_equal(owner_port(&bench, 100), fake_redis_port(bench.b));
        teardown(&bench);
    }
}

static void test_a_map_may_name_nodes_by_name(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_set("redis.test", "127.0.0.1");
    fake_redis_set_owners(bench.a, "redis.test", bench.a, 100, bench.b, 0);
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    assert_int_equal(owner_port(&bench, 100), fake_redis_port(bench.b));
    assert_int_equal(metric_get(&bench.metrics.nodes_connected), 3); /* the seed, by number, is another */
    assert_int_equal(fake_names_count("redis.test"), 2);
    teardown(&bench);
}

static void test_destroyed_while_a_name_hangs_it_does_not_wait(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_hold("redis.test", true);
    struct status status;
    bench.topology = create(&bench, "redis.test:6379", &status);
    assert_non_null(bench.topology);
    turn_until(bench.loop, fake_names_count_inside() == 1);
    topology_destroy(&bench.topology);
    assert_int_equal(fake_names_count_inside(), 1);
    fake_names_hold("redis.test", false);
    turn_until(bench.loop, fake_names_count_inside() == 0);
    teardown(&bench);
}

static void test_a_server_without_cluster_mode_owns_all(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_slots(bench.a, "-ERR This instance has cluster support disabled\r\n");
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    assert_int_equal(owner_port(&bench, 0), fake_redis_port(bench.a));
    assert_int_equal(owner_port(&bench, 16383), fake_redis_port(bench.a));
    assert_int_equal(metric_get(&bench.metrics.errors_other), 0);
    teardown(&bench);
}

static void test_one_of_several_without_cluster_mode_owns_nothing(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_slots(bench.a, "-ERR This instance has cluster support disabled\r\n");
    fake_redis_set_slots(bench.b, "-ERR This instance has cluster support disabled\r\n");
    begin(&bench, true);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes_failed) == 1);
    assert_null(topology_owner(bench.topology, 0));
    teardown(&bench);
}

/* Such as another's Redis at the address of a node that is gone. */
static void test_a_node_without_cluster_mode_that_a_map_named_gets_nothing(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.refresh_every_us = 2000;
    fake_redis_set_slots(bench.b, "-ERR This instance has cluster support disabled\r\n");
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    topology_refresh_soon(bench.topology);
    while (metric_get(&bench.metrics.refreshes_failed) == 0) { /* until the random choice falls on it */
        topology_refresh_soon(bench.topology);
        ev_run(bench.loop, EVRUN_ONCE);
    }
    assert_int_equal(owner_port(&bench, 0), fake_redis_port(bench.a));
    assert_int_equal(owner_port(&bench, 16383), fake_redis_port(bench.b));
    teardown(&bench);
}

static void test_two_nodes_that_name_each_other_are_asked_no_more_often(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.b, 100, bench.b, 0);
    fake_redis_set_owners(bench.b, "127.0.0.1", bench.a, 100, bench.a, 0);
    begin(&bench, true);
    for (uint64_t n_refreshes = 1; n_refreshes <= 4; n_refreshes++) {
        turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == n_refreshes);
        turn_until(bench.loop, topology_is_ready(bench.topology));
        assert_int_equal(owner_port(&bench, 0), owner_port(&bench, 16383));
        assert_in_range(fake_redis_count(bench.a, "CLUSTER") + fake_redis_count(bench.b, "CLUSTER"),
                        n_refreshes, n_refreshes + 1);
        topology_refresh_soon(bench.topology);
    }
    assert_int_equal(metric_get(&bench.metrics.refreshes_failed), 0);
    teardown(&bench);
}

#define MASTER "*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n"

static void test_a_malformed_map_changes_nothing(void **state) {
    (void)state;
    static const char *const replies[] = {
        "+OK\r\n",
        ":16384\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "-ERR unknown subcommand\r\n",
        "*1\r\n:5\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*2\r\n:0\r\n:16383\r\n",                  /* no master */
        "*1\r\n*3\r\n:0\r\n:16384\r\n" MASTER,           /* a slot too many */
        "*1\r\n*3\r\n:-1\r\n:16383\r\n" MASTER,          /* one below the first */
        "*1\r\n*3\r\n:16383\r\n:0\r\n" MASTER,           /* backwards */
        "*1\r\n*3\r\n$1\r\n0\r\n$5\r\n16383\r\n" MASTER, /* numbers as strings */
        "*1\r\n*3\r\n:0\r\n:9223372036854775807\r\n" MASTER,
        "*2\r\n*3\r\n:0\r\n:16383\r\n" MASTER "*3\r\n:0\r\n:16383\r\n" MASTER,
        "*1\r\n*3\r\n:0\r\n:16383\r\n*0\r\n",
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:0\r\n",
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:65536\r\n",
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n:1\r\n:7001\r\n",
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$3\r\na b\r\n:7001\r\n",
    };
    struct bench bench;
    setup(&bench);
    bench.refresh_every_us = 2000;
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        uint64_t n_failed = metric_get(&bench.metrics.refreshes_failed);
        fake_redis_set_slots(bench.a, replies[i]);
        fake_redis_set_slots(bench.b, replies[i]);
        fake_redis_forget(bench.a);
        fake_redis_forget(bench.b);
        topology_refresh_soon(bench.topology);
        turn_until(bench.loop, metric_get(&bench.metrics.refreshes_failed) > n_failed);
        assert_int_equal(owner_port(&bench, 0), fake_redis_port(bench.a));
        assert_int_equal(owner_port(&bench, 16383), fake_redis_port(bench.b));
    }
    assert_true(topology_is_ready(bench.topology));
    assert_int_equal(metric_get(&bench.metrics.disconnects), 0);
    assert_int_equal(metric_get(&bench.metrics.refreshes), 1);
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.b, 100, bench.a, 0);
    fake_redis_set_owners(bench.b, "127.0.0.1", bench.b, 100, bench.a, 0);
    turn_until(bench.loop, owner_port(&bench, 0) == fake_redis_port(bench.b)); /* it goes on asking */
    teardown(&bench);
}

static void test_the_first_map_may_have_holes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.a, 100, bench.b, 10);
    begin(&bench, false);
    turn_until(bench.loop, metric_get(&bench.metrics.slots_covered) == 16374);
    assert_int_equal(owner_port(&bench, 16373), fake_redis_port(bench.b));
    assert_null(topology_owner(bench.topology, 16374));
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.a, 100, bench.b, 0);
    turn_until(bench.loop, topology_is_ready(bench.topology)); /* it goes on asking */
    teardown(&bench);
}

static void test_a_map_with_holes_does_not_replace_a_complete_one(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.b, 100, bench.a, 10);
    fake_redis_set_owners(bench.b, "127.0.0.1", bench.b, 100, bench.a, 10);
    topology_refresh_soon(bench.topology);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes_failed) == 1);
    assert_int_equal(owner_port(&bench, 0), fake_redis_port(bench.a));
    assert_int_equal(owner_port(&bench, 16383), fake_redis_port(bench.b));
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.b, 100, bench.a, 0);
    fake_redis_set_owners(bench.b, "127.0.0.1", bench.b, 100, bench.a, 0);
    turn_until(bench.loop, owner_port(&bench, 0) == fake_redis_port(bench.b));
    teardown(&bench);
}

static void test_refreshes_are_apart_however_often_asked(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    int64_t first_at_us = clock_mono_us();
    for (int i = 0; i < 1000; i++) {
        topology_refresh_soon(bench.topology);
    }
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    assert_true(clock_mono_us() - first_at_us > REFRESH_EVERY_US * 9 / 10);
    assert_int_equal(fake_redis_count(bench.a, "CLUSTER") + fake_redis_count(bench.b, "CLUSTER"), 2);
    teardown(&bench);
}

static void test_a_refresh_without_a_reply_is_given_up_and_tried_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_slots(bench.a, "");
    begin(&bench, false);
    turn_until(bench.loop, fake_redis_count(bench.a, "CLUSTER") == 1);
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.a, 100, bench.b, 0);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes_failed) == 1);
    fake_redis_send(bench.a, "+late\r\n");
    turn_until(bench.loop, topology_is_ready(bench.topology));
    assert_int_equal(metric_get(&bench.metrics.late_replies), 1);
    teardown(&bench);
}

static void test_a_moved_slot_is_patched_and_the_map_read_anew(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    topology_move_slot(bench.topology, 7, topology_owner(bench.topology, 16383));
    assert_int_equal(owner_port(&bench, 7), fake_redis_port(bench.b));
    assert_int_equal(owner_port(&bench, 6), fake_redis_port(bench.a));
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    assert_int_equal(owner_port(&bench, 7), fake_redis_port(bench.a)); /* the map says otherwise */
    teardown(&bench);
}

static void test_nothing_up_at_the_start_is_joined_when_it_appears(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    uint16_t port = fake_redis_port(bench.a);
    fake_redis_stop(&bench.a);
    char nodes[64];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)port);
    struct status status;
    bench.topology = create(&bench, nodes, &status);
    turn_until(bench.loop, metric_get(&bench.metrics.connects_failed) == 2);
    assert_null(topology_owner(bench.topology, 0));
    bench.a = fake_redis_start(bench.loop, port);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    teardown(&bench);
}

static void test_the_same_address_is_the_same_node(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, true);
    struct node_addr addr = {.host = "127.0.0.1", .port = fake_redis_port(bench.b)};
    const struct topology_node *node = topology_node_at(bench.topology, &addr);
    assert_true(node->is_seed);
    assert_ptr_equal(topology_node_at(bench.topology, &addr), node);
    addr.port = 1;
    const struct topology_node *other = topology_node_at(bench.topology, &addr);
    assert_ptr_not_equal(other, node);
    assert_false(other->is_seed);
    teardown(&bench);
}

static void test_a_thousand_nodes_are_enough(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    begin(&bench, false);
    struct node_addr addr = {.host = "127.0.0.1"};
    for (uint16_t i = 1; i < 1000; i++) {
        addr.port = i;
        assert_non_null(topology_node_at(bench.topology, &addr));
    }
    addr.port = 1000;
    assert_null(topology_node_at(bench.topology, &addr));
    addr.port = 999;
    assert_non_null(topology_node_at(bench.topology, &addr));
    teardown(&bench);
}

static void ignore_end(struct redis_command *command, enum redis_command_end end,
                       const struct redis_reply *reply) {
    (void)command;
    (void)end;
    (void)reply;
}

static void test_a_node_that_nobody_names_is_dropped(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.refresh_every_us = 2000;
    begin(&bench, false);
    turn_until(bench.loop, topology_is_ready(bench.topology));
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    struct node_addr addr = {.host = "127.0.0.1", .port = fake_redis_port(c)};
    const struct topology_node *node = topology_node_at(bench.topology, &addr);
    assert_int_equal(node->number, 2);
    struct redis_command command = {.head = of("*1\r\n$3\r\nGET\r\n"), .n_replies = 1, .ended = ignore_end};
    assert_int_equal(redis_conn_submit(node->conn, &command), REDIS_SUBMIT_QUEUED);
    turn_until(bench.loop, clock_mono_us() - node->named_at_us > 100 * bench.refresh_every_us);
    assert_int_equal(metric_get(&bench.metrics.nodes_connected), 3); /* it has a command under way */
    fake_redis_send(c, "+OK\r\n");
    turn_until(bench.loop, metric_get(&bench.metrics.nodes_connected) == 2);
    assert_true(topology_is_ready(bench.topology));
    addr.port = 1;
    assert_int_equal(topology_node_at(bench.topology, &addr)->number, 2); /* its place is free again */
    fake_redis_stop(&c);
    teardown(&bench);
}

static void test_a_bad_list_of_nodes_is_refused_by_name(void **state) {
    (void)state;
    static const char *const lists[] = {"", "host", "127.0.0.1:1,", "127.0.0.1:1,nonsense", "127.0.0.1:70000"};
    static const char *const reasons[] = {"\"\" is not HOST:PORT", "\"host\" is not HOST:PORT",
                                          "\"\" is not HOST:PORT", "\"nonsense\" is not HOST:PORT",
                                          "\"127.0.0.1:70000\" is not HOST:PORT"};
    struct bench bench;
    setup(&bench);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct status status;
        assert_null(create(&bench, lists[i], &status));
        assert_string_equal(status.text, reasons[i]);
    }
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rest_is_learnt_from_one_seed),
        cmocka_unit_test(test_a_lost_owner_is_not_ready_and_has_the_map_read_anew),
        cmocka_unit_test(test_hosts_left_out_are_that_of_the_seed),
        cmocka_unit_test(test_a_map_may_name_nodes_by_name),
        cmocka_unit_test(test_destroyed_while_a_name_hangs_it_does_not_wait),
        cmocka_unit_test(test_a_server_without_cluster_mode_owns_all),
        cmocka_unit_test(test_one_of_several_without_cluster_mode_owns_nothing),
        cmocka_unit_test(test_a_node_without_cluster_mode_that_a_map_named_gets_nothing),
        cmocka_unit_test(test_two_nodes_that_name_each_other_are_asked_no_more_often),
        cmocka_unit_test(test_a_malformed_map_changes_nothing),
        cmocka_unit_test(test_the_first_map_may_have_holes),
        cmocka_unit_test(test_a_map_with_holes_does_not_replace_a_complete_one),
        cmocka_unit_test(test_refreshes_are_apart_however_often_asked),
        cmocka_unit_test(test_a_refresh_without_a_reply_is_given_up_and_tried_again),
        cmocka_unit_test(test_a_moved_slot_is_patched_and_the_map_read_anew),
        cmocka_unit_test(test_nothing_up_at_the_start_is_joined_when_it_appears),
        cmocka_unit_test(test_the_same_address_is_the_same_node),
        cmocka_unit_test(test_a_thousand_nodes_are_enough),
        cmocka_unit_test(test_a_node_that_nobody_names_is_dropped),
        cmocka_unit_test(test_a_bad_list_of_nodes_is_refused_by_name),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
