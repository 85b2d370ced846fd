/* test_store_key.c — names of buckets: escaped, distinct, and never longer than announced. */
#include "tests/support/test_prelude.h"

#include "server/core/slot.h"
#include "server/store/store_key.h"

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static size_t write_name(struct bytes tenant, struct bytes resource, struct bytes key, uint8_t *out,
                         size_t cap) {
    struct bucket_name name = bucket_name_of(BUCKET_PER_KEY, tenant, resource, key);
    return store_key_write(&name, out, cap);
}

static void assert_name(struct bytes tenant, struct bytes resource, struct bytes key, const char *expected) {
    uint8_t name[STORE_KEY_MAX_BYTES];
    size_t n = write_name(tenant, resource, key, name, sizeof name);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(name, expected, n);
}

static void test_plain_parts_stay_as_they_are(void **state) {
    (void)state;
    assert_name(of("acme"), of("api.read"), of("alice@example.com"), "s:acme/api.read/alice@example.com");
    assert_name(of("a"), of("b"), (struct bytes){0}, "s:a/b/");
    assert_name(of("a"), of("b"), of("\xc3\xa9 \xff~"), "s:a/b/\xc3\xa9 \xff~");
}

static void test_separators_and_braces_are_escaped_in_every_part(void **state) {
    (void)state;
    assert_name(of("a/b"), of("{c}"), of("100%"), "s:a%2fb/%7bc%7d/100%25");
    assert_name(of("%7b"), of("/"), of("{x}/{y}"), "s:%257b/%2f/%7bx%7d%2f%7by%7d");
}

static void test_control_bytes_and_nul_are_escaped(void **state) {
    (void)state;
    static const uint8_t key[] = {'a', 0, 'b', '\n', 0x1f, 0x20, 0x7e, 0x7f};
    assert_name(of("t"), of("r"), (struct bytes){.data = key, .len = sizeof key}, "s:t/r/a%00b%0a%1f ~%7f");
}

static void test_a_callers_hash_tag_chooses_no_slot(void **state) {
    (void)state;
    uint8_t name[STORE_KEY_MAX_BYTES];
    size_t n = write_name(of("t"), of("r"), of("{x}1"), name, sizeof name);
    assert_null(memchr(name, '{', n));
    assert_int_not_equal(slot_of_key((struct bytes){.data = name, .len = n}), slot_of_key(of("x")));
}

static void test_longest_parts_all_escaped_fit(void **state) {
    (void)state;
    static uint8_t braces[QUOTA_KEY_MAX_BYTES];
    memset(braces, '{', sizeof braces);
    uint8_t name[STORE_KEY_MAX_BYTES];
    struct bytes tenant = {.data = braces, .len = QUOTA_TENANT_MAX_BYTES};
    struct bytes resource = {.data = braces, .len = QUOTA_RESOURCE_MAX_BYTES};
    struct bytes key = {.data = braces, .len = QUOTA_KEY_MAX_BYTES};
    assert_int_equal(write_name(tenant, resource, key, name, sizeof name), STORE_KEY_MAX_BYTES);
}

static void test_a_name_beyond_the_cap_is_refused(void **state) {
    (void)state;
    uint8_t name[8];
    assert_int_equal(write_name(of("t"), of("r"), of("key"), name, sizeof name), 0);
    assert_int_equal(write_name(of("t"), of("r"), of("ke"), name, sizeof name), 8);
    assert_int_equal(write_name(of("t"), of("r"), of("{"), name, sizeof name), 0);
}

static void test_wider_limits_are_named_by_what_shares_them(void **state) {
    (void)state;
    static const char *const names[] = {[BUCKET_PER_RESOURCE] = "r:t%2f/api/day",
                                        [BUCKET_PER_TENANT] = "t:t%2f//day",
                                        [BUCKET_GLOBAL] = "g://day"};
    for (enum bucket_scope scope = BUCKET_PER_RESOURCE; scope <= BUCKET_GLOBAL; scope++) {
        struct bucket_name bucket = bucket_name_of(scope, of("t/"), of("api"), of("day"));
        uint8_t name[STORE_KEY_MAX_BYTES];
        assert_int_equal(store_key_write(&bucket, name, sizeof name), strlen(names[scope]));
        assert_memory_equal(name, names[scope], strlen(names[scope]));
    }
}

static void assert_text(const uint8_t *name, size_t n, const char *expected) {
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(name, expected, n);
}

static void test_what_stands_beside_a_bucket_is_in_its_slot(void **state) {
    (void)state;
    uint8_t name[STORE_KEY_BESIDE_MAX_BYTES];
    const uint8_t id[STORE_RESERVATION_ID_BYTES] = {0x00, 0xff, 0x1a};
    size_t n = store_key_write_memo(of("s:t/r/k"), of("}{x}/"), name, sizeof name);
    assert_text(name, n, "{s:t/r/k}i:%7d%7bx%7d%2f");
    assert_int_equal(slot_of_key((struct bytes){name, n}), slot_of_key(of("s:t/r/k")));
    n = store_key_write_reservation(of("s:t/r/k"), id, name, sizeof name);
    assert_text(name, n, "{s:t/r/k}v:00ff1a00000000000000000000000000");
    assert_int_equal(slot_of_key((struct bytes){name, n}), slot_of_key(of("s:t/r/k")));
    assert_int_equal(store_key_write_reservation(of("s:t/r/k"), id, name, n - 1), 0);
}

static void test_the_longest_names_beside_a_bucket_fit(void **state) {
    (void)state;
    static const uint8_t longest[STORE_KEY_MAX_BYTES] = {'s'};
    static const uint8_t zeros[STORE_MEMO_KEY_MAX_BYTES];
    uint8_t name[STORE_KEY_BESIDE_MAX_BYTES];
    struct bytes bucket = {longest, sizeof longest}, memo = {zeros, sizeof zeros};
    assert_int_equal(store_key_write_memo(bucket, memo, name, sizeof name), sizeof name);
    assert_int_equal(store_key_write_memo(bucket, memo, name, sizeof name - 1), 0);
    assert_int_equal(store_key_write_reservation(bucket, zeros, name, sizeof name),
                     STORE_KEY_MAX_BYTES + 4 + 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_parts_stay_as_they_are),
        cmocka_unit_test(test_separators_and_braces_are_escaped_in_every_part),
        cmocka_unit_test(test_control_bytes_and_nul_are_escaped),
        cmocka_unit_test(test_a_callers_hash_tag_chooses_no_slot),
        cmocka_unit_test(test_longest_parts_all_escaped_fit),
        cmocka_unit_test(test_a_name_beyond_the_cap_is_refused),
        cmocka_unit_test(test_wider_limits_are_named_by_what_shares_them),
        cmocka_unit_test(test_what_stands_beside_a_bucket_is_in_its_slot),
        cmocka_unit_test(test_the_longest_names_beside_a_bucket_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
