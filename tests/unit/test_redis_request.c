/* test_redis_request.c — commands as Redis reads them, byte for byte. */
#include "tests/support/test_prelude.h"

#include "server/store/redis_request.h"

static const struct script script = {
    .name = "ten",
    .body = "return 10\n",
    .body_bytes = 10,
    .n_keys = 1,
    .sha1 = "0123456789012345678901234567890123456789",
};

static void assert_holds(const struct buf *buf, const char *expected) {
    assert_int_equal(buf_len(buf), strlen(expected));
    assert_memory_equal(buf_front(buf), expected, buf_len(buf));
}

static void test_command_of_words(void **state) {
    (void)state;
    struct buf out = {0};
    const char *const words[] = {"SCRIPT", "", "body of 12 b"};
    assert_true(redis_append_command(&out, words, 3));
    assert_holds(&out, "*3\r\n$6\r\nSCRIPT\r\n$0\r\n\r\n$12\r\nbody of 12 b\r\n");
    buf_deinit(&out);
}

static void test_tail_may_hold_any_byte(void **state) {
    (void)state;
    static const uint8_t key[] = {'k', 0, '\r', '\n', 0xff};
    uint8_t tail[sizeof key + REDIS_TAIL_EXTRA_BYTES];
    size_t n = redis_put_tail((struct bytes){.data = key, .len = sizeof key}, (struct bytes){0}, tail);
    static const char expected[] = "$1\r\n1\r\n$5\r\nk\0\r\n\xff\r\n$0\r\n\r\n";
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(tail, expected, n);
}

static void test_script_of_several_keys(void **state) {
    (void)state;
    const struct bytes keys[] = {{(const uint8_t *)"{a}b", 4}, {(const uint8_t *)"{a}c", 4}};
    struct bytes argument = {(const uint8_t *)"x", 1};
    uint8_t tail[9 + REDIS_TAIL_EXTRA_BYTES + REDIS_WORD_EXTRA_BYTES];
    size_t n = redis_put_tail_of_keys(keys, 2, argument, tail);
    static const char expected[] = "$1\r\n2\r\n$4\r\n{a}b\r\n$4\r\n{a}c\r\n$1\r\nx\r\n";
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(tail, expected, n);
    struct script of_two = script;
    of_two.n_keys = 2;
    struct redis_heads heads;
    assert_true(redis_heads_init(&heads, &of_two));
    assert_holds(&heads.by_body, "*6\r\n$4\r\nEVAL\r\n$10\r\nreturn 10\n\r\n");
    redis_heads_deinit(&heads);
}

static void test_argument_is_found_in_its_tail(void **state) {
    (void)state;
    struct bytes key = {(const uint8_t *)"k", 1}, argument = {(const uint8_t *)"abc", 3};
    uint8_t tail[4 + REDIS_TAIL_EXTRA_BYTES];
    size_t n = redis_put_tail(key, argument, tail);
    assert_memory_equal(redis_tail_argument(tail, n, 3), "abc\r\n", 5);
}

static void test_heads_name_the_script_and_leave_room_for_the_tail(void **state) {
    (void)state;
    struct redis_heads heads;
    assert_true(redis_heads_init(&heads, &script));
    assert_holds(&heads.by_sha1, "*5\r\n$7\r\nEVALSHA\r\n$40\r\n0123456789012345678901234567890123456789\r\n");
    assert_holds(&heads.by_body, "*5\r\n$4\r\nEVAL\r\n$10\r\nreturn 10\n\r\n");
    assert_holds(&heads.asking_body, "*1\r\n$6\r\nASKING\r\n*5\r\n$4\r\nEVAL\r\n$10\r\nreturn 10\n\r\n");
    redis_heads_deinit(&heads);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_of_words),
        cmocka_unit_test(test_tail_may_hold_any_byte),
        cmocka_unit_test(test_script_of_several_keys),
        cmocka_unit_test(test_argument_is_found_in_its_tail),
        cmocka_unit_test(test_heads_name_the_script_and_leave_room_for_the_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
