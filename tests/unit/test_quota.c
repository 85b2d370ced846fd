/* test_quota.c — rules are checked and compared; the object made of them holds just that. */
#include "tests/support/test_prelude.h"

#include "server/core/quota.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static struct quota_rules rules_of(const char *const *names, uint32_t n_names) {
    struct quota_rules rules = {.n_limits = n_names};
    for (uint32_t i = 0; i < n_names && i < BUCKET_MAX_LIMITS; i++) {
        rules.limits[i] =
            (struct bucket_limit){.count = 1 + i, .period_s = 1, .burst_utok = BUCKET_UTOK_PER_TOKEN};
        snprintf(rules.limit_names[i], sizeof rules.limit_names[i], "%s", names[i]);
    }
    return rules;
}

static void assert_refused(const char *const *names, uint32_t n_names, const char *reason) {
    struct quota_rules rules = rules_of(names, n_names);
    struct status status;
    assert_false(quota_rules_check(&rules, &status));
    assert_string_equal(status.text, reason);
}

static void test_limits_have_names_of_their_own(void **state) {
    (void)state;
    assert_refused((const char *const[]){"a", "b", "a"}, 3,
                   "the name 'a' is also that of limits[0]; give each limit a name of its own");
    assert_refused((const char *const[]){""}, 1, "a limit's name has 1 to 32 bytes, not 0");
    assert_refused((const char *const[]){"a b"}, 1, "'a b': a limit's name has only letters, digits and _ . -");
    assert_refused(NULL, 0, "a quota has 1 to 8 limits, not 0");
    assert_refused((const char *const[]){"1", "2", "3", "4", "5", "6", "7", "8", "9"}, 9,
                   "a quota has 1 to 8 limits, not 9");
    struct quota_rules rules = {0};
    struct status status;
    assert_true(quota_name_limit(&rules, 0, bytes_of("Az09_.-Az09_.-Az09_.-Az09_.-Az09"), &status));
    assert_string_equal(rules.limit_names[0], "Az09_.-Az09_.-Az09_.-Az09_.-Az09");
    assert_false(quota_name_limit(&rules, 1, bytes_of("Az09_.-Az09_.-Az09_.-Az09_.-Az09x"), &status));
    assert_string_equal(status.text, "a limit's name has 1 to 32 bytes, not 33");
}

/* What was recorded for a bucket of this name is nothing to a window, whose count of what was used it would be. */
static void test_a_window_has_another_id_than_a_bucket_of_its_name(void **state) {
    (void)state;
    struct quota_rules rules = {.n_limits = 2};
    struct status status;
    assert_true(bucket_set_window(&rules.limits[0], BUCKET_FIXED_WINDOW, 9, CALENDAR_DAY, &status));
    memcpy(rules.limit_names[0], "day", sizeof "day");
    memcpy(rules.limit_names[1], "second", sizeof "second");
    assert_true(quota_rules_check(&rules, &status));
    uint32_t id = rules.limits[0].id;
    rules.limits[0].algorithm = BUCKET_SLIDING_WINDOW;
    assert_true(quota_rules_check(&rules, &status));
    assert_int_equal(rules.limits[0].id, id);
    rules.limits[0].algorithm = BUCKET_TOKEN;
    assert_true(quota_rules_check(&rules, &status));
    assert_int_equal(rules.limits[0].id, ~id);
    memcpy(rules.limit_names[1], "day", sizeof "day");
    rules.limits[0].algorithm = BUCKET_FIXED_WINDOW;
    assert_false(quota_rules_check(&rules, &status));
    assert_string_equal(status.text,
                        "the name 'day' is also that of limits[0]; give each limit a name of its own");
}

static void test_unlimited_means_no_limits(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = {.is_unlimited = true};
    assert_true(quota_rules_check(&rules, &status));
    rules.n_limits = 1;
    assert_false(quota_rules_check(&rules, &status));
    assert_string_equal(status.text, "an unlimited quota has no limits");
}

