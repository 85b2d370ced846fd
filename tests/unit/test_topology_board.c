/* test_topology_board.c — two workers' topologies that share a board: what one has read, the other need not. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/topology.h"
#include "tests/support/fake_redis.h"

#define REFRESH_EVERY_US INT64_C(50000)

enum { N_WORKERS = 2 };

struct bench {
    struct ev_loop *loop;
    struct slot_board *board;
    struct fake_redis *a, *b;
    struct redis_metrics metrics[N_WORKERS];
    struct topology *workers[N_WORKERS];
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void set_owners(struct bench *bench, int split) {
    fake_redis_set_owners(bench->a, "127.0.0.1", bench->a, split, bench->b, 0);
    fake_redis_set_owners(bench->b, "127.0.0.1", bench->a, split, bench->b, 0);
}

static void silence(struct bench *bench) {
    fake_redis_set_slots(bench->a, "");
    fake_redis_set_slots(bench->b, "");
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .board = slot_board_create()};
    assert_non_null(bench->board);
    bench->a = fake_redis_start(bench->loop, 0);
    bench->b = fake_redis_start(bench->loop, 0);
    set_owners(bench, 100);
}

static void start_worker(struct bench *bench, int i) {
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->a));
    struct topology_options options = {
        .nodes = nodes,
        .greeting = of("*1\r\n$6\r\nSCRIPT\r\n"),
        .n_greeting_replies = 1,
        .connect_timeout_us = 500000,
        .refresh_every_us = REFRESH_EVERY_US,
        .max_inflight_per_node = 100,
        .board = bench->board,
    };
    struct status status;
    bench->workers[i] = topology_create(bench->loop, &options, &bench->metrics[i], &status);
    assert_non_null(bench->workers[i]);
}

static bool all_are_ready(const struct bench *bench) {
    return topology_is_ready(bench->workers[0]) && topology_is_ready(bench->workers[1]);
}

static void start_both(struct bench *bench) {
    start_worker(bench, 0);
    start_worker(bench, 1);
    turn_until(bench->loop, all_are_ready(bench));
}

static void teardown(struct bench *bench) {
    topology_destroy(&bench->workers[0]);
    topology_destroy(&bench->workers[1]);
    slot_board_destroy(&bench->board);
    fake_redis_stop(&bench->a);
    fake_redis_stop(&bench->b);
    ev_loop_destroy(bench->loop);
}

static uint16_t owner_port(const struct bench *bench, int i, uint16_t slot) {
    const struct topology_node *node = topology_owner(bench->workers[i], slot);
    return node != NULL ? redis_conn_addr(node->conn)->port : 0;
}

static unsigned count_asked(const struct bench *bench) {
    return fake_redis_count(bench->a, "CLUSTER") + fake_redis_count(bench->b, "CLUSTER");
}

/* Over both workers. */
static uint64_t count_refreshes(const struct bench *bench) {
    return metric_get(&bench->metrics[0].refreshes) + metric_get(&bench->metrics[1].refreshes);
}

static uint64_t count_adopted(const struct bench *bench) {
    return metric_get(&bench->metrics[0].refreshes_adopted) + metric_get(&bench->metrics[1].refreshes_adopted);
}

static void test_at_the_start_one_asks_for_both(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    start_both(&bench);
    assert_int_equal(count_asked(&bench), 1);
    assert_int_equal(count_refreshes(&bench), 1);
    assert_int_equal(count_adopted(&bench), 1);
    for (int i = 0; i < N_WORKERS; i++) {
        assert_int_equal(owner_port(&bench, i, 99), fake_redis_port(bench.a));
        assert_int_equal(owner_port(&bench, i, 100), fake_redis_port(bench.b));
    }
    teardown(&bench);
}

static void test_one_that_starts_later_adopts_at_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    start_worker(&bench, 0);
    turn_until(bench.loop, topology_is_ready(bench.workers[0]));
    silence(&bench);
    start_worker(&bench, 1);
    turn_until(bench.loop, topology_is_ready(bench.workers[1]));
    int64_t ready_at_us = clock_mono_us();
    turn_until(bench.loop, clock_mono_us() - ready_at_us > 2 * REFRESH_EVERY_US);
    assert_int_equal(count_asked(&bench), 1);
    assert_int_equal(count_adopted(&bench), 1);
    teardown(&bench);
}

