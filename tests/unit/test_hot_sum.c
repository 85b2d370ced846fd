/* test_hot_sum.c — hot keys of several frontends, added up by name and put in order. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/hot_sum.h"

static void add(struct hot_sum *sum, const char *text) {
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    assert_true(hot_sum_add(sum, json));
    json_decref(json);
}

static void assert_list(const struct hot_sum *sum, size_t limit, const char *expected) {
    json_t *list = hot_sum_list(sum, limit);
    char *text = json_dumps(list, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(list);
}

#define ROW(key, hot, checks, denied, sources)                                                                 \
    "{\"tenant\":\"t\",\"resource\":\"r\",\"key\":\"" key "\",\"hot\":" hot ",\"checks_per_s\":" checks        \
    ",\"denied_per_s\":" denied ",\"sources\":{" sources "}}"

static void test_rates_add_up_by_name(void **state) {
    (void)state;
    struct hot_sum sum;
    hot_sum_init(&sum);
    add(&sum, "{\"hotkeys\":[" ROW("a", "false", "10", "1", "\"store\":10") "," ROW(
                  "b", "false", "12", "0", "") "],\"silent_workers\":1}");
    add(&sum, "{\"hotkeys\":[" ROW("a", "true", "5", "2", "\"store\":2,\"local\":3") "],\"silent_workers\":2}");
    assert_list(
        &sum, 10,
        "[" ROW("a", "true", "15", "3", "\"store\":12,\"local\":3") "," ROW("b", "false", "12", "0", "") "]");
    assert_list(&sum, 1, "[" ROW("a", "true", "15", "3", "\"store\":12,\"local\":3") "]");
    assert_int_equal(sum.n_silent_workers, 3);
    hot_sum_deinit(&sum);
}

static void test_keys_of_any_bytes_are_told_apart(void **state) {
    (void)state;
    struct hot_sum sum;
    hot_sum_init(&sum);
    add(&sum, "{\"hotkeys\":[" ROW("a\\u0000b", "true", "2", "0", "") "," ROW(
                  "a\\u0000c", "true", "2", "0", "") "," ROW("a", "true", "2", "0", "") "]}");
    assert_int_equal(json_object_size(sum.rows), 3);
    hot_sum_deinit(&sum);
}

static void test_what_is_no_row_is_left_out(void **state) {
    (void)state;
    struct hot_sum sum;
    hot_sum_init(&sum);
    add(&sum, "{\"hotkeys\":[1,{},{\"tenant\":1,\"resource\":\"r\",\"key\":\"k\"},[]]}");
    add(&sum, "{\"hotkeys\":{}}");
    add(&sum, "{\"hotkeys\":[{\"tenant\":\"t\",\"resource\":\"r\",\"key\":\"k\",\"sources\":[],"
              "\"checks_per_s\":\"many\"}]}");
    assert_list(&sum, 10, "[" ROW("k", "false", "0", "0", "") "]");
    hot_sum_deinit(&sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_add_up_by_name),
        cmocka_unit_test(test_keys_of_any_bytes_are_told_apart),
        cmocka_unit_test(test_what_is_no_row_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