static void test_rules_are_equal_when_everything_is(void **state) {
    (void)state;
    struct status status;
    struct quota_rules one = rules_of((const char *const[]){"a", "b"}, 2), other = one;
    assert_true(quota_rules_check(&one, &status) && quota_rules_check(&other, &status));
    other.limits[2].count = 5;
    assert_true(quota_rules_are_equal(&one, &other));
    other.limits[1].count = 5;
    assert_false(quota_rules_are_equal(&one, &other));
    other = one;
    other.mode = QUOTA_IN_SHADOW;
    assert_false(quota_rules_are_equal(&one, &other));
    other = one;
    other.on_store_failure = QUOTA_FAILS_DENY;
    assert_false(quota_rules_are_equal(&one, &other));
    other = one;
    other.n_limits = 1;
    assert_false(quota_rules_are_equal(&one, &other));
}

static void test_a_quota_holds_its_pattern_and_its_rules(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = rules_of((const char *const[]){"second", "day"}, 2), again;
    rules.mode = QUOTA_IN_SHADOW;
    rules.on_store_failure = QUOTA_FAILS_ALLOW;
    assert_true(quota_rules_check(&rules, &status));
    struct quota *quota = quota_create(bytes_of("acme"), bytes_of("api.*"), &rules, 5, 12);
    assert_int_equal(quota->index, 5);
    assert_int_equal(quota->revision, 12);
    assert_string_equal(quota->limit_names[1], "day");
    assert_int_equal(quota->limits[1].count, 2);
    assert_int_equal(quota_tenant(quota).len, 4);
    assert_memory_equal(quota_tenant(quota).data, "acme", 4);
    assert_int_equal(quota_resource(quota).len, 5);
    assert_memory_equal(quota_resource(quota).data, "api.*", 5);
    assert_non_null(quota->shadow);
    assert_int_equal(quota->shadow->n_would_deny, 0);
    assert_false(quota->is_banned);
    quota_get_rules(quota, &again);
    assert_true(quota_rules_are_equal(&rules, &again));
    struct quota *held = quota_hold(quota);
    quota_release(&quota);
    assert_null(quota);
    assert_int_equal(held->index, 5);
    quota_release(&held);
}

static void test_limits_of_keys_come_first_in_a_part_of_their_own(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = rules_of((const char *const[]){"all", "second", "day", "tenant"}, 4), again;
    rules.scopes[0] = BUCKET_PER_RESOURCE;
    rules.scopes[3] = BUCKET_PER_TENANT;
    assert_true(quota_rules_check(&rules, &status));
    struct quota *quota = quota_create(bytes_of("t"), bytes_of("r"), &rules, 3, 0);
    assert_string_equal(quota->limit_names[0], "second");
    assert_string_equal(quota->limit_names[1], "day");
    assert_string_equal(quota->limit_names[2], "all");
    assert_int_equal(quota->n_parts, 3);
    assert_int_equal(quota->parts[0].scope, BUCKET_PER_KEY);
    assert_int_equal(quota->parts[0].n_limits, 2);
    assert_int_equal(quota->parts[1].scope, BUCKET_PER_RESOURCE);
    assert_int_equal(quota->parts[1].first_limit, 2);
    assert_int_equal(quota->parts[2].scope, BUCKET_PER_TENANT);
    assert_int_equal(quota->parts[2].n_limits, 1);
    assert_ptr_equal(quota->parts[2].limits, &quota->limits[3]);
    assert_int_equal(quota->parts[2].index, 3 * BUCKET_MAX_LIMITS + 2);
    quota_get_rules(quota, &again);
    assert_true(quota_rules_are_equal(&rules, &again));
    again.scopes[3] = BUCKET_GLOBAL;
    assert_false(quota_rules_are_equal(&rules, &again));
    quota_release(&quota);
}

