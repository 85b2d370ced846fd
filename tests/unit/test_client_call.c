/* test_client_call.c — calls are found by id, and only while they are under way. */
#include "tests/support/test_prelude.h"

#include "client/client_call.h"

static struct client_call *borrow(struct client_calls *calls) {
    struct client_call *call = client_calls_borrow(calls);
    assert_non_null(call);
    call->state = CLIENT_CALL_SENT;
    return call;
}

static void test_borrowed_call_is_found_by_its_id(void **state) {
    struct client_calls calls;
    struct client_call *borrowed[200];
    (void)state;
    client_calls_init(&calls);
    for (size_t i = 0; i < 200; i++) {
        borrowed[i] = borrow(&calls);
        assert_int_not_equal(borrowed[i]->id, 0);
    }
    for (size_t i = 0; i < 200; i++) {
        assert_ptr_equal(client_calls_find(&calls, borrowed[i]->id), borrowed[i]);
    }
    assert_int_equal(calls.n_borrowed, 200);
    client_calls_deinit(&calls);
}

static void test_returned_call_is_not_found_again(void **state) {
    struct client_calls calls;
    (void)state;
    client_calls_init(&calls);
    struct client_call *call = borrow(&calls);
    uint64_t old_id = call->id;
    struct client_call *place = call;
    client_calls_return(&calls, &call);
    assert_null(call);
    assert_null(client_calls_find(&calls, old_id));

    struct client_call *again = borrow(&calls);
    assert_ptr_equal(again, place);
    assert_int_not_equal(again->id, old_id);
    assert_null(client_calls_find(&calls, old_id));
    assert_ptr_equal(client_calls_find(&calls, again->id), again);
    assert_int_equal(calls.n_borrowed, 1);
    client_calls_deinit(&calls);
}

static void test_foreign_ids_are_not_found(void **state) {
    struct client_calls calls;
    (void)state;
    client_calls_init(&calls);
    assert_null(client_calls_find(&calls, 0));
    assert_null(client_calls_find(&calls, UINT64_MAX));
    struct client_call *call = borrow(&calls);
    assert_null(client_calls_find(&calls, 0));
    assert_null(client_calls_find(&calls, call->id + 1));
    assert_null(client_calls_find(&calls, call->id + CLIENT_CALLS_MAX));
    client_calls_deinit(&calls);
}

static void test_return_frees_frame_and_message_and_forgets_retries(void **state) {
    struct client_calls calls;
    (void)state;
    client_calls_init(&calls);
    struct client_call *call = borrow(&calls);
    call->frame = malloc(8);
    call->frame_bytes = 8;
    call->n_retries = 2;
    call->message = malloc(8);
    client_calls_return(&calls, &call);
    call = borrow(&calls);
    assert_null(call->frame);
    assert_null(call->message);
    assert_int_equal(call->frame_bytes, 0);
    assert_int_equal(call->n_retries, 0);
    client_calls_deinit(&calls);
}

static void test_table_has_a_cap(void **state) {
    struct client_calls calls;
    (void)state;
    client_calls_init(&calls);
    struct client_call *last = NULL;
    for (uint32_t i = 0; i < CLIENT_CALLS_MAX; i++) {
        last = borrow(&calls);
    }
    assert_null(client_calls_borrow(&calls));
    client_calls_return(&calls, &last);
    assert_non_null(client_calls_borrow(&calls));
    client_calls_deinit(&calls);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_borrowed_call_is_found_by_its_id),
        cmocka_unit_test(test_returned_call_is_not_found_again),
        cmocka_unit_test(test_foreign_ids_are_not_found),
        cmocka_unit_test(test_return_frees_frame_and_message_and_forgets_retries),
        cmocka_unit_test(test_table_has_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
