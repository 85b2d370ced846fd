/* test_wire.c — requests and responses there and back, sizes, names; see also
 * test_wire_request.c, test_wire_response.c and test_wire_hostile.c. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

/* Appends bytes to f->body. */
static size_t put(struct wire_fixture *f, size_t at, const void *bytes, size_t n) {
    assert_true(at + n <= sizeof f->body);
    memcpy(f->body + at, bytes, n);
    return at + n;
}

/* ---- there and back ---- */

static void test_check_and_peek_keep_every_field(void **state) {
    struct wire_fixture *f = *state;
    static const enum wire_call calls[] = {WIRE_CALL_CHECK, WIRE_CALL_PEEK};
    for (size_t i = 0; i < COUNT(calls); i++) {
        f->asked = (struct wire_request){
            .id = UINT64_MAX,
            .timeout_ms = WIRE_TIMEOUT_MAX_MS,
            .traceparent = BYTES("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            .call = calls[i],
            .n_checks = 1,
            .checks[0] = wire_fixture_check(BYTES("acme"), BYTES("api.read"), BYTES("alice"), WIRE_COST_MAX),
        };
        f->request.payload = BYTES("of an earlier ping");
        wire_fixture_send_request(f);
        assert_true(f->request.id == UINT64_MAX);
        assert_int_equal(f->request.timeout_ms, WIRE_TIMEOUT_MAX_MS);
        assert_bytes(f->request.traceparent, f->asked.traceparent);
        assert_int_equal(f->request.call, calls[i]);
        assert_int_equal(f->request.n_checks, 1);
        assert_check(&f->request.checks[0], &f->asked.checks[0]);
        assert_int_equal(f->request.payload.len, 0);
    }
}

static void test_batch_keeps_its_order(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.id = 9, .call = WIRE_CALL_CHECK_BATCH, .n_checks = WIRE_BATCH_MAX};
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->asked.checks[i] =
            wire_fixture_check(wire_fixture_filled(f, i % 64 + 1), wire_fixture_filled(f, i % 32 + 1),
                               wire_fixture_filled(f, i % 99), i);
    }
    wire_fixture_send_request(f);
    assert_int_equal(f->request.call, WIRE_CALL_CHECK_BATCH);
    assert_int_equal(f->request.n_checks, WIRE_BATCH_MAX);
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        assert_check(&f->request.checks[i], &f->asked.checks[i]);
    }
}

static void test_ping_and_pong_keep_every_field(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.id = 3, .call = WIRE_CALL_PING, .payload = BYTES("a\0b")};
    wire_fixture_send_request(f);
    assert_int_equal(f->request.call, WIRE_CALL_PING);
    assert_int_equal(f->request.n_checks, 0);
    assert_bytes(f->request.payload, BYTES("a\0b"));
    f->answered = (struct wire_response){
        .id = 3, .call = WIRE_CALL_PING, .payload = BYTES("a\0b"), .version = BYTES("0.1.0")};
    wire_fixture_send_response(f);
    assert_int_equal(f->response.call, WIRE_CALL_PING);
    assert_int_equal(f->response.status, WIRE_OK);
    assert_bytes(f->response.payload, BYTES("a\0b"));
    assert_bytes(f->response.version, BYTES("0.1.0"));
}

static void test_decision_keeps_every_field(void **state) {
    struct wire_fixture *f = *state;
    const struct wire_decision largest = wire_fixture_largest_decision();
    static const enum wire_call calls[] = {WIRE_CALL_CHECK, WIRE_CALL_PEEK};
    for (size_t i = 0; i < COUNT(calls); i++) {
        f->answered =
            (struct wire_response){.id = 1, .call = calls[i], .n_items = 1, .items[0].decision = largest};
        wire_fixture_send_response(f);
        assert_true(f->response.id == 1);
        assert_int_equal(f->response.call, WIRE_CALL_CHECK);
        assert_int_equal(f->response.n_items, 1);
        assert_int_equal(f->response.items[0].status, WIRE_OK);
        assert_int_equal(f->response.items[0].message.len, 0);
        assert_decision(&f->response.items[0].decision, &largest);
    }
}

static void test_error_carries_its_message_and_no_result(void **state) {
    struct wire_fixture *f = *state;
    const struct wire_decision largest = wire_fixture_largest_decision();
    f->answered = (struct wire_response){.id = 8,
                                         .call = WIRE_CALL_CHECK,
                                         .status = WIRE_UNAVAILABLE,
                                         .n_items = 1,
                                         .message = BYTES("store: down"),
                                         .items[0].decision = largest};
    wire_fixture_send_response(f);
    assert_true(f->response.id == 8);
    assert_int_equal(f->response.call, WIRE_CALL_UNKNOWN);
    assert_int_equal(f->response.status, WIRE_UNAVAILABLE);
    assert_bytes(f->response.message, BYTES("store: down"));
    assert_int_equal(f->response.n_items, 0);
}

