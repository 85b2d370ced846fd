/* test_quota_list.c — pages of quotas are in order, whole and without repetition. */
#include "tests/support/test_prelude.h"

#include "server/core/quota_list.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void add(struct quota_set *set, const char *tenant, const char *resource) {
    struct quota_rules rules = {.is_unlimited = true};
    struct status status;
    assert_true(quota_set_put(set, bytes_of(tenant), bytes_of(resource), &rules, 1, &status));
}

static struct quota_set *make(void) {
    static const char *const names[][2] = {{"b", "x"},   {"a", "z"}, {"a", "api.*"}, {"b", "api.read"},
                                           {"*", "*"},   {"a", "a"}, {"ab", "m"},    {"b", "api.*"},
                                           {"a", "api"}, {"c", "q"}};
    struct quota_set *set = quota_set_create();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        add(set, names[i][0], names[i][1]);
    }
    return set;
}

/* "tenant/resource " for each, in one text. */
static void assert_listed(const struct quota_set *set, const struct quota_list *list, uint32_t max,
                          const char *expected) {
    const struct quota *quotas[16];
    char text[256] = "";
    uint32_t n = quota_list_read(list, set, quotas, max);
    assert_true(n <= max);
    for (uint32_t i = 0; i < n; i++) {
        struct bytes tenant = quota_tenant(quotas[i]), resource = quota_resource(quotas[i]);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s/%.*s ", (int)tenant.len,
                 (const char *)tenant.data, (int)resource.len, (const char *)resource.data);
    }
    assert_string_equal(text, expected);
}

static void test_a_list_goes_by_tenant_then_resource(void **state) {
    (void)state;
    struct quota_set *set = make();
    struct quota_list list = {.tenant.len = 0};
    assert_listed(set, &list, 16, "*/* a/a a/api a/api.* a/z ab/m b/api.* b/api.read b/x c/q ");
    assert_listed(set, &list, 3, "*/* a/a a/api ");
    assert_listed(set, &list, 1, "*/* ");
    assert_listed(set, &list, 0, "");
    quota_set_release(&set);
}

static void test_a_page_begins_after_the_last_one(void **state) {
    (void)state;
    struct quota_set *set = make();
    struct quota_list list = {.after_tenant = bytes_of("a"), .after_resource = bytes_of("api")};
    assert_listed(set, &list, 4, "a/api.* a/z ab/m b/api.* ");
    list.after_resource = bytes_of("b"); /* not in the set */
    assert_listed(set, &list, 2, "a/z ab/m ");
    list.after_tenant = bytes_of("c");
    list.after_resource = bytes_of("q");
    assert_listed(set, &list, 2, "");
    quota_set_release(&set);
}

static void test_a_list_may_be_of_one_tenant_and_of_a_prefix(void **state) {
    (void)state;
    struct quota_set *set = make();
    struct quota_list list = {.tenant = bytes_of("a")};
    assert_listed(set, &list, 16, "a/a a/api a/api.* a/z ");
    list.resource_prefix = bytes_of("api");
    assert_listed(set, &list, 16, "a/api a/api.* ");
    list.tenant = bytes_of("");
    assert_listed(set, &list, 16, "a/api a/api.* b/api.* b/api.read ");
    list.after_tenant = bytes_of("a");
    list.after_resource = bytes_of("api.*");
    assert_listed(set, &list, 16, "b/api.* b/api.read ");
    quota_set_release(&set);
}

static void test_many_pages_are_the_whole(void **state) {
    (void)state;
    enum { N_QUOTAS = 3000, PAGE = 7 };
    struct quota_set *set = quota_set_create();
    char resource[16];
    for (int i = 0; i < N_QUOTAS; i++) {
        snprintf(resource, sizeof resource, "%05d", i * 1009 % N_QUOTAS);
        add(set, i % 2 == 0 ? "t" : "u", resource);
    }
    const struct quota *quotas[PAGE];
    struct quota_list list = {.tenant = bytes_of("t")};
    uint32_t n, n_total = 0;
    while ((n = quota_list_read(&list, set, quotas, PAGE)) > 0) {
        for (uint32_t i = 0; i < n; i++) {
            assert_true(quota_compare(quotas[i], list.after_tenant, list.after_resource) > 0);
            list.after_tenant = quota_tenant(quotas[i]);
            list.after_resource = quota_resource(quotas[i]);
        }
        n_total += n;
    }
    assert_int_equal(n_total, N_QUOTAS / 2);
    quota_set_release(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_goes_by_tenant_then_resource),
        cmocka_unit_test(test_a_page_begins_after_the_last_one),
        cmocka_unit_test(test_a_list_may_be_of_one_tenant_and_of_a_prefix),
        cmocka_unit_test(test_many_pages_are_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
