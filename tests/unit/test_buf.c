/* test_buf.c — the growable run of bytes keeps what was written, whatever is consumed in between. */
#include "tests/support/test_prelude.h"

#include "server/base/buf.h"

static void test_empty_buf_needs_no_init_and_no_memory(void **state) {
    (void)state;
    struct buf buf = {0};
    assert_int_equal(buf_len(&buf), 0);
    assert_true(buf_append(&buf, NULL, 0));
    assert_null(buf.data);
    buf_deinit(&buf);
}

static void test_bytes_come_out_in_order(void **state) {
    (void)state;
    struct buf buf = {0};
    uint8_t expected = 0, next = 0, some[300];
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)(round * 37 % 300);
        for (size_t i = 0; i < n; i++) {
            some[i] = next++;
        }
        assert_true(buf_append(&buf, some, n));
        size_t take = buf_len(&buf) * 2 / 3;
        for (size_t i = 0; i < take; i++) {
            assert_int_equal(buf_front(&buf)[i], expected++);
        }
        buf_consume(&buf, take);
    }
    assert_true(buf.cap <= 4096);
    buf_deinit(&buf);
}

static void test_reserve_keeps_what_is_in_use(void **state) {
    (void)state;
    struct buf buf = {0};
    assert_true(buf_append(&buf, "abcdef", 6));
    buf_consume(&buf, 2);
    uint8_t *room = buf_reserve(&buf, 100000);
    assert_non_null(room);
    memset(room, 'x', 100000);
    buf_commit(&buf, 100000);
    assert_int_equal(buf_len(&buf), 100004);
    assert_memory_equal(buf_front(&buf), "cdefx", 5);
    buf_deinit(&buf);
}

static void test_memory_goes_back_after_a_burst(void **state) {
    (void)state;
    struct buf buf = {0};
    assert_non_null(buf_reserve(&buf, 1000000));
    buf_commit(&buf, 1000000);
    buf_consume(&buf, 1000000);
    assert_int_equal(buf.cap, 0);
}

static void test_impossible_size_changes_nothing(void **state) {
    (void)state;
    struct buf buf = {0};
    assert_true(buf_append(&buf, "ab", 2));
    assert_null(buf_reserve(&buf, SIZE_MAX / 2));
    assert_int_equal(buf_len(&buf), 2);
    buf_deinit(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_buf_needs_no_init_and_no_memory),
        cmocka_unit_test(test_bytes_come_out_in_order),
        cmocka_unit_test(test_reserve_keeps_what_is_in_use),
        cmocka_unit_test(test_memory_goes_back_after_a_burst),
        cmocka_unit_test(test_impossible_size_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
