/* test_window.c — the rules of window.h, one example each; tests/property has the random traces. */
#include "tests/support/test_prelude.h"

#include "server/core/window.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define DAY_US (1440 * MINUTE_US)
#define START_US (MINUTE_US * 30000000) /* a minute begins, in 2027 */

static const struct window fixed = {CALENDAR_MINUTE, false, 100};
static const struct window sliding = {CALENDAR_MINUTE, true, 100};

static struct window_counts used(int64_t previous, int64_t current) {
    return (struct window_counts){previous, current};
}

static void assert_counts(struct window_counts counts, int64_t previous, int64_t current) {
    assert_int_equal(counts.previous_tokens, previous);
    assert_int_equal(counts.current_tokens, current);
}

static void test_counts_are_packed_and_clamped(void **state) {
    (void)state;
    const struct window widest = {CALENDAR_MONTH, true, 1000000000};
    assert_int_equal(window_pack(used(0, 0)), 0);
    assert_counts(window_unpack(&fixed, window_pack(used(3, 200))), 3, 200);
    assert_counts(window_unpack(&fixed, window_pack(used(201, 4000000000))), 200, 200);
    assert_counts(window_unpack(&widest, window_pack(used(2000000000, 1999999999))), 2000000000, 1999999999);
    assert_counts(window_unpack(&widest, -1), 2000000000, 2000000000);
}

static void test_counts_move_with_the_periods(void **state) {
    (void)state;
    int64_t last_us = START_US + MINUTE_US - 1;
    assert_counts(window_move(&fixed, used(5, 7), START_US, last_us), 5, 7);
    assert_counts(window_move(&fixed, used(5, 7), last_us, last_us + 1), 7, 0);
    assert_counts(window_move(&fixed, used(5, 7), START_US, START_US + 2 * MINUTE_US - 1), 7, 0);
    assert_counts(window_move(&fixed, used(5, 7), last_us, START_US + 2 * MINUTE_US), 0, 0);
}

static void test_fixed_window_is_full_again_at_its_end(void **state) {
    (void)state;
    assert_int_equal(window_left_tokens(&fixed, used(100, 0), START_US), 100);
    assert_int_equal(window_left_tokens(&fixed, used(100, 99), START_US + 7), 1);
    assert_int_equal(window_grants_at(&fixed, used(100, 99), 1, START_US + 7), START_US + 7);
    assert_int_equal(window_grants_at(&fixed, used(100, 99), 2, START_US + 7), START_US + MINUTE_US);
    assert_int_equal(window_full_at(&fixed, used(100, 1), START_US + 7), START_US + MINUTE_US);
    assert_int_equal(window_full_at(&fixed, used(100, 0), START_US + 7), START_US + 7);
}

static void test_what_was_granted_elsewhere_leaves_less_than_nothing(void **state) {
    (void)state;
    assert_int_equal(window_left_tokens(&fixed, used(0, 150), START_US), -50);
    assert_int_equal(window_left_tokens(&fixed, used(0, 200), START_US), -100);
    assert_int_equal(window_left_tokens(&sliding, used(200, 200), START_US), -100);
    assert_int_equal(window_grants_at(&fixed, used(0, 200), 100, START_US), START_US + MINUTE_US);
}

static void test_previous_window_fades(void **state) {
    (void)state;
    assert_int_equal(window_left_tokens(&sliding, used(60, 0), START_US), 40);
    assert_int_equal(window_left_tokens(&sliding, used(60, 0), START_US + SECOND_US), 41);
    assert_int_equal(window_left_tokens(&sliding, used(60, 0), START_US + SECOND_US - 1), 40);
    assert_int_equal(window_left_tokens(&sliding, used(60, 30), START_US + 30 * SECOND_US), 40);
    assert_int_equal(window_left_tokens(&sliding, used(60, 30), START_US + MINUTE_US - 1), 69);
    assert_int_equal(window_left_tokens(&sliding, used(0, 30), START_US + MINUTE_US - 1), 70);
}

