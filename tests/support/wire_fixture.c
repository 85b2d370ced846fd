/* wire_fixture.c — messages there and back; see wire_fixture.h. */
#include "tests/support/wire_fixture.h"

#include "tests/support/test_prelude.h"

int wire_fixture_set_up(void **state) {
    struct wire_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->codec = wire_codec_create();
    assert_non_null(f->codec);
    memset(f->filler, 'x', sizeof f->filler);
    *state = f;
    return 0;
}

int wire_fixture_tear_down(void **state) {
    struct wire_fixture *f = *state;
    wire_codec_destroy(&f->codec);
    assert_null(f->codec);
    wire_codec_destroy(&f->codec);
    free(f);
    return 0;
}

size_t wire_fixture_send_request(struct wire_fixture *f) {
    struct frame frame;
    size_t n = wire_encode_request(&f->asked, f->frame, sizeof f->frame);
    assert_int_not_equal(n, 0);
    assert_int_equal(frame_parse(f->frame, n, &frame), FRAME_READY);
    assert_int_equal(frame.total_bytes, n);
    assert_int_equal(wire_decode_request(f->codec, frame.body, frame.body_bytes, &f->request), WIRE_DECODED);
    return n;
}

size_t wire_fixture_send_response(struct wire_fixture *f) {
    struct frame frame;
    size_t n = wire_encode_response(&f->answered, f->frame, sizeof f->frame);
    assert_int_not_equal(n, 0);
    assert_int_equal(frame_parse(f->frame, n, &frame), FRAME_READY);
    assert_int_equal(frame.total_bytes, n);
    assert_int_equal(wire_decode_response(f->codec, frame.body, frame.body_bytes, &f->response), WIRE_DECODED);
    return n;
}

struct wire_bytes wire_fixture_filled(const struct wire_fixture *f, size_t len) {
    return (struct wire_bytes){f->filler, len};
}

struct wire_check wire_fixture_check(struct wire_bytes tenant, struct wire_bytes resource,
                                     struct wire_bytes key, uint64_t cost) {
    return (struct wire_check){.tenant = tenant, .resource = resource, .key = key, .cost = cost};
}

struct wire_decision wire_fixture_largest_decision(void) {
    return (struct wire_decision){
        .verdict = WIRE_DENY,
        .source = WIRE_SOURCE_DENIED_CACHE,
        .matched = true,
        .limit_name = BYTES("per_key_name_of_thirty_two_bytes"),
        .limit = UINT64_MAX,
        .remaining = UINT64_MAX - 1,
        .retry_after_us = UINT64_MAX - 2,
        .reset_after_us = UINT64_MAX - 3,
        .wait_us = UINT64_MAX - 4,
        .degraded = true,
        .would_deny = true,
        .granted = UINT64_MAX - 5,
        .repeated = true,
        .returned = true,
    };
}

void assert_bytes(struct wire_bytes actual, struct wire_bytes expected) {
    assert_int_equal(actual.len, expected.len);
    if (expected.len > 0) {
        assert_memory_equal(actual.data, expected.data, expected.len);
    }
}

void assert_check(const struct wire_check *actual, const struct wire_check *expected) {
    assert_bytes(actual->tenant, expected->tenant);
    assert_bytes(actual->resource, expected->resource);
    assert_bytes(actual->key, expected->key);
    assert_true(actual->cost == (expected->cost > 0 ? expected->cost : 1));
    assert_int_equal(actual->at_most, expected->at_most);
    assert_bytes(actual->idempotency_key, expected->idempotency_key);
}

void assert_decision(const struct wire_decision *actual, const struct wire_decision *expected) {
    assert_int_equal(actual->verdict, expected->verdict);
    assert_int_equal(actual->source, expected->source);
    assert_int_equal(actual->matched, expected->matched);
    assert_bytes(actual->limit_name, expected->limit_name);
    assert_true(actual->limit == expected->limit);
    assert_true(actual->remaining == expected->remaining);
    assert_true(actual->retry_after_us == expected->retry_after_us);
    assert_true(actual->reset_after_us == expected->reset_after_us);
    assert_true(actual->wait_us == expected->wait_us);
    assert_int_equal(actual->degraded, expected->degraded);
    assert_int_equal(actual->would_deny, expected->would_deny);
    assert_true(actual->granted == expected->granted);
    assert_int_equal(actual->repeated, expected->repeated);
    assert_int_equal(actual->returned, expected->returned);
}
