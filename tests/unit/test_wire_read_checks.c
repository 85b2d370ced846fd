/* test_wire_read_checks.c — what is read without protobuf-c is what protobuf-c reads, or is declined. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

#include "client/cmd/rng.h"
#include "proto/wire_codec.h"
#include "proto/wire_read_checks.h"

enum { N_REQUESTS = 3000, N_DAMAGES = 20 };

static void assert_same_request(const struct wire_request *actual, const struct wire_request *expected) {
    assert_true(actual->id == expected->id);
    assert_int_equal(actual->timeout_ms, expected->timeout_ms);
    assert_bytes(actual->traceparent, expected->traceparent);
    assert_int_equal(actual->call, expected->call);
    assert_int_equal(actual->payload.len, expected->payload.len);
    assert_int_equal(actual->reservation_id.len, expected->reservation_id.len);
    assert_int_equal(actual->all_or_nothing, expected->all_or_nothing);
    assert_int_equal(actual->ttl_ms, expected->ttl_ms);
    assert_int_equal(actual->on_timeout, expected->on_timeout);
    assert_int_equal(actual->n_checks, expected->n_checks);
    for (size_t i = 0; i < expected->n_checks; i++) {
        assert_check(&actual->checks[i], &expected->checks[i]);
    }
}

/* Returns whether it was read. The copy of its own has no byte behind its end that may be read. */
static bool read_both(struct wire_fixture *f, const uint8_t *body, size_t n_bytes) {
    static struct wire_request quick;
    uint8_t *copy = malloc(n_bytes + 1);
    assert_non_null(copy);
    memcpy(copy + 1, body, n_bytes);
    memset(&quick, 0xaa, sizeof quick);
    bool is_read = wire_read_checks(copy + 1, n_bytes, &quick);
    if (is_read) {
        assert_int_equal(wire_unpack_request(f->codec, copy + 1, n_bytes, &f->request), WIRE_DECODED);
        assert_same_request(&quick, &f->request);
    }
    free(copy);
    return is_read;
}

static size_t encode(struct wire_fixture *f) {
    size_t n = wire_encode_request(&f->asked, f->frame, sizeof f->frame);
    assert_true(n > 0);
    memcpy(f->body, f->frame + FRAME_HEADER_BYTES, n - FRAME_HEADER_BYTES);
    return n - FRAME_HEADER_BYTES;
}

static uint64_t draw_number(struct rng *rng, unsigned max_bits) {
    return rng_next(rng) >> (64 - max_bits) >> rng_below(rng, max_bits);
}

static void draw_request(struct wire_fixture *f, struct rng *rng) {
    static const enum wire_call calls[] = {WIRE_CALL_CHECK, WIRE_CALL_PEEK, WIRE_CALL_CHECK_BATCH};
    enum wire_call call = calls[rng_below(rng, 3)];
    f->asked = (struct wire_request){.id = draw_number(rng, 63),
                                     .timeout_ms = (uint32_t)draw_number(rng, 32),
                                     .traceparent = wire_fixture_filled(f, rng_below(rng, 2) * 55),
                                     .call = call,
                                     .n_checks = call == WIRE_CALL_CHECK_BATCH ? rng_below(rng, 40) : 1};
    for (size_t i = 0; i < f->asked.n_checks; i++) {
        f->asked.checks[i] = wire_fixture_check(
            wire_fixture_filled(f, rng_below(rng, 65)), wire_fixture_filled(f, rng_below(rng, 129)),
            wire_fixture_filled(f, rng_below(rng, 257)), draw_number(rng, 40));
    }
}

static void test_checks_are_read_as_protobuf_c_reads_them(void **state) {
    struct wire_fixture *f = *state;
    struct rng rng = {1};
    for (int i = 0; i < N_REQUESTS; i++) {
        draw_request(f, &rng);
        assert_true(read_both(f, f->body, encode(f)));
    }
}