static void test_a_moved_slot_that_both_see_is_asked_for_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    start_both(&bench);
    set_owners(&bench, 200);
    for (int i = 0; i < N_WORKERS; i++) {
        topology_move_slot(bench.workers[i], 150, topology_owner(bench.workers[i], 99));
    }
    turn_until(bench.loop, owner_port(&bench, 0, 199) == fake_redis_port(bench.a));
    turn_until(bench.loop, owner_port(&bench, 1, 199) == fake_redis_port(bench.a));
    assert_int_equal(count_asked(&bench), 2);
    assert_int_equal(count_refreshes(&bench), 2);
    assert_int_equal(count_adopted(&bench), 2);
    teardown(&bench);
}

/* However often both want it, questions are apart as if there were but one. */
static void test_together_they_ask_no_more_often_than_one(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    int64_t begun_at_us = clock_mono_us();
    start_both(&bench);
    while (count_asked(&bench) < 4) {
        topology_refresh_soon(bench.workers[0]);
        topology_refresh_soon(bench.workers[1]);
        ev_run(bench.loop, EVRUN_NOWAIT);
    }
    assert_true(clock_mono_us() - begun_at_us >= 3 * REFRESH_EVERY_US);
    assert_true(count_adopted(&bench) >= 2);
    teardown(&bench);
}

static void test_when_the_asker_gets_no_reply_the_other_asks(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    silence(&bench);
    start_worker(&bench, 0);
    turn_until(bench.loop, count_asked(&bench) == 1);
    start_worker(&bench, 1);
    set_owners(&bench, 100);
    turn_until(bench.loop, all_are_ready(&bench));
    assert_int_equal(count_asked(&bench), 2);
    teardown(&bench);
}

static void test_when_the_asker_is_gone_the_other_asks(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    silence(&bench);
    start_worker(&bench, 0);
    turn_until(bench.loop, count_asked(&bench) == 1);
    topology_destroy(&bench.workers[0]);
    start_worker(&bench, 1);
    set_owners(&bench, 100);
    turn_until(bench.loop, topology_is_ready(bench.workers[1]));
    assert_int_equal(count_asked(&bench), 2);
    teardown(&bench);
}

static void test_a_plain_redis_is_asked_once_for_both(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_slots(bench.a, "-ERR This instance has cluster support disabled\r\n");
    start_both(&bench);
    assert_int_equal(count_asked(&bench), 1);
    for (int i = 0; i < N_WORKERS; i++) {
        assert_int_equal(owner_port(&bench, i, 0), fake_redis_port(bench.a));
        assert_int_equal(owner_port(&bench, i, 16383), fake_redis_port(bench.a));
        assert_int_equal(metric_get(&bench.metrics[i].nodes_connected), 1);
    }
    teardown(&bench);
}

static void test_a_map_with_holes_is_shared_and_asked_for_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_owners(bench.a, "127.0.0.1", bench.a, 100, bench.b, 10);
    start_worker(&bench, 0);
    start_worker(&bench, 1);
    turn_until(bench.loop, metric_get(&bench.metrics[0].slots_covered) == 16374);
    turn_until(bench.loop, metric_get(&bench.metrics[1].slots_covered) == 16374);
    set_owners(&bench, 100);
    turn_until(bench.loop, all_are_ready(&bench));
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_the_start_one_asks_for_both),
        cmocka_unit_test(test_one_that_starts_later_adopts_at_once),
        cmocka_unit_test(test_a_moved_slot_that_both_see_is_asked_for_once),
        cmocka_unit_test(test_together_they_ask_no_more_often_than_one),
        cmocka_unit_test(test_when_the_asker_gets_no_reply_the_other_asks),
        cmocka_unit_test(test_when_the_asker_is_gone_the_other_asks),
        cmocka_unit_test(test_a_plain_redis_is_asked_once_for_both),
        cmocka_unit_test(test_a_map_with_holes_is_shared_and_asked_for_again),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
