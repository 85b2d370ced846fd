/* test_refresh.c — when the slot map is read, of a scripted node, and what becomes of a question. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/store/refresh.h"
#include "tests/support/fake_redis.h"

#define EVERY_US INT64_C(20000)

struct bench {
    struct ev_loop *loop;
    struct fake_redis *fake;
    struct redis_metrics metrics;
    struct redis_conn_options conn_options;
    struct redis_conn *conn;
    struct slot_board *board;
    struct refresh refresh;
    bool has_node, is_good;
    unsigned n_read, n_adopted;
    int64_t asked_at_us;
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static struct redis_conn *choose(void *arg) {
    struct bench *bench = arg;
    return bench->has_node ? bench->conn : NULL;
}

static bool read_map(void *arg, const struct redis_conn *from, const struct redis_reply *reply,
                     int64_t asked_at_us) {
    struct bench *bench = arg;
    assert_ptr_equal(from, bench->conn);
    assert_int_equal(reply->kind, REDIS_KIND_STATUS);
    bench->n_read++;
    bench->asked_at_us = asked_at_us;
    return bench->is_good;
}

static bool adopt(void *arg, const struct slot_record *record) {
    struct bench *bench = arg;
    bench->n_adopted++;
    bench->asked_at_us = record->asked_at_us;
    return bench->is_good;
}

static void on_up(void *arg) {
    (void)arg;
}

static void on_down(void *arg, bool was_up, enum log_level level, const char *reason) {
    (void)was_up;
    (void)level;
    (void)reason;
    refresh_soon(&((struct bench *)arg)->refresh);
}

static void setup(struct bench *bench, bool has_board) {
    static const struct refresh_ops ops = {.choose = choose, .read = read_map, .adopt = adopt};
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO), .has_node = true, .is_good = true};
    bench->fake = fake_redis_start(bench->loop, 0);
    fake_redis_set_slots(bench->fake, "+map\r\n");
    bench->board = has_board ? slot_board_create() : NULL;
    bench->conn_options = (struct redis_conn_options){
        .greeting = of("*1\r\n$6\r\nSCRIPT\r\n"),
        .n_greeting_replies = 1,
        .connect_timeout_us = 500000,
        .max_inflight = 100,
        .metrics = &bench->metrics,
        .on_up = on_up,
        .on_down = on_down,
    };
    struct refresh_options options = {
        .ops = &ops, .arg = bench, .every_us = EVERY_US, .board = bench->board, .metrics = &bench->metrics};
    assert_true(refresh_init(&bench->refresh, bench->loop, &options));
    struct node_addr addr = {.host = "127.0.0.1", .port = fake_redis_port(bench->fake)};
    bench->conn = redis_conn_create(bench->loop, &addr, &bench->conn_options, bench);
    turn_until(bench->loop, redis_conn_is_up(bench->conn));
}

static void teardown(struct bench *bench) {
    refresh_deinit(&bench->refresh);
    redis_conn_destroy(&bench->conn);
    slot_board_destroy(&bench->board);
    fake_redis_stop(&bench->fake);
    ev_loop_destroy(bench->loop);
}

static unsigned count_asked(const struct bench *bench) {
    return fake_redis_count(bench->fake, "CLUSTER");
}

/* As another worker would. */
static void pin(struct bench *bench, int64_t asked_at_us) {
    static const struct slotmap empty;
    struct slot_record *record = slot_record_create(&empty, 0);
    assert_non_null(record);
    record->asked_at_us = asked_at_us;
    slot_board_pin(bench->board, &record);
}

static void claim(struct bench *bench) {
    struct slot_look look = {.now_us = clock_mono_us(), .every_us = EVERY_US, .may_ask = true};
    assert_int_equal(slot_board_look(bench->board, &look), SLOT_BOARD_ASK);
}

static void test_the_first_comes_at_once_the_next_after_a_while(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, false);
    refresh_soon(&bench.refresh);
    assert_int_equal(bench.n_read, 0);
    turn_until(bench.loop, bench.n_read == 1);
    int64_t first_at_us = bench.asked_at_us;
    assert_false(refresh_is_overdue(&bench.refresh));
    refresh_soon(&bench.refresh);
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.n_read == 2);
    assert_true(bench.asked_at_us - first_at_us >= EVERY_US * 9 / 10); /* libev rounds by its own clock */
    assert_int_equal(count_asked(&bench), 2);
    assert_int_equal(metric_get(&bench.metrics.refreshes), 2);
    teardown(&bench);
}

static void test_wanted_while_asked_it_is_read_once_more(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, false);
    fake_redis_set_slots(bench.fake, "");
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, count_asked(&bench) == 1);
    refresh_soon(&bench.refresh);
    fake_redis_set_slots(bench.fake, "+map\r\n");
    fake_redis_send(bench.fake, "+map\r\n");
    turn_until(bench.loop, bench.n_read == 2);
    assert_int_equal(metric_get(&bench.metrics.refreshes_failed), 0);
    teardown(&bench);
}