static void test_batch_items_have_a_decision_or_a_message(void **state) {
    struct wire_fixture *f = *state;
    const struct wire_decision largest = wire_fixture_largest_decision();
    f->answered = (struct wire_response){
        .call = WIRE_CALL_CHECK_BATCH,
        .n_items = 2,
        .items = {{.message = BYTES("dropped"), .decision = largest},
                  {.status = WIRE_INVALID_ARGUMENT, .message = BYTES("tenant: empty"), .decision = largest}},
    };
    wire_fixture_send_response(f);
    assert_int_equal(f->response.call, WIRE_CALL_CHECK_BATCH);
    assert_int_equal(f->response.n_items, 2);
    assert_int_equal(f->response.items[0].status, WIRE_OK);
    assert_int_equal(f->response.items[0].message.len, 0);
    assert_decision(&f->response.items[0].decision, &largest);
    assert_int_equal(f->response.items[1].status, WIRE_INVALID_ARGUMENT);
    assert_bytes(f->response.items[1].message, BYTES("tenant: empty"));
    assert_decision(&f->response.items[1].decision, &(struct wire_decision){0});
}

/* The bytes that PROTOCOL.md walks through. */
static void test_documented_bytes(void **state) {
    struct wire_fixture *f = *state;
    static const uint8_t asked[] = "\x00\x00\x00\x00\x1d\x08\x01\x10\xfa\x01\x22\x16\x0a\x04"
                                   "demo\x12\x05hello\x1a\x05"
                                   "alice\x20\x03";
    static const uint8_t answered[] = "\x00\x00\x00\x00\x1d\x08\x01\x22\x19\x08\x01\x10\x05\x18\x01\x22\x07"
                                      "per_key\x28\x0a\x30\x07\x40\xc0\xcf\x24\x60\x03";
    f->asked = (struct wire_request){.id = 1,
                                     .timeout_ms = 250,
                                     .call = WIRE_CALL_CHECK,
                                     .n_checks = 1,
                                     .checks[0] =
                                         wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("alice"), 3)};
    assert_int_equal(wire_fixture_send_request(f), sizeof asked - 1);
    assert_memory_equal(f->frame, asked, sizeof asked - 1);
    f->answered = (struct wire_response){.id = 1,
                                         .call = WIRE_CALL_CHECK,
                                         .n_items = 1,
                                         .items[0].decision = {.verdict = WIRE_ALLOW,
                                                               .source = WIRE_SOURCE_EMBEDDED,
                                                               .matched = true,
                                                               .limit_name = BYTES("per_key"),
                                                               .limit = 10,
                                                               .remaining = 7,
                                                               .reset_after_us = 600000,
                                                               .granted = 3}};
    assert_int_equal(wire_fixture_send_response(f), sizeof answered - 1);
    assert_memory_equal(f->frame, answered, sizeof answered - 1);
}

static void test_nul_inside_a_key_survives(void **state) {
    struct wire_fixture *f = *state;
    f->asked =
        (struct wire_request){.call = WIRE_CALL_CHECK,
                              .n_checks = 1,
                              .checks[0] = wire_fixture_check(BYTES("t"), BYTES("r"), BYTES("a\0x\0"), 1)};
    wire_fixture_send_request(f);
    assert_bytes(f->request.checks[0].key, BYTES("a\0x\0"));
}

static void test_empty_body_is_a_request_without_a_call(void **state) {
    struct wire_fixture *f = *state;
    assert_int_equal(wire_decode_request(f->codec, NULL, 0, &f->request), WIRE_DECODED);
    assert_true(f->request.id == 0);
    assert_int_equal(f->request.call, WIRE_CALL_UNKNOWN);
    assert_int_equal(f->request.n_checks, 0);
}

static void test_last_of_several_calls_wins(void **state) {
    struct wire_fixture *f = *state;
    static const uint8_t body[] = "\x22\x03\x0a\x01t\x3a\x03\x0a\x01p\x32\x03\x0a\x01u";
    assert_int_equal(wire_decode_request(f->codec, body, sizeof body - 1, &f->request), WIRE_DECODED);
    assert_int_equal(f->request.call, WIRE_CALL_PEEK);
    assert_bytes(f->request.checks[0].tenant, BYTES("u"));
    assert_true(f->request.checks[0].cost == 1);
}

