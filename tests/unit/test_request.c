/* test_request.c — requests are reused, and large ones go back to the heap. */
#include "tests/support/test_prelude.h"

#include "server/net/request.h"

static void test_the_warmest_request_comes_back(void **state) {
    (void)state;
    struct request_pool pool;
    request_pool_init(&pool);
    struct request *first = request_borrow(&pool, 1), *second = request_borrow(&pool, 1);
    struct request *returned = second;
    request_return(&pool, &first);
    request_return(&pool, &second);
    assert_null(second);
    assert_int_equal(pool.n_free, 2);
    struct request *again = request_borrow(&pool, 1);
    assert_ptr_equal(again, returned);
    assert_null(again->conn);
    request_return(&pool, &again);
    request_pool_deinit(&pool);
}

static void test_batches_are_not_kept(void **state) {
    (void)state;
    struct request_pool pool;
    request_pool_init(&pool);
    struct request *batch = request_borrow(&pool, WIRE_BATCH_MAX);
    assert_int_equal(batch->n_items, WIRE_BATCH_MAX);
    memset(&batch->items[WIRE_BATCH_MAX - 1], 0, sizeof batch->items[0]);
    request_return(&pool, &batch);
    assert_int_equal(pool.n_free, 0);
    request_pool_deinit(&pool);
}

static void test_the_pool_has_a_cap(void **state) {
    (void)state;
    struct request_pool pool;
    request_pool_init(&pool);
    static struct request *many[REQUEST_POOL_MAX + 10];
    for (size_t i = 0; i < REQUEST_POOL_MAX + 10; i++) {
        many[i] = request_borrow(&pool, 1);
    }
    for (size_t i = 0; i < REQUEST_POOL_MAX + 10; i++) {
        request_return(&pool, &many[i]);
    }
    assert_int_equal(pool.n_free, REQUEST_POOL_MAX);
    request_pool_deinit(&pool);
}

static void test_names_become_the_requests_own(void **state) {
    (void)state;
    struct request_pool pool;
    char lent[] = "demohelloalice";
    request_pool_init(&pool);
    struct request *batch = request_borrow(&pool, 2);
    for (uint32_t i = 0; i < 2; i++) {
        batch->items[i].call =
            (struct limiter_call){.tenant = {(const uint8_t *)lent, 4},
                                  .resource = {(const uint8_t *)lent + 4, 5},
                                  .key = {i == 0 ? (const uint8_t *)lent + 9 : NULL, i == 0 ? 5 : 0}};
    }
    assert_true(request_keep_names(batch));
    memset(lent, 'x', sizeof lent);
    for (uint32_t i = 0; i < 2; i++) {
        assert_memory_equal(batch->items[i].call.tenant.data, "demo", 4);
        assert_memory_equal(batch->items[i].call.resource.data, "hello", 5);
    }
    assert_memory_equal(batch->items[0].call.key.data, "alice", 5);
    assert_int_equal(batch->items[1].call.key.len, 0);
    request_return(&pool, &batch);
    struct request *one = request_borrow(&pool, 1); /* of those that are kept for reuse: their names are not */
    one->items[0].call = (struct limiter_call){.tenant = {(const uint8_t *)lent, 4}};
    assert_true(request_keep_names(one));
    request_return(&pool, &one);
    one = request_borrow(&pool, 1);
    assert_null(one->names);
    request_return(&pool, &one);
    request_pool_deinit(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_warmest_request_comes_back),
        cmocka_unit_test(test_batches_are_not_kept),
        cmocka_unit_test(test_the_pool_has_a_cap),
        cmocka_unit_test(test_names_become_the_requests_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
