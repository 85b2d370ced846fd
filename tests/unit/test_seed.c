/* test_seed.c — a set as the arguments that seed a store: parts, the first, the last, and going on with another's. */
#include "tests/support/test_prelude.h"

#include "server/quota/seed.h"
#include "tests/support/text_bytes.h"

static struct quota_set *set_of(uint32_t n_quotas) {
    struct quota_set *set = quota_set_create();
    struct quota_rules rules = {.is_unlimited = true};
    struct status status;
    assert_non_null(set);
    for (uint32_t i = 0; i < n_quotas; i++) {
        char resource[16];
        snprintf(resource, sizeof resource, "r%u", (unsigned)i);
        assert_true(quota_set_put(set, text_bytes("t"), text_bytes(resource), &rules, 0, &status));
    }
    return set;
}

/* How many changes an argument has; its flags. */
static uint32_t read_part(const struct buf *part, uint8_t *flags) {
    const uint8_t *bytes = buf_front(part);
    size_t at = 1;
    uint32_t n_texts = 0;
    *flags = bytes[0];
    for (; at < buf_len(part); n_texts++) {
        at += 4 + bytes[at] + 256 * (size_t)bytes[at + 1];
    }
    assert_int_equal(at, buf_len(part));
    assert_int_equal((n_texts - 3) % 4, 0);
    return (n_texts - 3) / 4;
}

static void expect_part(struct seed *seed, uint32_t n_changes, uint8_t flags, bool is_last) {
    struct buf part = {0};
    bool was_last;
    uint8_t seen_flags;
    assert_true(seed_write_part(seed, &part, &was_last));
    assert_int_equal(read_part(&part, &seen_flags), n_changes);
    assert_int_equal(seen_flags, flags);
    assert_int_equal(was_last, is_last);
    buf_deinit(&part);
}

static void test_small_set_is_one_call(void **state) {
    (void)state;
    struct quota_set *set = set_of(SEED_PART_QUOTAS);
    struct seed seed = {.set = set};
    expect_part(&seed, SEED_PART_QUOTAS + 1, 1, true);
    quota_set_release(&set);
}

static void test_large_set_goes_in_parts(void **state) {
    (void)state;
    struct quota_set *set = set_of(2 * SEED_PART_QUOTAS + 1);
    struct seed seed = {.set = set};
    expect_part(&seed, SEED_PART_QUOTAS + 1, 1 | 2, false);
    expect_part(&seed, SEED_PART_QUOTAS, 1 | 2 | 4, false);
    expect_part(&seed, 1, 1 | 4, true);
    quota_set_release(&set);
}

static void test_without_a_set_anothers_seed_is_ended(void **state) {
    (void)state;
    struct seed seed = {.goes_on = true};
    expect_part(&seed, 0, 1 | 4, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_set_is_one_call),
        cmocka_unit_test(test_large_set_goes_in_parts),
        cmocka_unit_test(test_without_a_set_anothers_seed_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
