/* test_bucket_name.c — whose bucket it is: no two names alike, and no seed like another. */
#include "tests/support/test_prelude.h"

#include "server/core/bucket_name.h"
#include "server/core/quota.h"

static struct bytes text(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .len = strlen(string)};
}

static bool is_same(struct hash128 a, struct hash128 b) {
    return a.low == b.low && a.high == b.high;
}

static struct hash128 key_hash(struct bytes tenant, struct bytes resource, struct bytes key, uint64_t seed) {
    struct bucket_name name = bucket_name_of(BUCKET_PER_KEY, tenant, resource, key);
    return bucket_name_hash(&name, seed);
}

static void test_texts_do_not_run_together(void **state) {
    (void)state;
    struct hash128 hash = key_hash(text("ab"), text("c"), text("d"), 1);
    assert_true(is_same(hash, key_hash(text("ab"), text("c"), text("d"), 1)));
    assert_false(is_same(hash, key_hash(text("a"), text("bc"), text("d"), 1)));
    assert_false(is_same(hash, key_hash(text("ab"), text("cd"), text(""), 1)));
    assert_false(is_same(hash, key_hash(text("ab"), text("c"), text("d"), 2)));
}

static void test_every_byte_counts_a_nul_too(void **state) {
    (void)state;
    struct bytes longer = {.data = (const uint8_t *)"d\0x", .len = 3};
    assert_false(
        is_same(key_hash(text("a"), text("b"), text("d"), 1), key_hash(text("a"), text("b"), longer, 1)));
}

static void test_longest_texts_fit(void **state) {
    (void)state;
    uint8_t bytes[QUOTA_KEY_MAX_BYTES] = {0};
    struct bytes tenant = {bytes, QUOTA_TENANT_MAX_BYTES}, resource = {bytes, QUOTA_RESOURCE_MAX_BYTES};
    struct hash128 hash = key_hash(tenant, resource, (struct bytes){bytes, sizeof bytes}, 1);
    assert_false(is_same(hash, key_hash(tenant, resource, (struct bytes){bytes, sizeof bytes - 1}, 1)));
}

static void test_wider_scope_leaves_out_what_shares_it(void **state) {
    (void)state;
    struct bucket_name resource = bucket_name_of(BUCKET_PER_RESOURCE, text("t"), text("r"), text("limit"));
    struct bucket_name tenant = bucket_name_of(BUCKET_PER_TENANT, text("t"), text("r"), text("limit"));
    struct bucket_name other = bucket_name_of(BUCKET_PER_TENANT, text("t"), text("x"), text("limit"));
    struct bucket_name all = bucket_name_of(BUCKET_GLOBAL, text("t"), text("r"), text("limit"));
    struct bucket_name everybody = bucket_name_of(BUCKET_GLOBAL, text("u"), text("x"), text("limit"));
    assert_int_equal(resource.resource.len, 1);
    assert_int_equal(tenant.resource.len, 0);
    assert_int_equal(all.tenant.len, 0);
    assert_true(is_same(bucket_name_hash(&tenant, 1), bucket_name_hash(&other, 1)));
    assert_true(is_same(bucket_name_hash(&all, 1), bucket_name_hash(&everybody, 1)));
    assert_false(is_same(bucket_name_hash(&resource, 1), key_hash(text("t"), text("r"), text("limit"), 1)));
    assert_false(is_same(bucket_name_hash(&tenant, 1), key_hash(text("t"), text(""), text("limit"), 1)));
    assert_false(is_same(bucket_name_hash(&all, 1), key_hash(text(""), text(""), text("limit"), 1)));
}

static void test_a_name_is_its_prefix_and_its_key(void **state) {
    (void)state;
    struct hash128 prefix = bucket_name_prefix(BUCKET_PER_KEY, text("t"), text("r"), 1);
    assert_true(is_same(bucket_name_hash_key(prefix, text("k")), key_hash(text("t"), text("r"), text("k"), 1)));
    assert_false(
        is_same(bucket_name_hash_key(prefix, text("k")), key_hash(text("t"), text("s"), text("k"), 1)));
    assert_true(
        is_same(bucket_name_hash_key(prefix, (struct bytes){0}), key_hash(text("t"), text("r"), text(""), 1)));
    /* The prefix counts as a whole, though no more than half of it seeds the key's hash. */
    struct hash128 other = {.low = prefix.low, .high = prefix.high + 1};
    assert_false(is_same(bucket_name_hash_key(prefix, text("k")), bucket_name_hash_key(other, text("k"))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_do_not_run_together),
        cmocka_unit_test(test_every_byte_counts_a_nul_too),
        cmocka_unit_test(test_longest_texts_fit),
        cmocka_unit_test(test_wider_scope_leaves_out_what_shares_it),
        cmocka_unit_test(test_a_name_is_its_prefix_and_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
