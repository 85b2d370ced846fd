/* test_overflow.c — one shared record for each quota, full at first, kept when others are made. */
#include "tests/support/test_prelude.h"

#include "server/core/overflow.h"

static void test_records_are_separate_and_kept(void **state) {
    (void)state;
    struct overflow overflow = {0};
    struct bucket_record *record = overflow_record(&overflow, 3);
    assert_int_equal(record->n_levels, 0);
    record->n_levels = 1;
    assert_int_equal(overflow_record(&overflow, 2)->n_levels, 0);
    assert_int_equal(overflow_record(&overflow, 1000)->n_levels, 0);
    assert_int_equal(overflow_record(&overflow, 3)->n_levels, 1);
    overflow_deinit(&overflow);
    assert_null(overflow.records);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records_are_separate_and_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
