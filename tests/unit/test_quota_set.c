/* test_quota_set.c — the right quota is found among many, and what is ambiguous is refused. */
#include "tests/support/test_prelude.h"

#include <pthread.h>

#include "server/core/quota_set.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* A quota of one limit per name; its burst tells quotas apart. */
static struct quota_rules rules_of(int64_t burst, const char *const *names, uint32_t n_names) {
    struct quota_rules rules = {.n_limits = n_names};
    for (uint32_t i = 0; i < n_names; i++) {
        rules.limits[i] =
            (struct bucket_limit){.count = 1, .period_s = 1, .burst_utok = burst * BUCKET_UTOK_PER_TOKEN};
        snprintf(rules.limit_names[i], sizeof rules.limit_names[i], "%s", names[i]);
    }
    return rules;
}

static bool add(struct quota_set *set, const char *tenant, const char *resource, int64_t burst,
                struct status *status) {
    static const char *const names[] = {"n"};
    struct quota_rules rules = rules_of(burst, names, 1);
    return quota_set_put(set, bytes_of(tenant), bytes_of(resource), &rules, 0, status);
}

static void must_add(struct quota_set *set, const char *tenant, const char *resource, int64_t burst) {
    struct status status;
    assert_true(add(set, tenant, resource, burst, &status));
}

static void assert_refused(struct quota_set *set, const char *tenant, const char *resource,
                           const char *reason) {
    struct status status;
    uint32_t count = quota_set_count(set);
    assert_false(add(set, tenant, resource, 1, &status));
    assert_string_equal(status.text, reason);
    assert_int_equal(quota_set_count(set), count);
}

/* The burst of what is found; 0: nothing. */
static int64_t found(const struct quota_set *set, const char *tenant, const char *resource) {
    const struct quota *quota = quota_set_find(set, bytes_of(tenant), bytes_of(resource));
    return quota != NULL ? quota->limits[0].burst_utok / BUCKET_UTOK_PER_TOKEN : 0;
}

static void test_an_empty_set_knows_nothing_and_allows(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    assert_non_null(set);
    assert_int_equal(found(set, "a", "b"), 0);
    assert_int_equal(quota_set_unknown(set), QUOTA_UNKNOWN_ALLOW);
    assert_int_equal(quota_set_count(set), 0);
    assert_int_equal(quota_set_max_limits(set), 0);
    quota_set_set_unknown(set, QUOTA_UNKNOWN_DENY);
    assert_int_equal(quota_set_unknown(set), QUOTA_UNKNOWN_DENY);
    quota_set_release(&set);
    assert_null(set);
    quota_set_release(&set);
}

static void test_exact_then_longest_prefix_then_any_tenant(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "acme", "api.read", 1);
    must_add(set, "acme", "api.*", 2);
    must_add(set, "acme", "api.v2.*", 3);
    must_add(set, "*", "login", 4);
    must_add(set, "*", "lo*", 5);
    must_add(set, "all", "*", 6);
    must_add(set, "all", "login", 7);
    assert_int_equal(found(set, "acme", "api.read"), 1);
    assert_int_equal(found(set, "acme", "api.readx"), 2);
    assert_int_equal(found(set, "acme", "api."), 2);
    assert_int_equal(found(set, "acme", "api"), 0);
    assert_int_equal(found(set, "acme", "api.v2.x"), 3);
    assert_int_equal(found(set, "acme", "api.v2"), 2);
    assert_int_equal(found(set, "acme", "login"), 4);
    assert_int_equal(found(set, "acme", "logout"), 5);
    assert_int_equal(found(set, "acm", "api.read"), 0);
    assert_int_equal(found(set, "acmee", "login"), 4);
    assert_int_equal(found(set, "all", "login"), 7);
    assert_int_equal(found(set, "all", "logout"), 6);
    assert_int_equal(found(set, "all", "x"), 6);
    assert_int_equal(found(set, "*", "login"), 4);
    assert_int_equal(found(set, "other", "other"), 0);
    quota_set_release(&set);
}

static void test_a_pattern_is_not_a_name(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "a", "x*", 1);
    must_add(set, "a", "x", 2);
    assert_int_equal(found(set, "a", "x"), 2);
    assert_int_equal(found(set, "a", "x*"), 1);
    assert_int_equal(found(set, "a", ""), 0);
    assert_int_equal(found(set, "", "x"), 0);
    quota_set_release(&set);
}

