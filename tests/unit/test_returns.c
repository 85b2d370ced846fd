/* test_returns.c — the reservation that is due first comes first, with names of its own; there are not too many. */
#include "tests/support/test_prelude.h"

#include "server/limit/limiter.h"
#include "server/limit/returns.h"

static struct due due_at(int64_t at_us, const char *key) {
    return (struct due){.at_us = at_us,
                        .tenant = {(const uint8_t *)"t", 1},
                        .resource = {(const uint8_t *)"", 0},
                        .key = {(const uint8_t *)key, strlen(key)},
                        .reservation = {(uint8_t)at_us}};
}

static void add(struct returns *returns, int64_t at_us) {
    char key[] = "alice";
    struct due due = due_at(at_us, key);
    assert_true(returns_add(returns, &due));
    memset(key, '?', sizeof key);
}

static void test_nothing_is_due_before_its_time(void **state) {
    (void)state;
    struct returns returns = {0};
    assert_null(returns_take(&returns, INT64_MAX));
    add(&returns, 100);
    assert_null(returns_take(&returns, 99));
    struct due *due = returns_take(&returns, 100);
    assert_non_null(due);
    assert_int_equal(due->at_us, 100);
    assert_int_equal(due->reservation[0], 100);
    assert_memory_equal(due->key.data, "alice", 5);
    assert_int_equal(due->tenant.len + due->resource.len, 1);
    free(due);
    assert_null(returns_take(&returns, INT64_MAX));
    returns_deinit(&returns);
}

static void test_they_come_in_the_order_of_their_times(void **state) {
    (void)state;
    struct returns returns = {0};
    uint32_t random = 1;
    for (int i = 0; i < 1000; i++) {
        random = random * 1664525 + 1013904223;
        add(&returns, random >> 22); /* many at the same time */
    }
    int64_t last_us = -1;
    for (int i = 0; i < 1000; i++) {
        struct due *due = returns_take(&returns, INT64_MAX);
        assert_non_null(due);
        assert_true(due->at_us >= last_us);
        last_us = due->at_us;
        free(due);
    }
    assert_null(returns_take(&returns, INT64_MAX));
    returns_deinit(&returns);
}

static void test_there_are_not_too_many(void **state) {
    (void)state;
    struct returns returns = {0};
    for (int i = 0; i < LIMITER_MAX_RETURNS; i++) {
        add(&returns, i);
    }
    struct due due = due_at(0, "one more");
    assert_false(returns_add(&returns, &due));
    free(returns_take(&returns, 0));
    assert_true(returns_add(&returns, &due));
    returns_deinit(&returns);
    assert_int_equal(returns.n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_due_before_its_time),
        cmocka_unit_test(test_they_come_in_the_order_of_their_times),
        cmocka_unit_test(test_there_are_not_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
