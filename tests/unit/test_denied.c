/* test_denied.c — denials stand until their time, for their cost and above, and for nobody else. */
#include "tests/support/test_prelude.h"

#include "server/core/denied.h"

enum { NOW_US = 1000000, RETRY_US = 300 };

static struct hash128 hash_of(uint64_t n) {
    return hash_bytes_wide(&n, sizeof n, 7);
}

static struct denial denial_of(int64_t cost_tokens) {
    return (struct denial){.until_us = NOW_US + RETRY_US,
                           .retry_at_us = NOW_US + RETRY_US,
                           .full_at_us = NOW_US + 1000,
                           .cost_tokens = cost_tokens,
                           .remaining_tokens = 2,
                           .revision = 9,
                           .limit_index = 1};
}

static void test_a_denial_stands_until_its_time(void **state) {
    (void)state;
    struct denied *denied = denied_create();
    struct denial kept = denial_of(3);
    denied_keep(denied, hash_of(1), &kept, NOW_US);
    const struct denial *found = denied_find(denied, hash_of(1), 9, 3, NOW_US + RETRY_US - 1);
    assert_non_null(found);
    assert_int_equal(found->limit_index, 1);
    assert_int_equal(found->remaining_tokens, 2);
    assert_null(denied_find(denied, hash_of(1), 9, 3, NOW_US + RETRY_US));
    denied_destroy(&denied);
    assert_null(denied);
}

static void test_it_stands_for_higher_costs_and_no_lower_ones(void **state) {
    (void)state;
    struct denied *denied = denied_create();
    struct denial kept = denial_of(3);
    denied_keep(denied, hash_of(1), &kept, NOW_US);
    assert_non_null(denied_find(denied, hash_of(1), 9, 4, NOW_US));
    assert_null(denied_find(denied, hash_of(1), 9, 2, NOW_US));
    assert_null(denied_find(denied, hash_of(2), 9, 3, NOW_US));
    denied_destroy(&denied);
}

static void test_another_quota_and_what_gives_tokens_end_it(void **state) {
    (void)state;
    struct denied *denied = denied_create();
    struct denial kept = denial_of(1);
    denied_keep(denied, hash_of(1), &kept, NOW_US);
    assert_null(denied_find(denied, hash_of(1), 10, 1, NOW_US));
    assert_non_null(denied_find(denied, hash_of(1), 9, 1, NOW_US));
    denied_forget(denied, hash_of(1));
    assert_null(denied_find(denied, hash_of(1), 9, 1, NOW_US));
    denied_forget(denied, hash_of(2));
    denied_destroy(&denied);
}

static void test_no_denial_is_kept_for_long(void **state) {
    (void)state;
    struct denied *denied = denied_create();
    struct denial kept = denial_of(1);
    kept.until_us = INT64_C(1) << 53;
    denied_keep(denied, hash_of(1), &kept, NOW_US);
    assert_non_null(denied_find(denied, hash_of(1), 9, 1, NOW_US + DENIED_MAX_US - 1));
    assert_null(denied_find(denied, hash_of(1), 9, 1, NOW_US + DENIED_MAX_US));
    denied_destroy(&denied);
}

static void test_of_too_many_the_longest_stay_and_a_flood_takes_no_memory(void **state) {
    (void)state;
    struct denied *denied = denied_create();
    struct denial longest = denial_of(1), shorter = denial_of(1);
    longest.until_us = NOW_US + 1000000;
    denied_keep(denied, hash_of(0), &longest, NOW_US);
    for (uint64_t n = 1; n < 100000; n++) {
        shorter.until_us = NOW_US + 100 + (int64_t)(n % 100);
        denied_keep(denied, hash_of(n), &shorter, NOW_US);
    }
    assert_non_null(denied_find(denied, hash_of(0), 9, 1, NOW_US + 999999));
    assert_non_null(denied_find(denied, hash_of(99999), 9, 1, NOW_US));
    denied_destroy(&denied);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_denial_stands_until_its_time),
        cmocka_unit_test(test_it_stands_for_higher_costs_and_no_lower_ones),
        cmocka_unit_test(test_another_quota_and_what_gives_tokens_end_it),
        cmocka_unit_test(test_no_denial_is_kept_for_long),
        cmocka_unit_test(test_of_too_many_the_longest_stay_and_a_flood_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
