/* test_fleet.c — which number of live frontends counts, and when, in virtual time. */
#include "tests/support/test_prelude.h"

#include "server/quota/fleet.h"

#define S INT64_C(1000000)
#define START_US (1000 * S)

static struct fleet fleet_of(uint32_t assumed_size) {
    struct fleet fleet;
    fleet_init(&fleet, assumed_size, 0x0123456789abcdef, 0xfedcba9876543210);
    return fleet;
}

/* Hears the same number every two seconds from `from_s` to `to_s`, both included; returns how often it changed
 * something. */
static int hear(struct fleet *fleet, int64_t n_live, int64_t from_s, int64_t to_s) {
    int n_changes = 0;
    for (int64_t s = from_s; s <= to_s; s += 2) {
        n_changes += fleet_hear(fleet, n_live, START_US + s * S);
    }
    return n_changes;
}

static void test_assumed_until_the_first_answer(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(7);
    assert_int_equal(fleet.size, 7);
    assert_false(fleet_hear(&fleet, 7, START_US));
    assert_int_equal(fleet.size, 7);
}

static void test_higher_number_counts_at_once(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(1);
    assert_true(fleet_hear(&fleet, 2, START_US));
    assert_true(fleet_hear(&fleet, 5, START_US + 1));
    assert_int_equal(fleet.size, 5);
}

static void test_lower_number_counts_after_ten_steady_seconds(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(3);
    assert_int_equal(hear(&fleet, 2, 0, 8), 0);
    assert_false(fleet_hear(&fleet, 2, START_US + 10 * S - 1));
    assert_int_equal(fleet.size, 3);
    assert_true(fleet_hear(&fleet, 2, START_US + 10 * S));
    assert_int_equal(fleet.size, 2);
    assert_int_equal(hear(&fleet, 2, 12, 60), 0);
}

static void test_highest_of_the_lower_numbers_counts(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(5);
    assert_int_equal(hear(&fleet, 1, 0, 4), 0);
    assert_false(fleet_hear(&fleet, 3, START_US + 6 * S));
    assert_int_equal(hear(&fleet, 2, 8, 8), 0);
    assert_true(fleet_hear(&fleet, 2, START_US + 10 * S));
    assert_int_equal(fleet.size, 3);
    assert_int_equal(hear(&fleet, 2, 12, 20), 0); /* its own ten seconds */
    assert_int_equal(hear(&fleet, 2, 22, 22), 1);
    assert_int_equal(fleet.size, 2);
}

static void test_number_in_force_ends_the_wait_for_a_lower_one(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(3);
    assert_int_equal(hear(&fleet, 2, 0, 8), 0);
    assert_false(fleet_hear(&fleet, 3, START_US + 9 * S));
    assert_int_equal(hear(&fleet, 2, 10, 18), 0);
    assert_int_equal(hear(&fleet, 2, 20, 20), 1);
    assert_int_equal(fleet.size, 2);
}

static void test_last_number_stays_without_answers(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(1);
    assert_int_equal(hear(&fleet, 4, 0, 0), 1);
    assert_false(fleet_hear(&fleet, 0, START_US + 86400 * S));
    assert_int_equal(fleet.size, 4);
    assert_int_equal(hear(&fleet, 4, 86402, 86410), 0);
}

/* Redis answered "2" before it went, and does when it is back: nobody knows what was in between. */
static void test_silence_is_not_steady(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(3);
    assert_false(fleet_hear(&fleet, 2, START_US));
    assert_int_equal(hear(&fleet, 2, 60, 68), 0);
    assert_int_equal(fleet.size, 3);
    assert_int_equal(hear(&fleet, 2, 70, 70), 1);
}

/* An empty Redis: the frontends come back within the seconds that reconnecting and a heartbeat take. */
static void test_restarted_redis_makes_nobody_alone(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(3);
    assert_int_equal(hear(&fleet, 3, 0, 10), 0);
    assert_false(fleet_hear(&fleet, 1, START_US + 30 * S));
    assert_false(fleet_hear(&fleet, 1, START_US + 32 * S));
    assert_false(fleet_hear(&fleet, 2, START_US + 34 * S));
    assert_int_equal(hear(&fleet, 3, 36, 100), 0);
    assert_int_equal(fleet.size, 3);
}

static void test_number_beyond_reason_is_capped_not_cut(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(3);
    assert_true(fleet_hear(&fleet, INT64_C(0x100000001), START_US));
    assert_int_equal(fleet.size, UINT32_MAX);
    assert_false(fleet_hear(&fleet, -5, START_US + S));
}

static void test_pauses_are_spread(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(1);
    int64_t least_us = INT64_MAX, most_us = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t pause_us = fleet_pause_us(&fleet, true);
        least_us = pause_us < least_us ? pause_us : least_us;
        most_us = pause_us > most_us ? pause_us : most_us;
        assert_in_range(fleet_pause_us(&fleet, false), S / 4, 3 * S / 4);
    }
    assert_in_range(least_us, 1800000, 1820000);
    assert_in_range(most_us, 2180000, 2200000);
}

static void test_argument_is_the_id_and_what_is_told(void **state) {
    (void)state;
    struct fleet fleet = fleet_of(1);
    uint8_t out[FLEET_BEAT_MAX_BYTES];
    assert_string_equal(fleet.id, "0123456789abcdeffedcba9876543210");
    assert_int_equal(fleet_write_beat(&fleet, "{}", out), 34);
    assert_memory_equal(out, "0123456789abcdeffedcba9876543210{}", 34);
    assert_int_equal(fleet_write_beat(&fleet, "", out), 32);
    char long_about[1000];
    memset(long_about, 'x', sizeof long_about - 1);
    long_about[sizeof long_about - 1] = '\0';
    assert_int_equal(fleet_write_beat(&fleet, long_about, out), FLEET_BEAT_MAX_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assumed_until_the_first_answer),
        cmocka_unit_test(test_higher_number_counts_at_once),
        cmocka_unit_test(test_lower_number_counts_after_ten_steady_seconds),
        cmocka_unit_test(test_highest_of_the_lower_numbers_counts),
        cmocka_unit_test(test_number_in_force_ends_the_wait_for_a_lower_one),
        cmocka_unit_test(test_last_number_stays_without_answers),
        cmocka_unit_test(test_silence_is_not_steady),
        cmocka_unit_test(test_restarted_redis_makes_nobody_alone),
        cmocka_unit_test(test_number_beyond_reason_is_capped_not_cut),
        cmocka_unit_test(test_pauses_are_spread),
        cmocka_unit_test(test_argument_is_the_id_and_what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