static void test_later_fields_and_calls_are_skipped(void **state) {
    struct wire_fixture *f = *state;
    /* field 100 as bytes, 101 as a number, 102 as 8 bytes, 103 as 4 bytes */
    static const uint8_t later[] = "\xa2\x06\x01z\xa8\x06\x01\xb1\x06zzzzzzzz\xbd\x06zzzz";
    size_t n = put(f, 0, "\x08\x07", 2);
    for (size_t i = 0; i < 100; i++) {
        n = put(f, n, later, sizeof later - 1);
    }
    assert_int_equal(wire_decode_request(f->codec, f->body, n, &f->request), WIRE_DECODED);
    assert_true(f->request.id == 7);
    assert_int_equal(f->request.call, WIRE_CALL_UNKNOWN);
    n = put(f, n, "\x3a\x00", 2);
    assert_int_equal(wire_decode_request(f->codec, f->body, n, &f->request), WIRE_DECODED);
    assert_int_equal(f->request.call, WIRE_CALL_PING);
}

static void test_numbers_outside_the_tables_are_named_unknown(void **state) {
    struct wire_fixture *f = *state;
    static const uint8_t body[] = "\x10\x63\x22\x04\x08\x63\x10\x63";
    assert_int_equal(wire_decode_response(f->codec, body, sizeof body - 1, &f->response), WIRE_DECODED);
    assert_int_equal(f->response.status, WIRE_UNKNOWN);
    assert_int_equal(f->response.items[0].decision.verdict, WIRE_VERDICT_UNSPECIFIED);
    assert_int_equal(f->response.items[0].decision.source, WIRE_SOURCE_NONE);
}

/* ---- sizes ---- */

static void test_room_one_byte_short_encodes_nothing(void **state) {
    struct wire_fixture *f = *state;
    const struct wire_decision largest = wire_fixture_largest_decision();
    f->asked = (struct wire_request){.id = 1, .call = WIRE_CALL_PING, .payload = wire_fixture_filled(f, 200)};
    size_t n = wire_fixture_send_request(f);
    memset(f->frame, 0xee, n);
    assert_int_equal(wire_encode_request(&f->asked, f->frame, n - 1), 0);
    assert_int_equal(wire_encode_request(&f->asked, f->frame, 0), 0);
    assert_int_equal(f->frame[0], 0xee);
    assert_int_equal(wire_encode_request(&f->asked, f->frame, n), n);
    f->answered = (struct wire_response){.id = 1, .call = WIRE_CALL_CHECK, .items[0].decision = largest};
    n = wire_fixture_send_response(f);
    assert_int_equal(wire_encode_response(&f->answered, f->frame, n - 1), 0);
    assert_int_equal(wire_encode_response(&f->answered, f->frame, n), n);
}

static void test_body_above_64_kib_encodes_nothing_whatever_the_room(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.call = WIRE_CALL_PING, .payload = {f->body, sizeof f->body}};
    assert_int_equal(wire_encode_request(&f->asked, f->frame, SIZE_MAX), 0);
    f->answered = (struct wire_response){.call = WIRE_CALL_PING, .payload = {f->body, sizeof f->body}};
    assert_int_equal(wire_encode_response(&f->answered, f->frame, SIZE_MAX), 0);
}

static void test_batch_of_the_longest_answers_fits_a_frame(void **state) {
    struct wire_fixture *f = *state;
    const struct wire_decision largest = wire_fixture_largest_decision();
    f->answered =
        (struct wire_response){.id = UINT64_MAX, .call = WIRE_CALL_CHECK_BATCH, .n_items = WIRE_BATCH_MAX};
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->answered.items[i] = (struct wire_item){.decision = largest};
    }
    wire_fixture_send_response(f);
    assert_decision(&f->response.items[WIRE_BATCH_MAX - 1].decision, &largest);
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->answered.items[i] =
            (struct wire_item){.status = WIRE_UNAVAILABLE, .message = wire_fixture_filled(f, 250)};
    }
    wire_fixture_send_response(f);
    assert_int_equal(f->response.n_items, WIRE_BATCH_MAX);
    assert_bytes(f->response.items[WIRE_BATCH_MAX - 1].message, wire_fixture_filled(f, WIRE_MESSAGE_MAX_BYTES));
    f->answered.n_items = WIRE_BATCH_MAX + 1;
    assert_int_equal(wire_encode_response(&f->answered, f->frame, sizeof f->frame), 0);
}

static void test_batch_request_must_fit_a_frame(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.call = WIRE_CALL_CHECK_BATCH, .n_checks = WIRE_BATCH_MAX};
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->asked.checks[i] = wire_fixture_check(wire_fixture_filled(f, 64), wire_fixture_filled(f, 128),
                                                wire_fixture_filled(f, 256), WIRE_COST_MAX);
    }
    assert_int_equal(wire_encode_request(&f->asked, f->frame, sizeof f->frame), 0);
    f->asked.n_checks = WIRE_BATCH_MAX + 1;
    assert_int_equal(wire_encode_request(&f->asked, f->frame, sizeof f->frame), 0);
    /* 256 checks that fill the frame to the last few bytes */
    f->asked.n_checks = WIRE_BATCH_MAX;
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->asked.checks[i] = wire_fixture_check(wire_fixture_filled(f, 64), wire_fixture_filled(f, 128),
                                                wire_fixture_filled(f, 51), 1);
    }
    size_t n = wire_fixture_send_request(f);
    assert_in_range(n, FRAME_MAX_BYTES - WIRE_BATCH_MAX, FRAME_MAX_BYTES);
    assert_int_equal(f->request.n_checks, WIRE_BATCH_MAX);
    assert_bytes(f->request.checks[WIRE_BATCH_MAX - 1].key, wire_fixture_filled(f, 51));
}

