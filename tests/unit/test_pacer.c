/* test_pacer.c — log time becomes due time. */
#include "tests/support/test_prelude.h"

#include "client/cmd/pacer.h"

enum { S = 1000000 };

static void test_the_first_line_is_due_now_and_the_others_after_it(void **state) {
    struct pacer pacer;
    (void)state;
    pacer_init(&pacer, 1);
    assert_int_equal(pacer_due_us(&pacer, 500 * (int64_t)S, 7000), 7000);
    assert_int_equal(pacer_due_us(&pacer, 503 * (int64_t)S, 9000), 7000 + 3 * S);
    assert_int_equal(pacer_due_us(&pacer, 503 * (int64_t)S, 99 * S), 7000 + 3 * S);
}

static void test_speed_shortens_and_stretches(void **state) {
    struct pacer fast, slow;
    (void)state;
    pacer_init(&fast, 60);
    pacer_init(&slow, 0.5);
    assert_int_equal(pacer_due_us(&fast, 0, 0), 0);
    assert_int_equal(pacer_due_us(&fast, 120 * S, 0), 2 * S);
    assert_int_equal(pacer_due_us(&slow, 0, 0), 0);
    assert_int_equal(pacer_due_us(&slow, 2 * S, 0), 4 * S);
}

static void test_a_line_back_in_time_is_due_with_the_one_above_it(void **state) {
    struct pacer pacer;
    (void)state;
    pacer_init(&pacer, 1);
    assert_int_equal(pacer_due_us(&pacer, 10 * S, 1000), 1000);
    assert_int_equal(pacer_due_us(&pacer, 14 * S, 1000), 1000 + 4 * S);
    assert_int_equal(pacer_due_us(&pacer, 12 * S, 1000), 1000 + 4 * S);
    assert_int_equal(pacer_due_us(&pacer, 3 * S, 1000), 1000 + 4 * S);
    assert_int_equal(pacer_due_us(&pacer, 15 * S, 1000), 1000 + 5 * S);
}

static void test_speed_0_makes_all_due_at_once(void **state) {
    struct pacer pacer;
    (void)state;
    pacer_init(&pacer, 0);
    assert_int_equal(pacer_due_us(&pacer, 10 * S, 1000), 1000);
    assert_int_equal(pacer_due_us(&pacer, 1000 * (int64_t)S, 2000), 1000);
}

static void test_a_tiny_speed_does_not_overflow(void **state) {
    struct pacer pacer;
    (void)state;
    pacer_init(&pacer, 1e-9);
    assert_int_equal(pacer_due_us(&pacer, 0, 5), 5);
    assert_int_equal(pacer_due_us(&pacer, INT64_C(7258118399000000), 5), INT64_C(1000000000000005));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_line_is_due_now_and_the_others_after_it),
        cmocka_unit_test(test_speed_shortens_and_stretches),
        cmocka_unit_test(test_a_line_back_in_time_is_due_with_the_one_above_it),
        cmocka_unit_test(test_speed_0_makes_all_due_at_once),
        cmocka_unit_test(test_a_tiny_speed_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
