/* test_problem.c — what is wrong, as JSON. */
#include "tests/support/test_prelude.h"

#include <jansson.h>

#include "admin/problem.h"

static void expect(unsigned int status, const char *field, const char *detail, const char *json) {
    json_t *problem = problem_create(status, field, detail);
    char *text = json_dumps(problem, JSON_COMPACT);
    assert_string_equal(text, json);
    free(text);
    json_decref(problem);
}

static void test_a_problem_has_title_status_detail_and_field(void **state) {
    (void)state;
    expect(400, "limits[0].rate", "'10x' is not a rate",
           "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
           "\"detail\":\"'10x' is not a rate\",\"field\":\"limits[0].rate\"}");
    expect(503, NULL, "gone",
           "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"gone\"}");
    expect(
        404, "a\xff", "b\xff",
        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"b?\",\"field\":\"a?\"}");
}

static void test_a_reason_is_split_at_its_field(void **state) {
    (void)state;
    char field[PROBLEM_FIELD_BYTES];
    assert_string_equal(problem_split("a.b[1]: is: bad", field), "is: bad");
    assert_string_equal(field, "a.b[1]");
    assert_string_equal(problem_split("no field", field), "no field");
    assert_string_equal(field, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_problem_has_title_status_detail_and_field),
        cmocka_unit_test(test_a_reason_is_split_at_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
