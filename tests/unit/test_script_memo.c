/* test_script_memo.c — idempotency keys in arguments and replies. */
#include "tests/support/test_prelude.h"

#include "server/store/script_memo.h"

static const struct store_memo memo = {.fingerprint = "fingerprint 123", .ttl_us = 2500};

static void test_a_memo_is_packed_as_documented(void **state) {
    (void)state;
    uint8_t bytes[SCRIPT_MEMO_BYTES];
    assert_ptr_equal(script_memo_put(&memo, bytes), bytes + sizeof bytes);
    assert_memory_equal(bytes, "fingerprint 123\0\3\0\0\0\0\0\0", sizeof bytes);
}

static void test_a_time_to_live_is_never_zero(void **state) {
    (void)state;
    const int64_t ttls_us[] = {-5, 0, 1, 1000, 1001};
    const uint8_t expected_ms[] = {1, 1, 1, 1, 2};
    for (size_t i = 0; i < sizeof expected_ms; i++) {
        uint8_t bytes[8];
        script_ttl_put(ttls_us[i], bytes);
        assert_int_equal(bytes[0], expected_ms[i]);
        assert_int_equal(bytes[1], 0);
    }
}

static enum store_answer answer_of(const char *text, size_t n_bytes, const struct store_memo *of,
                                   size_t n_left) {
    struct bytes reply = {.data = (const uint8_t *)text, .len = n_bytes};
    enum store_answer answer;
    assert_true(script_memo_read(&reply, of, &answer));
    assert_int_equal(reply.len, n_left);
    return answer;
}

static void test_replies_are_told_apart_by_fingerprint(void **state) {
    (void)state;
    const char same[] = "\2fingerprint 123\0then", other[] = "\2fingerprint 124\0then";
    assert_int_equal(answer_of("\1now", 4, &memo, 4), STORE_FRESH);
    assert_int_equal(answer_of("\1now", 4, NULL, 4), STORE_FRESH);
    assert_int_equal(answer_of(same, sizeof same - 1, &memo, 4), STORE_REPEATED);
    assert_int_equal(answer_of(other, sizeof other - 1, &memo, 4), STORE_KEY_REUSED);
    assert_int_equal(answer_of(same, 17, &memo, 0), STORE_REPEATED);
}

static void test_what_no_script_says_is_refused(void **state) {
    (void)state;
    const char same[] = "\2fingerprint 123\0then";
    struct bytes reply = {.data = (const uint8_t *)same, .len = 0};
    enum store_answer answer;
    assert_false(script_memo_read(&reply, &memo, &answer));
    reply.len = 16;
    assert_false(script_memo_read(&reply, &memo, &answer));
    reply.len = sizeof same - 1;
    assert_false(script_memo_read(&reply, NULL, &answer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_memo_is_packed_as_documented),
        cmocka_unit_test(test_a_time_to_live_is_never_zero),
        cmocka_unit_test(test_replies_are_told_apart_by_fingerprint),
        cmocka_unit_test(test_what_no_script_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