static void test_each_part_has_the_bucket_of_its_scope(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = rules_of((const char *const[]){"key", "day", "site"}, 3);
    rules.scopes[1] = BUCKET_PER_TENANT;
    rules.scopes[2] = BUCKET_GLOBAL;
    assert_true(quota_rules_check(&rules, &status));
    struct quota *quota = quota_create(bytes_of("*"), bytes_of("*"), &rules, 0, 0);
    struct bucket_name names[3];
    for (uint32_t i = 0; i < 3; i++) {
        names[i] = quota_part_bucket(quota, &quota->parts[i], bytes_of("acme"), bytes_of("web"), bytes_of("k"));
    }
    assert_int_equal(names[0].scope, BUCKET_PER_KEY);
    assert_memory_equal(names[0].resource.data, "web", 3);
    assert_memory_equal(names[0].key.data, "k", 1);
    assert_int_equal(names[1].scope, BUCKET_PER_TENANT);
    assert_int_equal(names[1].tenant.len, 4);
    assert_int_equal(names[1].resource.len, 0);
    assert_memory_equal(names[1].key.data, "day", 3);
    assert_int_equal(names[2].tenant.len, 0);
    assert_int_equal(names[2].key.len, 4);
    quota_release(&quota);
}

static void test_a_global_limit_is_for_everybody_alone(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = rules_of((const char *const[]){"key", "site"}, 2);
    rules.scopes[1] = BUCKET_PER_TENANT;
    assert_true(quota_check_scopes(&rules, bytes_of("acme"), &status));
    rules.scopes[1] = BUCKET_GLOBAL;
    assert_true(quota_check_scopes(&rules, bytes_of("*"), &status));
    assert_false(quota_check_scopes(&rules, bytes_of("acme"), &status));
    assert_string_equal(status.text, "'site' has scope global, which is for quotas of tenant \"*\" alone");
}

static void test_a_rate_of_nothing_is_a_ban(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = rules_of((const char *const[]){"a", "b"}, 2);
    rules.limits[1].count = 0;
    assert_true(quota_rules_check(&rules, &status));
    struct quota *quota = quota_create(bytes_of("t"), bytes_of("r"), &rules, 0, 0);
    assert_true(quota->is_banned);
    assert_null(quota->shadow);
    quota_release(&quota);
    rules = (struct quota_rules){.is_unlimited = true};
    quota = quota_create(bytes_of("t"), bytes_of("r"), &rules, 0, 0);
    assert_false(quota->is_banned);
    assert_true(quota->is_unlimited);
    assert_int_equal(quota->n_limits, 0);
    assert_memory_equal(quota_resource(quota).data, "r", 1);
    quota_release(&quota);
}

static int sign_of_comparison(const char *tenant, const char *resource) {
    struct quota_rules rules = {.is_unlimited = true};
    struct quota *quota = quota_create(bytes_of("b"), bytes_of("m"), &rules, 0, 0);
    int order = quota_compare(quota, bytes_of(tenant), bytes_of(resource));
    quota_release(&quota);
    return (order > 0) - (order < 0);
}

static void test_tenants_come_before_resources(void **state) {
    (void)state;
    assert_int_equal(sign_of_comparison("b", "m"), 0);
    assert_int_equal(sign_of_comparison("a", "z"), 1);
    assert_int_equal(sign_of_comparison("c", "a"), -1);
    assert_int_equal(sign_of_comparison("b", "mm"), -1);
    assert_int_equal(sign_of_comparison("b", ""), 1);
    assert_int_equal(sign_of_comparison("b\xc3", "a"), -1);
    assert_int_equal(sign_of_comparison("", ""), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_have_names_of_their_own),
        cmocka_unit_test(test_a_window_has_another_id_than_a_bucket_of_its_name),
        cmocka_unit_test(test_unlimited_means_no_limits),
        cmocka_unit_test(test_rules_are_equal_when_everything_is),
        cmocka_unit_test(test_a_quota_holds_its_pattern_and_its_rules),
        cmocka_unit_test(test_limits_of_keys_come_first_in_a_part_of_their_own),
        cmocka_unit_test(test_each_part_has_the_bucket_of_its_scope),
        cmocka_unit_test(test_a_global_limit_is_for_everybody_alone),
        cmocka_unit_test(test_a_rate_of_nothing_is_a_ban),
        cmocka_unit_test(test_tenants_come_before_resources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
