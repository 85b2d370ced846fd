/* test_status.c — a sentence is written, cut when too long, and optional. */
#include "tests/support/test_prelude.h"

#include "server/base/status.h"

static void test_fail_writes_and_is_false(void **state) {
    (void)state;
    struct status status;
    assert_false(status_fail(&status, "%s:%d: %s", "file", 7, "reason"));
    assert_string_equal(status.text, "file:7: reason");
}

static void test_long_sentence_is_cut(void **state) {
    (void)state;
    struct status status;
    assert_false(status_fail(&status, "%2000s", "x"));
    assert_int_equal(strlen(status.text), STATUS_TEXT_BYTES - 1);
}

static void test_nobody_has_to_listen(void **state) {
    (void)state;
    assert_false(status_fail(NULL, "reason"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_writes_and_is_false),
        cmocka_unit_test(test_long_sentence_is_cut),
        cmocka_unit_test(test_nobody_has_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
