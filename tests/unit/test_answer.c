/* test_answer.c — what the limiter says, as the wire says it. */
#include "tests/support/test_prelude.h"

#include "server/net/answer.h"

static struct limiter_call allowed_call(enum limiter_kind kind) {
    return (struct limiter_call){
        .kind = kind,
        .outcome = LIMITER_DECIDED,
        .reservation = "0123456789abcde",
        .decision = {.allowed = true,
                     .matched = true,
                     .source = DECISION_LEASE,
                     .limit_name = "per_key",
                     .limit_tokens = 10,
                     .remaining_tokens = 3,
                     .granted_tokens = 7,
                     .repeated = true,
                     .reset_after_us = 5,
                     .wait_us = 6},
    };
}

static void assert_name(struct wire_bytes name, const struct answer *answer, const char *expected) {
    assert_int_equal(name.len, strlen(expected));
    assert_ptr_equal(name.data, answer->limit_name);
    assert_string_equal(answer->limit_name, expected);
}

static void test_decision_outlives_what_its_call_lent(void **state) {
    struct answer answer;
    char name[] = "per_key";
    struct limiter_call call = allowed_call(LIMITER_CHECK);
    (void)state;
    call.decision.limit_name = name;
    answer_set(&answer, &call);
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(answer.status, WIRE_OK);
    assert_name(answer.decision.limit_name, &answer, "per_key");
    assert_int_equal(answer.decision.verdict, WIRE_ALLOW);
    assert_int_equal(answer.decision.source, WIRE_SOURCE_LEASE);
    assert_true(answer.decision.matched && answer.decision.repeated);
    assert_int_equal(answer.decision.limit, 10);
    assert_int_equal(answer.decision.remaining, 3);
    assert_int_equal(answer.decision.granted, 7);
    assert_int_equal(answer.decision.reset_after_us, 5);
    assert_int_equal(answer.decision.wait_us, 6);
}

static void test_booking_keeps_every_field(void **state) {
    static const enum limiter_kind kinds[] = {LIMITER_REFUND, LIMITER_SETTLE};
    struct answer answer;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct limiter_call call = {.kind = kinds[i],
                                    .outcome = LIMITER_DECIDED,
                                    .booking = {.matched = true,
                                                .repeated = true,
                                                .limit_name = "per_key",
                                                .limit_tokens = 10,
                                                .remaining_tokens = 9,
                                                .returned_tokens = 2,
                                                .taken_tokens = 1}};
        answer_set(&answer, &call);
        assert_int_equal(answer.status, WIRE_OK);
        assert_true(answer.booked.matched && answer.booked.repeated);
        assert_false(answer.booked.degraded);
        assert_name(answer.booked.limit_name, &answer, "per_key");
        assert_int_equal(answer.booked.limit, 10);
        assert_int_equal(answer.booked.remaining, 9);
        assert_int_equal(answer.booked.returned, 2);
        assert_int_equal(answer.booked.taken, 1);
    }
    answer_set_nothing_held(&answer);
    assert_int_equal(answer.status, WIRE_OK);
    assert_true(answer.booked.degraded);
    assert_false(answer.booked.matched);
}

static void test_refusals_have_their_status(void **state) {
    struct answer answer;
    struct limiter_call call = {.kind = LIMITER_SETTLE, .outcome = LIMITER_NOT_FOUND};
    (void)state;
    answer_set(&answer, &call);
    assert_int_equal(answer.status, WIRE_NOT_FOUND);
    assert_memory_equal(answer.message, "reservation_id: ", 16);
    call.outcome = LIMITER_KEY_REUSED;
    answer_set(&answer, &call);
    assert_int_equal(answer.status, WIRE_INVALID_ARGUMENT);
    assert_memory_equal(answer.message, "idempotency_key: ", 17);
}

