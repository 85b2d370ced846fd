/* test_bench_frame.c — the bytes are those of proto/wire.h. */
#include "tests/support/test_prelude.h"

#include "client/cmd/bench_frame.h"
#include "client/cmd/rng.h"
#include "proto/frame.h"

static uint8_t ours[FRAME_MAX_BYTES], theirs[FRAME_MAX_BYTES];
static struct wire_request request;

static void assert_same_bytes(void) {
    size_t n_bytes = wire_encode_request(&request, theirs, sizeof theirs);
    assert_true(n_bytes > 0);
    assert_true(bench_frame_bound_bytes(&request) >= n_bytes);
    assert_true(bench_frame_bound_bytes(&request) <= sizeof ours);
    assert_int_equal(bench_frame_write(&request, ours), n_bytes);
    assert_memory_equal(ours, theirs, n_bytes);
}

static struct wire_bytes draw_bytes(struct rng *rng, size_t max_bytes) {
    static uint8_t text[WIRE_KEY_MAX_BYTES];
    memset(text, 'x', sizeof text);
    return (struct wire_bytes){text, (size_t)rng_below(rng, max_bytes + 1)};
}

static void draw_checks(struct rng *rng, size_t n_checks) {
    request.id = rng_next(rng) >> rng_below(rng, 64);
    request.n_checks = n_checks;
    for (size_t i = 0; i < n_checks; i++) {
        request.checks[i] =
            (struct wire_check){.tenant = draw_bytes(rng, WIRE_TENANT_MAX_BYTES),
                                .resource = draw_bytes(rng, WIRE_RESOURCE_MAX_BYTES),
                                .key = draw_bytes(rng, WIRE_KEY_MAX_BYTES),
                                .cost = rng_below(rng, WIRE_COST_MAX + 1) >> rng_below(rng, 31)};
    }
}

static void test_a_check_is_written_as_the_codec_writes_it(void **state) {
    struct rng rng = {1};
    (void)state;
    request.call = WIRE_CALL_CHECK;
    for (int i = 0; i < 2000; i++) {
        draw_checks(&rng, 1);
        assert_same_bytes();
    }
}

static void test_a_batch_is_written_as_the_codec_writes_it(void **state) {
    struct rng rng = {2};
    (void)state;
    request.call = WIRE_CALL_CHECK_BATCH;
    for (int i = 0; i < 500; i++) {
        draw_checks(&rng, (size_t)rng_below(&rng, 100));
        assert_same_bytes();
    }
}

static void test_ids_and_costs_of_every_length(void **state) {
    (void)state;
    request = (struct wire_request){.call = WIRE_CALL_CHECK, .n_checks = 1};
    for (unsigned bits = 0; bits < 64; bits++) {
        request.id = UINT64_C(1) << bits;
        request.checks[0].cost = request.id - 1;
        assert_same_bytes();
    }
    request.id = UINT64_MAX;
    assert_same_bytes();
    request.id = 0;
    assert_same_bytes();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_check_is_written_as_the_codec_writes_it),
        cmocka_unit_test(test_a_batch_is_written_as_the_codec_writes_it),
        cmocka_unit_test(test_ids_and_costs_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
