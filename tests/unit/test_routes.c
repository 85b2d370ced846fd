/* test_routes.c — which path finds what. */
#include "tests/support/test_prelude.h"

#include "admin/routes.h"

static struct route_match find(const char *method, const char *path) {
    struct route_match match;
    routes_find(method, (struct bytes){.data = (const uint8_t *)path, .len = strlen(path)}, &match);
    return match;
}

static void expect(const char *method, const char *path, const char *pattern, const char *tenant,
                   const char *resource, const char *key) {
    struct route_match match = find(method, path);
    const char *const parts[ROUTE_N_PARTS] = {tenant, resource, key};
    assert_non_null(match.route);
    assert_string_equal(match.route->pattern, pattern);
    for (size_t i = 0; i < ROUTE_N_PARTS; i++) {
        assert_int_equal(match.parts[i].data != NULL, parts[i] != NULL);
        if (parts[i] != NULL) {
            assert_int_equal(match.parts[i].len, strlen(parts[i]));
            assert_memory_equal(match.parts[i].data, parts[i], match.parts[i].len);
        }
    }
}

static void test_paths_find_their_calls(void **state) {
    (void)state;
    expect("GET", "/livez", "/livez", NULL, NULL, NULL);
    expect("HEAD", "/metrics", "/metrics", NULL, NULL, NULL);
    expect("PUT", "/v1/tenants/a%2Fb/quotas/*", "/v1/tenants/{t}/quotas/{r}", "a%2Fb", "*", NULL);
    expect("GET", "/v1/quotas", "/v1/quotas", NULL, NULL, NULL);
    expect("POST", "/v1/quotas:apply", "/v1/quotas:apply", NULL, NULL, NULL);
    expect("GET", "/v1/tenants/a/buckets/r/", "/v1/tenants/{t}/buckets/{r}/{key}", "a", "r", "");
    expect("GET", "/v1/tenants/a/buckets/r/k:reset", "/v1/tenants/{t}/buckets/{r}/{key}", "a", "r", "k:reset");
    expect("POST", "/v1/tenants/a/buckets/r/k:reset", "/v1/tenants/{t}/buckets/{r}/{key}:reset", "a", "r", "k");
    expect("POST", "/v1/tenants/a/buckets/r/:reset", "/v1/tenants/{t}/buckets/{r}/{key}:reset", "a", "r", "");
}

static void test_other_paths_find_nothing(void **state) {
    (void)state;
    static const char *const paths[] = {"",
                                        "/",
                                        "*",
                                        "livez",
                                        "/livez/",
                                        "/Livez",
                                        "//livez",
                                        "/v1",
                                        "/v1/tenants/a",
                                        "/v1/tenants/a/quotas",
                                        "/v1/tenants/a/quotas/b/c",
                                        "/v1/tenants/a/buckets/r",
                                        "/v1/quotas:applyx",
                                        "/v2/quotas"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct route_match match = find("GET", paths[i]);
        assert_null(match.route);
        assert_string_equal(match.allow, "");
    }
}

static void test_other_methods_are_told_which_there_are(void **state) {
    (void)state;
    struct route_match match = find("POST", "/v1/tenants/a/quotas/b");
    assert_null(match.route);
    assert_string_equal(match.allow, "GET, HEAD, PUT, DELETE");
    assert_string_equal(find("GET", "/v1/quotas:apply").allow, "POST");
    assert_string_equal(find("PUT", "/v1/tenants/a/buckets/r/k:reset").allow, "GET, HEAD, POST");
    assert_string_equal(find("POST", "/v1/tenants/a/buckets/r/k").allow, "GET, HEAD");
    assert_null(find("get", "/livez").route);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_find_their_calls),
        cmocka_unit_test(test_other_paths_find_nothing),
        cmocka_unit_test(test_other_methods_are_told_which_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
