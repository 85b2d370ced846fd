/* test_bench_answer.c — what is read agrees with proto/wire.h, byte for byte, or is declined. */
#include "tests/support/test_prelude.h"

#include "client/cmd/bench_answer.h"
#include "client/cmd/rng.h"
#include "proto/frame.h"

struct world {
    struct wire_codec *codec;
    struct wire_response sent, fast, slow;
    uint8_t frame[FRAME_MAX_BYTES];
    size_t body_bytes;
};

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->codec = wire_codec_create();
    assert_non_null(world->codec);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    wire_codec_destroy(&world->codec);
    free(world);
    return 0;
}

static uint8_t *encode(struct world *world) {
    size_t n = wire_encode_response(&world->sent, world->frame, sizeof world->frame);
    assert_true(n > 0);
    world->body_bytes = n - FRAME_HEADER_BYTES;
    return world->frame + FRAME_HEADER_BYTES;
}

/* Returns whether it was read; what was read must be what the codec reads. */
static bool read_both(struct world *world, const uint8_t *body, size_t n_bytes) {
    memset(&world->fast, 0xaa, sizeof world->fast);
    if (!bench_answer_read(body, n_bytes, &world->fast)) {
        return false;
    }
    assert_int_equal(wire_decode_response(world->codec, body, n_bytes, &world->slow), WIRE_DECODED);
    assert_true(world->fast.id == world->slow.id);
    assert_int_equal(world->fast.status, world->slow.status);
    assert_int_equal(world->fast.n_items, world->slow.n_items);
    for (size_t i = 0; i < world->slow.n_items; i++) {
        const struct wire_item *fast = &world->fast.items[i], *slow = &world->slow.items[i];
        assert_int_equal(fast->status, slow->status);
        assert_int_equal(fast->decision.verdict, slow->decision.verdict);
        assert_int_equal(fast->decision.source, slow->decision.source);
        assert_int_equal(fast->decision.degraded, slow->decision.degraded);
        assert_int_equal(fast->decision.would_deny, slow->decision.would_deny);
    }
    return true;
}

static struct wire_decision draw_decision(struct rng *rng) {
    static const uint8_t name[WIRE_LIMIT_NAME_MAX_BYTES] = "per_key";
    return (struct wire_decision){
        .verdict = rng_below(rng, 2) == 0 ? WIRE_ALLOW : WIRE_DENY,
        .source = (enum wire_source)rng_below(rng, WIRE_SOURCE_EMBEDDED + 1),
        .matched = rng_below(rng, 2) == 0,
        .limit_name = {name, (size_t)rng_below(rng, sizeof name + 1)},
        .limit = rng_next(rng) >> 1 >> rng_below(rng, 63),
        .remaining = rng_next(rng) >> 1 >> rng_below(rng, 63),
        .retry_after_us = rng_below(rng, 2) * (UINT64_C(1) << 53),
        .reset_after_us = rng_next(rng) >> 1 >> rng_below(rng, 63),
        .wait_us = rng_below(rng, 3) * 1000,
        .degraded = rng_below(rng, 4) == 0,
        .would_deny = rng_below(rng, 4) == 0,
    };
}

static void draw_response(struct world *world, struct rng *rng, size_t n_items) {
    world->sent.id = rng_next(rng) >> 1 >> rng_below(rng, 63);
    world->sent.call = n_items == 1 ? WIRE_CALL_CHECK : WIRE_CALL_CHECK_BATCH;
    world->sent.n_items = n_items;
    for (size_t i = 0; i < n_items; i++) {
        world->sent.items[i] = (struct wire_item){.decision = draw_decision(rng)};
    }
}

static void test_decisions_are_read_as_the_codec_reads_them(void **state) {
    struct world *world = *state;
    struct rng rng = {1};
    for (int i = 0; i < 2000; i++) {
        draw_response(world, &rng, i % 2 == 0 ? 1 : 2 + (size_t)rng_below(&rng, 20));
        const uint8_t *body = encode(world);
        assert_true(read_both(world, body, world->body_bytes));
        assert_int_equal(world->fast.n_items, world->sent.n_items);
    }
    draw_response(world, &rng, WIRE_BATCH_MAX);
    const uint8_t *body = encode(world);
    assert_true(read_both(world, body, world->body_bytes));
}

/* Declined, or as the codec reads it: nothing else may come of any bytes. */
static void test_damaged_bytes_are_never_read_otherwise(void **state) {
    struct world *world = *state;
    struct rng rng = {2};
    size_t n_read = 0;
    for (int i = 0; i < 300; i++) {
        draw_response(world, &rng, 1 + (size_t)rng_below(&rng, 3));
        uint8_t *body = encode(world);
        for (size_t n = 0; n < world->body_bytes; n++) {
            n_read += read_both(world, body, n);
        }
        for (int change = 0; change < 100; change++) {
            size_t at = (size_t)rng_below(&rng, world->body_bytes);
            uint8_t before = body[at];
            body[at] = (uint8_t)rng_next(&rng);
            n_read += read_both(world, body, world->body_bytes);
            body[at] = before;
        }
    }
    assert_true(n_read > 1000);
}

static void test_a_batch_beyond_its_limit_is_declined(void **state) {
    enum { N_ITEMS = WIRE_BATCH_MAX + 1 };
    struct world *world = *state;
    uint8_t body[4 + 2 * N_ITEMS] = {0x2a, 0x82, 0x04}; /* 514 bytes */
    for (size_t i = 0; i < N_ITEMS; i++) {
        body[3 + 2 * i] = 0x0a;
    }
    assert_false(read_both(world, body, 3 + 2 * N_ITEMS));
}

static void test_errors_and_other_answers_are_left_to_the_codec(void **state) {
    struct world *world = *state;
    struct rng rng = {3};
    draw_response(world, &rng, 2);
    world->sent.items[1] = (struct wire_item){.status = WIRE_INVALID_ARGUMENT};
    const uint8_t *body = encode(world);
    assert_false(read_both(world, body, world->body_bytes));
    world->sent = (struct wire_response){.id = 7, .status = WIRE_INTERNAL};
    body = encode(world);
    assert_false(read_both(world, body, world->body_bytes));
    world->sent = (struct wire_response){.id = 7, .call = WIRE_CALL_PING};
    body = encode(world);
    assert_false(read_both(world, body, world->body_bytes));
    assert_false(read_both(world, body, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_decisions_are_read_as_the_codec_reads_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_bytes_are_never_read_otherwise, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_batch_beyond_its_limit_is_declined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_and_other_answers_are_left_to_the_codec, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
