/* test_hash.c — hashes depend on every byte and on the seed; the stable one never changes. */
#include "tests/support/test_prelude.h"

#include "server/base/hash.h"

static void test_seed_and_every_byte_count(void **state) {
    (void)state;
    char text[64] = {0};
    uint64_t plain = hash_bytes(text, sizeof text, 1);
    struct hash128 wide = hash_bytes_wide(text, sizeof text, 1);
    assert_true(hash_bytes(text, sizeof text, 2) != plain);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = 1;
        assert_true(hash_bytes(text, sizeof text, 1) != plain);
        struct hash128 other = hash_bytes_wide(text, sizeof text, 1);
        assert_true(other.low != wide.low && other.high != wide.high);
        text[i] = 0;
    }
    assert_true(hash_bytes(text, sizeof text, 1) == plain);
}

static void test_seeds_differ(void **state) {
    (void)state;
    assert_true(hash_random_seed() != hash_random_seed());
}

static void test_stored_numbers_never_change(void **state) {
    (void)state;
    /* Published test value of XXH32 for no bytes, seed 0. */
    assert_int_equal(hash_stable32("", 0), 0x02cc5d05);
    assert_int_equal(hash_stable32("token_bucket", 12), hash_stable32("token_bucket", 12));
    assert_int_not_equal(hash_stable32("token_bucket", 12), hash_stable32("leaky_bucket", 12));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_and_every_byte_count),
        cmocka_unit_test(test_seeds_differ),
        cmocka_unit_test(test_stored_numbers_never_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
