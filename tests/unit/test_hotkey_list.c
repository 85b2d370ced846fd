/* test_hotkey_list.c — names come back whole, lists add up. */
#include "tests/support/test_prelude.h"

#include "server/core/hotkey_list.h"

static struct bytes text(const char *string) {
    return (struct bytes){(const uint8_t *)string, strlen(string)};
}

static struct hotkey row_of(const char *tenant, const char *resource, const char *key, int64_t checks_per_s) {
    struct hotkey row = {.checks_per_s = checks_per_s,
                         .denied_per_s = checks_per_s / 10,
                         .decided_per_s = {[DECISION_STORE] = checks_per_s - 1, [DECISION_LOCAL] = 1}};
    hotkey_name_set(&row.name, text(tenant), text(resource), text(key));
    return row;
}

static void expect_bytes(struct bytes bytes, const char *expected) {
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void test_a_name_comes_back(void **state) {
    (void)state;
    struct hotkey row = row_of("demo", "hello", "alice", 1);
    expect_bytes(hotkey_name_tenant(&row.name), "demo");
    expect_bytes(hotkey_name_resource(&row.name), "hello");
    expect_bytes(hotkey_name_key(&row.name), "alice");
    hotkey_name_set(&row.name, text("t"), (struct bytes){NULL, 0}, text(""));
    expect_bytes(hotkey_name_tenant(&row.name), "t");
    expect_bytes(hotkey_name_resource(&row.name), "");
    expect_bytes(hotkey_name_key(&row.name), "");
}

static void test_the_longest_name_is_kept_whole(void **state) {
    (void)state;
    uint8_t long_text[QUOTA_KEY_MAX_BYTES];
    for (size_t i = 0; i < sizeof long_text; i++) {
        long_text[i] = (uint8_t)i; /* NULs as well */
    }
    struct hotkey_name name;
    hotkey_name_set(&name, (struct bytes){long_text, QUOTA_TENANT_MAX_BYTES},
                    (struct bytes){long_text, QUOTA_RESOURCE_MAX_BYTES},
                    (struct bytes){long_text, QUOTA_KEY_MAX_BYTES});
    assert_int_equal(hotkey_name_tenant(&name).len, QUOTA_TENANT_MAX_BYTES);
    assert_memory_equal(hotkey_name_tenant(&name).data, long_text, QUOTA_TENANT_MAX_BYTES);
    assert_int_equal(hotkey_name_resource(&name).len, QUOTA_RESOURCE_MAX_BYTES);
    assert_memory_equal(hotkey_name_resource(&name).data, long_text, QUOTA_RESOURCE_MAX_BYTES);
    assert_int_equal(hotkey_name_key(&name).len, QUOTA_KEY_MAX_BYTES);
    assert_memory_equal(hotkey_name_key(&name).data, long_text, QUOTA_KEY_MAX_BYTES);
}

static void test_lists_of_two_workers_add_up(void **state) {
    (void)state;
    struct hotkey rows[] = {
        row_of("t", "r", "only here", 300),  row_of("t", "r", "everywhere", 200),
        row_of("t", "r", "only there", 250), row_of("t", "r", "everywhere", 150),
        row_of("t", "r", "everywhere", 50),
    };
    rows[3].is_hot = true;
    assert_int_equal(hotkey_list_merge(rows, 5), 3);
    expect_bytes(hotkey_name_key(&rows[0].name), "everywhere");
    assert_int_equal(rows[0].checks_per_s, 400);
    assert_int_equal(rows[0].denied_per_s, 40);
    assert_int_equal(rows[0].decided_per_s[DECISION_STORE], 397);
    assert_int_equal(rows[0].decided_per_s[DECISION_LOCAL], 3);
    assert_true(rows[0].is_hot);
    expect_bytes(hotkey_name_key(&rows[1].name), "only here");
    assert_int_equal(rows[1].checks_per_s, 300);
    assert_false(rows[1].is_hot);
    expect_bytes(hotkey_name_key(&rows[2].name), "only there");
}

static void test_names_differ_by_where_a_part_ends(void **state) {
    (void)state;
    struct hotkey rows[] = {row_of("ab", "c", "d", 1), row_of("a", "bc", "d", 1), row_of("a", "b", "cd", 1),
                            row_of("a", "bc", "", 1)};
    assert_int_equal(hotkey_list_merge(rows, 4), 4);
    expect_bytes(hotkey_name_key(&rows[0].name), "cd"); /* equals stand by name */
    expect_bytes(hotkey_name_key(&rows[1].name), "");
    expect_bytes(hotkey_name_tenant(&rows[3].name), "ab");
}

static void test_an_empty_list_and_a_list_of_one_stay_so(void **state) {
    (void)state;
    struct hotkey row = row_of("t", "r", "k", 5);
    assert_int_equal(hotkey_list_merge(NULL, 0), 0);
    assert_int_equal(hotkey_list_merge(&row, 1), 1);
    assert_int_equal(row.checks_per_s, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_comes_back),
        cmocka_unit_test(test_the_longest_name_is_kept_whole),
        cmocka_unit_test(test_lists_of_two_workers_add_up),
        cmocka_unit_test(test_names_differ_by_where_a_part_ends),
        cmocka_unit_test(test_an_empty_list_and_a_list_of_one_stay_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