/* ---- messages ---- */

static void test_message_is_valid_utf8_without_controls(void **state) {
    struct wire_fixture *f = *state;
    static const struct {
        struct wire_bytes given, sent;
    } cases[] = {
        {LITERAL("plain ~"), LITERAL("plain ~")},
        {LITERAL("a\0\n\x1b\x7f"), LITERAL("a????")},
        {LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")},
        {LITERAL("\x80z\xff\xfe"), LITERAL("?z??")},
        {LITERAL("\xc0\xaf\xe0\x80\xaf"), LITERAL("?????")}, /* overlong */
        {LITERAL("\xf0\x8f\xbf\xbf"), LITERAL("????")},
        {LITERAL("\xed\xa0\x80"), LITERAL("???")},      /* surrogate */
        {LITERAL("\xf4\x90\x80\x80"), LITERAL("????")}, /* above U+10FFFF */
        {LITERAL("\xc2\x9bm"), LITERAL("??m")},         /* C1 control */
        {LITERAL("x\xe2\x82"), LITERAL("x??")},         /* cut character */
        {LITERAL("\xe2zz"), LITERAL("?zz")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        f->answered = (struct wire_response){.status = WIRE_INTERNAL, .message = cases[i].given};
        wire_fixture_send_response(f);
        assert_bytes(f->response.message, cases[i].sent);
    }
}

static void test_long_message_is_cut_between_characters(void **state) {
    struct wire_fixture *f = *state;
    uint8_t text[WIRE_MESSAGE_MAX_BYTES + 10];
    for (size_t before = 156; before <= 160; before++) {
        memset(text, 'x', sizeof text);
        memcpy(text + before, "\xe2\x82\xac", 3);
        f->answered = (struct wire_response){.status = WIRE_INTERNAL, .message = {text, sizeof text}};
        wire_fixture_send_response(f);
        size_t kept = before + 3 <= WIRE_MESSAGE_MAX_BYTES ? WIRE_MESSAGE_MAX_BYTES : before;
        assert_bytes(f->response.message, (struct wire_bytes){text, kept});
    }
}

/* ---- names ---- */

static void test_statuses_have_the_numbers_of_grpc(void **state) {
    (void)state;
    static const char *const names[] = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        [8] = "RESOURCE_EXHAUSTED",
                                        [12] = "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE"};
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(wire_status_text((enum wire_status)i), names[i] != NULL ? names[i] : "UNKNOWN");
    }
}

static void test_sources_have_the_numbers_of_the_proto_file(void **state) {
    (void)state;
    static const char *const names[] = {"none", "store", "lease", "denied_cache", "local", "embedded", "none"};
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(wire_source_text((enum wire_source)i), names[i]);
    }
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_fixture_set_up, wire_fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_check_and_peek_keep_every_field),
        WIRE_TEST(test_batch_keeps_its_order),
        WIRE_TEST(test_ping_and_pong_keep_every_field),
        WIRE_TEST(test_decision_keeps_every_field),
        WIRE_TEST(test_error_carries_its_message_and_no_result),
        WIRE_TEST(test_batch_items_have_a_decision_or_a_message),
        WIRE_TEST(test_documented_bytes),
        WIRE_TEST(test_nul_inside_a_key_survives),
        WIRE_TEST(test_empty_body_is_a_request_without_a_call),
        WIRE_TEST(test_last_of_several_calls_wins),
        WIRE_TEST(test_later_fields_and_calls_are_skipped),
        WIRE_TEST(test_numbers_outside_the_tables_are_named_unknown),
        WIRE_TEST(test_room_one_byte_short_encodes_nothing),
        WIRE_TEST(test_body_above_64_kib_encodes_nothing_whatever_the_room),
        WIRE_TEST(test_batch_of_the_longest_answers_fits_a_frame),
        WIRE_TEST(test_batch_request_must_fit_a_frame),
        WIRE_TEST(test_message_is_valid_utf8_without_controls),
        WIRE_TEST(test_long_message_is_cut_between_characters),
        cmocka_unit_test(test_statuses_have_the_numbers_of_grpc),
        cmocka_unit_test(test_sources_have_the_numbers_of_the_proto_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
