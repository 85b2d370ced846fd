/* test_registry.c — a quota file becomes a set, or nothing but "file:line: field: reason". */
#include "tests/support/test_prelude.h"

#include <unistd.h>

#include "server/quota/registry.h"

static const char good[] =
    "default: deny\n"
    "tenants:\n"
    "  demo:\n"
    "    hello:\n"
    "      limits:\n"
    "        - {name: per_key, algorithm: token_bucket, rate: 5/s, burst: 10, scope: key}\n"
    "    \"api.*\":\n"
    "      limits:\n"
    "        - name: second\n"
    "          rate: 100/s\n"
    "        - name: hour\n"
    "          rate: 20/h\n"
    "  \"*\":\n"
    "    \"*\": { limits: [ { algorithm: leaky_bucket, rate: 6000/min, burst: 50 } ] }\n";

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static const struct quota *find(const struct quota_set *set, const char *tenant, const char *resource) {
    const struct quota *quota = quota_set_find(set, bytes_of(tenant), bytes_of(resource));
    assert_non_null(quota);
    return quota;
}

static void assert_limit(const struct quota *quota, uint32_t i, const char *name,
                         enum bucket_algorithm algorithm, int64_t count, int64_t period_s,
                         int64_t burst_tokens) {
    assert_true(i < quota->n_limits);
    assert_string_equal(quota->limit_names[i], name);
    assert_int_equal(quota->limits[i].algorithm, algorithm);
    assert_int_equal(quota->limits[i].count, count);
    assert_int_equal(quota->limits[i].period_s, period_s);
    assert_int_equal(quota->limits[i].burst_utok, burst_tokens * BUCKET_UTOK_PER_TOKEN);
}

static void assert_refused(const char *text, const char *reason) {
    struct status status = {"no reason"};
    assert_null(registry_load_text("q.yaml", text, strlen(text), &status));
    assert_string_equal(status.text, reason);
}

/* A file whose one limit is the map `limit`, in line 3. */
static void assert_limit_refused(const char *limit, const char *reason) {
    char text[512], expected[512];
    snprintf(text, sizeof text, "tenants:\n  demo:\n    hello: {limits: [%s]}\n", limit);
    snprintf(expected, sizeof expected, "q.yaml:3: tenants.demo.hello.limits%s", reason);
    assert_refused(text, expected);
}

static void test_a_good_file_becomes_a_set(void **state) {
    (void)state;
    struct status status;
    struct quota_set *set = registry_load_text("q.yaml", good, strlen(good), &status);
    assert_non_null(set);
    assert_int_equal(quota_set_count(set), 3);
    assert_int_equal(quota_set_max_limits(set), 2);
    assert_int_equal(quota_set_unknown(set), QUOTA_UNKNOWN_DENY);
    const struct quota *hello = find(set, "demo", "hello");
    assert_int_equal(hello->n_limits, 1);
    assert_limit(hello, 0, "per_key", BUCKET_TOKEN, 5, 1, 10);
    const struct quota *api = find(set, "demo", "api.read");
    assert_int_equal(api->n_limits, 2);
    assert_limit(api, 0, "second", BUCKET_TOKEN, 100, 1, 100);
    assert_limit(api, 1, "hour", BUCKET_TOKEN, 1, 180, 1);
    assert_limit(find(set, "demo", "other"), 0, "leaky_bucket", BUCKET_LEAKY, 100, 1, 50);
    assert_limit(find(set, "acme", "hello"), 0, "leaky_bucket", BUCKET_LEAKY, 100, 1, 50);
    quota_set_release(&set);
}

static void test_a_file_is_read_by_its_path(void **state) {
    (void)state;
    struct status status;
    char path[] = "/tmp/sluice_registry_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, good, strlen(good)), strlen(good));
    close(fd);
    struct quota_set *set = registry_load_file(path, &status);
    unlink(path);
    assert_non_null(set);
    assert_int_equal(quota_set_count(set), 3);
    quota_set_release(&set);
    assert_null(registry_load_file("/nowhere/q.yaml", &status));
    assert_string_equal(status.text, "/nowhere/q.yaml: cannot be opened: No such file or directory");
}

