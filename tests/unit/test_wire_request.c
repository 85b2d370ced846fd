/* test_wire_request.c — refunds, reservations, settlements and the wishes of a check, there and back. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

static void test_check_keeps_its_wishes(void **state) {
    struct wire_fixture *f = *state;
    static const enum wire_call calls[] = {WIRE_CALL_CHECK, WIRE_CALL_PEEK};
    for (size_t i = 0; i < COUNT(calls); i++) {
        f->asked = (struct wire_request){.id = 1, .call = calls[i], .n_checks = 1};
        f->asked.checks[0] = wire_fixture_check(BYTES("t"), BYTES("r"), BYTES("k"), 7);
        f->asked.checks[0].at_most = true;
        f->asked.checks[0].idempotency_key = BYTES("a\0b");
        wire_fixture_send_request(f);
        assert_int_equal(f->request.call, calls[i]);
        assert_check(&f->request.checks[0], &f->asked.checks[0]);
    }
}

static void test_batch_keeps_the_wishes_of_each(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.call = WIRE_CALL_CHECK_BATCH, .all_or_nothing = true, .n_checks = 3};
    for (size_t i = 0; i < 3; i++) {
        f->asked.checks[i] = wire_fixture_check(BYTES("t"), BYTES("r"), BYTES("k"), i);
        f->asked.checks[i].at_most = i == 1;
        f->asked.checks[i].idempotency_key = wire_fixture_filled(f, i * 32);
    }
    wire_fixture_send_request(f);
    assert_true(f->request.all_or_nothing);
    for (size_t i = 0; i < 3; i++) {
        assert_check(&f->request.checks[i], &f->asked.checks[i]);
    }
    f->asked.all_or_nothing = false;
    wire_fixture_send_request(f);
    assert_false(f->request.all_or_nothing);
}

static void ask_for(struct wire_fixture *f, enum wire_call call, uint64_t tokens) {
    f->asked = (struct wire_request){.id = 5, .timeout_ms = 20, .call = call, .n_checks = 1};
    f->asked.checks[0] = wire_fixture_check(BYTES("t"), BYTES("r"), BYTES("k\0"), tokens);
    f->asked.checks[0].idempotency_key = BYTES("once");
}

static void test_refund_keeps_every_field(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_REFUND, WIRE_COST_MAX);
    wire_fixture_send_request(f);
    assert_true(f->request.id == 5);
    assert_int_equal(f->request.timeout_ms, 20);
    assert_int_equal(f->request.call, WIRE_CALL_REFUND);
    assert_int_equal(f->request.n_checks, 1);
    assert_check(&f->request.checks[0], &f->asked.checks[0]);
}

static void test_reserve_keeps_every_field(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_RESERVE, 800);
    f->asked.ttl_ms = WIRE_TTL_MAX_MS;
    f->asked.on_timeout = WIRE_ON_TIMEOUT_STAND;
    wire_fixture_send_request(f);
    assert_int_equal(f->request.call, WIRE_CALL_RESERVE);
    assert_int_equal(f->request.ttl_ms, WIRE_TTL_MAX_MS);
    assert_int_equal(f->request.on_timeout, WIRE_ON_TIMEOUT_STAND);
    assert_check(&f->request.checks[0], &f->asked.checks[0]);
    f->asked.on_timeout = UINT32_MAX; /* no such number: kept, to be named */
    wire_fixture_send_request(f);
    assert_int_equal(f->request.on_timeout, UINT32_MAX);
}

static void test_settle_keeps_every_field(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_SETTLE, 1234);
    f->asked.reservation_id = BYTES("0123456789abcde\0");
    wire_fixture_send_request(f);
    assert_int_equal(f->request.call, WIRE_CALL_SETTLE);
    assert_bytes(f->request.reservation_id, BYTES("0123456789abcde\0"));
    assert_check(&f->request.checks[0], &f->asked.checks[0]);
}

static void test_nothing_used_and_nothing_refunded_stay_zero(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_SETTLE, 0);
    wire_fixture_send_request(f);
    assert_true(f->request.checks[0].cost == 0);
    ask_for(f, WIRE_CALL_REFUND, 0);
    wire_fixture_send_request(f);
    assert_true(f->request.checks[0].cost == 0);
    ask_for(f, WIRE_CALL_RESERVE, 0);
    wire_fixture_send_request(f);
    assert_true(f->request.checks[0].cost == 1);
}

static void test_fields_of_an_earlier_call_are_gone(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.call = WIRE_CALL_CHECK_BATCH, .all_or_nothing = true, .n_checks = 1};
    wire_fixture_send_request(f);
    ask_for(f, WIRE_CALL_RESERVE, 1);
    f->asked.ttl_ms = f->asked.on_timeout = 1;
    wire_fixture_send_request(f);
    assert_false(f->request.all_or_nothing);
    ask_for(f, WIRE_CALL_SETTLE, 1);
    f->asked.reservation_id = BYTES("0123456789abcdef");
    wire_fixture_send_request(f);
    assert_int_equal(f->request.ttl_ms, 0);
    assert_int_equal(f->request.on_timeout, 0);
    ask_for(f, WIRE_CALL_CHECK, 1);
    wire_fixture_send_request(f);
    assert_int_equal(f->request.reservation_id.len, 0);
}

/* The bytes that PROTOCOL.md walks through. */
static void test_documented_bytes(void **state) {
    struct wire_fixture *f = *state;
    static const uint8_t reserve[] = "\x00\x00\x00\x00\x25\x08\x02\x4a\x21\x0a\x04"
                                     "demo\x12\x05hello\x1a\x05"
                                     "alice\x20\x08\x28\xb0\xea\x01\x3a\x05job-7";
    static const uint8_t settle[] = "\x00\x00\x00\x00\x2c\x08\x03\x52\x28\x0a\x04"
                                    "demo\x12\x05hello\x1a\x05"
                                    "alice\x22\x10"
                                    "0123456789abcdef\x28\x03";
    ask_for(f, WIRE_CALL_RESERVE, 8);
    f->asked.id = 2;
    f->asked.timeout_ms = 0;
    f->asked.ttl_ms = 30000;
    f->asked.checks[0] = wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("alice"), 8);
    f->asked.checks[0].idempotency_key = BYTES("job-7");
    assert_int_equal(wire_fixture_send_request(f), sizeof reserve - 1);
    assert_memory_equal(f->frame, reserve, sizeof reserve - 1);
    f->asked = (struct wire_request){
        .id = 3,
        .call = WIRE_CALL_SETTLE,
        .reservation_id = BYTES("0123456789abcdef"),
        .n_checks = 1,
        .checks[0] = wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("alice"), 3),
    };
    assert_int_equal(wire_fixture_send_request(f), sizeof settle - 1);
    assert_memory_equal(f->frame, settle, sizeof settle - 1);
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_fixture_set_up, wire_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_check_keeps_its_wishes),
        WIRE_TEST(test_batch_keeps_the_wishes_of_each),
        WIRE_TEST(test_refund_keeps_every_field),
        WIRE_TEST(test_reserve_keeps_every_field),
        WIRE_TEST(test_settle_keeps_every_field),
        WIRE_TEST(test_nothing_used_and_nothing_refunded_stay_zero),
        WIRE_TEST(test_fields_of_an_earlier_call_are_gone),
        WIRE_TEST(test_documented_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
