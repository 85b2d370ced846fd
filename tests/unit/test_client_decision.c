/* test_client_decision.c — a frontend's answer becomes what callers see. */
#include "tests/support/test_prelude.h"

#include "client/client_decision.h"

static struct wire_bytes bytes_of(const char *text) {
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void test_every_field_is_copied(void **state) {
    struct wire_item item = {
        .status = WIRE_OK,
        .decision = {.verdict = WIRE_DENY,
                     .source = WIRE_SOURCE_LEASE,
                     .matched = true,
                     .limit_name = bytes_of("per_key"),
                     .limit = 10,
                     .remaining = 3,
                     .retry_after_us = 200,
                     .reset_after_us = 1400,
                     .wait_us = 7,
                     .degraded = true,
                     .would_deny = true,
                     .granted = 5,
                     .repeated = true,
                     .returned = true},
    };
    struct sluice_decision decision;
    (void)state;
    client_decision_read(&decision, &item);
    assert_int_equal(decision.status, SLUICE_OK);
    assert_false(decision.allowed);
    assert_true(decision.matched);
    assert_int_equal(decision.source, SLUICE_SOURCE_LEASE);
    assert_string_equal(decision.limit_name, "per_key");
    assert_int_equal(decision.limit, 10);
    assert_int_equal(decision.remaining, 3);
    assert_int_equal(decision.retry_after_us, 200);
    assert_int_equal(decision.reset_after_us, 1400);
    assert_int_equal(decision.wait_us, 7);
    assert_true(decision.degraded);
    assert_true(decision.would_deny);
    assert_int_equal(decision.granted, 5);
    assert_true(decision.repeated && decision.returned);
    assert_string_equal(decision.message, "");
    item.decision.verdict = WIRE_ALLOW;
    item.decision.degraded = false;
    item.decision.would_deny = false;
    client_decision_read(&decision, &item);
    assert_true(decision.allowed);
    assert_false(decision.degraded);
    assert_false(decision.would_deny);
}

static void test_failed_item_keeps_status_and_message_only(void **state) {
    struct wire_item item = {.status = WIRE_UNAVAILABLE,
                             .message = bytes_of("store: no answer"),
                             .decision = {.verdict = WIRE_ALLOW, .remaining = 9}};
    struct sluice_decision decision;
    (void)state;
    client_decision_read(&decision, &item);
    assert_int_equal(decision.status, SLUICE_UNAVAILABLE);
    assert_string_equal(decision.message, "store: no answer");
    assert_false(decision.allowed);
    assert_int_equal(decision.remaining, 0);
}

static void test_no_verdict_is_neither_allow_nor_deny(void **state) {
    struct wire_item item = {.status = WIRE_OK, .decision = {.verdict = WIRE_VERDICT_UNSPECIFIED}};
    struct sluice_decision decision;
    (void)state;
    client_decision_read(&decision, &item);
    assert_int_equal(decision.status, SLUICE_INTERNAL);
    assert_string_equal(decision.message, "the frontend answered without a verdict");
}

static void test_long_texts_are_cut(void **state) {
    char text[400];
    struct wire_item item = {.status = WIRE_OK, .decision = {.verdict = WIRE_ALLOW}};
    struct sluice_decision decision;
    (void)state;
    memset(text, 'x', sizeof text);
    item.decision.limit_name = (struct wire_bytes){(const uint8_t *)text, sizeof text};
    client_decision_read(&decision, &item);
    assert_int_equal(strlen(decision.limit_name), 32);
    item.status = WIRE_INTERNAL;
    item.message = item.decision.limit_name;
    client_decision_read(&decision, &item);
    assert_int_equal(strlen(decision.message), SLUICE_MESSAGE_BYTES - 1);
}

static void test_every_field_of_a_booking_is_copied(void **state) {
    struct wire_response *response = calloc(1, sizeof *response);
    struct sluice_booking booking;
    (void)state;
    assert_non_null(response);
    response->booked = (struct wire_booked){.matched = true,
                                            .returned = 3,
                                            .taken = 4,
                                            .limit_name = bytes_of("per_key"),
                                            .limit = 10,
                                            .remaining = 7,
                                            .repeated = true,
                                            .degraded = true};
    client_decision_read_booking(&booking, response);
    assert_int_equal(booking.status, SLUICE_OK);
    assert_true(booking.matched && booking.repeated && booking.degraded);
    assert_int_equal(booking.returned, 3);
    assert_int_equal(booking.taken, 4);
    assert_string_equal(booking.limit_name, "per_key");
    assert_int_equal(booking.limit, 10);
    assert_int_equal(booking.remaining, 7);
    assert_string_equal(booking.message, "");
    client_decision_fail_booking(&booking, SLUICE_NOT_FOUND, "no such reservation");
    assert_int_equal(booking.status, SLUICE_NOT_FOUND);
    assert_false(booking.matched);
    assert_string_equal(booking.message, "no such reservation");
    free(response);
}

static void test_answer_must_fit_its_call(void **state) {
    struct wire_response *response = calloc(1, sizeof *response);
    (void)state;
    assert_non_null(response);
    response->call = WIRE_CALL_CHECK;
    response->n_items = 1;
    assert_true(client_decision_fits(response, WIRE_CALL_CHECK, 1));
    assert_true(client_decision_fits(response, WIRE_CALL_PEEK, 1));
    assert_false(client_decision_fits(response, WIRE_CALL_PING, 0));
    assert_false(client_decision_fits(response, WIRE_CALL_CHECK_BATCH, 1));
    response->call = WIRE_CALL_CHECK_BATCH;
    response->n_items = 3;
    assert_true(client_decision_fits(response, WIRE_CALL_CHECK_BATCH, 3));
    assert_false(client_decision_fits(response, WIRE_CALL_CHECK_BATCH, 4));
    response->call = WIRE_CALL_REFUND;
    response->n_items = 0;
    assert_true(client_decision_fits(response, WIRE_CALL_REFUND, 0));
    assert_true(client_decision_fits(response, WIRE_CALL_SETTLE, 0));
    assert_false(client_decision_fits(response, WIRE_CALL_RESERVE, 1));
    response->call = WIRE_CALL_RESERVE;
    response->n_items = 1;
    assert_true(client_decision_fits(response, WIRE_CALL_RESERVE, 1)); /* denied: without an id */
    response->items[0].decision.verdict = WIRE_ALLOW;
    assert_false(client_decision_fits(response, WIRE_CALL_RESERVE, 1));
    response->reservation_id = bytes_of("0123456789abcdef");
    assert_true(client_decision_fits(response, WIRE_CALL_RESERVE, 1));
    assert_false(client_decision_fits(response, WIRE_CALL_CHECK, 1));
    response->call = WIRE_CALL_UNKNOWN;
    response->n_items = 0;
    assert_false(client_decision_fits(response, WIRE_CALL_PING, 0));
    response->status = WIRE_UNIMPLEMENTED;
    assert_true(client_decision_fits(response, WIRE_CALL_PING, 0));
    free(response);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_is_copied),
        cmocka_unit_test(test_failed_item_keeps_status_and_message_only),
        cmocka_unit_test(test_no_verdict_is_neither_allow_nor_deny),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_every_field_of_a_booking_is_copied),
        cmocka_unit_test(test_answer_must_fit_its_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
