/* test_backoff.c — pauses grow to a bound and never reach it. */
#include "tests/support/test_prelude.h"

#include "client/backoff.h"

static void test_bound_doubles_up_to_the_largest(void **state) {
    (void)state;
    assert_int_equal(backoff_bound_ms(50, 2000, 0), 50);
    assert_int_equal(backoff_bound_ms(50, 2000, 1), 100);
    assert_int_equal(backoff_bound_ms(50, 2000, 5), 1600);
    assert_int_equal(backoff_bound_ms(50, 2000, 6), 2000);
    assert_int_equal(backoff_bound_ms(50, 2000, UINT32_MAX), 2000);
    assert_int_equal(backoff_bound_ms(50, 20, 0), 20);
    assert_int_equal(backoff_bound_ms(1, UINT32_MAX, 40), UINT32_MAX);
}

static void test_draws_fill_the_whole_range(void **state) {
    unsigned n_low = 0, n_high = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        double pause_s = backoff_draw_s(0.5);
        assert_true(pause_s >= 0 && pause_s < 0.5);
        n_low += pause_s < 0.125;
        n_high += pause_s >= 0.375;
    }
    assert_in_range(n_low, 150, 350);
    assert_in_range(n_high, 150, 350);
    assert_true(backoff_draw_s(0) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_doubles_up_to_the_largest),
        cmocka_unit_test(test_draws_fill_the_whole_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
