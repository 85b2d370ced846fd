/* test_wire_problem.c — what is wrong with a request: the field and the reason, of every call. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

static void assert_check_problem(struct wire_check check, const char *expected) {
    char message[128] = "";
    enum wire_status status = wire_check_problem(WIRE_CALL_CHECK, &check, message, sizeof message);
    assert_string_equal(message, expected);
    assert_int_equal(status, expected[0] == '\0' ? WIRE_OK : WIRE_INVALID_ARGUMENT);
}

static void test_check_problem_names_field_and_reason(void **state) {
    struct wire_fixture *f = *state;
    struct wire_bytes t = BYTES("t"), r = BYTES("r"), none = {0};
    assert_check_problem(wire_fixture_check(t, r, none, 1), "");
    assert_check_problem(wire_fixture_check(wire_fixture_filled(f, 64), wire_fixture_filled(f, 128),
                                            wire_fixture_filled(f, 256), WIRE_COST_MAX),
                         "");
    assert_check_problem(wire_fixture_check(BYTES("\xc3\xa9 "), BYTES("\xff"), BYTES("\0\n"), 1), "");
    assert_check_problem(wire_fixture_check(none, r, none, 1), "tenant: empty");
    assert_check_problem(wire_fixture_check(wire_fixture_filled(f, 65), r, none, 1),
                         "tenant: 65 bytes, at most 64");
    assert_check_problem(wire_fixture_check(BYTES("a\x7f"), r, none, 1),
                         "tenant: control character 0x7f at byte 1");
    assert_check_problem(wire_fixture_check(BYTES("\x1f"), r, none, 1),
                         "tenant: control character 0x1f at byte 0");
    assert_check_problem(wire_fixture_check(t, none, none, 1), "resource: empty");
    assert_check_problem(wire_fixture_check(t, wire_fixture_filled(f, 129), none, 1),
                         "resource: 129 bytes, at most 128");
    assert_check_problem(wire_fixture_check(t, BYTES("api\nx"), none, 1),
                         "resource: control character 0x0a at byte 3");
    assert_check_problem(wire_fixture_check(t, r, wire_fixture_filled(f, 257), 1),
                         "key: 257 bytes, at most 256");
    assert_check_problem(wire_fixture_check(t, r, none, WIRE_COST_MAX + 1),
                         "cost: 1000000001, at most 1000000000");
}

static void test_a_control_character_is_found_at_every_place(void **state) {
    static const uint8_t controls[] = {0x00, 0x0a, 0x1f, 0x7f}, others[] = {0x20, 0x7e, 0x80, 0x9f, 0xa0, 0xff};
    uint8_t name[WIRE_TENANT_MAX_BYTES];
    char expected[64];
    (void)state;
    for (size_t len = 1; len <= sizeof name; len++) {
        const struct wire_check check =
            wire_fixture_check((struct wire_bytes){name, len}, BYTES("r"), BYTES("k"), 1);
        for (size_t at = 0; at < len; at++) {
            memset(name, 'x', sizeof name);
            for (size_t i = 0; i < COUNT(controls); i++) {
                name[at] = controls[i];
                snprintf(expected, sizeof expected, "tenant: control character 0x%02x at byte %zu", controls[i],
                         at);
                assert_check_problem(check, expected);
            }
            for (size_t i = 0; i < COUNT(others); i++) {
                char message[8];
                name[at] = others[i];
                assert_int_equal(wire_check_problem(WIRE_CALL_CHECK, &check, message, sizeof message), WIRE_OK);
            }
        }
    }
}

static void assert_request_problem(struct wire_fixture *f, enum wire_status expected, const char *text) {
    char message[128] = "";
    assert_int_equal(wire_request_problem(&f->asked, message, sizeof message), expected);
    assert_string_equal(message, text);
}

static void test_request_problem_names_field_and_reason(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){
        .timeout_ms = 60000, .traceparent = wire_fixture_filled(f, 128), .call = WIRE_CALL_CHECK};
    assert_request_problem(f, WIRE_OK, "");
    f->asked.traceparent.len = 129;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "traceparent: 129 bytes, at most 128");
    f->asked.timeout_ms = 60001;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "timeout_ms: 60001, at most 60000");
    f->asked = (struct wire_request){.call = WIRE_CALL_UNKNOWN};
    assert_request_problem(f, WIRE_UNIMPLEMENTED, "call: unknown or missing");
    f->asked = (struct wire_request){.call = WIRE_CALL_PEEK};
    assert_request_problem(f, WIRE_OK, "");
    f->asked = (struct wire_request){.call = WIRE_CALL_CHECK_BATCH, .n_checks = 0};
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "check_batch: empty");
    f->asked.n_checks = 1;
    assert_request_problem(f, WIRE_OK, "");
    f->asked = (struct wire_request){.call = WIRE_CALL_PING, .payload = wire_fixture_filled(f, 256)};
    assert_request_problem(f, WIRE_OK, "");
    f->asked.payload.len = 257;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "payload: 257 bytes, at most 256");
}

static void ask_for(struct wire_fixture *f, enum wire_call call) {
    f->asked = (struct wire_request){
        .call = call,
        .n_checks = 1,
        .checks[0] = wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("alice"), 1),
        .ttl_ms = 1,
        .reservation_id = BYTES("0123456789abcdef"),
    };
}

/* Of refund, reserve and settle: the fields that a check has are judged with the request. */
static void test_names_of_the_other_calls_are_judged(void **state) {
    struct wire_fixture *f = *state;
    static const enum wire_call calls[] = {WIRE_CALL_REFUND, WIRE_CALL_RESERVE, WIRE_CALL_SETTLE};
    for (size_t i = 0; i < COUNT(calls); i++) {
        ask_for(f, calls[i]);
        f->asked.checks[0].idempotency_key = wire_fixture_filled(f, 64);
        assert_request_problem(f, WIRE_OK, "");
        f->asked.checks[0].idempotency_key.len = 65;
        assert_request_problem(f, WIRE_INVALID_ARGUMENT, "idempotency_key: 65 bytes, at most 64");
        f->asked.checks[0].key = wire_fixture_filled(f, 257);
        assert_request_problem(f, WIRE_INVALID_ARGUMENT, "key: 257 bytes, at most 256");
        f->asked.checks[0].resource = BYTES("\n");
        assert_request_problem(f, WIRE_INVALID_ARGUMENT, "resource: control character 0x0a at byte 0");
        f->asked.checks[0].tenant.len = 0;
        assert_request_problem(f, WIRE_INVALID_ARGUMENT, "tenant: empty");
    }
}

