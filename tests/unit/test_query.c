/* test_query.c — parameters behind '?': known ones once, all others refused by name. */
#include "tests/support/test_prelude.h"

#include "admin/query.h"

#define KNOWN (QUERY_BIT(QUERY_TENANT) | QUERY_BIT(QUERY_LIMIT))

static bool read_text(const char *text, unsigned known, struct query *query, struct status *status) {
    return query_read((struct bytes){.data = (const uint8_t *)text, .len = strlen(text)}, known, query, status);
}

static void test_values_are_decoded(void **state) {
    (void)state;
    struct query query;
    struct status status;
    assert_true(read_text("tenant=a%20b&limit=7", KNOWN, &query, &status));
    assert_int_equal(query.limit, 7);
    assert_int_equal(query.values[QUERY_TENANT].len, 3);
    assert_memory_equal(query.values[QUERY_TENANT].data, "a b", 3);
    assert_null(query.values[QUERY_AFTER].data);
    assert_true(read_text("", KNOWN, &query, &status));
    assert_int_equal(query.limit, QUERY_DEFAULT_LIMIT);
    assert_null(query.values[QUERY_TENANT].data);
    assert_true(read_text("tenant=", KNOWN, &query, &status));
    assert_non_null(query.values[QUERY_TENANT].data);
    assert_int_equal(query.values[QUERY_TENANT].len, 0);
}

static void test_bad_parameters_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"foo=1", "foo: there is no such parameter here; the parameters are: tenant, limit"},
        {"after=1", "after: there is no such parameter"},
        {"tenant=a&tenant=b", "tenant: is given twice"},
        {"tenant=%4", "tenant: '%' is not followed"},
        {"limit=0", "limit: 0 is below the minimum, 1"},
        {"limit=1001", "limit: 1001 is above the maximum, 1000"},
        {"limit=010", "limit: "},
        {"limit=-1", "limit: "},
        {"limit=", "limit: "},
        {"limit", "limit: "},
        {"limit=1&", NULL},
        {"&limit=1", ": there is no such parameter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct query query;
        struct status status = {{0}};
        assert_int_equal(read_text(cases[i].text, KNOWN, &query, &status), cases[i].reason == NULL);
        if (cases[i].reason != NULL && strncmp(status.text, cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("%s: '%s'", cases[i].text, status.text);
        }
    }
}

static void test_too_long_values_are_refused(void **state) {
    (void)state;
    char text[128] = "tenant=";
    struct query query;
    struct status status;
    memset(text + 7, 'x', 64);
    text[71] = '\0';
    assert_true(read_text(text, KNOWN, &query, &status));
    strcat(text, "x");
    assert_false(read_text(text, KNOWN, &query, &status));
    assert_string_equal(status.text, "tenant: is longer than 64 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_decoded),
        cmocka_unit_test(test_bad_parameters_are_named),
        cmocka_unit_test(test_too_long_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
