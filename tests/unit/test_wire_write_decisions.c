/* test_wire_write_decisions.c — what is written without protobuf-c is what protobuf-c writes, or is declined. */
#include "tests/support/test_prelude.h"
#include "tests/support/wire_fixture.h"

#include "client/cmd/rng.h"
#include "proto/wire_codec.h"
#include "proto/wire_write_decisions.h"

enum { N_RESPONSES = 3000, SINGLE_CAP_BYTES = 256 };

/* Returns the frame's length, 0 when it was declined; its bytes must be those of protobuf-c. */
static size_t write_both(struct wire_fixture *f, size_t cap) {
    static uint8_t expected[FRAME_MAX_BYTES];
    uint8_t *quick = malloc(cap);
    assert_non_null(quick);
    size_t n = wire_write_decisions(&f->answered, quick, cap);
    if (n > 0) {
        assert_int_equal(wire_pack_response(&f->answered, expected, sizeof expected), n);
        assert_memory_equal(quick, expected, n);
    }
    free(quick);
    return n;
}

static uint64_t draw_number(struct rng *rng) {
    return rng_below(rng, 3) == 0 ? 0 : rng_next(rng) >> rng_below(rng, 64);
}

static struct wire_decision draw_decision(const struct wire_fixture *f, struct rng *rng) {
    return (struct wire_decision){.verdict = (enum wire_verdict)rng_below(rng, 3),
                                  .source = (enum wire_source)rng_below(rng, 6),
                                  .matched = rng_below(rng, 2) == 0,
                                  .limit_name = wire_fixture_filled(f, rng_below(rng, 33)),
                                  .limit = draw_number(rng),
                                  .remaining = draw_number(rng),
                                  .retry_after_us = draw_number(rng),
                                  .reset_after_us = draw_number(rng),
                                  .wait_us = draw_number(rng),
                                  .degraded = rng_below(rng, 2) == 0,
                                  .would_deny = rng_below(rng, 2) == 0,
                                  .granted = draw_number(rng),
                                  .repeated = rng_below(rng, 2) == 0,
                                  .returned = rng_below(rng, 2) == 0};
}

static void test_decisions_are_written_as_protobuf_c_writes_them(void **state) {
    struct wire_fixture *f = *state;
    static const enum wire_call calls[] = {WIRE_CALL_CHECK, WIRE_CALL_PEEK, WIRE_CALL_CHECK_BATCH};
    struct rng rng = {1};
    for (int i = 0; i < N_RESPONSES; i++) {
        bool is_batch = i % 3 == 2;
        f->answered.id = draw_number(&rng);
        f->answered.call = calls[i % 3];
        f->answered.granted = is_batch && rng_below(&rng, 2) == 0;
        f->answered.n_items = is_batch ? 1 + rng_below(&rng, 64) : 1;
        for (size_t item = 0; item < f->answered.n_items; item++) {
            f->answered.items[item] = (struct wire_item){.decision = draw_decision(f, &rng)};
        }
        assert_true(write_both(f, FRAME_MAX_BYTES) > 0);
    }
}

static void test_the_largest_decisions_are_written(void **state) {
    struct wire_fixture *f = *state;
    f->answered = (struct wire_response){.id = UINT64_MAX, .call = WIRE_CALL_CHECK, .n_items = 1};
    f->answered.items[0].decision = wire_fixture_largest_decision();
    assert_true(write_both(f, SINGLE_CAP_BYTES) > 0);
    f->answered.call = WIRE_CALL_CHECK_BATCH;
    f->answered.granted = true;
    f->answered.n_items = WIRE_BATCH_MAX;
    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        f->answered.items[i].decision = wire_fixture_largest_decision();
    }
    assert_true(write_both(f, FRAME_MAX_BYTES) > 0);
}

static void test_what_is_more_than_decisions_is_declined(void **state) {
    struct wire_fixture *f = *state;
    f->answered = (struct wire_response){.id = 1, .call = WIRE_CALL_CHECK, .n_items = 1};
    assert_true(write_both(f, SINGLE_CAP_BYTES) > 0);
    f->answered.status = WIRE_INVALID_ARGUMENT;
    assert_int_equal(write_both(f, SINGLE_CAP_BYTES), 0);
    f->answered.status = WIRE_OK;
    f->answered.items[0].decision.limit_name = wire_fixture_filled(f, WIRE_LIMIT_NAME_MAX_BYTES + 1);
    assert_int_equal(write_both(f, SINGLE_CAP_BYTES), 0);
    f->answered.items[0].decision.limit_name = BYTES("");
    static const enum wire_call others[] = {WIRE_CALL_UNKNOWN, WIRE_CALL_PING, WIRE_CALL_RESERVE,
                                            WIRE_CALL_REFUND, WIRE_CALL_SETTLE};
    for (size_t i = 0; i < COUNT(others); i++) {
        f->answered.call = others[i];
        assert_int_equal(write_both(f, SINGLE_CAP_BYTES), 0);
    }
    f->answered.call = WIRE_CALL_CHECK_BATCH;
    f->answered.n_items = 2;
    f->answered.items[1] =
        (struct wire_item){.status = WIRE_INVALID_ARGUMENT, .message = BYTES("key: too long")};
    assert_int_equal(write_both(f, FRAME_MAX_BYTES), 0);
    f->answered.n_items = WIRE_BATCH_MAX + 1;
    assert_int_equal(write_both(f, FRAME_MAX_BYTES), 0);
    f->answered.n_items = 0;
    assert_int_equal(write_both(f, FRAME_MAX_BYTES), 0);
}

static void test_too_little_room_is_declined(void **state) {
    struct wire_fixture *f = *state;
    f->answered = (struct wire_response){.id = 1, .call = WIRE_CALL_CHECK, .n_items = 1};
    for (size_t cap = 1; cap < SINGLE_CAP_BYTES; cap++) {
        size_t n = write_both(f, cap);
        assert_true(n == 0 || n <= cap);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_decisions_are_written_as_protobuf_c_writes_them,
                                        wire_fixture_set_up, wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_the_largest_decisions_are_written, wire_fixture_set_up,
                                        wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_more_than_decisions_is_declined, wire_fixture_set_up,
                                        wire_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_too_little_room_is_declined, wire_fixture_set_up,
                                        wire_fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