static void assert_undecided(enum limiter_kind kind, enum store_outcome why, enum wire_status status,
                             const char *ending) {
    struct answer answer;
    struct limiter_call call = {.kind = kind, .outcome = LIMITER_UNDECIDED, .store_outcome = why};
    const char *text = store_outcome_text(why);
    answer_set(&answer, &call);
    assert_int_equal(answer.status, status);
    assert_memory_equal(answer.message, text, strlen(text));
    assert_string_equal(answer.message + strlen(text), ending);
}

static void test_what_nobody_did_says_whether_it_may_have_been_done(void **state) {
    (void)state;
    assert_undecided(LIMITER_REFUND, STORE_DOWN, WIRE_UNAVAILABLE, "; nothing was booked");
    assert_undecided(LIMITER_SETTLE, STORE_TIMEOUT, WIRE_UNAVAILABLE, "; it may have been booked");
    assert_undecided(LIMITER_REFUND, STORE_NO_MEMORY, WIRE_RESOURCE_EXHAUSTED, "; nothing was booked");
    assert_undecided(LIMITER_CHECK, STORE_NO_MEMORY, WIRE_RESOURCE_EXHAUSTED, "");
    assert_undecided(LIMITER_RESERVE, STORE_FULL, WIRE_RESOURCE_EXHAUSTED, "");
}

static void test_reservation_is_named_only_while_something_is_held(void **state) {
    static const uint8_t none[WIRE_RESERVATION_ID_BYTES];
    struct answer answer;
    struct limiter_call call = allowed_call(LIMITER_RESERVE), other = call;
    (void)state;
    answer_set(&answer, &call);
    assert_memory_equal(answer.reservation_id, "0123456789abcde", 16);
    other.decision.source = DECISION_NONE; /* unlimited */
    answer_set(&answer, &other);
    assert_memory_equal(answer.reservation_id, none, sizeof none);
    other = call;
    other.decision.source = DECISION_LOCAL;
    other.decision.degraded = true;
    answer_set(&answer, &other);
    assert_memory_equal(answer.reservation_id, none, sizeof none);
    other = call;
    other.decision.would_deny = true;
    answer_set(&answer, &other);
    assert_memory_equal(answer.reservation_id, none, sizeof none);
    other = allowed_call(LIMITER_CHECK);
    answer_set(&answer, &other);
    assert_memory_equal(answer.reservation_id, none, sizeof none);
}

static void test_what_is_taken_back_is_denied(void **state) {
    struct answer answer;
    struct limiter_call call = allowed_call(LIMITER_CHECK);
    (void)state;
    answer_set(&answer, &call);
    assert_true(answer_allows(&answer) && answer_has_taken(&answer));
    answer_take_back(&answer);
    assert_false(answer_allows(&answer));
    assert_true(answer_has_taken(&answer)); /* until it is given back */
    assert_true(answer.decision.returned);
    assert_int_equal(answer.decision.verdict, WIRE_DENY);
    assert_int_equal(answer.decision.granted, 7);
    assert_int_equal(answer.decision.wait_us, 0);
    call.decision.would_deny = true;
    answer_set(&answer, &call);
    assert_false(answer_has_taken(&answer));
    answer_take_back(&answer);
    assert_int_equal(answer.decision.granted, 0);
    call.decision.would_deny = false;
    call.decision.source = DECISION_NONE;
    answer_set(&answer, &call);
    assert_false(answer_has_taken(&answer));
    call.outcome = LIMITER_UNDECIDED;
    call.store_outcome = STORE_NO_MEMORY;
    answer_set(&answer, &call);
    assert_false(answer_allows(&answer) || answer_has_taken(&answer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision_outlives_what_its_call_lent),
        cmocka_unit_test(test_booking_keeps_every_field),
        cmocka_unit_test(test_refusals_have_their_status),
        cmocka_unit_test(test_what_nobody_did_says_whether_it_may_have_been_done),
        cmocka_unit_test(test_reservation_is_named_only_while_something_is_held),
        cmocka_unit_test(test_what_is_taken_back_is_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
