/* test_wire_hostile.c — bytes that no honest peer sends: bounded memory, no crash, the id kept where readable. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

enum { SAMPLE_BYTES = 512, N_SAMPLES = 10, N_REQUESTS = 6 };

struct sample {
    uint8_t bytes[SAMPLE_BYTES]; /* the body of a good message, to be cut and mutated */
    size_t n;
};

struct fixture {
    struct wire_codec *codec;
    struct wire_request request;
    struct wire_response response;
    struct sample samples[N_SAMPLES];
    uint8_t frame[FRAME_MAX_BYTES];
    uint8_t again[FRAME_MAX_BYTES];
    uint8_t body[FRAME_BODY_MAX_BYTES];
};

static void keep_sample(struct fixture *f, size_t which, size_t frame_bytes) {
    assert_in_range(frame_bytes, FRAME_HEADER_BYTES + 1, SAMPLE_BYTES);
    f->samples[which].n = frame_bytes - FRAME_HEADER_BYTES;
    memcpy(f->samples[which].bytes, f->frame + FRAME_HEADER_BYTES, f->samples[which].n);
}

static void make_samples(struct fixture *f) {
    struct wire_request *request = &f->request;
    struct wire_response *response = &f->response;
    request->id = 300;
    request->timeout_ms = 20;
    request->traceparent = BYTES("00-0af7-b7ad-01");
    request->payload = BYTES("hello");
    request->n_checks = 3;
    request->checks[0] = wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("alice"), 1);
    request->checks[1] = wire_fixture_check(BYTES("demo"), BYTES("hello"), BYTES("b\0b"), 200);
    request->checks[2] = wire_fixture_check(BYTES("acme"), BYTES("api.read"), BYTES(""), WIRE_COST_MAX);
    request->checks[0].at_most = request->all_or_nothing = true;
    request->checks[0].idempotency_key = BYTES("k\0y");
    request->ttl_ms = 30000;
    request->on_timeout = WIRE_ON_TIMEOUT_STAND;
    request->reservation_id = BYTES("0123456789abcdef");
    static const enum wire_call calls[N_REQUESTS] = {WIRE_CALL_CHECK,  WIRE_CALL_CHECK_BATCH, WIRE_CALL_PING,
                                                     WIRE_CALL_REFUND, WIRE_CALL_RESERVE,     WIRE_CALL_SETTLE};
    for (size_t i = 0; i < N_REQUESTS; i++) {
        request->call = calls[i];
        keep_sample(f, i, wire_encode_request(request, f->frame, sizeof f->frame));
    }
    response->id = 300;
    response->n_items = 3;
    response->items[0].decision = wire_fixture_largest_decision();
    response->items[1].status = WIRE_UNAVAILABLE;
    response->items[1].message = BYTES("store: \xc3\xa9");
    response->items[2].decision = (struct wire_decision){.verdict = WIRE_ALLOW, .limit = 10};
    response->granted = true;
    response->reservation_id = BYTES("0123456789abcdef");
    response->booked = (struct wire_booked){.matched = true,
                                            .returned = 1,
                                            .taken = 300,
                                            .limit_name = BYTES("per_key"),
                                            .limit = 10,
                                            .remaining = 9,
                                            .repeated = true,
                                            .degraded = true};
    static const enum wire_call results[] = {WIRE_CALL_CHECK_BATCH, WIRE_CALL_RESERVE, WIRE_CALL_REFUND};
    for (size_t i = 0; i < COUNT(results); i++) {
        response->call = results[i];
        keep_sample(f, N_REQUESTS + i, wire_encode_response(response, f->frame, sizeof f->frame));
    }
    response->status = WIRE_INTERNAL;
    response->message = BYTES("limiter: \xe2\x82\xac");
    keep_sample(f, N_SAMPLES - 1, wire_encode_response(response, f->frame, sizeof f->frame));
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->codec = wire_codec_create();
    assert_non_null(f->codec);
    make_samples(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    wire_codec_destroy(&f->codec);
    free(f);
    return 0;
}

/* Appends bytes to f->body. */
static size_t put(struct fixture *f, size_t at, const void *bytes, size_t n) {
    assert_true(at + n <= sizeof f->body);
    memcpy(f->body + at, bytes, n);
    return at + n;
}