static void test_damaged_checks_are_read_alike_or_declined(void **state) {
    struct wire_fixture *f = *state;
    struct rng rng = {2};
    int n_read = 0;
    for (int i = 0; i < N_REQUESTS; i++) {
        draw_request(f, &rng);
        size_t n_bytes = encode(f);
        for (int damage = 0; damage < N_DAMAGES && n_bytes > 0; damage++) {
            size_t at = rng_below(&rng, n_bytes < 64 ? n_bytes : 64);
            f->body[at] = (uint8_t)rng_next(&rng);
            n_read += read_both(f, f->body, n_bytes);
            n_read += read_both(f, f->body, rng_below(&rng, n_bytes));
        }
    }
    assert_true(n_read > N_REQUESTS);
}

static void assert_declined(struct wire_fixture *f) {
    assert_false(read_both(f, f->body, encode(f)));
}

static void test_other_calls_and_wishes_are_declined(void **state) {
    struct wire_fixture *f = *state;
    f->asked = (struct wire_request){.id = 1, .call = WIRE_CALL_PING};
    assert_declined(f);
    f->asked.call = WIRE_CALL_UNKNOWN;
    assert_declined(f);
    f->asked = (struct wire_request){.id = 1, .call = WIRE_CALL_REFUND, .n_checks = 1};
    f->asked.checks[0] = wire_fixture_check(BYTES("t"), BYTES("r"), BYTES("k"), 1);
    assert_declined(f);
    f->asked.call = WIRE_CALL_CHECK;
    assert_true(read_both(f, f->body, encode(f)));
    f->asked.checks[0].at_most = true;
    assert_declined(f);
    f->asked.checks[0].at_most = false;
    f->asked.checks[0].idempotency_key = BYTES("once");
    assert_declined(f);
    f->asked.checks[0].idempotency_key = BYTES("");
    f->asked.call = WIRE_CALL_CHECK_BATCH;
    f->asked.all_or_nothing = true;
    assert_declined(f);
}

static void test_a_second_call_and_too_many_checks_are_declined(void **state) {
    static const uint8_t two_calls[] = {0x08, 7, 0x22, 0, 0x32, 0};
    static uint8_t many[4 + 2 * (WIRE_BATCH_MAX + 1)] = {0x2a, 0x82, 0x04};
    struct wire_fixture *f = *state;
    assert_true(read_both(f, two_calls, 4));
    assert_false(read_both(f, two_calls, sizeof two_calls));
    for (size_t i = 3; i < sizeof many; i++) {
        many[i] = i % 2 == 1 ? 0x0a : 0;
    }
    assert_false(read_both(f, many, sizeof many - 1));
    many[1] = 0x80;
    assert_true(read_both(f, many, 3 + 2 * WIRE_BATCH_MAX));
    assert_int_equal(f->request.n_checks, WIRE_BATCH_MAX);
}

static void test_numbers_that_are_too_long_are_declined(void **state) {
    static const uint8_t id_of_ten_bytes[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 1,    0x22, 0};
    static const uint8_t padded_length[] = {0x22, 0x82, 0x80, 0x80, 0, 0x20, 5};
    static const uint8_t timeout_of_33_bits[] = {0x10, 0x80, 0x80, 0x80, 0x80, 0x10, 0x22, 0};
    struct wire_fixture *f = *state;
    assert_false(read_both(f, id_of_ten_bytes, sizeof id_of_ten_bytes));
    assert_false(read_both(f, padded_length, sizeof padded_length));
    assert_false(read_both(f, timeout_of_33_bits, sizeof timeout_of_33_bits));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_checks_are_read_as_protobuf_c_reads_them, wire_fixture_set_up,
                                        wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_checks_are_read_alike_or_declined, wire_fixture_set_up,
                                        wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_other_calls_and_wishes_are_declined, wire_fixture_set_up,
                                        wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_call_and_too_many_checks_are_declined,
                                        wire_fixture_set_up, wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_that_are_too_long_are_declined, wire_fixture_set_up,
                                        wire_fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
