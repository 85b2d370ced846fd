/* test_percent.c — percent-encoding, taken apart into any bytes. */
#include "tests/support/test_prelude.h"

#include "admin/percent.h"

static bool decode(const char *text, size_t cap, uint8_t *out, size_t *len) {
    struct status status;
    return percent_decode((struct bytes){.data = (const uint8_t *)text, .len = strlen(text)}, out, cap, len,
                          &status);
}

static void test_any_byte_can_be_written(void **state) {
    (void)state;
    uint8_t out[16];
    size_t len;
    assert_true(decode("a%00b%2F%fF%25+", sizeof out, out, &len));
    assert_int_equal(len, 7);
    assert_memory_equal(out, "a\0b/\xff%+", 7);
    assert_true(decode("", sizeof out, out, &len));
    assert_int_equal(len, 0);
}

static void test_half_a_code_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"%", "a%2", "%zz", "%2g", "%%41", "%-1"};
    uint8_t out[16];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(decode(bad[i], sizeof out, out, &len));
    }
}

static void test_the_room_is_kept_to(void **state) {
    (void)state;
    uint8_t out[4] = {0};
    size_t len;
    assert_true(decode("%41bc", 3, out, &len));
    assert_int_equal(len, 3);
    assert_false(decode("abcd", 3, out, &len));
    assert_int_equal(out[3], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_byte_can_be_written),
        cmocka_unit_test(test_half_a_code_is_refused),
        cmocka_unit_test(test_the_room_is_kept_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