static void test_a_map_that_will_not_do_is_read_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, false);
    bench.is_good = false;
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.n_read == 2);
    bench.is_good = true;
    turn_until(bench.loop, bench.n_read == 3);
    assert_int_equal(metric_get(&bench.metrics.refreshes_failed), 2);
    assert_int_equal(metric_get(&bench.metrics.refreshes), 1);
    teardown(&bench);
}

static void test_without_a_reply_it_is_asked_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, false);
    fake_redis_set_slots(bench.fake, "");
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes_failed) == 1);
    fake_redis_set_slots(bench.fake, "+map\r\n");
    fake_redis_send(bench.fake, "+late\r\n");
    turn_until(bench.loop, bench.n_read == 1);
    assert_int_equal(metric_get(&bench.metrics.late_replies), 1);
    teardown(&bench);
}

static void test_lost_with_its_connection_it_is_asked_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, false);
    fake_redis_set_slots(bench.fake, "");
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, count_asked(&bench) == 1);
    fake_redis_drop_clients(bench.fake);
    fake_redis_set_slots(bench.fake, "+map\r\n");
    turn_until(bench.loop, bench.n_read == 1);
    assert_in_range(metric_get(&bench.metrics.refreshes_failed), 1, 3); /* more while it backs off */
    teardown(&bench);
}

static void test_without_a_node_it_stays_overdue(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, false);
    bench.has_node = false;
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.refresh.state == REFRESH_IDLE);
    assert_true(refresh_is_overdue(&bench.refresh));
    assert_int_equal(count_asked(&bench), 0);
    bench.has_node = true;
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.n_read == 1);
    assert_false(refresh_is_overdue(&bench.refresh));
    teardown(&bench);
}

static void test_without_a_node_the_boards_map_is_adopted(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, true);
    bench.has_node = false;
    pin(&bench, 7);
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.n_adopted == 1);
    assert_int_equal(bench.asked_at_us, 7);
    assert_int_equal(metric_get(&bench.metrics.refreshes_adopted), 1);
    teardown(&bench);
}

static void test_only_a_map_younger_than_the_want_is_adopted(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, true);
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.n_read == 1);
    int64_t old_us = clock_mono_us();
    turn_until(bench.loop, clock_mono_us() > old_us);
    refresh_soon(&bench.refresh);
    pin(&bench, old_us);
    turn_until(bench.loop, bench.n_read == 2);
    assert_int_equal(bench.n_adopted, 0);
    turn_until(bench.loop, clock_mono_us() - bench.asked_at_us > EVERY_US);
    refresh_soon(&bench.refresh);
    int64_t young_us = clock_mono_us() + 1;
    pin(&bench, young_us);
    turn_until(bench.loop, bench.n_adopted == 1);
    assert_int_equal(bench.asked_at_us, young_us);
    assert_int_equal(count_asked(&bench), 2);
    teardown(&bench);
}

static void test_while_another_asks_it_waits_and_then_adopts(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, true);
    claim(&bench);
    refresh_soon(&bench.refresh);
    int64_t begun_at_us = clock_mono_us();
    turn_until(bench.loop, clock_mono_us() - begun_at_us > EVERY_US / 4);
    assert_int_equal(count_asked(&bench), 0);
    pin(&bench, begun_at_us);
    turn_until(bench.loop, bench.n_adopted == 1);
    assert_int_equal(count_asked(&bench), 0);
    teardown(&bench);
}

static void test_when_the_other_gets_no_answer_it_asks_itself(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, true);
    claim(&bench);
    int64_t claimed_at_us = clock_mono_us();
    refresh_soon(&bench.refresh);
    turn_until(bench.loop, bench.n_read == 1);
    assert_true(bench.asked_at_us - claimed_at_us > EVERY_US * 9 / 10);
    assert_int_equal(bench.n_adopted, 0);
    teardown(&bench);
}

static void test_an_adopted_map_that_will_not_do_has_another_read(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, true);
    bench.is_good = false;
    refresh_soon(&bench.refresh);
    pin(&bench, clock_mono_us() + 1); /* younger than the want, but not to be adopted twice */
    turn_until(bench.loop, bench.n_adopted == 1);
    bench.is_good = true;
    turn_until(bench.loop, bench.n_read == 1);
    assert_int_equal(bench.n_adopted, 1);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_comes_at_once_the_next_after_a_while),
        cmocka_unit_test(test_wanted_while_asked_it_is_read_once_more),
        cmocka_unit_test(test_a_map_that_will_not_do_is_read_again),
        cmocka_unit_test(test_without_a_reply_it_is_asked_again),
        cmocka_unit_test(test_lost_with_its_connection_it_is_asked_again),
        cmocka_unit_test(test_without_a_node_it_stays_overdue),
        cmocka_unit_test(test_without_a_node_the_boards_map_is_adopted),
        cmocka_unit_test(test_only_a_map_younger_than_the_want_is_adopted),
        cmocka_unit_test(test_while_another_asks_it_waits_and_then_adopts),
        cmocka_unit_test(test_when_the_other_gets_no_answer_it_asks_itself),
        cmocka_unit_test(test_an_adopted_map_that_will_not_do_has_another_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
