/* test_quota_bag.c — quotas from files and pages come out equal, sorted and canonical. */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "admin/ctl/quota_bag.h"

#define ONE                                                                                                    \
    "{\"limits\":[{\"name\":\"token_bucket\",\"algorithm\":\"token_bucket\",\"rate\":\"1/s\",\"burst\":1,"     \
    "\"scope\":\"key\"}],\"on_store_failure\":\"local\",\"mode\":\"enforce\"}"

static struct quota_bag read_text(const char *text) {
    struct quota_bag bag = {.items = NULL};
    struct status status = {""};
    if (!quota_bag_read_text(&bag, "q", text, strlen(text), &status)) {
        fail_msg("%s", status.text);
    }
    return bag;
}

static void assert_refused(const char *text, const char *reason) {
    struct quota_bag bag = {.items = NULL};
    struct status status = {""};
    assert_false(quota_bag_read_text(&bag, "q", text, strlen(text), &status));
    assert_null(bag.items);
    assert_int_equal(bag.n, 0);
    if (strstr(status.text, reason) == NULL) {
        fail_msg("\"%s\" is not in: %s", reason, status.text);
    }
}

static void assert_item(const struct quota_bag *bag, size_t i, const char *tenant, const char *resource,
                        const char *text, int64_t revision) {
    assert_true(i < bag->n);
    assert_string_equal(bag->items[i].tenant, tenant);
    assert_string_equal(bag->items[i].resource, resource);
    assert_string_equal(bag->items[i].text, text);
    assert_int_equal(bag->items[i].revision, revision);
}

static void test_a_quota_file_comes_out_sorted_and_canonical(void **state) {
    (void)state;
    struct quota_bag bag =
        read_text("tenants:\n"
                  "  t: { z: { unlimited: true }, 'a.*': { limits: [ { rate: 60/min } ] } }\n"
                  "  '*': { '*': { limits: [ { rate: 1/s, burst: 1 } ] } }\n");
    assert_int_equal(bag.n, 3);
    assert_item(&bag, 0, "*", "*", ONE, 0);
    assert_item(&bag, 1, "t", "a.*", ONE, 0);
    assert_item(&bag, 2, "t", "z", "{\"unlimited\":true}", 0);
    assert_false(bag.has_default);
    assert_false(bag.is_deny);
    quota_bag_deinit(&bag);
}

static void test_a_stated_default_is_told_from_none(void **state) {
    (void)state;
    struct quota_bag bag = read_text("default: deny\ntenants: {}\n");
    assert_true(bag.has_default && bag.is_deny);
    assert_int_equal(bag.n, 0);
    quota_bag_deinit(&bag);
    bag = read_text("{\"default\":\"allow\",\"tenants\":{}}");
    assert_true(bag.has_default && !bag.is_deny);
    quota_bag_deinit(&bag);
}

static void test_what_a_list_prints_is_a_file_too(void **state) {
    (void)state;
    struct quota_bag bag = read_text("{\"revision\":9,\"default\":\"deny\",\"quotas\":["
                                     "{\"tenant\":\"t\",\"resource\":\"b\",\"revision\":7,\"quota\":" ONE "},"
                                     "{\"tenant\":\"t\",\"resource\":\"a\",\"revision\":8,"
                                     "\"quota\":{\"limits\":[{\"rate\":\"60/min\"}]}}],\"next\":null}");
    assert_int_equal(bag.n, 2);
    assert_item(&bag, 0, "t", "a", ONE, 8);
    assert_item(&bag, 1, "t", "b", ONE, 7);
    assert_true(bag.has_default && bag.is_deny);
    quota_bag_deinit(&bag);
}

static void test_what_is_wrong_is_named(void **state) {
    (void)state;
    assert_refused("", "q: the file is empty");
    assert_refused("tenants: { t: { r: { limits: [ { rate: 10x/s } ] } } }",
                   "q:1: tenants.t.r.limits[0].rate: '10x/s'");
    assert_refused(
        "{\"quotas\":[{\"tenant\":\"t\",\"resource\":\"r\",\"quota\":{\"limits\":[{\"rate\":\"10x\"}]}}]}",
        "q: quotas[0].quota.limits[0].rate: '10x'");
    assert_refused("{\"quotas\":[{\"tenant\":\"t\",\"quota\":{}}]}", "q: quotas[0]: ");
    assert_refused("{\"quotas\":[{\"tenant\":\"t\",\"resource\":\"r\"}]}", "q: quotas[0]: 'quota' is missing");
    assert_refused("{\"quotas\":[7]}", "q: quotas[0]: ");
    assert_refused("{\"quotas\":7}", "q: there is no list 'quotas' in it");
    assert_refused("{\"quotas\":[],\"default\":\"maybe\"}", "q: default: is neither allow nor deny");
    assert_refused("{\"quotas\":[{\"tenant\":\"t\",\"resource\":\"r\",\"quota\":" ONE "},"
                   "{\"tenant\":\"t\",\"resource\":\"r\",\"quota\":{\"unlimited\":true}}]}",
                   "q: t r is there twice");
}

static void test_a_file_is_found_or_named(void **state) {
    char path[] = "/tmp/sluice-bag.XXXXXX";
    struct quota_bag bag = {.items = NULL};
    struct status status = {""};
    static const char text[] = "tenants: { t: { r: { unlimited: true } } }\n";
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_true(quota_bag_read_file(&bag, path, &status));
    assert_item(&bag, 0, "t", "r", "{\"unlimited\":true}", 0);
    quota_bag_deinit(&bag);
    unlink(path);
    assert_false(quota_bag_read_file(&bag, path, &status));
    assert_non_null(strstr(status.text, path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quota_file_comes_out_sorted_and_canonical),
        cmocka_unit_test(test_a_stated_default_is_told_from_none),
        cmocka_unit_test(test_what_a_list_prints_is_a_file_too),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_a_file_is_found_or_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