static void test_names_may_hold_any_byte_but_controls(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "k\xc3\xb6ln/{x}", "a b\"'", 3);
    assert_int_equal(found(set, "k\xc3\xb6ln/{x}", "a b\"'"), 3);
    assert_refused(set, "a\n", "b", "the tenant 'a?' has a control character");
    assert_refused(set, "a", "b\x7f", "the resource 'b?' has a control character");
    quota_set_release(&set);
}

static void test_prefixes_of_every_length_are_found(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    char pattern[QUOTA_RESOURCE_MAX_BYTES + 1], resource[QUOTA_RESOURCE_MAX_BYTES + 1];
    for (int len = 0; len < QUOTA_RESOURCE_MAX_BYTES; len += 3) {
        memset(pattern, 'a', (size_t)len);
        strcpy(pattern + len, "*");
        must_add(set, "t", pattern, len + 1);
    }
    memset(resource, 'a', sizeof resource);
    for (int len = 0; len <= QUOTA_RESOURCE_MAX_BYTES; len++) {
        resource[len] = '\0';
        int longest = len / 3 * 3;
        longest = longest < QUOTA_RESOURCE_MAX_BYTES ? longest : longest - 3;
        assert_int_equal(found(set, "t", resource), longest + 1);
        resource[len] = 'a';
    }
    memset(resource, 'b', 64);
    resource[QUOTA_RESOURCE_MAX_BYTES] = '\0';
    assert_int_equal(found(set, "t", resource), 1);
    quota_set_release(&set);
}

static void test_names_have_a_length(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    char name[QUOTA_RESOURCE_MAX_BYTES + 2];
    memset(name, 'n', sizeof name);
    name[QUOTA_RESOURCE_MAX_BYTES + 1] = '\0';
    assert_refused(set, "t", name, "a resource's name has 1 to 128 bytes, not 129");
    must_add(set, "t", name + 1, 5);
    assert_int_equal(found(set, "t", name + 1), 5);
    assert_int_equal(found(set, "t", name), 0);
    name[QUOTA_TENANT_MAX_BYTES + 1] = '\0';
    assert_refused(set, name, "r", "a tenant's name has 1 to 64 bytes, not 65");
    must_add(set, name + 1, "r", 6);
    assert_int_equal(found(set, name + 1, "r"), 6);
    assert_refused(set, "", "r", "a tenant's name has 1 to 64 bytes, not 0");
    assert_refused(set, "t", "", "a resource's name has 1 to 128 bytes, not 0");
    quota_set_release(&set);
}

static void test_ambiguous_patterns_are_refused(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "a", "x", 1);
    must_add(set, "a", "x*", 1);
    assert_refused(set, "a", "x*y", "the resource 'x*y' has a '*' that does not end it");
    assert_refused(set, "a", "**", "the resource '**' has a '*' that does not end it");
    assert_refused(set, "a*", "x", "the tenant 'a*' has a '*' that does not stand alone");
    must_add(set, "b", "x", 1);
    quota_set_release(&set);
}

static void test_a_limit_s_id_depends_on_its_name_alone(void **state) {
    (void)state;
    struct status status;
    struct quota_set *set = quota_set_create();
    struct quota_rules one = rules_of(1, (const char *const[]){"second", "hour"}, 2);
    struct quota_rules two = rules_of(9, (const char *const[]){"hour", "x", "second"}, 3);
    assert_true(quota_set_put(set, bytes_of("t"), bytes_of("one"), &one, 0, &status));
    assert_true(quota_set_put(set, bytes_of("t"), bytes_of("two"), &two, 0, &status));
    const struct quota *first = quota_set_find(set, bytes_of("t"), bytes_of("one"));
    const struct quota *second = quota_set_find(set, bytes_of("t"), bytes_of("two"));
    assert_int_equal(first->limits[0].id, second->limits[2].id);
    assert_int_equal(first->limits[1].id, second->limits[0].id);
    assert_int_not_equal(first->limits[0].id, first->limits[1].id);
    assert_int_equal(first->index, 0);
    assert_int_equal(second->index, 1);
    assert_int_equal(quota_set_max_limits(set), 3);
    quota_set_release(&set);
}