/* At the edge nothing comes free at once: what was current counts in full, as the previous one. */
static void test_nothing_comes_free_at_the_edge(void **state) {
    (void)state;
    int64_t end_us = START_US + MINUTE_US;
    struct window_counts next = window_move(&sliding, used(0, 100), end_us - 1, end_us);
    assert_counts(next, 100, 0);
    assert_int_equal(window_left_tokens(&sliding, next, end_us), 0);
    assert_int_equal(window_left_tokens(&sliding, next, end_us + 600000), 1);
}

static void test_grant_in_this_window(void **state) {
    (void)state;
    int64_t grants_us = window_grants_at(&sliding, used(60, 50), 10, START_US);
    assert_int_equal(grants_us, START_US + 20 * SECOND_US);
    assert_int_equal(window_left_tokens(&sliding, used(60, 50), grants_us - 1), 9);
    assert_int_equal(window_left_tokens(&sliding, used(60, 50), grants_us), 10);
}

static void test_grant_in_the_next_window(void **state) {
    (void)state;
    int64_t end_us = START_US + MINUTE_US;
    int64_t grants_us = window_grants_at(&sliding, used(60, 100), 1, START_US);
    assert_int_equal(grants_us, end_us + 600000);
    assert_int_equal(window_left_tokens(&sliding, used(100, 0), grants_us - 1), 0);
    assert_int_equal(window_left_tokens(&sliding, used(100, 0), grants_us), 1);
    assert_int_equal(window_grants_at(&sliding, used(0, 1), 100, START_US), end_us + MINUTE_US);
    assert_int_equal(window_grants_at(&sliding, used(0, 200), 1, START_US),
                     end_us + (int64_t)(MINUTE_US * 101.0 / 200));
}

static void test_sliding_window_is_full_when_nothing_counts(void **state) {
    (void)state;
    assert_int_equal(window_full_at(&sliding, used(0, 0), START_US + 7), START_US + 7);
    assert_int_equal(window_full_at(&sliding, used(1, 0), START_US + 7), START_US + MINUTE_US);
    assert_int_equal(window_full_at(&sliding, used(1, 1), START_US + 7), START_US + 2 * MINUTE_US);
}

/* February 2026 has 28 days, March 31. */
static void test_months_slide_by_their_own_lengths(void **state) {
    (void)state;
    const struct window monthly = {CALENDAR_MONTH, true, 1000000000};
    const int64_t march_us = 20513 * DAY_US, april_us = march_us + 31 * DAY_US;
    assert_int_equal(calendar_start(CALENDAR_MONTH, march_us, 0), march_us);
    struct window_counts counts = window_move(&monthly, used(9, 999999999), march_us - 28 * DAY_US, march_us);
    assert_counts(counts, 999999999, 0);
    assert_int_equal(window_left_tokens(&monthly, counts, march_us), 1);
    assert_int_equal(window_left_tokens(&monthly, counts, march_us + 31 * DAY_US / 2), 500000000);
    assert_int_equal(window_full_at(&monthly, counts, march_us), april_us);
    int64_t grants_us = window_grants_at(&monthly, counts, 123456789, march_us);
    assert_int_equal(window_left_tokens(&monthly, counts, grants_us - 1), 123456788);
    assert_int_equal(window_left_tokens(&monthly, counts, grants_us), 123456789);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_packed_and_clamped),
        cmocka_unit_test(test_counts_move_with_the_periods),
        cmocka_unit_test(test_fixed_window_is_full_again_at_its_end),
        cmocka_unit_test(test_what_was_granted_elsewhere_leaves_less_than_nothing),
        cmocka_unit_test(test_previous_window_fades),
        cmocka_unit_test(test_nothing_comes_free_at_the_edge),
        cmocka_unit_test(test_grant_in_this_window),
        cmocka_unit_test(test_grant_in_the_next_window),
        cmocka_unit_test(test_sliding_window_is_full_when_nothing_counts),
        cmocka_unit_test(test_months_slide_by_their_own_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
