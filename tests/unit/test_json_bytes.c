/* test_json_bytes.c — any bytes as a JSON string. */
#include "tests/support/test_prelude.h"

#include <jansson.h>

#include "admin/json_bytes.h"

static void expect(json_t *value, const char *json) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, json);
    free(text);
    json_decref(value);
}

static struct bytes bytes_of(const char *text, size_t len) {
    return (struct bytes){.data = (const uint8_t *)text, .len = len};
}

static void test_bytes_become_text(void **state) {
    (void)state;
    expect(json_of_bytes(bytes_of("a\0\"\n", 4)), "\"a\\u0000\\\"\\n\"");
    expect(json_of_bytes(bytes_of("\xc3\xa9", 2)), "\"\xc3\xa9\"");
    expect(json_of_bytes(bytes_of("\xc3\xa9\xff", 3)), "\"???\"");
    expect(json_of_bytes(bytes_of(NULL, 0)), "\"\"");
}

static void test_only_utf8_can_be_carried(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2z",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe0\xa0",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(json_can_carry(bytes_of(good[i], strlen(good[i]))));
        json_t *string = json_stringn(good[i], strlen(good[i]));
        assert_non_null(string);
        json_decref(string);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(json_can_carry(bytes_of(bad[i], strlen(bad[i]))));
        assert_null(json_stringn(bad[i], strlen(bad[i])));
    }
}

static void test_text_becomes_what_it_says(void **state) {
    (void)state;
    expect(json_of_text(bytes_of("{\"a\":1}", 7)), "{\"a\":1}");
    expect(json_of_text(bytes_of("allow", 5)), "\"allow\"");
    expect(json_of_text(bytes_of("{\"cut", 5)), "\"{\\\"cut\"");
    expect(json_of_text(bytes_of(NULL, 0)), "null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_become_text),
        cmocka_unit_test(test_only_utf8_can_be_carried),
        cmocka_unit_test(test_text_becomes_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