static void test_many_quotas_are_found_each(void **state) {
    (void)state;
    enum { N_TENANTS = 300, N_RESOURCES = 30 };
    struct quota_set *set = quota_set_create();
    char tenant[32], resource[32];
    for (int t = 0; t < N_TENANTS; t++) {
        for (int r = 0; r < N_RESOURCES; r++) {
            snprintf(tenant, sizeof tenant, "tenant-%d", t);
            snprintf(resource, sizeof resource, "resource-%d.%s", r, r % 3 == 0 ? "*" : "x");
            must_add(set, tenant, resource, t * N_RESOURCES + r + 1);
        }
    }
    assert_int_equal(quota_set_count(set), N_TENANTS * N_RESOURCES);
    for (int t = 0; t < N_TENANTS; t++) {
        for (int r = 0; r < N_RESOURCES; r++) {
            snprintf(tenant, sizeof tenant, "tenant-%d", t);
            snprintf(resource, sizeof resource, "resource-%d.x", r);
            assert_int_equal(found(set, tenant, resource), t * N_RESOURCES + r + 1);
            strcat(resource, "y");
            assert_int_equal(found(set, tenant, resource), r % 3 == 0 ? t * N_RESOURCES + r + 1 : 0);
        }
    }
    quota_set_release(&set);
}

/* ---- sets that follow one another ---- */

static void must_remove(struct quota_set *set, const char *tenant, const char *resource) {
    struct status status;
    assert_true(quota_set_remove(set, bytes_of(tenant), bytes_of(resource), &status));
}

static const struct quota *get(const struct quota_set *set, const char *tenant, const char *resource) {
    return quota_set_get(set, bytes_of(tenant), bytes_of(resource));
}

static void test_an_edited_copy_leaves_its_source_alone(void **state) {
    (void)state;
    struct quota_set *first = quota_set_create();
    must_add(first, "t", "kept", 1);
    must_add(first, "t", "changed", 2);
    must_add(first, "t", "gone.*", 3);
    quota_set_set_revision(first, 7);
    struct quota_set *second = quota_set_copy(first);
    assert_int_equal(quota_set_revision(second), 7);
    must_add(second, "t", "changed", 20);
    must_add(second, "t", "new.*", 4);
    must_remove(second, "t", "gone.*");
    quota_set_set_revision(second, 8);
    quota_set_set_unknown(second, QUOTA_UNKNOWN_DENY);

    assert_int_equal(found(first, "t", "changed"), 2);
    assert_int_equal(found(first, "t", "gone.x"), 3);
    assert_int_equal(found(first, "t", "new.x"), 0);
    assert_int_equal(quota_set_count(first), 3);
    assert_int_equal(quota_set_revision(first), 7);
    assert_int_equal(quota_set_unknown(first), QUOTA_UNKNOWN_ALLOW);
    assert_ptr_equal(get(first, "t", "kept"), get(second, "t", "kept"));
    quota_set_release(&first);

    assert_int_equal(found(second, "t", "kept"), 1);
    assert_int_equal(found(second, "t", "changed"), 20);
    assert_int_equal(found(second, "t", "gone.x"), 0);
    assert_int_equal(found(second, "t", "new.x"), 4);
    assert_int_equal(quota_set_count(second), 3);
    assert_int_equal(quota_set_revision(second), 8);
    quota_set_release(&second);
}

static void test_an_index_belongs_to_its_pattern(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "t", "a", 1);
    must_add(set, "t", "b", 2);
    must_add(set, "t", "c", 3);
    struct quota_set *next = quota_set_copy(set);
    must_remove(next, "t", "a");
    must_add(next, "t", "b", 20);
    assert_int_equal(get(next, "t", "b")->index, 1);
    assert_int_equal(get(next, "t", "c")->index, 2);
    assert_null(quota_set_at(next, 0));
    must_add(next, "t", "d", 4);
    must_add(next, "t", "e", 5);
    assert_int_equal(get(next, "t", "d")->index, 0);
    assert_int_equal(get(next, "t", "e")->index, 3);
    assert_int_equal(quota_set_n_places(next), 4);
    assert_ptr_equal(quota_set_at(next, 3), get(next, "t", "e"));
    assert_null(quota_set_at(next, 4));
    quota_set_release(&set);
    quota_set_release(&next);
}

static void test_the_very_pattern_is_got(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "*", "api.*", 1);
    assert_non_null(get(set, "*", "api.*"));
    assert_null(get(set, "t", "api.*"));
    assert_null(get(set, "*", "api.x"));
    assert_null(get(set, "*", ""));
    must_remove(set, "t", "api.*");
    must_remove(set, "*", "");
    assert_int_equal(quota_set_count(set), 1);
    quota_set_release(&set);
}

