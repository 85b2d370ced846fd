/* test_store.c — every outcome has a label for metrics and a sentence for callers, and no two the same. */
#include "tests/support/test_prelude.h"

#include "server/store/store.h"

#define OUTCOME_VALUE(name, label, text) STORE_##name,
static const enum store_outcome outcomes[] = {STORE_OUTCOMES(OUTCOME_VALUE)};

static void test_labels_and_sentences_are_distinct(void **state) {
    (void)state;
    size_t n = sizeof outcomes / sizeof outcomes[0];
    assert_true(n > 5);
    for (size_t i = 0; i < n; i++) {
        for (size_t other = i + 1; other < n; other++) {
            assert_string_not_equal(store_outcome_label(outcomes[i]), store_outcome_label(outcomes[other]));
            assert_string_not_equal(store_outcome_text(outcomes[i]), store_outcome_text(outcomes[other]));
        }
    }
}

static void test_failures_name_the_store(void **state) {
    (void)state;
    assert_string_equal(store_outcome_label(STORE_OK), "ok");
    assert_memory_equal(store_outcome_text(STORE_LOST), "store: ", 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_and_sentences_are_distinct),
        cmocka_unit_test(test_failures_name_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
