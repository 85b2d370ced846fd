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
                     .degraded = true},
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
    assert_string_equal(decision.message, "");
    item.decision.verdict = WIRE_ALLOW;
    item.decision.degraded = false;
    client_decision_read(&decision, &item);
    assert_true(decision.allowed);
    assert_false(decision.degraded);
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
    response->call = WIRE_CALL_UNKNOWN;
    response->n_items = 0;
    assert_false(client_decision_fits(response, WIRE_CALL_PING, 0));
    response->status = WIRE_UNIMPLEMENTED;
    assert_true(client_decision_fits(response, WIRE_CALL_PING, 0));
    free(response);
}

static struct sluice_decision decide_failed(enum sluice_status status, enum sluice_on_failure policy,
                                            bool is_answer) {
    struct sluice_decision decision;
    client_decision_fail(&decision, status, "why");
    client_decision_apply_policy(&decision, policy, is_answer);
    assert_string_equal(decision.message, "why");
    return decision;
}

static void assert_by_caller(const struct sluice_decision *decision, bool allowed) {
    assert_int_equal(decision->status, SLUICE_OK);
    assert_int_equal(decision->source, SLUICE_SOURCE_CALLER);
    assert_int_equal(decision->allowed, allowed);
    assert_false(decision->matched);
    assert_true(decision->degraded);
    assert_int_equal(decision->retry_after_us, 0);
}

static void test_policy_stands_in_for_a_missing_decision(void **state) {
    static const enum sluice_status missing[] = {SLUICE_UNAVAILABLE, SLUICE_DEADLINE_EXCEEDED,
                                                 SLUICE_RESOURCE_EXHAUSTED, SLUICE_INTERNAL};
    (void)state;
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        struct sluice_decision decision = decide_failed(missing[i], SLUICE_ON_FAILURE_ALLOW, false);
        assert_by_caller(&decision, true);
        decision = decide_failed(missing[i], SLUICE_ON_FAILURE_DENY, false);
        assert_by_caller(&decision, false);
        decision = decide_failed(missing[i], SLUICE_ON_FAILURE_REPORT, false);
        assert_int_equal(decision.status, missing[i]);
        assert_int_equal(decision.source, SLUICE_SOURCE_NONE);
    }
    struct sluice_decision decision = decide_failed(SLUICE_UNAVAILABLE, SLUICE_ON_FAILURE_ALLOW, true);
    assert_by_caller(&decision, true);
}

static void test_policy_hides_no_fault(void **state) {
    static const enum sluice_status faults[] = {SLUICE_CANCELLED, SLUICE_UNKNOWN, SLUICE_INVALID_ARGUMENT,
                                                SLUICE_UNIMPLEMENTED, SLUICE_INTERNAL};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct sluice_decision decision = decide_failed(faults[i], SLUICE_ON_FAILURE_ALLOW, true);
        assert_int_equal(decision.status, faults[i]);
        assert_false(decision.allowed);
        assert_int_equal(decision.source, SLUICE_SOURCE_NONE);
    }
}

static void test_policy_leaves_decisions_alone(void **state) {
    struct sluice_decision decision = {.status = SLUICE_OK, .source = SLUICE_SOURCE_STORE};
    (void)state;
    client_decision_apply_policy(&decision, SLUICE_ON_FAILURE_ALLOW, true);
    assert_false(decision.allowed);
    assert_int_equal(decision.source, SLUICE_SOURCE_STORE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_is_copied),
        cmocka_unit_test(test_failed_item_keeps_status_and_message_only),
        cmocka_unit_test(test_no_verdict_is_neither_allow_nor_deny),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_answer_must_fit_its_call),
        cmocka_unit_test(test_policy_stands_in_for_a_missing_decision),
        cmocka_unit_test(test_policy_hides_no_fault),
        cmocka_unit_test(test_policy_leaves_decisions_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
