/* test_quota_memo.c — whatever was looked up before, what is found is what the set has. */
#include "tests/support/test_prelude.h"

#include "client/cmd/rng.h"
#include "server/core/quota_memo.h"

enum { N_NAMES = 40, N_LOOKUPS = 20000, SEED = 7 };

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static const struct quota *find_quota(struct quota_memo *memo, const struct quota_set *set, struct bytes tenant,
                                      struct bytes resource) {
    const struct quota_memo_place *place = quota_memo_find(memo, set, SEED, tenant, resource);
    struct hash128 prefix = bucket_name_prefix(BUCKET_PER_KEY, tenant, resource, SEED);
    assert_memory_equal(&place->prefix, &prefix, sizeof prefix);
    return place->quota;
}

static void must_put(struct quota_set *set, const char *tenant, const char *resource) {
    struct quota_rules rules = {
        .n_limits = 1,
        .limits = {{.count = 1, .period_s = 1, .burst_utok = BUCKET_UTOK_PER_TOKEN}},
        .limit_names = {"n"},
    };
    struct status status;
    assert_true(quota_set_put(set, bytes_of(tenant), bytes_of(resource), &rules, 1, &status));
}

static void test_names_that_share_a_place_are_told_apart(void **state) {
    struct quota_set *set = quota_set_create();
    struct quota_memo memo = {.last = NULL};
    struct rng rng = {1};
    (void)state;
    for (int i = 0; i < N_NAMES; i += 2) {
        char resource[16];
        snprintf(resource, sizeof resource, "r%d", i);
        must_put(set, "tenant", resource);
    }
    for (int i = 0; i < N_LOOKUPS; i++) {
        char resource[16];
        snprintf(resource, sizeof resource, "r%d", (int)rng_below(&rng, N_NAMES));
        struct bytes tenant = bytes_of(rng_below(&rng, 4) == 0 ? "another" : "tenant");
        const struct quota *expected = quota_set_find(set, tenant, bytes_of(resource));
        assert_ptr_equal(find_quota(&memo, set, tenant, bytes_of(resource)), expected);
    }
    quota_set_release(&set);
}

static void test_where_a_name_ends_matters(void **state) {
    struct quota_set *set = quota_set_create();
    struct quota_memo memo = {.last = NULL};
    (void)state;
    must_put(set, "ab", "c");
    assert_non_null(find_quota(&memo, set, bytes_of("ab"), bytes_of("c")));
    assert_null(find_quota(&memo, set, bytes_of("a"), bytes_of("bc")));
    assert_null(find_quota(&memo, set, bytes_of("ab"), bytes_of("cc")));
    quota_set_release(&set);
}

static void test_the_longest_names_are_kept_whole(void **state) {
    struct quota_set *set = quota_set_create();
    struct quota_memo memo = {.last = NULL};
    uint8_t tenant[QUOTA_TENANT_MAX_BYTES], resource[QUOTA_RESOURCE_MAX_BYTES];
    (void)state;
    memset(tenant, 't', sizeof tenant);
    memset(resource, 'r', sizeof resource);
    struct bytes long_tenant = {tenant, sizeof tenant}, long_resource = {resource, sizeof resource};
    must_put(set, "*", "rrr*");
    const struct quota *quota = find_quota(&memo, set, long_tenant, long_resource);
    assert_non_null(quota);
    assert_ptr_equal(find_quota(&memo, set, long_tenant, long_resource), quota);
    resource[1] = 'x';
    assert_null(find_quota(&memo, set, long_tenant, long_resource));
    quota_set_release(&set);
}

static void test_cleared_it_asks_again(void **state) {
    struct quota_set *before = quota_set_create(), *after = quota_set_create();
    struct quota_memo memo = {.last = NULL};
    (void)state;
    must_put(after, "t", "r");
    assert_null(find_quota(&memo, before, bytes_of("t"), bytes_of("r")));
    assert_null(find_quota(&memo, after, bytes_of("t"), bytes_of("r")));
    assert_true(quota_memo_was_last(&memo, bytes_of("t"), bytes_of("r")));
    assert_false(quota_memo_was_last(&memo, bytes_of("t"), bytes_of("s")));
    assert_false(quota_memo_was_last(&memo, bytes_of("tr"), bytes_of("")));
    quota_memo_clear(&memo);
    assert_false(quota_memo_was_last(&memo, bytes_of("t"), bytes_of("r")));
    assert_non_null(find_quota(&memo, after, bytes_of("t"), bytes_of("r")));
    quota_set_release(&before);
    quota_set_release(&after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_share_a_place_are_told_apart),
        cmocka_unit_test(test_where_a_name_ends_matters),
        cmocka_unit_test(test_the_longest_names_are_kept_whole),
        cmocka_unit_test(test_cleared_it_asks_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
