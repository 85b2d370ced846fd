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
        cmocka_unit_test(test_text_becomes_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