static size_t put_varint(struct fixture *f, size_t at, uint64_t value) {
    uint8_t byte;
    for (; value >= 0x80; value >>= 7) {
        byte = (uint8_t)(value | 0x80);
        at = put(f, at, &byte, 1);
    }
    byte = (uint8_t)value;
    return put(f, at, &byte, 1);
}

static void test_batch_beyond_the_limit_is_told_with_its_id(void **state) {
    struct fixture *f = *state;
    static const size_t counts[] = {257, 1000, 32000}; /* the last is more than the arena holds */
    for (size_t i = 0; i < COUNT(counts); i++) {
        size_t n = put(f, 0, "\x08\x05\x2a", 3);
        n = put_varint(f, n, counts[i] * 2);
        memset(f->body + n, 0, counts[i] * 2);
        for (size_t j = 0; j < counts[i]; j++, n += 2) {
            f->body[n] = 0x0a;
        }
        f->request.id = f->response.id = 99;
        assert_int_equal(wire_decode_request(f->codec, f->body, n, &f->request), WIRE_BATCH_TOO_LARGE);
        assert_true(f->request.id == 5);
        assert_int_equal(wire_decode_response(f->codec, f->body, n, &f->response), WIRE_BATCH_TOO_LARGE);
        assert_true(f->response.id == 5);
    }
}

static void test_more_fields_than_the_arena_holds_are_malformed(void **state) {
    struct fixture *f = *state;
    size_t n = put(f, 0, "\x08\x05", 2);
    while (n + 2 <= sizeof f->body) {
        n = put(f, n, "\x78\x01", 2);
    }
    assert_int_equal(wire_decode_request(f->codec, f->body, n, &f->request), WIRE_MALFORMED);
    assert_true(f->request.id == 5);
    assert_int_equal(wire_decode_response(f->codec, f->body, n, &f->response), WIRE_MALFORMED);
    assert_true(f->response.id == 5);
    assert_int_equal(wire_decode_request(f->codec, f->body, 4, &f->request), WIRE_DECODED);
}