static void test_the_same_rules_and_revision_change_nothing(void **state) {
    (void)state;
    struct status status;
    struct quota_rules rules = rules_of(1, (const char *const[]){"n"}, 1);
    struct quota_set *set = quota_set_create();
    assert_true(quota_set_put(set, bytes_of("t"), bytes_of("r"), &rules, 3, &status));
    const struct quota *first = get(set, "t", "r");
    assert_int_equal(first->revision, 3);
    assert_true(quota_set_put(set, bytes_of("t"), bytes_of("r"), &rules, 3, &status));
    assert_ptr_equal(get(set, "t", "r"), first);
    assert_true(quota_set_put(set, bytes_of("t"), bytes_of("r"), &rules, 4, &status));
    assert_int_equal(get(set, "t", "r")->revision, 4);
    rules.mode = QUOTA_IN_SHADOW;
    assert_true(quota_set_put(set, bytes_of("t"), bytes_of("r"), &rules, 4, &status));
    assert_int_equal(get(set, "t", "r")->mode, QUOTA_IN_SHADOW);
    assert_int_equal(quota_set_count(set), 1);
    quota_set_release(&set);
}

/* A plain list that says what the set must hold. */
enum { N_NAMES = 2000, N_ROUNDS = 40, N_EDITS = 100 };

static void name_number(int n, char tenant[16], char resource[16]) {
    snprintf(tenant, 16, "t%d", n % 37);
    snprintf(resource, 16, "r%d%s", n, n % 3 == 0 ? "*" : "");
}

static void test_sets_hold_what_was_put_and_not_removed(void **state) {
    (void)state;
    static int64_t model[N_NAMES];
    uint32_t random = 1;
    struct quota_set *set = quota_set_create();
    for (int round = 0; round < N_ROUNDS; round++) {
        struct quota_set *next = quota_set_copy(set);
        for (int edit = 0; edit < N_EDITS; edit++) {
            random = random * 1664525 + 1013904223;
            int n = (int)(random >> 8) % N_NAMES;
            char tenant[16], resource[16];
            name_number(n, tenant, resource);
            if (random >> 30 == 0) {
                must_remove(next, tenant, resource);
                model[n] = 0;
            } else {
                model[n] = round * N_EDITS + edit + 1;
                must_add(next, tenant, resource, model[n]);
            }
        }
        quota_set_release(&set);
        set = next;
    }
    uint32_t count = 0;
    for (int n = 0; n < N_NAMES; n++) {
        char tenant[16], resource[16];
        name_number(n, tenant, resource);
        const struct quota *quota = get(set, tenant, resource);
        assert_int_equal(quota != NULL ? quota->limits[0].burst_utok / BUCKET_UTOK_PER_TOKEN : 0, model[n]);
        assert_true(quota == NULL || quota_set_at(set, quota->index) == quota);
        count += quota != NULL;
    }
    assert_int_equal(quota_set_count(set), count);
    quota_set_release(&set);
}

static void *hold_and_release(void *arg) {
    struct quota_set *set = arg;
    for (int i = 0; i < 20000; i++) {
        struct quota_set *held = quota_set_hold(set);
        if (found(held, "t", "r") != 7) {
            return NULL;
        }
        quota_set_release(&held);
    }
    quota_set_release(&set);
    return arg;
}

static void test_the_last_hold_frees_whatever_the_thread(void **state) {
    (void)state;
    struct quota_set *set = quota_set_create();
    must_add(set, "t", "r", 7);
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_release, quota_set_hold(set)), 0);
    }
    quota_set_release(&set);
    for (size_t i = 0; i < 2; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_set_knows_nothing_and_allows),
        cmocka_unit_test(test_exact_then_longest_prefix_then_any_tenant),
        cmocka_unit_test(test_a_pattern_is_not_a_name),
        cmocka_unit_test(test_names_may_hold_any_byte_but_controls),
        cmocka_unit_test(test_prefixes_of_every_length_are_found),
        cmocka_unit_test(test_names_have_a_length),
        cmocka_unit_test(test_ambiguous_patterns_are_refused),
        cmocka_unit_test(test_a_limit_s_id_depends_on_its_name_alone),
        cmocka_unit_test(test_many_quotas_are_found_each),
        cmocka_unit_test(test_an_edited_copy_leaves_its_source_alone),
        cmocka_unit_test(test_an_index_belongs_to_its_pattern),
        cmocka_unit_test(test_the_very_pattern_is_got),
        cmocka_unit_test(test_the_same_rules_and_revision_change_nothing),
        cmocka_unit_test(test_sets_hold_what_was_put_and_not_removed),
        cmocka_unit_test(test_the_last_hold_frees_whatever_the_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
