/* test_wire_response.c — reservations, bookings and all-or-nothing batches in answers, there and back. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

static void test_reserved_keeps_every_field(void **state) {
    struct wire_fixture *f = *state;
    const struct wire_decision largest = wire_fixture_largest_decision();
    f->answered = (struct wire_response){.id = 4,
                                         .call = WIRE_CALL_RESERVE,
                                         .n_items = 1,
                                         .items[0].decision = largest,
                                         .reservation_id = BYTES("0123456789abcde\0")};
    wire_fixture_send_response(f);
    assert_int_equal(f->response.call, WIRE_CALL_RESERVE);
    assert_int_equal(f->response.status, WIRE_OK);
    assert_int_equal(f->response.n_items, 1);
    assert_decision(&f->response.items[0].decision, &largest);
    assert_bytes(f->response.reservation_id, BYTES("0123456789abcde\0"));
}

static void test_reserved_without_a_decision_has_no_verdict(void **state) {
    struct wire_fixture *f = *state;
    assert_int_equal(wire_decode_response(f->codec, (const uint8_t *)"\x42\x00", 2, &f->response),
                     WIRE_DECODED);
    assert_int_equal(f->response.call, WIRE_CALL_RESERVE);
    assert_int_equal(f->response.n_items, 1);
    assert_int_equal(f->response.items[0].decision.verdict, WIRE_VERDICT_UNSPECIFIED);
}

static void test_booked_keeps_every_field(void **state) {
    struct wire_fixture *f = *state;
    static const enum wire_call calls[] = {WIRE_CALL_REFUND, WIRE_CALL_SETTLE};
    for (size_t i = 0; i < COUNT(calls); i++) {
        f->answered = (struct wire_response){.id = 4,
                                             .call = calls[i],
                                             .booked = {.matched = true,
                                                        .returned = UINT64_MAX,
                                                        .taken = UINT64_MAX - 1,
                                                        .limit_name = BYTES("per_key"),
                                                        .limit = UINT64_MAX - 2,
                                                        .remaining = UINT64_MAX - 3,
                                                        .repeated = true,
                                                        .degraded = true}};
        wire_fixture_send_response(f);
        const struct wire_booked *booked = &f->response.booked;
        assert_int_equal(f->response.call, WIRE_CALL_REFUND);
        assert_int_equal(f->response.n_items, 0);
        assert_true(booked->matched && booked->repeated && booked->degraded);
        assert_true(booked->returned == UINT64_MAX && booked->taken == UINT64_MAX - 1);
        assert_true(booked->limit == UINT64_MAX - 2 && booked->remaining == UINT64_MAX - 3);
        assert_bytes(booked->limit_name, BYTES("per_key"));
    }
}

static void test_batch_says_whether_all_were_granted(void **state) {
    struct wire_fixture *f = *state;
    for (int granted = 0; granted < 2; granted++) {
        f->answered = (struct wire_response){.call = WIRE_CALL_CHECK_BATCH, .granted = granted, .n_items = 2};
        f->answered.items[1].decision = wire_fixture_largest_decision();
        wire_fixture_send_response(f);
        assert_int_equal(f->response.granted, granted);
        assert_false(f->response.items[0].decision.returned);
        assert_decision(&f->response.items[1].decision, &f->answered.items[1].decision);
    }
}

static void test_unknown_reservation_is_a_status(void **state) {
    struct wire_fixture *f = *state;
    f->answered = (struct wire_response){
        .call = WIRE_CALL_SETTLE, .status = WIRE_NOT_FOUND, .message = BYTES("reservation_id: unknown")};
    wire_fixture_send_response(f);
    assert_int_equal(f->response.call, WIRE_CALL_UNKNOWN);
    assert_int_equal(f->response.status, WIRE_NOT_FOUND);
    assert_bytes(f->response.message, BYTES("reservation_id: unknown"));
}

static void test_fields_of_an_earlier_answer_are_gone(void **state) {
    struct wire_fixture *f = *state;
    f->answered = (struct wire_response){
        .call = WIRE_CALL_RESERVE, .n_items = 1, .reservation_id = BYTES("0123456789abcdef")};
    wire_fixture_send_response(f);
    f->answered = (struct wire_response){.call = WIRE_CALL_SETTLE, .booked.returned = 3};
    wire_fixture_send_response(f);
    assert_int_equal(f->response.reservation_id.len, 0);
    f->answered = (struct wire_response){.call = WIRE_CALL_CHECK_BATCH, .granted = true};
    wire_fixture_send_response(f);
    assert_true(f->response.booked.returned == 0);
    f->answered = (struct wire_response){.call = WIRE_CALL_PING};
    wire_fixture_send_response(f);
    assert_false(f->response.granted);
}

/* The bytes that PROTOCOL.md walks through. */
static void test_documented_bytes(void **state) {
    struct wire_fixture *f = *state;
    static const uint8_t reserved[] =
        "\x00\x00\x00\x00\x31\x08\x02\x42\x2d\x0a\x19\x08\x01\x10\x05\x18\x01\x22\x07"
        "per_key\x28\x0a\x30\x02\x40\x80\xd4\x61\x60\x08\x12\x10"
        "0123456789abcdef";
    static const uint8_t booked[] = "\x00\x00\x00\x00\x15\x08\x03\x3a\x11\x08\x01\x10\x05\x22\x07"
                                    "per_key\x28\x0a\x30\x07";
    f->answered = (struct wire_response){.id = 2,
                                         .call = WIRE_CALL_RESERVE,
                                         .n_items = 1,
                                         .items[0].decision = {.verdict = WIRE_ALLOW,
                                                               .source = WIRE_SOURCE_EMBEDDED,
                                                               .matched = true,
                                                               .limit_name = BYTES("per_key"),
                                                               .limit = 10,
                                                               .remaining = 2,
                                                               .reset_after_us = 1600000,
                                                               .granted = 8},
                                         .reservation_id = BYTES("0123456789abcdef")};
    assert_int_equal(wire_fixture_send_response(f), sizeof reserved - 1);
    assert_memory_equal(f->frame, reserved, sizeof reserved - 1);
    f->answered = (struct wire_response){
        .id = 3,
        .call = WIRE_CALL_SETTLE,
        .booked = {
            .matched = true, .returned = 5, .limit_name = BYTES("per_key"), .limit = 10, .remaining = 7}};
    assert_int_equal(wire_fixture_send_response(f), sizeof booked - 1);
    assert_memory_equal(f->frame, booked, sizeof booked - 1);
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_fixture_set_up, wire_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_reserved_keeps_every_field),
        WIRE_TEST(test_reserved_without_a_decision_has_no_verdict),
        WIRE_TEST(test_booked_keeps_every_field),
        WIRE_TEST(test_batch_says_whether_all_were_granted),
        WIRE_TEST(test_unknown_reservation_is_a_status),
        WIRE_TEST(test_fields_of_an_earlier_answer_are_gone),
        WIRE_TEST(test_documented_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