static void test_the_demo_quota_needs_no_file(void **state) {
    (void)state;
    struct status status;
    struct quota_set *set = registry_load_demo(&status);
    assert_non_null(set);
    assert_limit(find(set, "demo", "anything"), 0, "per_key", BUCKET_TOKEN, 5, 1, 10);
    assert_null(quota_set_find(set, bytes_of("acme"), bytes_of("anything")));
    assert_int_equal(quota_set_unknown(set), QUOTA_UNKNOWN_ALLOW);
    quota_set_release(&set);
}

static void test_what_is_missing_or_empty_is_said(void **state) {
    (void)state;
    assert_refused("", "q.yaml: the file is empty; 'tenants' is needed");
    assert_refused("# only this\n", "q.yaml: the file is empty; 'tenants' is needed");
    assert_refused("default: allow\n", "q.yaml:1: 'tenants' is missing");
    assert_refused("default:\ntenants: {a: {b: {limits: [{rate: 1/s}]}}}\n",
                   "q.yaml:1: default: '' is neither allow nor deny");
    assert_refused("default: allow\ntenants:\n", "q.yaml:2: tenants: is empty; a map is needed");
    assert_refused("tenants: { demo: {} }\n", "q.yaml:1: tenants.demo: is empty; a map is needed");
    assert_refused("tenants:\n  demo:\n", "q.yaml:2: tenants.demo: is empty; a map is needed");
    assert_refused("tenants:\n  demo:\n    hello:\n",
                   "q.yaml:3: tenants.demo.hello: is empty; a map is needed");
    assert_refused("tenants:\n  demo:\n    hello: {limits: }\n",
                   "q.yaml:3: tenants.demo.hello.limits: is empty; a list is needed");
    assert_limit_refused("", ": is empty; a list is needed");
    assert_limit_refused("{burst: 1}", "[0]: 'rate' is missing");
    assert_limit_refused("{rate: 1/s, burst: }", "[0].burst: '' is not a whole number, such as 10");
    assert_limit_refused("{rate: }",
                         "[0].rate: '' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day");
}

static void test_wrong_values_are_named_with_line_field_and_reason(void **state) {
    (void)state;
    assert_limit_refused("{rate: 10x/s}",
                         "[0].rate: '10x/s' is not a rate, such as 100/s, 5000/min, 20/h or 1000000/day");
    assert_limit_refused("{rate: 1/s, burst: 0}", "[0].burst: 0 is below the minimum, 1");
    assert_limit_refused("{rate: 1/s, burst: 1000000001}",
                         "[0].burst: 1000000001 is above the maximum, 1000000000");
    assert_limit_refused("{rate: 1/s, burst: 10x}", "[0].burst: '10x' is not a whole number, such as 10");
    assert_limit_refused("{rate: 1/s, burst: [1]}", "[0].burst: is a list; a text is needed");
    assert_limit_refused(
        "{rate: 1/s, algorithm: gcra}",
        "[0].algorithm: 'gcra' is none of token_bucket, leaky_bucket, fixed_window and sliding_window");
    assert_limit_refused("{rate: 1/s, scope: user}",
                         "[0].scope: 'user' is none of key, resource, tenant and global");
    assert_limit_refused("{rate: 1/s, scope: tenant}",
                         "[0]: give it a name: limits of scope tenant are shared by name");
    assert_refused("tenants: {t: {r: {limits: [{rate: 1/s, scope: global, name: site}]}}}",
                   "q.yaml:1: tenants.t.r: 'site' has scope global, which is for quotas of tenant \"*\" alone");
    assert_limit_refused("{rate: 1/s, name: a b}",
                         "[0].name: 'a b': a limit's name has only letters, digits and _ . -");
    assert_limit_refused("{rate: 1/s}, 5", "[1]: is a text; a map is needed");
    assert_limit_refused("{rate: 1/s, brust: 1}", "[0].brust: there is no such field here;"
                                                  " the fields are: name, algorithm, rate, burst, scope");
    assert_refused("tenant: {}\n",
                   "q.yaml:1: tenant: there is no such field here; the fields are: default, tenants");
    assert_refused("tenants:\n  a:\n    b:\n      limit: []\n",
                   "q.yaml:4: tenants.a.b.limit: there is no such field here; the fields are: limits, "
                   "on_store_failure, mode, unlimited");
    assert_refused("tenants: [a]\n", "q.yaml:1: tenants: is a list; a map is needed");
    assert_refused("default: perhaps\ntenants: {a: {b: {limits: [{rate: 1/s}]}}}\n",
                   "q.yaml:1: default: 'perhaps' is neither allow nor deny");
}

