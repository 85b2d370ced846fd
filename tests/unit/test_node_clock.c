/* test_node_clock.c — which reading of a node's clock counts, in virtual time. */
#include "tests/support/test_prelude.h"

#include "server/store/node_clock.h"

#define S INT64_C(1000000)
#define MS INT64_C(1000)
#define WALL_US (1800000000 * S)

/* Reads a clock that is `ahead_us` when it is read, `there_us` after being asked and `back_us` before the answer. */
static bool read_at(struct node_clock *clock, int64_t at_us, int64_t ahead_us, int64_t there_us,
                    int64_t back_us) {
    int64_t node_us = WALL_US + at_us + there_us + ahead_us;
    int64_t now_us = at_us + there_us + back_us;
    return node_clock_read(clock, node_us, WALL_US + now_us, at_us, now_us);
}

static int64_t ahead_at(const struct node_clock *clock, int64_t now_us) {
    int64_t ahead_us;
    assert_true(node_clock_ahead(clock, now_us, &ahead_us));
    return ahead_us;
}

static void test_even_round_trip_tells_exactly(void **state) {
    (void)state;
    struct node_clock ahead = {0}, behind = {0};
    assert_true(read_at(&ahead, 5 * S, 1500 * MS, 200, 200));
    assert_int_equal(ahead_at(&ahead, 6 * S), 1500 * MS);
    assert_true(read_at(&behind, 5 * S, -86400 * S, 0, 0));
    assert_int_equal(ahead_at(&behind, 6 * S), -86400 * S);
}

static void test_shortest_round_trip_of_the_last_few_counts(void **state) {
    (void)state;
    struct node_clock clock = {0};
    assert_true(read_at(&clock, 0, 7, 20 * MS, 0));
    assert_int_equal(ahead_at(&clock, 1 * S), 7 + 10 * MS);
    assert_true(read_at(&clock, 2 * S, 7, 100, 300));
    assert_int_equal(ahead_at(&clock, 3 * S), 7 - 100);
    for (int64_t i = 2; i < 2 + NODE_CLOCK_READINGS - 1; i++) {
        assert_true(read_at(&clock, 2 * i * S, 7, 0, 50 * MS));
        assert_int_equal(ahead_at(&clock, (2 * i + 1) * S), 7 - 100);
    }
    assert_true(read_at(&clock, 60 * S, 7, 0, 50 * MS)); /* the good one is too long ago */
    assert_int_equal(ahead_at(&clock, 61 * S), 7 - 25 * MS);
}

static void test_slow_reading_is_not_used(void **state) {
    (void)state;
    struct node_clock clock = {0};
    int64_t ahead_us;
    assert_false(read_at(&clock, 0, 0, 50 * MS, 50 * MS + 1));
    assert_false(node_clock_ahead(&clock, S, &ahead_us));
    assert_true(read_at(&clock, 2 * S, 0, 50 * MS, 50 * MS));
    assert_int_equal(ahead_at(&clock, 3 * S), 0);
}

static void test_step_shows_with_the_next_reading(void **state) {
    (void)state;
    struct node_clock clock = {0};
    assert_true(read_at(&clock, 0, 0, 10, 10));
    assert_true(read_at(&clock, 2 * S, 10 * S, 5 * MS, 5 * MS)); /* the node's, ahead */
    assert_int_equal(ahead_at(&clock, 3 * S), 10 * S);
    assert_true(read_at(&clock, 4 * S, -10 * S, 5 * MS, 5 * MS)); /* and back */
    assert_int_equal(ahead_at(&clock, 5 * S), -10 * S);
    assert_true(read_at(&clock, 6 * S, -10 * S - 3 * MS, 5 * MS, 5 * MS)); /* may be chance */
    assert_int_equal(clock.n_readings, 2);
}

static void test_reading_grows_old(void **state) {
    (void)state;
    struct node_clock clock = {0};
    int64_t ahead_us;
    assert_false(node_clock_ahead(&clock, 0, &ahead_us));
    assert_true(read_at(&clock, 0, 5, 0, 0));
    assert_int_equal(ahead_at(&clock, NODE_CLOCK_VALID_US), 5);
    assert_false(node_clock_ahead(&clock, NODE_CLOCK_VALID_US + 1, &ahead_us));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even_round_trip_tells_exactly),
        cmocka_unit_test(test_shortest_round_trip_of_the_last_few_counts),
        cmocka_unit_test(test_slow_reading_is_not_used),
        cmocka_unit_test(test_step_shows_with_the_next_reading),
        cmocka_unit_test(test_reading_grows_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