static void test_malformed_request_keeps_a_readable_id(void **state) {
    struct fixture *f = *state;
    static const struct {
        struct wire_bytes body;
        uint64_t id;
    } cases[] = {
        {LITERAL("\x08\x05\x22\x05\x0a"), 5},                             /* check cut short */
        {LITERAL("\x08\x05\x20\x01"), 5},                                 /* check as a number */
        {LITERAL("\x08\x05\x22\x02\x0a\x09"), 5},                         /* tenant longer than its check */
        {LITERAL("\x0d\x01\x02\x03\x04\x0b"), 0},                         /* id of another type, then a group */
        {LITERAL("\x11zzzzzzzz\x08\x06\x0b"), 6},                         /* id after eight fixed bytes */
        {LITERAL("\x22\x05\x0a\x08\x05"), 0},                             /* id only inside what is cut */
        {LITERAL("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0}, /* 11-byte number */
        {LITERAL("\x80"), 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        f->request.id = 99;
        assert_int_equal(wire_decode_request(f->codec, cases[i].body.data, cases[i].body.len, &f->request),
                         WIRE_MALFORMED);
        assert_true(f->request.id == cases[i].id);
    }
}

static uint32_t next_random(uint64_t *random) {
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*random >> 33);
}

/* What decodes must encode to bytes that decode and encode to the same bytes. */
static void assert_request_is_stable(struct fixture *f) {
    size_t n = wire_encode_request(&f->request, f->frame, sizeof f->frame);
    assert_in_range(n, FRAME_HEADER_BYTES, FRAME_MAX_BYTES);
    assert_int_equal(
        wire_decode_request(f->codec, f->frame + FRAME_HEADER_BYTES, n - FRAME_HEADER_BYTES, &f->request),
        WIRE_DECODED);
    assert_int_equal(wire_encode_request(&f->request, f->again, sizeof f->again), n);
    assert_memory_equal(f->frame, f->again, n);
}

static void assert_response_is_stable(struct fixture *f) {
    size_t n = wire_encode_response(&f->response, f->frame, sizeof f->frame);
    assert_in_range(n, FRAME_HEADER_BYTES, FRAME_MAX_BYTES);
    assert_int_equal(
        wire_decode_response(f->codec, f->frame + FRAME_HEADER_BYTES, n - FRAME_HEADER_BYTES, &f->response),
        WIRE_DECODED);
    assert_int_equal(wire_encode_response(&f->response, f->again, sizeof f->again), n);
    assert_memory_equal(f->frame, f->again, n);
}

/* Decodes as a request and as a response; returns how many of the two it was. */
static unsigned decode_both(struct fixture *f, const uint8_t *bytes, size_t n) {
    uint8_t *copy = malloc(n > 0 ? n : 1); /* so that the sanitizer sees a read beyond the end */
    unsigned n_decoded = 0;
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    if (wire_decode_request(f->codec, copy, n, &f->request) == WIRE_DECODED) {
        assert_request_is_stable(f);
        n_decoded++;
    }
    if (wire_decode_response(f->codec, copy, n, &f->response) == WIRE_DECODED) {
        assert_response_is_stable(f);
        n_decoded++;
    }
    free(copy);
    return n_decoded;
}

static void test_every_truncation_is_survived(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        for (size_t n = 0; n < f->samples[i].n; n++) {
            decode_both(f, f->samples[i].bytes, n);
        }
        assert_int_not_equal(decode_both(f, f->samples[i].bytes, f->samples[i].n), 0);
    }
}

static void test_cut_inside_the_call_is_malformed_with_its_id(void **state) {
    struct fixture *f = *state;
    static const size_t call_at = 3 + 2 + 17; /* after id, timeout and traceparent */
    for (size_t i = 0; i < N_REQUESTS; i++) {
        for (size_t n = call_at + 1; n < f->samples[i].n; n++) {
            f->request.id = 99;
            assert_int_equal(wire_decode_request(f->codec, f->samples[i].bytes, n, &f->request),
                             WIRE_MALFORMED);
            assert_true(f->request.id == 300);
        }
    }
}

static void test_random_bytes_are_survived(void **state) {
    struct fixture *f = *state;
    uint64_t random = 1;
    for (size_t round = 0; round < 50000; round++) {
        size_t n = next_random(&random) % 64;
        for (size_t i = 0; i < n; i++) {
            f->body[i] = (uint8_t)next_random(&random);
        }
        decode_both(f, f->body, n);
    }
}

/* Edits f->body in one place and returns its new length. */
static size_t mutate(struct fixture *f, size_t n, uint64_t *random) {
    size_t at = next_random(random) % n, tail = n - at;
    switch (next_random(random) % 4) {
    case 0: /* flip a bit */
        f->body[at] ^= (uint8_t)(1u << next_random(random) % 8);
        return n;
    case 1: /* any byte */
        f->body[at] = (uint8_t)next_random(random);
        return n;
    case 2: /* say the rest twice */
        memmove(f->body + n, f->body + at, tail);
        return n + tail;
    default: /* drop a byte */
        memmove(f->body + at, f->body + at + 1, tail - 1);
        return n - 1;
    }
}

static void test_mutations_are_survived(void **state) {
    struct fixture *f = *state;
    uint64_t random = 2;
    unsigned n_decoded = 0;
    for (size_t round = 0; round < 200000; round++) {
        const struct sample *sample = &f->samples[round % N_SAMPLES];
        size_t n = sample->n;
        memcpy(f->body, sample->bytes, n);
        for (size_t edits = 1 + next_random(&random) % 4; edits > 0 && n > 0; edits--) {
            n = mutate(f, n, &random);
        }
        n_decoded += decode_both(f, f->body, n);
    }
    assert_in_range(n_decoded, 10000, 390000); /* neither too wild nor too tame */
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_batch_beyond_the_limit_is_told_with_its_id),
        WIRE_TEST(test_more_fields_than_the_arena_holds_are_malformed),
        WIRE_TEST(test_malformed_request_keeps_a_readable_id),
        WIRE_TEST(test_every_truncation_is_survived),
        WIRE_TEST(test_cut_inside_the_call_is_malformed_with_its_id),
        WIRE_TEST(test_random_bytes_are_survived),
        WIRE_TEST(test_mutations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
