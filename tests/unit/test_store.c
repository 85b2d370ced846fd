/* test_store.c — every outcome has a sentence for callers, and no two the same. */
#include "tests/support/test_prelude.h"

#include "server/store/store.h"

#define OUTCOME_VALUE(name, field, may_have_charged, text) STORE_##name,
static const enum store_outcome outcomes[] = {STORE_OUTCOMES(OUTCOME_VALUE)};

static void test_sentences_are_distinct(void **state) {
    (void)state;
    size_t n = sizeof outcomes / sizeof outcomes[0];
    assert_true(n > 5);
    for (size_t i = 0; i < n; i++) {
        for (size_t other = i + 1; other < n; other++) {
            assert_string_not_equal(store_outcome_text(outcomes[i]), store_outcome_text(outcomes[other]));
        }
    }
}

static void test_failures_name_the_store(void **state) {
    (void)state;
    assert_memory_equal(store_outcome_text(STORE_LOST), "store: ", 7);
}

static void test_what_was_not_sent_or_was_refused_is_not_charged(void **state) {
    (void)state;
    assert_true(store_outcome_may_have_charged(STORE_LOST));
    assert_true(store_outcome_may_have_charged(STORE_TIMEOUT));
    assert_false(store_outcome_may_have_charged(STORE_DOWN));
    assert_false(store_outcome_may_have_charged(STORE_REFUSED));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences_are_distinct),
        cmocka_unit_test(test_failures_name_the_store),
        cmocka_unit_test(test_what_was_not_sent_or_was_refused_is_not_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