static void test_refund_has_at_least_one_token(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_REFUND);
    f->asked.checks[0].cost = WIRE_COST_MAX;
    assert_request_problem(f, WIRE_OK, "");
    f->asked.checks[0].cost = 0;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "tokens: 0, at least 1");
    f->asked.checks[0].cost = WIRE_COST_MAX + 1;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "tokens: 1000000001, at most 1000000000");
}

static void test_reserve_has_a_time_and_an_end(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_RESERVE);
    f->asked.ttl_ms = WIRE_TTL_MAX_MS;
    f->asked.on_timeout = WIRE_ON_TIMEOUT_STAND;
    assert_request_problem(f, WIRE_OK, "");
    f->asked.on_timeout = 2;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "on_timeout: 2, neither RETURN (0) nor STAND (1)");
    f->asked.ttl_ms++;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "ttl_ms: 86400001, at most 86400000");
    f->asked.ttl_ms = 0;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "ttl_ms: 0, at least 1");
    ask_for(f, WIRE_CALL_RESERVE);
    f->asked.checks[0].cost = WIRE_COST_MAX + 1;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "estimate: 1000000001, at most 1000000000");
}

static void test_settle_names_a_reservation(void **state) {
    struct wire_fixture *f = *state;
    ask_for(f, WIRE_CALL_SETTLE);
    f->asked.checks[0].cost = 0;
    assert_request_problem(f, WIRE_OK, "");
    f->asked.checks[0].cost = WIRE_COST_MAX + 1;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "tokens: 1000000001, at most 1000000000");
    f->asked.reservation_id.len = 15;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "reservation_id: 15 bytes, it has 16");
    f->asked.reservation_id = wire_fixture_filled(f, 17);
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "reservation_id: 17 bytes, it has 16");
    f->asked.reservation_id = (struct wire_bytes){0};
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "reservation_id: 0 bytes, it has 16");
}

static void test_peek_has_no_idempotency_key(void **state) {
    struct wire_fixture *f = *state;
    char message[128] = "";
    ask_for(f, WIRE_CALL_PEEK);
    f->asked.checks[0].at_most = true;
    assert_int_equal(wire_check_problem(WIRE_CALL_PEEK, &f->asked.checks[0], message, sizeof message), WIRE_OK);
    f->asked.checks[0].idempotency_key = BYTES("k");
    assert_int_equal(wire_check_problem(WIRE_CALL_PEEK, &f->asked.checks[0], message, sizeof message),
                     WIRE_INVALID_ARGUMENT);
    assert_string_equal(message, "idempotency_key: a peek takes nothing and has none");
}

static void test_one_bad_check_spoils_a_batch_that_is_all_or_nothing(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.call = WIRE_CALL_CHECK_BATCH, .n_checks = WIRE_BATCH_MAX};
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->asked.checks[i] = wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("alice"), 1);
    }
    f->asked.checks[255].tenant.len = 0;
    f->asked.checks[7].idempotency_key = BYTES("k");
    assert_request_problem(f, WIRE_OK, "");
    f->asked.all_or_nothing = true;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT,
                           "checks[7].idempotency_key: not in a batch that is all_or_nothing");
    f->asked.checks[7].idempotency_key.len = 0;
    assert_request_problem(f, WIRE_INVALID_ARGUMENT, "checks[255].tenant: empty");
    f->asked.checks[255].tenant.len = 1;
    assert_request_problem(f, WIRE_OK, "");
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_fixture_set_up, wire_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_check_problem_names_field_and_reason),
        cmocka_unit_test(test_a_control_character_is_found_at_every_place),
        WIRE_TEST(test_request_problem_names_field_and_reason),
        WIRE_TEST(test_names_of_the_other_calls_are_judged),
        WIRE_TEST(test_refund_has_at_least_one_token),
        WIRE_TEST(test_reserve_has_a_time_and_an_end),
        WIRE_TEST(test_settle_names_a_reservation),
        WIRE_TEST(test_peek_has_no_idempotency_key),
        WIRE_TEST(test_one_bad_check_spoils_a_batch_that_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
