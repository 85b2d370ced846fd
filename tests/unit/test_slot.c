/* test_slot.c — keys land in the slots that Redis puts them in. */
#include "tests/support/test_prelude.h"

#include "server/core/slot.h"

static uint16_t slot(const char *key) {
    return slot_of_key((struct bytes){.data = (const uint8_t *)key, .len = strlen(key)});
}

/* Values as redis-server 7.0 replies to CLUSTER KEYSLOT. */
static void test_known_keys(void **state) {
    (void)state;
    assert_int_equal(slot("123456789"), 0x31c3);
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("somekey"), 11058);
    assert_int_equal(slot("s:acme/api.read/alice"), 9745);
}

static void test_empty_key_is_slot_0(void **state) {
    (void)state;
    assert_int_equal(slot_of_key((struct bytes){0}), 0);
}

static void test_bytes_above_127_are_unsigned(void **state) {
    (void)state;
    assert_int_equal(slot("\xff\x80\xfe"), 6698);
}

static void test_hash_tag_alone_decides(void **state) {
    (void)state;
    assert_int_equal(slot("foo{hash_tag}"), 2515);
    assert_int_equal(slot("bar{hash_tag}x"), 2515);
    assert_int_equal(slot("hash_tag"), 2515);
    assert_int_equal(slot("{a}{b}"), slot("a"));
    assert_int_equal(slot("x{{a}}"), slot("{a"));
}

static void test_empty_or_open_tag_is_no_tag(void **state) {
    (void)state;
    assert_int_equal(slot("{}foo"), 9500);
    assert_int_equal(slot("foo{"), 7673);
    assert_int_equal(slot("}foo{bar"), 7622);
    assert_int_not_equal(slot("{}foo"), slot("{}bar"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_keys),
        cmocka_unit_test(test_empty_key_is_slot_0),
        cmocka_unit_test(test_bytes_above_127_are_unsigned),
        cmocka_unit_test(test_hash_tag_alone_decides),
        cmocka_unit_test(test_empty_or_open_tag_is_no_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