static void test_a_rate_out_of_range_is_refused_at_its_line(void **state) {
    (void)state;
    struct status status;
    static const char text[] = "tenants:\n  a:\n    b:\n      limits:\n        - rate: 10000001/s\n";
    static const char where[] = "q.yaml:5: tenants.a.b.limits[0].rate: ";
    assert_null(registry_load_text("q.yaml", text, strlen(text), &status));
    assert_memory_equal(status.text, where, strlen(where));
    static const char fastest[] =
        "tenants: {a: {b: {limits: [{rate: 10000000/s}, {name: slow, rate: 1/month}]}}}";
    struct quota_set *set = registry_load_text("q.yaml", fastest, strlen(fastest), &status);
    assert_non_null(set);
    assert_limit(find(set, "a", "b"), 0, "token_bucket", BUCKET_TOKEN, 10000000, 1, 10000000);
    assert_limit(find(set, "a", "b"), 1, "slow", BUCKET_TOKEN, 1, 2592000, 1);
    quota_set_release(&set);
}

static void test_limits_are_few_and_have_names_of_their_own(void **state) {
    (void)state;
    assert_limit_refused(
        "{rate: 1/s}, {rate: 9/h}",
        "[1]: the name 'token_bucket' is also that of limits[0]; give each limit a name of its own");
    assert_limit_refused("{rate: 1/s, name: x}, {rate: 9/h, name: x}",
                         "[1].name: the name 'x' is also that of limits[0]; give each limit a name of its own");
    assert_limit_refused(
        "{rate: 1/s, name: a}, {rate: 1/s, name: b}, {rate: 1/s, name: c}, {rate: 1/s, name: d},"
        "{rate: 1/s, name: e}, {rate: 1/s, name: f}, {rate: 1/s, name: g}, {rate: 1/s, name: h},"
        "{rate: 1/s, name: i}",
        "[8]: is one too many; a quota has at most 8 limits");
}

static void test_modes_bans_and_unlimited_quotas_are_read_or_refused(void **state) {
    (void)state;
    static const char text[] =
        "tenants: {t: {a: {unlimited: true}, b: {mode: shadow, limits: [{rate: 0}]},"
        " c: {unlimited: false, mode: enforce, limits: [{rate: 1/s}, {name: x, rate: 0/h}]}}}";
    struct status status;
    struct quota_set *set = registry_load_text("q.yaml", text, strlen(text), &status);
    assert_non_null(set);
    const struct quota *a = find(set, "t", "a"), *b = find(set, "t", "b"), *c = find(set, "t", "c");
    assert_true(a->is_unlimited && !a->is_banned);
    assert_int_equal(a->n_limits, 0);
    assert_true(b->is_banned && !b->is_unlimited);
    assert_int_equal(b->mode, QUOTA_IN_SHADOW);
    assert_true(c->is_banned && !c->is_unlimited);
    assert_int_equal(c->mode, QUOTA_ENFORCED);
    quota_set_release(&set);
    assert_refused("tenants: {t: {a: {unlimited: maybe}}}",
                   "q.yaml:1: tenants.t.a.unlimited: 'maybe' is neither true nor false");
    assert_refused(
        "tenants:\n  t:\n    a:\n      unlimited: true\n      mode: shadow\n",
        "q.yaml:5: tenants.t.a.mode: means nothing beside 'unlimited: true'; leave one of the two out");
    assert_refused("tenants: {t: {a: {mode: dry, limits: [{rate: 1/s}]}}}",
                   "q.yaml:1: tenants.t.a.mode: 'dry' is neither enforce nor shadow");
    assert_refused("tenants: {t: {a: {mode: shadow}}}", "q.yaml:1: tenants.t.a: 'limits' is missing");
}

