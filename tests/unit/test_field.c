/* test_field.c — members that are there, absent, or of the wrong kind. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/field.h"

static void test_what_is_there_is_given(void **state) {
    json_t *object = json_pack("{s:s, s:i, s:[i]}", "name", "n", "count", 7, "list", 1);
    (void)state;
    assert_string_equal(field_text(object, "name"), "n");
    assert_int_equal(field_integer(object, "count"), 7);
    assert_int_equal(json_array_size(field_list(object, "list")), 1);
    json_decref(object);
}

static void test_what_is_not_there_is_empty(void **state) {
    json_t *object = json_pack("{s:s, s:i}", "name", "n", "count", 7);
    (void)state;
    assert_string_equal(field_text(object, "count"), "");
    assert_int_equal(field_integer(object, "name"), 0);
    assert_null(field_list(object, "name"));
    assert_string_equal(field_text(object, "nothing"), "");
    assert_string_equal(field_text(NULL, "name"), "");
    assert_int_equal(field_integer(NULL, "name"), 0);
    assert_null(field_list(NULL, "name"));
    json_decref(object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_is_given),
        cmocka_unit_test(test_what_is_not_there_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