static void test_failure_policy_is_read_or_refused(void **state) {
    (void)state;
    static const char text[] =
        "tenants: {t: {a: {on_store_failure: deny, limits: [{rate: 1/s}]},"
        " b: {on_store_failure: allow, limits: [{rate: 1/s}]}, c: {limits: [{rate: 1/s}]}}}";
    struct status status;
    struct quota_set *set = registry_load_text("q.yaml", text, strlen(text), &status);
    assert_non_null(set);
    assert_int_equal(find(set, "t", "a")->on_store_failure, QUOTA_FAILS_DENY);
    assert_int_equal(find(set, "t", "b")->on_store_failure, QUOTA_FAILS_ALLOW);
    assert_int_equal(find(set, "t", "c")->on_store_failure, QUOTA_FAILS_LOCAL);
    quota_set_release(&set);
    assert_refused("tenants: {t: {a: {on_store_failure: open, limits: [{rate: 1/s}]}}}",
                   "q.yaml:1: tenants.t.a.on_store_failure: 'open' is none of local, allow and deny");
}

static void test_patterns_that_cannot_be_are_refused(void **state) {
    (void)state;
    assert_refused("tenants:\n  demo:\n    a*b: {limits: [{rate: 1/s}]}\n",
                   "q.yaml:3: tenants.demo.\"a*b\": the resource 'a*b' has a '*' that does not end it");
    assert_refused("tenants:\n  a*: {b: {limits: [{rate: 1/s}]}}\n",
                   "q.yaml:2: tenants.\"a*\".b: the tenant 'a*' has a '*' that does not stand alone");
    assert_refused("tenants:\n  demo:\n    \"a\\0\": {limits: [{rate: 1/s}]}\n",
                   "q.yaml:3: tenants.demo.\"a?\": the resource 'a?' has a control character");
    assert_refused("tenants:\n  demo:\n    a: {limits: [{rate: 1/s}]}\n    a: {limits: [{rate: 1/s}]}\n",
                   "q.yaml:4: tenants.demo.a: is given twice, first in line 3");
    assert_refused("tenants:\n  demo:\n    *: {limits: [{rate: 1/s}]}\n",
                   "q.yaml:3: did not find expected alphabetic or numeric character"
                   " (while scanning an alias that begins in line 3)");
}

static void test_damaged_files_harm_nothing(void **state) {
    (void)state;
    static const char alphabet[] = "\n\n  -:,[]{}#&*!\"'/019smhx\t\xff";
    char text[sizeof good];
    unsigned seed = 1;
    int n_good = 0;
    for (int round = 0; round < 20000; round++) {
        memcpy(text, good, sizeof good);
        for (int edits = rand_r(&seed) % 4; edits >= 0; edits--) {
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] =
                alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        }
        struct status status = {""};
        struct quota_set *set = registry_load_text("q.yaml", text, sizeof good - 1, &status);
        assert_true((set != NULL) == (status.text[0] == '\0'));
        if (set != NULL) {
            n_good++;
            assert_true(quota_set_count(set) > 0);
        } else {
            assert_memory_equal(status.text, "q.yaml:", 7);
        }
        quota_set_release(&set);
    }
    assert_true(n_good > 100 && n_good < 15000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file_becomes_a_set),
        cmocka_unit_test(test_a_file_is_read_by_its_path),
        cmocka_unit_test(test_the_demo_quota_needs_no_file),
        cmocka_unit_test(test_what_is_missing_or_empty_is_said),
        cmocka_unit_test(test_wrong_values_are_named_with_line_field_and_reason),
        cmocka_unit_test(test_a_rate_out_of_range_is_refused_at_its_line),
        cmocka_unit_test(test_limits_are_few_and_have_names_of_their_own),
        cmocka_unit_test(test_modes_bans_and_unlimited_quotas_are_read_or_refused),
        cmocka_unit_test(test_failure_policy_is_read_or_refused),
        cmocka_unit_test(test_patterns_that_cannot_be_are_refused),
        cmocka_unit_test(test_damaged_files_harm_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
